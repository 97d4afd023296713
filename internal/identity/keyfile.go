package identity

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/writhq/writ/internal/passphrase"
	"github.com/writhq/writ/secret"
	"github.com/writhq/writ/sign"
)

const (
	pemKey      = "WRIT KEY"
	pemKeyPlain = "WRIT KEY NOT ENCRYPTED"
	keyTyp      = "writ-key/1"
)

// WrapKey returns k as a file in PEM, encrypted under the passphrase p. An empty
// passphrase is refused. SPEC KEYF-1.
func WrapKey(k sign.PrivateKey, p secret.Bytes) (file []byte, err error) {
	plain, err := k.Marshal()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeyFile, err)
	}
	defer plain.Wipe()
	err = plain.Use(func(b []byte) error {
		file, err = passphrase.Seal(keyTyp, p, b)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeyFile, err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemKey, Bytes: file}), nil
}

// WrapKeyInsecure returns k as a file that anyone can read: for trials.
func WrapKeyInsecure(k sign.PrivateKey) (file []byte, err error) {
	plain, err := k.Marshal()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeyFile, err)
	}
	defer plain.Wipe()
	plain.Use(func(b []byte) error {
		file = pem.EncodeToMemory(&pem.Block{Type: pemKeyPlain, Bytes: b})
		return nil
	})
	return file, nil
}

// KeyInsecure reports whether the key file holds its key in the clear. SPEC KEYF-2.
func KeyInsecure(file []byte) bool {
	b, _ := pem.Decode(file)
	return b != nil && b.Type == pemKeyPlain
}

// UnwrapKey returns the key in the file. The passphrase p is not looked at for a
// file in the clear. A wrong passphrase and a damaged file give the same
// [ErrKeyFile]. SPEC KEYF-1, KEYF-2, WRAP-4.
func UnwrapKey(file []byte, p secret.Bytes) (sign.PrivateKey, error) {
	plain, wrapped, err := parseKeyFile(file)
	if err == nil && wrapped != nil {
		plain, err = wrapped.Open(p)
	}
	if err != nil {
		return sign.PrivateKey{}, fmt.Errorf("%w: %w", ErrKeyFile, err)
	}
	defer plain.Wipe()
	k, err := sign.ParsePrivateKey(plain)
	if err != nil {
		return k, fmt.Errorf("%w: %w", ErrKeyFile, err)
	}
	return k, nil
}

// parseKeyFile returns the key in the clear, or what is to be opened. It computes
// nothing. SPEC KEYF-1.
func parseKeyFile(file []byte) (plain secret.Bytes, wrapped *passphrase.File, err error) {
	if len(file) > maxKeyFileBytes { //guard:A18 key-file-size
		return plain, nil, fmt.Errorf("%d bytes; at most %d", len(file), maxKeyFileBytes)
	}
	b, _ := pem.Decode(file)
	if b == nil {
		return plain, nil, errors.New("not a PEM block")
	}
	again := pem.EncodeToMemory(b)
	defer clear(again)
	if len(b.Headers) > 0 || !bytes.Equal(again, file) { //guard:A22 key-file-form
		return plain, nil, errors.New("not one PEM block in its one spelling and nothing else")
	}
	switch b.Type {
	case pemKeyPlain:
		return secret.Take(b.Bytes), nil, nil
	case pemKey:
		wrapped, err = passphrase.Parse(b.Bytes, keyTyp)
		return plain, wrapped, err
	}
	return plain, nil, fmt.Errorf("not a %s", pemKey)
}
