package custody

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"fmt"

	"golang.org/x/crypto/argon2"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/seal"
	"github.com/writhq/writ/secret"
	"github.com/writhq/writ/sign"
)

const (
	keyringTyp      = "writ-keyring/1"
	keyringPlainTyp = "writ-keyring-plain/1"
	evidenceKeySize = 32
)

// A Keyring holds all keys of one gate, and the pin of its root: whoever
// replaces the root beside the keys cannot replace what is sealed with them (A1).
type Keyring struct {
	Pin      canon.Digest // of the genesis root; zero until the gate has joined a zone
	Gate     string       // id
	KEMID    string       // id of the KEM key
	KEM      secret.Bytes // seed
	Sign     sign.PrivateKey
	Log      sign.PrivateKey // of the policy log, if this gate runs it
	Evidence secret.Bytes    // wraps the keys of the evidence
}

// NewKeyring returns a keyring with fresh keys and no pin.
func NewKeyring(gate, kemID string) (*Keyring, error) {
	k := &Keyring{Gate: gate, KEMID: kemID, KEM: seal.GenerateKey()}
	var err error
	if k.Sign, err = sign.Generate(sign.Ed25519); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeyring, err)
	}
	if k.Log, err = sign.Generate(sign.Ed25519); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeyring, err)
	}
	e := make([]byte, evidenceKeySize)
	rand.Read(e)
	k.Evidence = secret.Take(e)
	return k, nil
}

// GateKey returns the key that opens secrets.
func (k *Keyring) GateKey() (seal.GateKey, error) { return seal.NewGateKey(k.KEMID, k.KEM) }

// keyringFile is a keyring on the disk. Source: spec/keyring.md.
type keyringFile struct {
	Typ     string `cbor:"1,keyasint"`
	Time    uint32 `cbor:"2,keyasint,omitempty"` // argon2id
	Memory  uint32 `cbor:"3,keyasint,omitempty"` // KiB
	Threads uint8  `cbor:"4,keyasint,omitempty"`
	Salt    []byte `cbor:"5,keyasint,omitempty"`
	Text    []byte `cbor:"6,keyasint"` // AES-256-GCM of the content, or the content itself
}

// keyringContent is what is encrypted.
type keyringContent struct {
	Pin      canon.Digest `cbor:"1,keyasint"`
	Gate     string       `cbor:"2,keyasint"`
	KEMID    string       `cbor:"3,keyasint"`
	KEM      []byte       `cbor:"4,keyasint"`
	Sign     []byte       `cbor:"5,keyasint"` // PKCS #8
	Log      []byte       `cbor:"6,keyasint"` // PKCS #8
	Evidence []byte       `cbor:"7,keyasint"`
}

func (k *Keyring) content() ([]byte, error) {
	c := keyringContent{Pin: k.Pin, Gate: k.Gate, KEMID: k.KEMID}
	defer c.wipe()
	signKey, err := k.Sign.Marshal()
	if err != nil {
		return nil, err
	}
	defer signKey.Wipe()
	logKey, err := k.Log.Marshal()
	if err != nil {
		return nil, err
	}
	defer logKey.Wipe()
	for _, f := range []struct {
		from secret.Bytes
		to   *[]byte
	}{{k.KEM, &c.KEM}, {signKey, &c.Sign}, {logKey, &c.Log}, {k.Evidence, &c.Evidence}} {
		f.from.Use(func(b []byte) error {
			*f.to = append([]byte(nil), b...)
			return nil
		})
	}
	return canon.EncodeCBOR(&c)
}

func (c *keyringContent) wipe() {
	for _, b := range [][]byte{c.KEM, c.Sign, c.Log, c.Evidence} {
		clear(b)
	}
}

// Wrap returns the keyring as a file, encrypted under the passphrase with
// argon2id and AES-256-GCM. An empty passphrase is refused.
//
// Source: RFC 9106. SPEC KEYR-1.
func (k *Keyring) Wrap(passphrase secret.Bytes) ([]byte, error) {
	f := keyringFile{Typ: keyringTyp, Time: argonTime, Memory: argonMemoryKiB, Threads: argonThreads, Salt: make([]byte, 16)}
	rand.Read(f.Salt)
	a, err := f.aead(passphrase)
	if err != nil {
		return nil, err
	}
	plain, err := k.content()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeyring, err)
	}
	defer clear(plain)
	f.Text = a.Seal(nil, make([]byte, a.NonceSize()), plain, []byte(keyringTyp)) // the key is of this salt alone
	return canon.EncodeCBOR(&f)
}

// WrapInsecure returns the keyring as a file that anyone can read: for trials.
func (k *Keyring) WrapInsecure() ([]byte, error) {
	plain, err := k.content()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeyring, err)
	}
	return canon.EncodeCBOR(&keyringFile{Typ: keyringPlainTyp, Text: plain})
}

// Insecure reports whether the file holds its keys in the clear.
func Insecure(file []byte) bool {
	var f keyringFile
	return canon.DecodeCBOR(file, &f) == nil && f.Typ == keyringPlainTyp
}

// Unwrap returns the keyring in the file. The passphrase is not looked at for a
// file in the clear. A wrong passphrase and a damaged file give the same
// [ErrKeyring]. SPEC KEYR-1, KEYR-2.
func Unwrap(file []byte, passphrase secret.Bytes) (*Keyring, error) {
	if len(file) > maxKeyringBytes {
		return nil, fmt.Errorf("%w: %d bytes; at most %d", ErrKeyring, len(file), maxKeyringBytes)
	}
	var f keyringFile
	if err := canon.DecodeCBOR(file, &f); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeyring, err)
	}
	switch f.Typ {
	case keyringPlainTyp:
		return parseKeyring(f.Text)
	case keyringTyp:
	default:
		return nil, fmt.Errorf("%w: not %s", ErrKeyring, keyringTyp)
	}
	a, err := f.aead(passphrase)
	if err != nil {
		return nil, err
	}
	plain, err := a.Open(nil, make([]byte, a.NonceSize()), f.Text, []byte(keyringTyp))
	if err != nil {
		return nil, fmt.Errorf("%w: wrong passphrase, or a damaged file", ErrKeyring)
	}
	defer clear(plain)
	return parseKeyring(plain)
}

func (f *keyringFile) aead(passphrase secret.Bytes) (a cipher.AEAD, err error) {
	if f.Time < 1 || f.Time > maxArgonTime || f.Memory < 8 || f.Memory > maxArgonMemoryKiB || f.Threads < 1 || len(f.Salt) != 16 {
		return nil, fmt.Errorf("%w: parameters out of range", ErrKeyring)
	}
	err = passphrase.Use(func(p []byte) error {
		if len(p) == 0 {
			return fmt.Errorf("%w: the passphrase is empty", ErrKeyring)
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

func parseKeyring(plain []byte) (*Keyring, error) {
	var c keyringContent
	if err := canon.DecodeCBOR(plain, &c); err != nil {
		return nil, fmt.Errorf("%w: content: %w", ErrKeyring, err)
	}
	k := &Keyring{Pin: c.Pin, Gate: c.Gate, KEMID: c.KEMID, KEM: secret.Take(c.KEM), Evidence: secret.Take(c.Evidence)}
	var err error
	if k.Sign, err = sign.ParsePrivateKey(secret.Take(c.Sign)); err != nil {
		return nil, fmt.Errorf("%w: content: %w", ErrKeyring, err)
	}
	if k.Log, err = sign.ParsePrivateKey(secret.Take(c.Log)); err != nil {
		return nil, fmt.Errorf("%w: content: %w", ErrKeyring, err)
	}
	return k, nil
}
