package identity

import (
	"bytes"
	"encoding/pem"
	"errors"
	"flag"
	"strings"
	"testing"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/passphrase"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/secret"
	"github.com/writhq/writ/sign"
)

var update = flag.Bool("update", false, "write vectors/keyfile/key.json from the cases in this package")

const keyVectorFile = "../../vectors/keyfile/key.json"

// A keyVector is a key file and the key in it, or why it gives none.
type keyVector struct {
	Name       string `json:"name"`
	File       string `json:"file"`
	Passphrase string `json:"passphrase,omitempty"`
	Insecure   bool   `json:"insecure,omitempty"` // in the clear
	Public     string `json:"public,omitempty"`
	Error      string `json:"error,omitempty"` // form: refused unread; open: it does not open; content: what is in it is no key
}

type keyVectors struct {
	Format string      `json:"format"`
	Cases  []keyVector `json:"cases"`
}

// marshal returns k in PKCS #8.
func marshal(t testing.TB, k sign.PrivateKey) (out []byte) {
	t.Helper()
	s, err := k.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	s.Use(func(b []byte) error {
		out = bytes.Clone(b)
		return nil
	})
	return out
}

func block(typ string, b []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: typ, Bytes: b}))
}

func keyCases(t testing.TB) keyVectors {
	var world testkit.Zone // its keys alone
	ed, p256 := world.Key("ana"), world.KeyP256("ivo")
	plain := marshal(t, ed)
	f := keyVectors{Format: "files of people's keys"}
	good := func(name string, k sign.PrivateKey, change func(*testkit.Wrapped)) {
		w := testkit.Wrap(t, keyTyp, "passphrase", nil)
		change(w)
		w.Seal(t, "passphrase", marshal(t, k))
		f.Cases = append(f.Cases, keyVector{Name: name, File: block(pemKey, w.Encode(t)), Passphrase: "passphrase", Public: k.Public().String()})
	}
	good("ed25519", ed, func(*testkit.Wrapped) {})
	good("p256", p256, func(*testkit.Wrapped) {})
	good("the usual parameters", ed, func(w *testkit.Wrapped) { w.Passes, w.Memory, w.Lanes = 3, 65536, 4 })
	w := testkit.Wrap(t, keyTyp, "pässwörter \x00\x01", plain)
	f.Cases = append(f.Cases, keyVector{Name: "a passphrase of any bytes", File: block(pemKey, w.Encode(t)), Passphrase: "pässwörter \x00\x01", Public: ed.Public().String()})
	for _, k := range []sign.PrivateKey{ed, p256} {
		f.Cases = append(f.Cases, keyVector{Name: k.Public().Algorithm().String() + " in the clear", File: block(pemKeyPlain, marshal(t, k)), Insecure: true, Public: k.Public().String()})
	}
	for _, c := range testkit.WrapCases(t, keyTyp, plain) {
		f.Cases = append(f.Cases, keyVector{Name: c.Name, File: block(pemKey, c.File), Passphrase: c.Passphrase, Error: c.Error})
	}
	bad := func(name, failure, file string) {
		f.Cases = append(f.Cases, keyVector{Name: name, File: file, Passphrase: "passphrase", Insecure: failure != "form" && strings.Contains(file, pemKeyPlain), Error: failure})
	}
	bad("not a key inside", "content", block(pemKey, testkit.Wrap(t, keyTyp, "passphrase", []byte("key")).Encode(t)))
	bad("a byte after the key inside", "content", block(pemKey, testkit.Wrap(t, keyTyp, "passphrase", append(bytes.Clone(plain), 0)).Encode(t)))
	bad("not a key in the clear", "content", block(pemKeyPlain, []byte("key")))
	bad("a byte after the key in the clear", "content", block(pemKeyPlain, append(bytes.Clone(plain), 0)))
	bad("nothing in the clear", "content", block(pemKeyPlain, nil))
	whole := block(pemKeyPlain, plain)
	bad("another kind of block", "form", block("PRIVATE KEY", plain))
	bad("an encrypted file called clear", "content", block(pemKeyPlain, testkit.Wrap(t, keyTyp, "passphrase", plain).Encode(t)))
	bad("a clear file called encrypted", "form", block(pemKey, plain))
	bad("a file of nothing", "form", "")
	bad("not PEM", "form", ed.Public().String())
	bad("text before", "form", "# my key\n"+whole)
	bad("text after", "form", whole+"\n")
	bad("two blocks", "form", whole+whole)
	bad("no line's end at the end", "form", strings.TrimSuffix(whole, "\n"))
	bad("carriage returns", "form", strings.ReplaceAll(whole, "\n", "\r\n"))
	bad("other lines", "form", strings.Replace(whole, "MC4C", "MC4C\n", 1))
	bad("a space at a line's end", "form", strings.Replace(whole, "-----\n", "----- \n", 1))
	bad("a header", "form", string(pem.EncodeToMemory(&pem.Block{Type: pemKeyPlain, Headers: map[string]string{"a": "b"}, Bytes: plain})))
	bad("cut short", "form", whole[:len(whole)-10])
	bad("more than 4 KiB", "form", block(pemKeyPlain, append(bytes.Clone(plain), make([]byte, 3<<10)...)))
	return f
}

// TestKeyVectors reads what vectors/keyfile/key.json holds.
//
// SPEC KEYF-1, KEYF-2, WRAP-1, WRAP-3, WRAP-4
// A18
// guard: key-file-size, key-file-form, wrapped-type, wrapped-passes, wrapped-memory, wrapped-salt, wrapped-authentic
func TestKeyVectors(t *testing.T) {
	t.Parallel()
	seen := map[string]int{}
	for _, v := range testkit.Vectors(t, *update, keyVectorFile, keyCases(t)).Cases {
		seen[v.Error]++
		_, _, err := parseKeyFile([]byte(v.File))
		if (err != nil) != (v.Error == "form") {
			t.Errorf("%s: parse: %v", v.Name, err)
			continue // and do not compute what it asks for
		}
		if v.Error != "form" && KeyInsecure([]byte(v.File)) != v.Insecure {
			t.Errorf("%s: in the clear: %t", v.Name, !v.Insecure)
		}
		k, err := UnwrapKey([]byte(v.File), pass(v.Passphrase))
		switch v.Error {
		case "":
			if err != nil || k.Public().String() != v.Public {
				t.Errorf("%s: %s, %v", v.Name, k.Public(), err)
			}
		case "content":
			if !errors.Is(err, ErrKeyFile) || !errors.Is(err, sign.ErrKey) {
				t.Errorf("%s: %v", v.Name, err)
			}
		default:
			if !errors.Is(err, ErrKeyFile) || !k.Public().IsZero() {
				t.Errorf("%s: %v", v.Name, err)
			}
		}
	}
	if seen[""] < 6 || seen["form"] < 35 || seen["open"] < 12 || seen["content"] < 5 {
		t.Errorf("%v", seen)
	}
}

// FuzzKeyFile: what parses encodes back to the same bytes, asks for no more than it
// may, and opens under no passphrase that it was not written with.
func FuzzKeyFile(f *testing.F) {
	var v keyVectors
	testkit.ReadVectors(f, keyVectorFile, &v)
	for _, c := range v.Cases {
		f.Add([]byte(c.File))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		plain, w, err := parseKeyFile(file)
		switch {
		case err != nil:
		case w == nil:
			k, err := sign.ParsePrivateKey(plain)
			if err != nil {
				return
			}
			if again, err := WrapKeyInsecure(k); err != nil || !bytes.Equal(again, file) {
				t.Errorf("%q encodes to something else: %v", file, err)
			}
		default:
			b, err := canon.EncodeCBOR(w)
			if err != nil || block(pemKey, b) != string(file) {
				t.Errorf("%q encodes to something else: %v", file, err)
			}
			if w.Passes > 64 || w.Memory > 1<<20 || w.Lanes > 64 {
				t.Errorf("it asks for %d passes over %d KiB", w.Passes, w.Memory)
			}
			if uint64(w.Passes)*uint64(w.Memory) > 1<<10 {
				return // more than a fuzz target has time for
			}
			if s, err := w.Open(secret.Take([]byte("another passphrase"))); !errors.Is(err, passphrase.ErrOpen) || !s.Equal(secret.Bytes{}) {
				t.Errorf("%q opens: %v", file, err)
			}
		}
	})
}
