package identity

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"testing"

	"github.com/writhq/writ/secret"
	"github.com/writhq/writ/sign"
)

func pass(s string) secret.Bytes { return secret.Take([]byte(s)) }

// A key file opens with its passphrase alone, and shows nothing.
//
// SPEC KEYF-1, KEYF-2, WRAP-4
// guard: wrapped-authentic
func TestKeyFile(t *testing.T) {
	t.Parallel()
	for _, alg := range []sign.Algorithm{sign.Ed25519, sign.P256} {
		k, err := sign.Generate(alg)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := k.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		file, err := WrapKey(k, pass("right"))
		if err != nil {
			t.Fatal(err)
		}
		if KeyInsecure(file) {
			t.Error("a wrapped key is called insecure")
		}
		got, err := UnwrapKey(file, pass("right"))
		if err != nil || got.Public() != k.Public() {
			t.Errorf("the right passphrase: %v", err)
		}
		block, _ := pem.Decode(file)
		raw.Use(func(b []byte) error {
			if bytes.Contains(block.Bytes, b[len(b)-32:]) {
				t.Error("the file holds the key in the clear")
			}
			return nil
		})
		for _, p := range []secret.Bytes{pass("wrong"), {}, pass("right ")} {
			if _, err := UnwrapKey(file, p); !errors.Is(err, ErrKeyFile) {
				t.Errorf("a wrong passphrase: %v", err)
			}
		}
		if _, err := WrapKey(k, secret.Bytes{}); !errors.Is(err, ErrKeyFile) {
			t.Errorf("an empty passphrase: %v", err)
		}
		plain, err := WrapKeyInsecure(k)
		if err != nil || !KeyInsecure(plain) {
			t.Fatalf("in the clear: %v", err)
		}
		if got, err := UnwrapKey(plain, secret.Bytes{}); err != nil || got.Public() != k.Public() {
			t.Errorf("in the clear: %v", err)
		}
	}
}

// Damaged files give an error that does not show them.
func TestKeyFileDamaged(t *testing.T) {
	t.Parallel()
	k, err := sign.Generate(sign.Ed25519)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := WrapKeyInsecure(k)
	if err != nil {
		t.Fatal(err)
	}
	for name, file := range map[string][]byte{
		"empty": nil, "text": []byte("ed25519:abc"), "two": append(bytes.Clone(plain), plain...), "long": bytes.Repeat([]byte("a"), maxKeyFileBytes+1),
		"other type": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x")}),
		"not CBOR":   pem.EncodeToMemory(&pem.Block{Type: pemKey, Bytes: []byte("x")}),
		"not PKCS":   pem.EncodeToMemory(&pem.Block{Type: pemKeyPlain, Bytes: []byte("x")}),
		"headers":    pem.EncodeToMemory(&pem.Block{Type: pemKeyPlain, Headers: map[string]string{"a": "b"}, Bytes: []byte("x")}),
	} {
		if _, err := UnwrapKey(file, pass("x")); !errors.Is(err, ErrKeyFile) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if s := fmt.Sprintf("%v %+v %#v", k, k, k); len(s) > 60 {
		t.Errorf("a key prints as %s", s)
	}
}
