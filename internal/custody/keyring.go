package custody

import (
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/passphrase"
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

// plainKeyring is a keyring on the disk that is not encrypted. SPEC KEYR-1.
type plainKeyring struct {
	Typ     string `cbor:"1,keyasint"`
	Content []byte `cbor:"6,keyasint"`
}

// keyringContent is what is encrypted. SPEC KEYR-2.
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

// Wrap returns the keyring as a file, encrypted under the passphrase p. An empty
// passphrase is refused. SPEC KEYR-1.
func (k *Keyring) Wrap(p secret.Bytes) ([]byte, error) {
	plain, err := k.content()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeyring, err)
	}
	defer clear(plain)
	file, err := passphrase.Seal(keyringTyp, p, plain)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeyring, err)
	}
	return file, nil
}

// WrapInsecure returns the keyring as a file that anyone can read: for trials.
func (k *Keyring) WrapInsecure() ([]byte, error) {
	plain, err := k.content()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeyring, err)
	}
	defer clear(plain)
	return canon.EncodeCBOR(&plainKeyring{keyringPlainTyp, plain})
}

// Insecure reports whether the file holds its keys in the clear.
func Insecure(file []byte) bool {
	var f plainKeyring
	return canon.DecodeCBOR(file, &f) == nil && f.Typ == keyringPlainTyp
}

// Unwrap returns the keyring in the file. The passphrase p is not looked at for a
// file in the clear. A wrong passphrase and a damaged file give the same
// [ErrKeyring]. SPEC KEYR-1, KEYR-2, WRAP-4.
func Unwrap(file []byte, p secret.Bytes) (*Keyring, error) {
	plain, wrapped, err := parseKeyringFile(file)
	if err == nil && wrapped != nil {
		plain, err = wrapped.Open(p)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeyring, err)
	}
	defer plain.Wipe()
	var k *Keyring
	err = plain.Use(func(b []byte) error {
		k, err = parseKeyring(b)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%w: content: %w", ErrKeyring, err)
	}
	return k, nil
}

// parseKeyringFile returns the content in the clear, or what is to be opened. It
// computes nothing. SPEC KEYR-1.
func parseKeyringFile(file []byte) (plain secret.Bytes, wrapped *passphrase.File, err error) {
	if len(file) > maxKeyringBytes { //guard:A18 keyring-size
		return plain, nil, fmt.Errorf("%d bytes; at most %d", len(file), maxKeyringBytes)
	}
	var f plainKeyring
	if canon.DecodeCBOR(file, &f) == nil && f.Typ == keyringPlainTyp {
		return secret.Take(f.Content), nil, nil
	}
	wrapped, err = passphrase.Parse(file, keyringTyp)
	return plain, wrapped, err
}

// parseKeyring returns the keyring whose content is plain, which stays the
// caller's. SPEC KEYR-2.
func parseKeyring(plain []byte) (k *Keyring, err error) {
	var c keyringContent
	defer c.wipe()
	if err := canon.DecodeCBOR(plain, &c); err != nil {
		return nil, err
	}
	if c.Gate == "" || c.KEMID == "" || len(c.Evidence) != evidenceKeySize { //guard:R11 keyring-complete
		return nil, errors.New("a name is missing, or the evidence key is not 32 bytes")
	}
	k = &Keyring{Pin: c.Pin, Gate: c.Gate, KEMID: c.KEMID}
	for _, x := range []struct {
		from []byte
		to   *sign.PrivateKey
	}{{c.Sign, &k.Sign}, {c.Log, &k.Log}} {
		s := secret.Take(x.from)
		defer s.Wipe()
		if *x.to, err = sign.ParsePrivateKey(s); err != nil {
			return nil, err
		}
	}
	k.KEM, k.Evidence = secret.Take(c.KEM), secret.Take(c.Evidence)
	if _, err := k.GateKey(); err != nil {
		k.KEM.Wipe()
		k.Evidence.Wipe()
		return nil, err
	}
	return k, nil
}
