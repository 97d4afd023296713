package testkit

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"testing"

	"golang.org/x/crypto/argon2"

	"github.com/writhq/writ/canon"
)

// A Wrapped is a file under a passphrase, taken apart: for a test to change.
type Wrapped struct {
	Typ    string `cbor:"1,keyasint"`
	Passes uint32 `cbor:"2,keyasint"`
	Memory uint32 `cbor:"3,keyasint"` // KiB
	Lanes  uint8  `cbor:"4,keyasint"`
	Salt   []byte `cbor:"5,keyasint"`
	Text   []byte `cbor:"6,keyasint"`
}

// Wrap returns plain in a file under a passphrase, always the same one and as cheap
// as can be. It is made by the primitives alone, after spec/keyfile.md.
func Wrap(t testing.TB, typ, passphrase string, plain []byte) *Wrapped {
	t.Helper()
	w := &Wrapped{Typ: typ, Passes: 1, Memory: 8, Lanes: 1, Salt: bytes.Repeat([]byte{0x5a}, 16)}
	w.Seal(t, passphrase, plain)
	return w
}

// Seal sets w's text to plain, encrypted with w's parameters.
func (w *Wrapped) Seal(t testing.TB, passphrase string, plain []byte) {
	t.Helper()
	key := argon2.IDKey([]byte(passphrase), w.Salt, w.Passes, w.Memory, w.Lanes, 32)
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	a, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	w.Text = a.Seal(nil, make([]byte, 12), plain, []byte(w.Typ))
}

// Encode returns w's bytes.
func (w *Wrapped) Encode(t testing.TB) []byte {
	t.Helper()
	b, err := canon.EncodeCBOR(w)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A WrapCase is a file under a passphrase that does not open, and why: form, it is
// refused before anything is computed; open, it is opened in vain.
type WrapCase struct {
	Name, Error, Passphrase string
	File                    []byte
}

// WrapCases returns what every format under a passphrase refuses. The right
// passphrase of plain is "passphrase".
func WrapCases(t testing.TB, typ string, plain []byte) []WrapCase {
	t.Helper()
	const right = "passphrase"
	good := Wrap(t, typ, right, plain)
	var all []WrapCase
	for _, p := range []struct{ name, passphrase string }{
		{"another passphrase", "passphrasf"}, {"no passphrase", ""}, {"passphrase in capitals", "Passphrase"}, {"passphrase with a line's end", right + "\n"},
	} {
		all = append(all, WrapCase{p.name, "open", p.passphrase, good.Encode(t)})
	}
	for _, c := range []struct {
		name, failure string
		change        func(*Wrapped)
	}{
		{"more passes than it was made with", "open", func(w *Wrapped) { w.Passes = 2 }},
		{"more memory than it was made with", "open", func(w *Wrapped) { w.Memory = 9 }},
		{"more lanes than it was made with", "open", func(w *Wrapped) { w.Memory, w.Lanes = 16, 2 }},
		{"another salt", "open", func(w *Wrapped) { w.Salt = bytes.Repeat([]byte{0x5b}, 16) }},
		{"first bit of the text", "open", func(w *Wrapped) { w.Text[0] ^= 0x80 }},
		{"last bit of the text", "open", func(w *Wrapped) { w.Text[len(w.Text)-1] ^= 1 }},
		{"text cut short", "open", func(w *Wrapped) { w.Text = w.Text[:len(w.Text)-1] }},
		{"a longer text", "open", func(w *Wrapped) { w.Text = append(w.Text, 0) }},
		{"text of another type", "open", func(w *Wrapped) { w.Typ = "writ-other/1"; w.Seal(t, right, plain); w.Typ = typ }},
		{"another type", "form", func(w *Wrapped) { w.Typ = "writ-other/1"; w.Seal(t, right, plain) }},
		{"no passes", "form", func(w *Wrapped) { w.Passes = 0 }},
		{"65 passes", "form", func(w *Wrapped) { w.Passes = 65; w.Seal(t, right, plain) }},
		{"2^32-1 passes", "form", func(w *Wrapped) { w.Passes = 1<<32 - 1 }},
		{"no memory", "form", func(w *Wrapped) { w.Memory = 0 }},
		{"less memory than 8 KiB a lane", "form", func(w *Wrapped) { w.Memory, w.Lanes = 15, 2; w.Seal(t, right, plain) }},
		{"more memory than 1 GiB", "form", func(w *Wrapped) { w.Memory = 1<<20 + 1 }},
		{"4 TiB of memory", "form", func(w *Wrapped) { w.Memory = 1<<32 - 1 }},
		{"no lanes", "form", func(w *Wrapped) { w.Lanes = 0 }},
		{"65 lanes", "form", func(w *Wrapped) { w.Memory, w.Lanes = 65*8, 65; w.Seal(t, right, plain) }},
		{"no salt", "form", func(w *Wrapped) { w.Salt = []byte{}; w.Seal(t, right, plain) }},
		{"short salt", "form", func(w *Wrapped) { w.Salt = w.Salt[:15]; w.Seal(t, right, plain) }},
		{"long salt", "form", func(w *Wrapped) { w.Salt = append(w.Salt, 0); w.Seal(t, right, plain) }},
		{"null salt", "form", func(w *Wrapped) { w.Salt = nil }},
		{"text shorter than a tag", "form", func(w *Wrapped) { w.Text = w.Text[:15] }},
		{"null text", "form", func(w *Wrapped) { w.Text = nil }},
	} {
		w := *good
		w.Salt, w.Text = bytes.Clone(w.Salt), bytes.Clone(w.Text)
		c.change(&w)
		all = append(all, WrapCase{c.name, c.failure, right, w.Encode(t)})
	}
	b := good.Encode(t)
	for _, c := range []struct {
		name string
		b    []byte
	}{
		{"nothing", nil}, {"no fields", []byte{0xa0}}, {"a list", []byte{0x80}}, {"cut short", b[:len(b)-1]}, {"something after", append(bytes.Clone(b), 0)},
		{"indefinite length", append(append([]byte{0xbf}, b[1:]...), 0xff)}, {"unknown field", append(append([]byte{b[0] + 1}, b[1:]...), 7, 0)},
		{"long form of a number", bytes.Replace(b, []byte{2, 1, 3}, []byte{2, 0x18, 1, 3}, 1)},
	} {
		all = append(all, WrapCase{c.name, "form", right, c.b})
	}
	return all
}
