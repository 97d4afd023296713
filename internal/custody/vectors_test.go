package custody_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"testing"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/custody"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/secret"
	"github.com/writhq/writ/sign"
)

var update = flag.Bool("update", false, "write vectors/keyfile/keyring.json from the cases in this package")

const (
	keyringVectorFile = "../../vectors/keyfile/keyring.json"
	keyringTyp        = "writ-keyring/1"
	keyringPlainTyp   = "writ-keyring-plain/1"
)

// A keyringVector is a keyring file and what is in it, or why it gives no keyring.
type keyringVector struct {
	Name       string    `json:"name"`
	File       string    `json:"file"`            // hexadecimal
	Zeros      int       `json:"zeros,omitempty"` // so many bytes of zero follow
	Passphrase string    `json:"passphrase,omitempty"`
	Insecure   bool      `json:"insecure,omitempty"` // in the clear
	Keyring    *keyringV `json:"keyring,omitempty"`
	Error      string    `json:"error,omitempty"` // form: refused unread; open: it does not open; content: what is in it is no keyring
}

type keyringV struct {
	Pin      string `json:"pin,omitempty"`
	Gate     string `json:"gate"`
	KEMID    string `json:"kem_id"`
	KEM      string `json:"kem_seed"` // hexadecimal
	Sign     string `json:"sign"`     // public key
	Log      string `json:"log"`      // public key
	Evidence string `json:"evidence"` // hexadecimal
}

type keyringVectors struct {
	Format string          `json:"format"`
	Cases  []keyringVector `json:"cases"`
}

// bytesOf returns what s holds.
func bytesOf(s secret.Bytes) (out []byte) {
	s.Use(func(b []byte) error {
		out = bytes.Clone(b)
		return nil
	})
	return out
}

func says(k *custody.Keyring) keyringV {
	v := keyringV{Gate: k.Gate, KEMID: k.KEMID, KEM: hex.EncodeToString(bytesOf(k.KEM)), Sign: k.Sign.Public().String(), Log: k.Log.Public().String(),
		Evidence: hex.EncodeToString(bytesOf(k.Evidence))}
	if !k.Pin.IsZero() {
		v.Pin = k.Pin.String()
	}
	return v
}

func encoded(t testing.TB, v any) []byte {
	t.Helper()
	b, err := canon.EncodeCBOR(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// ring returns a keyring that is always the same, and its content as a map.
func ring(t testing.TB) (*custody.Keyring, map[int]any) {
	t.Helper()
	var world testkit.Zone // its keys alone
	seed, evidence := testkit.GateSeed("ring"), bytes.Repeat([]byte{0xe7}, 32)
	k := &custody.Keyring{Pin: canon.Hash([]byte("root")), Gate: "gate-1", KEMID: "prod/gate-1/1", Sign: world.Key("gate-1"), Log: world.Key("log")}
	pkcs8 := func(p sign.PrivateKey) []byte {
		s, err := p.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		return bytesOf(s)
	}
	m := map[int]any{1: k.Pin[:], 2: k.Gate, 3: k.KEMID, 4: bytes.Clone(seed[:]), 5: pkcs8(k.Sign), 6: pkcs8(k.Log), 7: bytes.Clone(evidence)}
	k.KEM, k.Evidence = secret.Take(seed[:]), secret.Take(evidence)
	return k, m
}

// inClear returns content in a file that is not encrypted.
func inClear(t testing.TB, content []byte) []byte {
	t.Helper()
	return encoded(t, map[int]any{1: keyringPlainTyp, 6: content})
}

func keyringCases(t testing.TB) keyringVectors {
	f := keyringVectors{Format: "keyrings of gates"}
	k, m := ring(t)
	plain := encoded(t, m)
	good := func(name string, content []byte, k *custody.Keyring, change func(*testkit.Wrapped)) {
		w := testkit.Wrap(t, keyringTyp, "passphrase", nil)
		change(w)
		w.Seal(t, "passphrase", content)
		v := says(k)
		f.Cases = append(f.Cases, keyringVector{Name: name, File: hex.EncodeToString(w.Encode(t)), Passphrase: "passphrase", Keyring: &v})
	}
	usual := says(k)
	good("usual", plain, k, func(*testkit.Wrapped) {})
	good("the usual parameters", plain, k, func(w *testkit.Wrapped) { w.Passes, w.Memory, w.Lanes = 3, 65536, 4 })
	unpinned, pinless := *k, map[int]any{}
	unpinned.Pin = canon.Digest{}
	for i, v := range m {
		pinless[i] = v
	}
	pinless[1] = make([]byte, 32)
	good("no pin yet", encoded(t, pinless), &unpinned, func(*testkit.Wrapped) {})
	f.Cases = append(f.Cases, keyringVector{Name: "in the clear", File: hex.EncodeToString(inClear(t, plain)), Insecure: true, Keyring: &usual})
	for _, c := range testkit.WrapCases(t, keyringTyp, plain) {
		f.Cases = append(f.Cases, keyringVector{Name: c.Name, File: hex.EncodeToString(c.File), Passphrase: c.Passphrase, Error: c.Error})
	}
	bad := func(name, failure string, file []byte) {
		f.Cases = append(f.Cases, keyringVector{Name: name, File: hex.EncodeToString(file), Passphrase: "passphrase", Insecure: failure == "content", Error: failure})
	}
	p := inClear(t, plain)
	bad("in the clear, something after", "form", append(bytes.Clone(p), 0))
	bad("in the clear, cut short", "form", p[:len(p)-1])
	bad("in the clear, with parameters", "form", encoded(t, map[int]any{1: keyringPlainTyp, 2: 1, 3: 8, 4: 1, 5: make([]byte, 16), 6: plain}))
	bad("in the clear, unknown field", "form", encoded(t, map[int]any{1: keyringPlainTyp, 6: plain, 7: 0}))
	bad("in the clear, no content", "form", encoded(t, map[int]any{1: keyringPlainTyp}))
	bad("encrypted, called clear", "form", encoded(t, map[int]any{1: keyringTyp, 6: plain}))
	for _, c := range []struct {
		name   string
		change func(map[int]any)
	}{
		{"no pin", func(m map[int]any) { delete(m, 1) }},
		{"a short pin", func(m map[int]any) { m[1] = make([]byte, 31) }},
		{"no gate", func(m map[int]any) { m[2] = "" }},
		{"no KEM id", func(m map[int]any) { m[3] = "" }},
		{"a short seed", func(m map[int]any) { m[4] = make([]byte, 31) }},
		{"no seed", func(m map[int]any) { m[4] = nil }},
		{"no signing key", func(m map[int]any) { m[5] = []byte{} }},
		{"a byte after the signing key", func(m map[int]any) { m[5] = append(bytes.Clone(m[5].([]byte)), 0) }},
		{"no log key", func(m map[int]any) { delete(m, 6) }},
		{"a log key that is none", func(m map[int]any) { m[6] = []byte("key") }},
		{"a short evidence key", func(m map[int]any) { m[7] = make([]byte, 31) }},
		{"unknown field of the content", func(m map[int]any) { m[8] = 0 }},
	} {
		changed := map[int]any{}
		for i, v := range m {
			changed[i] = v
		}
		c.change(changed)
		bad(c.name, "content", inClear(t, encoded(t, changed)))
	}
	bad("something after the content", "content", inClear(t, append(bytes.Clone(plain), 0)))
	bad("nothing as content", "content", inClear(t, []byte{}))
	head := encoded(t, map[int]any{1: keyringPlainTyp, 6: make([]byte, 65536)})
	f.Cases = append(f.Cases, keyringVector{Name: "more than 64 KiB", File: hex.EncodeToString(head[:len(head)-65536]), Zeros: 65536, Insecure: true, Error: "form"})
	return f
}

// TestKeyringVectors reads what vectors/keyfile/keyring.json holds.
//
// SPEC KEYR-1, KEYR-2, WRAP-1, WRAP-3, WRAP-4
// A18
// guard: keyring-size, keyring-complete, wrapped-type, wrapped-passes, wrapped-memory, wrapped-salt, wrapped-authentic
func TestKeyringVectors(t *testing.T) {
	t.Parallel()
	seen := map[string]int{}
	for _, v := range testkit.Vectors(t, *update, keyringVectorFile, keyringCases(t)).Cases {
		seen[v.Error]++
		file := append(testkit.Unhex(t, v.File), make([]byte, v.Zeros)...)
		if err := custody.ParseKeyringFile(file); (err != nil) != (v.Error == "form") {
			t.Errorf("%s: parse: %v", v.Name, err)
			continue // and do not compute what it asks for
		}
		if custody.Insecure(file) != v.Insecure {
			t.Errorf("%s: in the clear: %t", v.Name, !v.Insecure)
		}
		k, err := custody.Unwrap(file, secret.Take([]byte(v.Passphrase)))
		if v.Error != "" {
			if !errors.Is(err, custody.ErrKeyring) || k != nil {
				t.Errorf("%s: %v", v.Name, err)
			}
			continue
		}
		if err != nil || says(k) != *v.Keyring {
			t.Errorf("%s: %v", v.Name, err)
		}
		if v.Insecure {
			if again, err := k.WrapInsecure(); err != nil || !bytes.Equal(again, file) {
				t.Errorf("%s: encodes otherwise: %v", v.Name, err)
			}
		}
	}
	if seen[""] < 4 || seen["form"] < 25 || seen["open"] < 12 || seen["content"] < 12 {
		t.Errorf("%v", seen)
	}
}

// FuzzKeyring: a keyring in the clear that parses encodes back to the same bytes;
// an encrypted one is not opened here, as it may ask for much.
func FuzzKeyring(f *testing.F) {
	var v keyringVectors
	testkit.ReadVectors(f, keyringVectorFile, &v)
	for _, c := range v.Cases {
		f.Add(testkit.Unhex(f, c.File))
		f.Add(inClear(f, testkit.Unhex(f, c.File)))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		if custody.ParseKeyringFile(file) != nil || !custody.Insecure(file) {
			return
		}
		k, err := custody.Unwrap(file, secret.Bytes{})
		if err != nil {
			if !errors.Is(err, custody.ErrKeyring) {
				t.Errorf("an error of another package: %v", err)
			}
			return
		}
		if again, err := k.WrapInsecure(); err != nil || !bytes.Equal(again, file) {
			t.Errorf("%x encodes to %x: %v", file, again, err)
		}
	})
}
