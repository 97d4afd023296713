package custody

import (
	"context"
	"fmt"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/seal"
	"github.com/writhq/writ/zone"
)

// Reach returns nil if this gate's key opens the active version of the secret, as
// far as that can be said without a permit: the wrap opens, and no text is
// decrypted, so that nothing of the value comes to be. Errors wrap [ErrSecret], or
// [ErrElsewhere] for a secret of another group. SPEC CUST-5.
func (c *Custody) Reach(ctx context.Context, alias, id string) error {
	src, group, err := c.reachSource(alias, id)
	if err != nil {
		return err
	}
	if g, ok := src.root.Gate(c.c.Gate); !ok || g.Group != group {
		return fmt.Errorf("%w: %s", ErrElsewhere, group)
	}
	sealed, err := c.c.Blobs.Sealed(ctx, src.record.Sealed)
	if err != nil || canon.Hash(sealed) != src.record.Sealed { //guard:A3 reach-digest
		return fmt.Errorf("%w: its sealed bytes are missing or damaged", ErrSecret)
	}
	st, err := src.statement()
	if err != nil {
		return fmt.Errorf("%w: its statement is damaged", ErrSecret)
	}
	for _, k := range c.c.Keys {
		if seal.CheckKey(k, src.policy, st, sealed) == nil {
			return nil
		}
	}
	return fmt.Errorf("%w: this gate's key does not open it under its policy", ErrSecret)
}

// reachSource returns the active version with the policy that it is sealed under,
// which the one in force follows, and that policy's group.
func (c *Custody) reachSource(alias, id string) (src source, group string, err error) {
	viewErr := c.c.Laws.View(func(z *zone.Zone) {
		src.root = z.Root()
		s, ok := z.Secret(alias, id)
		if !ok || s.Record.State != zone.Active {
			err = fmt.Errorf("%w: no version is active", ErrSecret)
			return
		}
		src.record = s.Record
		law, _ := z.InForce(alias)
		var d *policy.Secret
		for q := law; q != nil && src.policy == nil; q = q.Prev() {
			if q.ID() == s.Record.Policy {
				src.policy = q
				d, _ = q.Document().Secret(id)
			}
		}
		if d == nil {
			err = fmt.Errorf("%w: it is not sealed under the policy in force or one before it", ErrSecret)
			return
		}
		group = d.Recipients.Group
	})
	if viewErr != nil {
		return source{}, "", fmt.Errorf("%w: %w", ErrSecret, viewErr)
	}
	return src, group, err
}
