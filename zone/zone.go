package zone

import (
	"fmt"
	"slices"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/sign"
)

// A Zone is the state after the entries applied so far. It is not safe for
// concurrent use; whoever shares it guards it.
type Zone struct {
	root    *policy.Root
	chain   []*sign.Envelope
	pin     canon.Digest
	size    uint64
	last    int64 // logged_at of the last entry
	lines   map[string]*line
	secrets map[secretKey]*Secret
	revoked map[revocation]*RevokeRecord
}

// A line is the history of one alias.
type line struct {
	candidates map[canon.Digest]*policy.Verified
	inForce    []Term
}

// A Term is a policy with the time from which it was in force.
type Term struct {
	Policy *policy.Verified
	From   int64 // Unix seconds, as logged
}

type secretKey struct{ alias, id string }

type revocation struct {
	kind RevokeKind
	id   canon.Digest
}

// A Secret is the current version of a secret.
type Secret struct {
	Record SecretRecord
}

// New returns the state before the first entry. The root chain's genesis must
// have the digest pin; at is in Unix seconds. SPEC ZONE-2.
func New(pin canon.Digest, roots []*sign.Envelope, at int64) (*Zone, error) {
	r, err := policy.VerifyRoots(pin, roots, at)
	if err != nil {
		return nil, err
	}
	return &Zone{
		root: r, chain: slices.Clone(roots), pin: pin,
		lines:   make(map[string]*line),
		secrets: make(map[secretKey]*Secret),
		revoked: make(map[revocation]*RevokeRecord),
	}, nil
}

// Root returns the root in force.
func (z *Zone) Root() *policy.Root { return z.root }

// Roots returns the chain of roots from the genesis on.
func (z *Zone) Roots() []*sign.Envelope { return slices.Clone(z.chain) }

// Size returns how many entries were applied, refused ones included.
func (z *Zone) Size() uint64 { return z.size }

// LoggedAt returns the time of the last entry, in Unix seconds; 0 before the
// first.
func (z *Zone) LoggedAt() int64 { return z.last }

// Apply applies the next entry of the log.
//
// An entry without authority gives an error that wraps [ErrRefused], counts, and
// changes nothing else. One that cannot be the next of this log gives
// [ErrOrder], and the caller stops trusting the log. SPEC ZONE-3, ZONE-4.
func (z *Zone) Apply(b []byte) (*Entry, error) {
	e, err := ParseEntry(b)
	if err != nil {
		return nil, fmt.Errorf("%w: entry %d: %w", ErrOrder, z.size, err)
	}
	if e.LoggedAt < z.last { //guard:A30 entry-time
		return nil, fmt.Errorf("%w: entry %d is earlier than the one before", ErrOrder, z.size)
	}
	z.size++
	z.last = e.LoggedAt
	if err := z.apply(e); err != nil {
		return e, fmt.Errorf("entry %d: %w", z.size-1, err)
	}
	return e, nil
}

// Admit is Apply for a log that takes no entry without authority: on any error
// the state is as it was, and the entry does not count.
func (z *Zone) Admit(b []byte) error {
	e, err := ParseEntry(b)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	if e.LoggedAt < z.last {
		return fmt.Errorf("%w: earlier than the entry before", ErrOrder)
	}
	if err := z.apply(e); err != nil { //guard:R22 admit-authority
		return err
	}
	z.size++
	z.last = e.LoggedAt
	return nil
}

// apply changes z only if it returns nil.
func (z *Zone) apply(e *Entry) error {
	switch e.Envelope.PayloadType {
	case policy.RootType:
		return z.applyRoot(e)
	case policy.PayloadType:
		return z.applyPolicy(e)
	case AliasType:
		return z.applyAlias(e)
	case SecretType:
		return z.applySecret(e)
	case RevokeType:
		return z.applyRevoke(e)
	}
	return fmt.Errorf("%w: unknown payload type", ErrRefused)
}

func (z *Zone) applyRoot(e *Entry) error {
	chain := append(slices.Clone(z.chain), e.Envelope)
	r, err := policy.VerifyRoots(z.pin, chain, e.LoggedAt)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	z.root, z.chain = r, chain
	return nil
}

// applyPolicy keeps a policy as a candidate: it is in force only once an alias
// record says so.
func (z *Zone) applyPolicy(e *Entry) error {
	d, err := policy.Parse(e.Envelope.Payload)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	l := z.lines[d.Alias]
	var prev *policy.Verified
	if l != nil && len(l.inForce) > 0 {
		prev = l.inForce[len(l.inForce)-1].Policy
	}
	p, err := policy.Verify(e.Envelope, z.root, prev)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	if z.Revoked(RevokePolicy, p.ID()) {
		return fmt.Errorf("%w: the policy is revoked", ErrRefused)
	}
	if l == nil {
		l = &line{candidates: make(map[canon.Digest]*policy.Verified)}
		z.lines[d.Alias] = l
	}
	l.candidates[p.ID()] = p
	return nil
}

func (z *Zone) applyAlias(e *Entry) error {
	var rec AliasRecord
	if err := parseRecord(e.Envelope, &rec); err != nil {
		return err
	}
	l := z.lines[rec.Alias]
	if l == nil {
		return fmt.Errorf("%w: %s: no policy is published", ErrRefused, rec.Alias)
	}
	p, ok := l.candidates[rec.Policy]
	if !ok || rec.Version != p.Document().Version || rec.Zone != z.root.Zone() { //guard:R22 alias-names-candidate
		return fmt.Errorf("%w: %s: names no candidate", ErrRefused, rec.Alias)
	}
	q := p.Document().Governance.Successor
	if _, err := e.Envelope.Verify(AliasType, q, z.root.Keys(policy.UsePolicy)); err != nil { //guard:R22 alias-quorum
		return fmt.Errorf("%w: %s: %w", ErrRefused, rec.Alias, err)
	}
	var inForce *policy.Verified
	if n := len(l.inForce); n > 0 {
		inForce = l.inForce[n-1].Policy
	}
	if p.Prev() != inForce { //guard:R29 alias-follows
		return fmt.Errorf("%w: %s: version %d does not follow the one in force", ErrRefused, rec.Alias, rec.Version)
	}
	if inForce != nil {
		if _, err := e.Envelope.Verify(AliasType, inForce.Document().Governance.Successor, z.root.Keys(policy.UsePolicy)); err != nil { //guard:R36 alias-demanded-quorum
			return fmt.Errorf("%w: %s: %w", ErrRefused, rec.Alias, err)
		}
	}
	l.inForce = append(l.inForce, Term{p, e.LoggedAt})
	clear(l.candidates) // they followed the one that is no longer in force
	return nil
}

// InForce returns the policy that decides for alias. It may be revoked; the
// caller asks [Zone.Revoked].
func (z *Zone) InForce(alias string) (*policy.Verified, bool) {
	l := z.lines[alias]
	if l == nil || len(l.inForce) == 0 {
		return nil, false
	}
	return l.inForce[len(l.inForce)-1].Policy, true
}

// History returns every policy of alias that was in force, oldest first.
func (z *Zone) History(alias string) []Term {
	if l := z.lines[alias]; l != nil {
		return slices.Clone(l.inForce)
	}
	return nil
}

// At returns the policy that was in force at the time at, in Unix seconds.
func (z *Zone) At(alias string, at int64) (*policy.Verified, bool) {
	terms := z.History(alias)
	for _, t := range slices.Backward(terms) {
		if t.From <= at {
			return t.Policy, true
		}
	}
	return nil, false
}

// Policy returns the policy with the id, if it is or was in force.
func (z *Zone) Policy(id canon.Digest) (*policy.Verified, bool) {
	for _, l := range z.lines {
		for _, t := range l.inForce {
			if t.Policy.ID() == id {
				return t.Policy, true
			}
		}
	}
	return nil, false
}

// Aliases returns the aliases that have a policy in force, sorted.
func (z *Zone) Aliases() []string {
	var out []string
	for a, l := range z.lines {
		if len(l.inForce) > 0 {
			out = append(out, a)
		}
	}
	slices.Sort(out)
	return out
}
