package proof

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"

	"github.com/writhq/writ/secret"
)

const nonceDomain = "writ-nonce/1"

// NewNonce returns the nonce that a gate with the key offers at the time at, in
// Unix seconds: the time, and a MAC over it and the gate's replay domain. So the
// gate remembers nothing, and believes no clock but its own. SPEC PROOF-9.
func NewNonce(key secret.Bytes, audience string, at int64) string {
	b := binary.BigEndian.AppendUint64(nil, uint64(at))
	return base64.RawURLEncoding.EncodeToString(append(b, nonceMAC(key, audience, b)...))
}

func nonceMAC(key secret.Bytes, audience string, at []byte) (mac []byte) {
	key.Use(func(k []byte) error {
		h := hmac.New(sha256.New, k)
		h.Write([]byte(nonceDomain))
		h.Write([]byte{0})
		h.Write(at)
		h.Write([]byte(audience))
		mac = h.Sum(nil)
		return nil
	})
	return mac
}

// nonceTime returns when the gate made the nonce, if it did and the nonce is
// still good.
func nonceTime(nonce string, c *DPoPCheck) (int64, error) {
	b, ok := decodeBase64(base64.RawURLEncoding, nonce)
	if !ok || len(b) != 8+sha256.Size {
		return 0, ErrNonce
	}
	if !hmac.Equal(b[8:], nonceMAC(c.NonceKey, c.Audience, b[:8])) { //guard:A12 nonce-mac
		return 0, ErrNonce
	}
	t := int64(binary.BigEndian.Uint64(b[:8]))
	if t > c.At+Skew || c.At >= t+NonceLifetime { //guard:A14 nonce-age
		return 0, ErrNonce
	}
	return t, nil
}
