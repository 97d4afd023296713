package receipt_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"testing"

	"github.com/writhq/writ/receipt"
)

// Evidence is encrypted as the specification says, by HKDF and AES-GCM of the
// standard library; nothing of it is given out before.
// A37
// guard: evidence-encrypted
// SPEC LEDG-7
func TestSealing(t *testing.T) {
	t.Parallel()
	key := []byte("a segment's key, of 32 bytes ....")[:32]
	keys := receipt.NewRowKeys(key)
	e := sample()
	plain, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for seq := range uint64(300) {
		s, err := keys.Begin(e, 7, seq)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := receipt.AppendSealed(nil, []*receipt.Sealing{s}); !errors.Is(err, receipt.ErrEvidence) || len(b) > 0 {
			t.Fatal("given out in the clear", err)
		}
		size := s.Size()
		s.Seal()
		s.Seal() // once is all
		have, err := receipt.AppendSealed([]byte("x"), []*receipt.Sealing{s})
		if err != nil || len(have) != 1+size {
			t.Fatal(err, len(have), size)
		}
		s.Free()
		info := "writ-evidence/1" + string([]byte{0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, byte(seq >> 8), byte(seq)})
		row, err := hkdf.Expand(sha256.New, key, info, 32)
		if err != nil {
			t.Fatal(err)
		}
		block, err := aes.NewCipher(row)
		if err != nil {
			t.Fatal(err)
		}
		aead, err := cipher.NewGCM(block)
		if err != nil {
			t.Fatal(err)
		}
		if want := aead.Seal([]byte("x"), make([]byte, 12), plain, nil); !bytes.Equal(have, want) {
			t.Fatalf("sequence %d: not what the specification says", seq)
		}
		if back, err := keys.Open(have[1:], 7, seq); err != nil || back.Key != e.Key {
			t.Fatal(err)
		}
		if _, err := keys.Open(have[1:], 7, seq+1); !errors.Is(err, receipt.ErrEvidence) {
			t.Fatal("opens as another receipt's")
		}
	}
	if s, err := keys.Begin(nil, 1, 1); s != nil || err != nil {
		t.Error("a sealing of nothing", err)
	}
}
