// Package passphrase encrypts a small file under a passphrase: a person's key, a
// gate's keyring.
//
// Its functions are safe for concurrent use.
package passphrase

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"

	"golang.org/x/crypto/argon2"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/secret"
)

// The errors of this package; all wrap [ErrFile].
var (
	ErrFile = errors.New("file under a passphrase")
	// ErrOpen is wrapped by the error for a file that does not open.
	ErrOpen = fmt.Errorf("%w: wrong passphrase, or a damaged file", ErrFile)
)

// A File is an encrypted file as it is on the disk. Nothing of it is trusted until
// it opens. SPEC WRAP-1.
type File struct {
	Typ    string `cbor:"1,keyasint"` // of what is in it
	Passes uint32 `cbor:"2,keyasint"`
	Memory uint32 `cbor:"3,keyasint"` // KiB
	Lanes  uint8  `cbor:"4,keyasint"`
	Salt   []byte `cbor:"5,keyasint"`
	Text   []byte `cbor:"6,keyasint"` // AES-256-GCM
}

// Seal returns plain as a file of a type, encrypted under the passphrase p by
// argon2id and AES-256-GCM. An empty passphrase gives an error that wraps
// [ErrFile]. plain stays the caller's.
//
// Source: RFC 9106. SPEC WRAP-1, WRAP-2, WRAP-4.
func Seal(typ string, p secret.Bytes, plain []byte) ([]byte, error) {
	f := File{Typ: typ, Passes: usualPasses, Memory: usualMemoryKiB, Lanes: usualLanes, Salt: make([]byte, saltBytes)}
	rand.Read(f.Salt)
	a, err := f.aead(p)
	if err != nil {
		return nil, err
	}
	f.Text = a.Seal(nil, make([]byte, a.NonceSize()), plain, []byte(typ)) // the key is of this salt alone
	b, err := canon.EncodeCBOR(&f)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFile, err)
	}
	return b, nil
}

// Parse returns the file of a type that b is. It computes nothing from what the
// file says, and refuses what would take too long to. The caller bounds b. Errors
// wrap [ErrFile]. SPEC WRAP-1, WRAP-3.
func Parse(b []byte, typ string) (*File, error) {
	f := new(File)
	if err := canon.DecodeCBOR(b, f); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFile, err)
	}
	if f.Typ != typ { //guard:A22 wrapped-type
		return nil, fmt.Errorf("%w: not %s", ErrFile, typ)
	}
	if f.Passes < 1 || f.Passes > maxPasses || f.Lanes < 1 || f.Lanes > maxLanes { //guard:A18 wrapped-passes
		return nil, fmt.Errorf("%w: passes or lanes out of range", ErrFile)
	}
	if f.Memory < minMemoryKiB*uint32(f.Lanes) || f.Memory > maxMemoryKiB { //guard:A18 wrapped-memory
		return nil, fmt.Errorf("%w: memory out of range", ErrFile)
	}
	if len(f.Salt) != saltBytes || len(f.Text) < tagBytes { //guard:R1 wrapped-salt
		return nil, fmt.Errorf("%w: salt or text is cut short", ErrFile)
	}
	return f, nil
}

// Open returns what is in f. A wrong passphrase and a damaged file give the same
// error, which wraps [ErrOpen]; an empty passphrase opens nothing. It takes the
// time and the memory that f asks for. SPEC WRAP-4.
func (f *File) Open(p secret.Bytes) (secret.Bytes, error) {
	a, err := f.aead(p)
	if err != nil {
		return secret.Bytes{}, err
	}
	plain, err := a.Open(nil, make([]byte, a.NonceSize()), f.Text, []byte(f.Typ))
	if err != nil { //guard:R1 wrapped-authentic
		return secret.Bytes{}, ErrOpen
	}
	return secret.Take(plain), nil
}

// aead returns the cipher under the passphrase.
func (f *File) aead(p secret.Bytes) (a cipher.AEAD, err error) {
	err = p.Use(func(b []byte) error {
		if len(b) == 0 {
			return fmt.Errorf("%w: the passphrase is empty", ErrFile)
		}
		key := argon2.IDKey(b, f.Salt, f.Passes, f.Memory, f.Lanes, 32)
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
