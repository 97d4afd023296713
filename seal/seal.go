// Package seal encrypts a secret to gates under the exact policy that governs
// it: the key schedule takes in the zone and the digest of the policy's signed
// bytes, so under any other policy the secret does not decrypt.
//
// The package is pure; its functions are safe for concurrent use.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hpke"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/secret"
)

// The errors of this package; all wrap [ErrSeal].
var (
	ErrSeal = errors.New("seal")
	// ErrOpen is the one error of all that fails to open: it does not say whether
	// the policy, the blob, the statement or the key was wrong.
	ErrOpen = fmt.Errorf("%w: does not open", ErrSeal)
)

const (
	label     = "writ-seal/1"
	typ       = "writ-seal/1"
	keySize   = 32
	saltSize  = 32
	kemXWing  = "x-wing"
	seedBytes = 32
)

// A Header is the part of a sealed secret that is not encrypted. It is bound to
// the key and holds no policy digest: that comes from the policy being
// evaluated, never from the blob.
type Header struct {
	Typ        string       `cbor:"1,keyasint"`
	Alias      string       `cbor:"2,keyasint"` // a secret is an alias and an id
	ID         string       `cbor:"3,keyasint"`
	Version    int64        `cbor:"4,keyasint"`
	Kind       string       `cbor:"5,keyasint"`
	Statement  canon.Digest `cbor:"6,keyasint"`
	T          int          `cbor:"7,keyasint"` // shares needed; 1 in this version
	Recipients []Recipient  `cbor:"8,keyasint"`
	Shares     [][]byte     `cbor:"9,keyasint,omitempty"` // commitments to shares, with t > 1
}

// A Recipient names a key that the secret is wrapped to.
type Recipient struct {
	KeyID string `cbor:"1,keyasint"`
	KEM   string `cbor:"2,keyasint"`
	Group string `cbor:"3,keyasint"`
}

type blob struct {
	Header []byte `cbor:"1,keyasint"`
	Commit []byte `cbor:"2,keyasint"` // kc
	Wraps  []wrap `cbor:"3,keyasint"` // in the order of the recipients
	Text   []byte `cbor:"4,keyasint"` // AES-256-GCM of salt ‖ secret
}

type wrap struct {
	Enc []byte `cbor:"1,keyasint"`
	Key []byte `cbor:"2,keyasint"`
}

// ParseHeader returns the header of a sealed secret, unverified: it is bound to
// the key, so it is trusted only once the secret opens.
func ParseHeader(sealed []byte) (*Header, error) {
	_, h, err := parse(sealed)
	return h, err
}

func parse(sealed []byte) (*blob, *Header, error) {
	if len(sealed) > MaxBlobBytes {
		return nil, nil, fmt.Errorf("%w: parse: %d bytes; at most %d", ErrSeal, len(sealed), MaxBlobBytes)
	}
	var b blob
	if err := canon.DecodeCBOR(sealed, &b); err != nil {
		return nil, nil, fmt.Errorf("%w: parse: %w", ErrSeal, err)
	}
	var h Header
	if err := canon.DecodeCBOR(b.Header, &h); err != nil {
		return nil, nil, fmt.Errorf("%w: parse header: %w", ErrSeal, err)
	}
	switch {
	case h.Typ != typ:
		return nil, nil, fmt.Errorf("%w: parse header: not %s", ErrSeal, typ)
	case h.T != 1 || len(h.Shares) > 0:
		return nil, nil, fmt.Errorf("%w: parse header: t is not 1", ErrSeal)
	case len(h.Recipients) == 0 || len(h.Recipients) > maxRecipients || len(h.Recipients) != len(b.Wraps):
		return nil, nil, fmt.Errorf("%w: parse: %d recipients and %d wraps", ErrSeal, len(h.Recipients), len(b.Wraps))
	}
	return &b, &h, nil
}

// binding returns H0, which every key and every tag below depends on.
// SPEC SEAL-1.
func binding(p *policy.Verified, header []byte) [sha256.Size]byte {
	zd, pd, hd := p.Zone(), p.ID(), canon.Hash(header)
	return canon.Sum(label, zd[:], pd[:], hd[:])
}

// derive returns K and kc: the key of the text, and an explicit commitment to
// the key, since AES-GCM alone opens under several. SPEC SEAL-2.
func derive(dek []byte, h0 [sha256.Size]byte) (key, commit []byte, err error) {
	if key, err = hkdf.Key(sha256.New, dek, h0[:], label+" key", keySize); err != nil {
		return nil, nil, err
	}
	commit, err = hkdf.Key(sha256.New, dek, h0[:], label+" commit", keySize)
	return key, commit, err
}

func wrapInfo(h0 [sha256.Size]byte) []byte { return append([]byte(label), h0[:]...) }

func wrapAAD(commit []byte, index int) []byte {
	return binary.BigEndian.AppendUint16(append([]byte(nil), commit...), uint16(index))
}

// textAAD is what the text is authenticated with. It takes in all the wraps, so
// that a gate notices a change to what is another's. SPEC SEAL-9.
func textAAD(h0 [sha256.Size]byte, commit []byte, wraps []wrap) ([]byte, error) {
	b, err := canon.EncodeCBOR(wraps)
	if err != nil {
		return nil, err
	}
	d := canon.Hash(b)
	return append(append(h0[:], commit...), d[:]...), nil
}

func gcm(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// Seal returns s encrypted under p to the keys, which come from the pinned
// root's group that p names for the secret ([policy.Root.Group]) and nowhere
// else. It needs no private key. st says what the secret is, and commits to v.
//
// Source: RFC 9180, "Encryption to a Public Key". SPEC SEAL-1, SEAL-2, SEAL-3.
func Seal(p *policy.Verified, st *Signed, keys []policy.KEMKey, v *Value) ([]byte, error) {
	if p == nil || p.Document() == nil {
		return nil, fmt.Errorf("%w: there is no verified policy", ErrSeal)
	}
	if len(v.Salt) != saltSize || st.Statement.Commitment != commitment(v) {
		return nil, fmt.Errorf("%w: the statement does not commit to this value, so it would never open", ErrSeal)
	}
	d, ok := p.Document().Secret(st.Statement.ID)
	if !ok || d.Kind != st.Statement.Kind || p.Document().Alias != st.Statement.Alias { //guard:A4 seal-declared
		return nil, fmt.Errorf("%w: the policy does not list secret %q of kind %s", ErrSeal, st.Statement.ID, st.Statement.Kind)
	}
	if len(keys) == 0 || len(keys) > maxRecipients {
		return nil, fmt.Errorf("%w: %d keys of group %s in the root; want 1 to %d", ErrSeal, len(keys), d.Recipients.Group, maxRecipients)
	}
	h := Header{
		Typ: typ, Alias: st.Statement.Alias, ID: st.Statement.ID, Version: st.Statement.Version,
		Kind: st.Statement.Kind, Statement: st.Digest(), T: 1,
	}
	for _, k := range keys {
		h.Recipients = append(h.Recipients, Recipient{k.ID, k.KEM, d.Recipients.Group})
	}
	header, err := canon.EncodeCBOR(&h)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSeal, err)
	}
	return encrypt(binding(p, header), header, keys, v)
}

func encrypt(h0 [sha256.Size]byte, header []byte, keys []policy.KEMKey, v *Value) ([]byte, error) {
	dek := make([]byte, keySize)
	rand.Read(dek)
	defer clear(dek)
	key, commit, err := derive(dek, h0)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSeal, err)
	}
	defer clear(key)
	b := blob{Header: header, Commit: commit}
	for i, k := range keys {
		w, err := wrapTo(k, h0, wrapAAD(commit, i), dek)
		if err != nil {
			return nil, fmt.Errorf("%w: to %s: %w", ErrSeal, k.ID, err)
		}
		b.Wraps = append(b.Wraps, w)
	}
	a, err := gcm(key)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSeal, err)
	}
	aad, err := textAAD(h0, commit, b.Wraps)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSeal, err)
	}
	err = v.Secret.Use(func(s []byte) error {
		if len(s) == 0 || len(s) > MaxSecretBytes {
			return fmt.Errorf("%w: a secret has 1 to %d bytes; this has %d", ErrSeal, MaxSecretBytes, len(s))
		}
		plain := append(append([]byte(nil), v.Salt...), s...)
		defer clear(plain)
		b.Text = a.Seal(nil, make([]byte, a.NonceSize()), plain, aad) // the key is used once
		return nil
	})
	if err != nil {
		return nil, err
	}
	sealed, err := canon.EncodeCBOR(&b)
	if err == nil && len(sealed) > MaxBlobBytes {
		return nil, fmt.Errorf("%w: %d bytes for %d recipients; at most %d", ErrSeal, len(sealed), len(keys), MaxBlobBytes)
	}
	return sealed, err
}

func wrapTo(k policy.KEMKey, h0 [sha256.Size]byte, aad, dek []byte) (wrap, error) {
	if k.KEM != kemXWing { //guard:R63 kem-known
		return wrap{}, fmt.Errorf("unknown KEM %q", k.KEM)
	}
	pub, err := hpke.MLKEM768X25519().NewPublicKey(k.Public)
	if err != nil {
		return wrap{}, err
	}
	enc, sender, err := hpke.NewSender(pub, hpke.HKDFSHA256(), hpke.AES256GCM(), wrapInfo(h0))
	if err != nil {
		return wrap{}, err
	}
	w, err := sender.Seal(aad, dek)
	return wrap{enc, w}, err
}

// A Value is an opened secret with the salt that its statement commits to. The
// caller wipes the secret.
type Value struct {
	Secret secret.Bytes
	Salt   []byte // 32 bytes
}

// Open returns the secret sealed in blob, which was sealed under p to key k.
//
// The key schedule takes in p's zone and the digest of its signed bytes, so a
// blob sealed under any other policy, or altered by a bit, gives [ErrOpen]; the
// error does not say which. The statement must be the one the header commits to,
// name the same secret, and commit to the value. The caller has verified the
// statement ([Signed.Verify]) and wipes the secret. blob is at most 64 KiB.
//
// Source: RFC 9180, "Encryption to a Public Key". SPEC SEAL-3, SEAL-4, SEAL-5.
func Open(k GateKey, p *policy.Verified, st *Signed, sealed []byte) (*Value, error) {
	b, i, err := find(k, p, st, sealed)
	if err != nil {
		return nil, ErrOpen
	}
	v, err := decrypt(k, binding(p, b.Header), b, i)
	if err != nil {
		return nil, ErrOpen
	}
	if st.Statement.Commitment != commitment(v) { //guard:R1 open-commitment
		v.Secret.Wipe()
		return nil, ErrOpen
	}
	return v, nil
}

// CheckKey returns nil if k opens the sealed bytes under p, as far as that can be
// said without the secret: the wrap for k opens, and holds the key that the blob
// commits to. The text is not decrypted. Otherwise it returns [ErrOpen].
func CheckKey(k GateKey, p *policy.Verified, st *Signed, sealed []byte) error {
	b, i, err := find(k, p, st, sealed)
	if err != nil {
		return ErrOpen
	}
	key, _, err := textKey(k, binding(p, b.Header), b, i)
	clear(key)
	if err != nil {
		return ErrOpen
	}
	return nil
}

// find returns the parts of sealed, and which of the recipients k is.
func find(k GateKey, p *policy.Verified, st *Signed, sealed []byte) (*blob, int, error) {
	b, h, err := parse(sealed)
	if err != nil || p == nil || st == nil || k.open == nil {
		return nil, 0, ErrOpen
	}
	if p.ID().IsZero() || p.Zone().IsZero() { //guard:R1 open-zero-policy
		return nil, 0, ErrOpen // a policy that nobody verified
	}
	s := st.Statement
	if h.Statement != st.Digest() { //guard:R1 open-statement
		return nil, 0, ErrOpen
	}
	if h.Alias != s.Alias || h.ID != s.ID || h.Version != s.Version || h.Kind != s.Kind { //guard:A4 open-identity
		return nil, 0, ErrOpen
	}
	for i, r := range h.Recipients {
		if r.KeyID == k.id && r.KEM == kemXWing {
			return b, i, nil
		}
	}
	return nil, 0, ErrOpen
}

// textKey unwraps the key of the text for recipient i, and returns it with the
// commitment to it, which holds. The caller clears the key.
func textKey(k GateKey, h0 [sha256.Size]byte, b *blob, i int) (key, commit []byte, err error) {
	dek, err := k.open(b.Wraps[i].Enc, b.Wraps[i].Key, wrapInfo(h0), wrapAAD(b.Commit, i))
	if err != nil {
		return nil, nil, err
	}
	defer clear(dek)
	if len(dek) != keySize {
		return nil, nil, ErrOpen
	}
	key, commit, err = derive(dek, h0)
	if err != nil {
		return nil, nil, err
	}
	if subtle.ConstantTimeCompare(commit, b.Commit) != 1 { //guard:R1 open-key-commitment
		clear(key)
		return nil, nil, ErrOpen
	}
	return key, commit, nil
}

func decrypt(k GateKey, h0 [sha256.Size]byte, b *blob, i int) (*Value, error) {
	key, commit, err := textKey(k, h0, b, i)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	a, err := gcm(key)
	if err != nil {
		return nil, err
	}
	aad, err := textAAD(h0, commit, b.Wraps)
	if err != nil {
		return nil, err
	}
	plain, err := a.Open(nil, make([]byte, a.NonceSize()), b.Text, aad)
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	if len(plain) <= saltSize {
		return nil, ErrOpen
	}
	return &Value{Salt: append([]byte(nil), plain[:saltSize]...), Secret: secret.Take(plain[saltSize:])}, nil
}
