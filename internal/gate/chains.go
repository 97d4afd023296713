package gate

import (
	"sync"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/credential"
	"github.com/writhq/writ/policy"
)

// chains keeps credentials that were verified, by the bytes, the policy and the
// root they were verified under: an issuer that a new root drops must not live
// on here (A22). The zero chains is ready for use.
type chains struct {
	mu   sync.RWMutex
	kept map[chainKey]*credential.Verified // guarded by mu
}

type chainKey struct{ chain, policy, root canon.Digest }

func (c *chains) verify(chain *credential.Chain, p *policy.Verified, r *policy.Root) (*credential.Verified, error) {
	key := chainKey{chain.Digest(), p.ID(), r.ID()}
	c.mu.RLock()
	v, ok := c.kept[key]
	c.mu.RUnlock()
	if ok {
		return v, nil
	}
	v, err := chain.Verify(p, r)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.kept == nil || len(c.kept) >= maxChains {
		c.kept = make(map[chainKey]*credential.Verified) // start over: verifying again costs 0.2 ms each
	}
	c.kept[key] = v
	return v, nil
}
