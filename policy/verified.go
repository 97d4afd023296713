package policy

import (
	"fmt"
	"slices"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/policy/law"
	"github.com/writhq/writ/sign"
)

// A Verified is a policy whose signatures were verified against a root and its
// predecessor. It is immutable and safe for concurrent use. The zero Verified,
// and nil, permit nothing and open nothing.
type Verified struct {
	doc     *Document
	id      canon.Digest
	zone    canon.Digest
	prev    *Verified
	signers []string
	law     *law.Law
}

// ID returns the policy's id: the digest of exactly what was signed.
func (v *Verified) ID() canon.Digest { return v.id }

// Zone returns the zone of the root that v was verified against.
func (v *Verified) Zone() canon.Digest { return v.zone }

// Document returns the content. The caller does not change it.
func (v *Verified) Document() *Document { return v.doc }

// Prev returns the predecessor, or nil for the first of a line.
func (v *Verified) Prev() *Verified { return v.prev }

// Signers returns the principals who signed it.
func (v *Verified) Signers() []string { return v.signers }

// Verify returns the policy in e, if e carries the authority for it.
//
// The first of a line (prev nil) takes the genesis quorum of its namespace.
// Version N+1 takes the quorum that N demands of a successor and the one it
// demands itself, and must name N. Both take the quorum among keys that the
// root lists for policies. The root's ceilings bind. Errors wrap [ErrAuthority],
// [ErrDocument], [ErrRules] or [ErrUnsupported]. SPEC POLICY-2, POLICY-3,
// POLICY-4.
func Verify(e *sign.Envelope, r *Root, prev *Verified) (*Verified, error) {
	d, err := Parse(e.Payload)
	if err != nil {
		return nil, err
	}
	if d.Zone != r.Zone() { //guard:A1 policy-zone
		return nil, fmt.Errorf("%w: policy is of another zone", ErrAuthority)
	}
	signers, err := verifyQuorums(e, d, r, prev)
	if err != nil {
		return nil, err
	}
	if err := d.checkCeilings(r); err != nil {
		return nil, err
	}
	if err := d.checkQuotasKeep(prev); err != nil {
		return nil, err
	}
	l, err := d.compile()
	if err != nil {
		return nil, err
	}
	return &Verified{doc: d, id: e.Digest(), zone: r.Zone(), prev: prev, signers: signers, law: l}, nil
}

func verifyQuorums(e *sign.Envelope, d *Document, r *Root, prev *Verified) ([]string, error) {
	keys := r.Keys(UsePolicy)
	var demanded sign.Quorum
	if prev == nil {
		ns, ok := r.Namespace(d.Alias)
		if !ok {
			return nil, fmt.Errorf("%w: no namespace of the root covers %s", ErrAuthority, d.Alias)
		}
		if d.Version != 1 {
			return nil, fmt.Errorf("%w: %s version %d has no predecessor here", ErrAuthority, d.Alias, d.Version)
		}
		demanded = ns.Genesis
	} else {
		if d.Alias != prev.doc.Alias || d.Version != prev.doc.Version+1 || d.Prev != prev.id { //guard:R22 policy-link
			return nil, fmt.Errorf("%w: %s version %d does not follow version %d", ErrAuthority, d.Alias, d.Version, prev.doc.Version)
		}
		demanded = prev.doc.Governance.Successor
	}
	if _, err := e.Verify(PayloadType, demanded, keys); err != nil { //guard:R36 policy-demanded-quorum
		return nil, fmt.Errorf("%w: %s version %d: %w", ErrAuthority, d.Alias, d.Version, err)
	}
	signers, err := e.Verify(PayloadType, d.Governance.Successor, keys)
	if err != nil { //guard:R22 policy-own-quorum
		return nil, fmt.Errorf("%w: %s version %d, by its own quorum: %w", ErrAuthority, d.Alias, d.Version, err)
	}
	return signers, nil
}

// checkCeilings refuses a policy that allows more than the root lets any.
func (d *Document) checkCeilings(r *Root) error {
	c := r.doc.Ceilings
	for _, f := range []struct {
		field     string
		have, max int64
	}{
		{"freshness.max_staleness_s", d.Freshness.MaxStalenessS, c.MaxStalenessS},
		{"delegation.max_ttl_s", d.Delegation.MaxTTLS, c.MaxTTLS},
		{"delegation.max_depth", int64(d.Delegation.MaxDepth), int64(c.MaxDepth)},
		{"governance.successor.threshold", -int64(d.Governance.Successor.Threshold), -int64(c.MinSigners)},
	} {
		if f.have > f.max { //guard:R47 root-ceilings
			return fmt.Errorf("%w: %s: %d is beyond the root's ceiling of %d", ErrAuthority, f.field, abs(f.have), abs(f.max))
		}
	}
	return nil
}

// checkQuotasKeep refuses a quota that counts otherwise than one of the same id
// anywhere before in the line: its counters would mean two things (A41).
// SPEC POLICY-12.
func (d *Document) checkQuotasKeep(prev *Verified) error {
	for p := prev; p != nil; p = p.prev {
		for i := range d.Quotas {
			q := &d.Quotas[i]
			if slices.ContainsFunc(p.doc.Quotas, func(o Quota) bool {
				return o.ID == q.ID && (o.Unit != q.Unit || o.WindowS != q.WindowS || o.Per != q.Per || o.Amount != q.Amount)
			}) { //guard:A41 quota-keeps-meaning
				return fmt.Errorf("%w: %w", ErrDocument, &FieldError{"quotas", fmt.Errorf("%s: unit, window_s, per or amount differs from version %d: take a new id", q.ID, p.doc.Version)})
			}
		}
	}
	return nil
}

func abs(n int64) int64 { return max(n, -n) }

// UnverifiedBytes returns a policy that has the id of payload and nothing else:
// it permits nothing, whatever payload says. It exists to show that no secret
// opens under other bytes than those it was sealed under.
func UnverifiedBytes(payload []byte, zone canon.Digest) *Verified {
	return &Verified{id: canon.Hash(canon.PAE(PayloadType, payload)), zone: zone}
}
