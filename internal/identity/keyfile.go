package identity

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/pem"
	"fmt"

	"golang.org/x/crypto/argon2"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/secret"
	"github.com/writhq/writ/sign"
)

const (
	pemKey      = "WRIT KEY"
	pemKeyPlain = "WRIT KEY NOT ENCRYPTED"
	keyTyp      = "writ-key/1"
	saltBytes   = 16
)

// keyFile is an encrypted private key on the disk: the construction of a gate's
// keyring, with another type. Source: spec/control.md.
type keyFile struct {
	Typ     string `cbor:"1,keyasint"`
	Time    uint32 `cbor:"2,keyasint"` // argon2id
	Memory  uint32 `cbor:"3,keyasint"` // KiB
	Threads uint8  `cbor:"4,keyasint"`
	Salt    []byte `cbor:"5,keyasint"`
	Text    []byte `cbor:"6,keyasint"` // AES-256-GCM of the key in PKCS #8
}

// WrapKey returns k as a file in PEM, encrypted under the passphrase with
// argon2id and AES-256-GCM. An empty passphrase is refused. SPEC CTRL-12.
func WrapKey(k sign.PrivateKey, passphrase secret.Bytes) ([]byte, error) {
	f := keyFile{Typ: keyTyp, Time: argonTime, Memory: argonMemoryKiB, Threads: argonThreads, Salt: make([]byte, saltBytes)}
	rand.Read(f.Salt)
	a, err := f.aead(passphrase)
	if err != nil {
		return nil, err
	}
	plain, err := k.Marshal()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeyFile, err)
	}
	defer plain.Wipe()
	plain.Use(func(b []byte) error {
		f.Text = a.Seal(nil, make([]byte, a.NonceSize()), b, []byte(keyTyp)) // the key is of this salt alone
		return nil
	})
	b, err := canon.EncodeCBOR(&f)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeyFile, err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemKey, Bytes: b}), nil
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

// KeyInsecure reports whether the key file holds its key in the clear.
func KeyInsecure(file []byte) bool {
	b, _ := pem.Decode(file)
	return b != nil && b.Type == pemKeyPlain
}

// UnwrapKey returns the key in the file. The passphrase is not looked at for a
// file in the clear. A wrong passphrase and a damaged file give the same
// [ErrKeyFile]. SPEC CTRL-12.
func UnwrapKey(file []byte, passphrase secret.Bytes) (sign.PrivateKey, error) {
	if len(file) > maxKeyFileBytes {
		return sign.PrivateKey{}, fmt.Errorf("%w: %d bytes; at most %d", ErrKeyFile, len(file), maxKeyFileBytes)
	}
	b, rest := pem.Decode(file)
	if b == nil || len(rest) > 0 || len(b.Headers) > 0 {
		return sign.PrivateKey{}, fmt.Errorf("%w: not one PEM block", ErrKeyFile)
	}
	switch b.Type {
	case pemKeyPlain:
		return parseKey(b.Bytes)
	case pemKey:
	default:
		return sign.PrivateKey{}, fmt.Errorf("%w: not a %s", ErrKeyFile, pemKey)
	}
	var f keyFile
	if err := canon.DecodeCBOR(b.Bytes, &f); err != nil || f.Typ != keyTyp {
		return sign.PrivateKey{}, fmt.Errorf("%w: not %s", ErrKeyFile, keyTyp)
	}
	a, err := f.aead(passphrase)
	if err != nil {
		return sign.PrivateKey{}, err
	}
	plain, err := a.Open(nil, make([]byte, a.NonceSize()), f.Text, []byte(keyTyp))
	if err != nil { //guard:R1 key-file-opens
		return sign.PrivateKey{}, fmt.Errorf("%w: wrong passphrase, or a damaged file", ErrKeyFile)
	}
	return parseKey(plain)
}

func parseKey(plain []byte) (sign.PrivateKey, error) {
	s := secret.Take(plain)
	defer s.Wipe()
	k, err := sign.ParsePrivateKey(s)
	if err != nil {
		return k, fmt.Errorf("%w: %w", ErrKeyFile, err)
	}
	return k, nil
}

func (f *keyFile) aead(passphrase secret.Bytes) (a cipher.AEAD, err error) {
	if f.Time < 1 || f.Time > maxArgonTime || f.Memory < 8 || f.Memory > maxArgonMemoryKiB || f.Threads < 1 || len(f.Salt) != saltBytes {
		return nil, fmt.Errorf("%w: parameters out of range", ErrKeyFile)
	}
	err = passphrase.Use(func(p []byte) error {
		if len(p) == 0 {
			return fmt.Errorf("%w: the passphrase is empty", ErrKeyFile)
		}
		key := argon2.IDKey(p, f.Salt, f.Time, f.Memory, f.Threads, 32)
		defer clear(key)
		block, err := aes.NewCipher(key)
		if err != nil {
			return err
		}
		a, err = cipher.NewGCM(block)
		return err
	})
	return a, err
}
