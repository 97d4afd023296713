package testkit

import (
	"crypto"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/asn1"
	"math/big"
	"sync/atomic"

	"github.com/writhq/writ/sign"
)

// Fixed returns a signer with k whose signatures are always the same, also for
// P-256: vectors need that. Source: RFC 6979.
func Fixed(k sign.PrivateKey) sign.Signer { return fixed{k} }

type fixed struct{ sign.PrivateKey }

func (f fixed) Sign(msg []byte) ([]byte, error) {
	if f.Public().Algorithm() != sign.P256 {
		return f.PrivateKey.Sign(msg)
	}
	h := sha256.Sum256(msg)
	der, err := f.Crypto().Sign(nil, h[:], crypto.SHA256)
	if err != nil {
		return nil, err
	}
	var v struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &v); err != nil {
		return nil, err
	}
	if other := new(big.Int).Sub(elliptic.P256().Params().N, v.S); other.Cmp(v.S) < 0 {
		v.S = other
	}
	return append(v.R.FillBytes(make([]byte, 32)), v.S.FillBytes(make([]byte, 32))...), nil
}

// A Counting signer counts how often it was asked to sign.
type Counting struct {
	sign.Signer
	N atomic.Int64
}

// Sign counts, and signs.
func (c *Counting) Sign(msg []byte) ([]byte, error) {
	c.N.Add(1)
	return c.Signer.Sign(msg)
}
