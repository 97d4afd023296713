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
	roots   []rootTerm // the last is in force
	chain   []*sign.Envelope
	floor   int64 // no present of the reader is earlier; see CheckRoot
	size    uint64
	last    int64 // logged_at of the last entry
	lines   map[string]*line
	byID    map[canon.Digest]*policy.Verified // every policy that is or was in force
	secrets map[secretKey]*Secret
	revoked map[revocation][]*RevokeRecord
}

// A rootTerm is a root, without the keys revoked so far, with the time from
// which it was in force.
type rootTerm struct {
	root *policy.Root
	from int64 // Unix seconds, as logged
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
// have the digest pin. at is the reader's present, in Unix seconds, for
// [Zone.CheckRoot] and [Zone.InForce]; 0 asks for no present. The newest root may
// have expired, since the log may hold the one that follows. SPEC ZONE-2.
func New(pin canon.Digest, roots []*sign.Envelope, at int64) (*Zone, error) {
	r, err := policy.VerifyRoots(pin, roots, 0)
	if err != nil {
		return nil, err
	}
	return &Zone{
		roots: []rootTerm{{root: r}}, chain: slices.Clone(roots), floor: at,
		lines:   make(map[string]*line),
		byID:    make(map[canon.Digest]*policy.Verified),
		secrets: make(map[secretKey]*Secret),
		revoked: make(map[revocation][]*RevokeRecord),
	}, nil
}

// Root returns the root in force, in which no revoked key counts.
func (z *Zone) Root() *policy.Root { return z.roots[len(z.roots)-1].root }

// RootAt returns the root that was in force at the time at, in Unix seconds: what
// a decision of that time is recomputed under. Before the log it is the one that
// the log began with.
func (z *Zone) RootAt(at int64) *policy.Root {
	for _, t := range slices.Backward(z.roots) {
		if t.from <= at {
			return t.root
		}
	}
	return z.roots[0].root
}

// Recipient reports whether secrets may be sealed to the key of the group: whether
// a root of this zone, up to the one in force, lists it. Those before count too:
// what was sealed to a gate that has left since is known to it already. SPEC ZONE-8.
func (z *Zone) Recipient(group, key string) bool {
	return slices.ContainsFunc(z.roots, func(t rootTerm) bool {
		return slices.ContainsFunc(t.root.Group(group), func(k policy.KEMKey) bool { return k.ID == key })
	})
}

// CheckRoot returns an error that wraps [policy.ErrAuthority] if the root in force
// has expired at the time at, in Unix seconds, or at any later time that z knows
// of. Whoever decides asks it with the time of the decision. SPEC ZONE-2.
func (z *Zone) CheckRoot(at int64) error {
	return z.Root().CheckTime(max(at, z.floor, z.last))
}

// setRoot puts r in force. Candidates were judged under another root, and go.
func (z *Zone) setRoot(r *policy.Root, from int64) {
	z.roots = append(z.roots, rootTerm{r, from})
	for _, l := range z.lines {
		clear(l.candidates)
	}
}

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
	if e.LoggedAt < z.last { //guard:A30 admit-time
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
	case RevokeType:
		return z.applyRevoke(e) // also under an expired root: it only takes away
	}
	if err := z.Root().CheckTime(e.LoggedAt); err != nil { //guard:A30 R47 root-at-entry
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	switch e.Envelope.PayloadType {
	case policy.PayloadType:
		return z.applyPolicy(e)
	case AliasType:
		return z.applyAlias(e)
	case SecretType:
		return z.applySecret(e)
	}
	return fmt.Errorf("%w: unknown payload type", ErrRefused)
}

// applyRoot takes the root that follows, which must be valid when it is logged.
func (z *Zone) applyRoot(e *Entry) error {
	r, err := z.Root().Next(e.Envelope)
	if err == nil {
		err = r.CheckTime(e.LoggedAt)
	}
	if err != nil { //guard:R22 root-follows
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	z.setRoot(r, e.LoggedAt)
	z.chain = append(z.chain, e.Envelope)
	return nil
}

// applyPolicy keeps a policy as a candidate: it is in force only once an alias
// record says so.
func (z *Zone) applyPolicy(e *Entry) error {
	d, err := policy.Parse(e.Envelope.Payload)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	p, err := policy.Verify(e.Envelope, z.Root(), z.current(d.Alias))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	if z.policyRevoked(p) { //guard:R28 candidate-revoked
		return fmt.Errorf("%w: the policy is revoked", ErrRefused)
	}
	l := z.lines[d.Alias]
	if l == nil {
		l = &line{candidates: make(map[canon.Digest]*policy.Verified)}
		z.lines[d.Alias] = l
	}
	if _, ok := l.candidates[p.ID()]; ok { //guard:R56 candidate-once
		return fmt.Errorf("%w: %s version %d", ErrAgain, d.Alias, d.Version)
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
	if !ok || rec.Version != p.Document().Version || rec.Zone != z.Root().Zone() { //guard:R22 R29 R49 alias-names-candidate
		return fmt.Errorf("%w: %s: names no candidate", ErrRefused, rec.Alias)
	}
	if p.Prev() != z.current(rec.Alias) { // candidates go when another is put in force: this only guards that
		return fmt.Errorf("%w: %s: version %d does not follow the one in force", ErrRefused, rec.Alias, rec.Version)
	}
	if z.policyRevoked(p) { //guard:R28 alias-revoked
		return fmt.Errorf("%w: %s: the policy is revoked", ErrRefused, rec.Alias)
	}
	keys := z.Root().Keys(policy.UsePolicy)
	if _, err := e.Envelope.Verify(AliasType, p.Document().Governance.Successor, keys); err != nil { //guard:R22 alias-quorum
		return fmt.Errorf("%w: %s: %w", ErrRefused, rec.Alias, err)
	}
	if _, err := e.Envelope.Verify(AliasType, z.demanded(p), keys); err != nil { //guard:R36 alias-demanded-quorum
		return fmt.Errorf("%w: %s: %w", ErrRefused, rec.Alias, err)
	}
	l.inForce = append(l.inForce, Term{p, e.LoggedAt})
	z.byID[p.ID()] = p
	clear(l.candidates) // they followed the one that is no longer in force
	return nil
}

// demanded returns the quorum that what went before demands of p: the policy in
// force, or the namespace for the first of a line.
func (z *Zone) demanded(p *policy.Verified) sign.Quorum {
	if prev := p.Prev(); prev != nil {
		return prev.Document().Governance.Successor
	}
	ns, _ := z.Root().Namespace(p.Document().Alias)
	return ns.Genesis
}

// current returns the policy in force for alias, or nil.
func (z *Zone) current(alias string) *policy.Verified {
	l := z.lines[alias]
	if l == nil || len(l.inForce) == 0 {
		return nil
	}
	return l.inForce[len(l.inForce)-1].Policy
}

// InForce returns the policy that decides for alias. It may be revoked; the
// caller asks [Zone.Revoked]. Nothing is in force once the root has expired, as
// far as z knows the time; see [Zone.CheckRoot].
func (z *Zone) InForce(alias string) (*policy.Verified, bool) {
	if z.CheckRoot(0) != nil { //guard:R47 root-in-force
		return nil, false
	}
	p := z.current(alias)
	return p, p != nil
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
	for _, t := range slices.Backward(z.History(alias)) {
		if t.From <= at {
			return t.Policy, true
		}
	}
	return nil, false
}

// Policy returns the policy with the id, if it is or was in force.
func (z *Zone) Policy(id canon.Digest) (*policy.Verified, bool) {
	p, ok := z.byID[id]
	return p, ok
}

// Aliases returns the aliases for which [Zone.InForce] has a policy, sorted.
func (z *Zone) Aliases() []string {
	var out []string
	for a := range z.lines {
		if _, ok := z.InForce(a); ok {
			out = append(out, a)
		}
	}
	slices.Sort(out)
	return out
}
