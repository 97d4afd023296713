package seal

import (
	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/policy"
)

// Forge encrypts v under p to the keys with whatever header h says: what a
// sealer with code of its own can make.
func Forge(p *policy.Verified, h *Header, keys []policy.KEMKey, v *Value) ([]byte, error) {
	header, err := canon.EncodeCBOR(h)
	if err != nil {
		return nil, err
	}
	return encrypt(binding(p, header), header, keys, v)
}

// Binding returns H0 of a sealed secret under p.
func Binding(p *policy.Verified, header []byte) canon.Digest { return binding(p, header) }
