package seal

import (
	"crypto/hpke"
	"crypto/rand"
	"fmt"
	"io"

	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/secret"
)

// A GateKey opens what was sealed to it. The zero GateKey opens nothing. It
// prints as its type and nothing else. SPEC SEAL-8.
type GateKey struct {
	id   string
	pub  []byte
	open func(enc, ct, info, aad []byte) ([]byte, error) // a closure, so that fmt cannot print the key
}

// GenerateKey returns a new seed of a gate key. Keep it as the secret it is.
func GenerateKey() secret.Bytes {
	seed := make([]byte, seedBytes)
	rand.Read(seed)
	return secret.Take(seed)
}

// NewGateKey returns the X-Wing key with the id that grows from the seed of 32
// bytes.
//
// Source: draft-ietf-hpke-pq, KEM 0x647a; RFC 9180, section 7.1.3.
func NewGateKey(id string, seed secret.Bytes) (GateKey, error) {
	var priv hpke.PrivateKey
	err := seed.Use(func(b []byte) (err error) {
		priv, err = hpke.MLKEM768X25519().NewPrivateKey(b)
		return err
	})
	if err != nil {
		return GateKey{}, fmt.Errorf("%w: gate key %s: %w", ErrSeal, id, err)
	}
	return GateKey{id, priv.PublicKey().Bytes(), func(enc, ct, info, aad []byte) ([]byte, error) {
		r, err := hpke.NewRecipient(enc, priv, hpke.HKDFSHA256(), hpke.AES256GCM(), info)
		if err != nil {
			return nil, err
		}
		return r.Open(aad, ct)
	}}, nil
}

// Format writes "seal.GateKey" for every verb and flag.
func (GateKey) Format(f fmt.State, _ rune) { io.WriteString(f, "seal.GateKey") }

// ID returns the key's id.
func (k GateKey) ID() string { return k.id }

// Public returns the key as a root lists it.
func (k GateKey) Public() policy.KEMKey { return policy.KEMKey{ID: k.id, KEM: kemXWing, Public: k.pub} }
