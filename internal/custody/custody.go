// Package custody keeps the keys that open sealed secrets, and opens one secret
// for one permit. There is no other way to a secret.
package custody

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/permit"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/receipt"
	"github.com/writhq/writ/seal"
	"github.com/writhq/writ/secret"
	"github.com/writhq/writ/sign"
	"github.com/writhq/writ/zone"
)

// The errors of this package; all wrap [ErrCustody].
var (
	ErrCustody = errors.New("custody")
	ErrPermit  = fmt.Errorf("%w: the permit is not good", ErrCustody)
	ErrSecret  = fmt.Errorf("%w: the secret does not open", ErrCustody)
	// ErrElsewhere is wrapped by the error for a secret that is sealed to another
	// group of gates.
	ErrElsewhere = fmt.Errorf("%w: the secret is another group's", ErrCustody)
	ErrKeyring   = fmt.Errorf("%w: keyring", ErrCustody)
)

// Intents is where a Custody looks for the receipt that came before the permit.
type Intents interface {
	// OpenIntent returns the intent with the reference, if it has no outcome yet.
	OpenIntent(ref receipt.Ref) (*receipt.Receipt, bool)
}

// Laws is the policy log as this custody replayed it.
type Laws interface {
	// View calls fn with the zone, which fn does not keep.
	View(fn func(*zone.Zone)) error
}

// Blobs is where sealed bytes are. It is not trusted.
type Blobs interface {
	// Sealed returns the sealed bytes with the SHA-256.
	Sealed(ctx context.Context, digest canon.Digest) ([]byte, error)
}

// Config is what a Custody needs. Every field is required.
type Config struct {
	Gate    string // id of the gate in the root
	Keys    []seal.GateKey
	Intents Intents
	Laws    Laws
	Blobs   Blobs
	Now     func() int64 // Unix seconds
}

// A Custody opens secrets. It is safe for concurrent use.
type Custody struct {
	c      Config
	mu     sync.Mutex
	spent  map[[16]byte]int64       // guarded by mu; nonces of used permits, by end
	swept  int64                    // guarded by mu
	opened map[opening]secret.Bytes // guarded by mu; behind the permit check
	// forgets counts the calls of Forget. Guarded by mu.
	forgets uint64
}

// opening is what an opened secret is kept under: these bytes, under this policy.
type opening struct{ sealed, policy canon.Digest }

// New returns a Custody.
func New(c Config) (*Custody, error) {
	if c.Gate == "" || len(c.Keys) == 0 || c.Intents == nil || c.Laws == nil || c.Blobs == nil || c.Now == nil {
		return nil, fmt.Errorf("%w: incomplete configuration", ErrCustody)
	}
	return &Custody{c: c, spent: make(map[[16]byte]int64), opened: make(map[opening]secret.Bytes)}, nil
}

// Open returns the secret that p permits, and spends p: a second Open with it is
// refused. The caller wipes the secret.
//
// It trusts nothing but its own sources: it reads the intent that p names from
// the ledger, and rechecks on its own replay of the policy log that the policy
// is in force and not revoked, and that the sealed bytes are the active version.
// It opens exactly those bytes, under the bytes of the policy that was
// evaluated. Errors wrap [ErrPermit] or [ErrSecret] and say no more.
// SPEC CUST-1, CUST-2, CUST-3.
func (c *Custody) Open(ctx context.Context, p *permit.Permit) (secret.Bytes, error) {
	if err := c.spend(p); err != nil {
		return secret.Bytes{}, err
	}
	r, err := c.checkIntent(p)
	if err != nil {
		return secret.Bytes{}, err
	}
	forgets := c.forgotten()
	src, err := c.source(p, r)
	if err != nil {
		return secret.Bytes{}, err
	}
	if src.record.Sealed != p.Sealed { //guard:A3 permit-blob
		return secret.Bytes{}, fmt.Errorf("%w: other sealed bytes are active", ErrPermit)
	}
	if s, ok := c.kept(src.key()); ok {
		return s, nil
	}
	return c.open(ctx, src, forgets)
}

// Check spends p without opening a secret: for an operation on a connection that
// already carries one, or that needs none. It asks what Open asks of policy, root
// and gate.
func (c *Custody) Check(p *permit.Permit) error {
	if err := c.spend(p); err != nil {
		return err
	}
	r, err := c.checkIntent(p)
	if err != nil {
		return err
	}
	viewErr := c.c.Laws.View(func(z *zone.Zone) { _, err = c.inForce(z, p, r) })
	if viewErr != nil {
		return fmt.Errorf("%w: %w", ErrPermit, viewErr)
	}
	return err
}

// spend takes p's nonce, once.
func (c *Custody) spend(p *permit.Permit) error {
	if p == nil || p.Nonce == [16]byte{} || p.Intent.Seq == 0 { //guard:R59 permit-zero
		return fmt.Errorf("%w: it is empty", ErrPermit)
	}
	now := c.c.Now()
	if now >= p.Expires || p.Expires-now > permit.MaxLifetime { //guard:R18 permit-expired
		return fmt.Errorf("%w: it has expired", ErrPermit)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if now != c.swept {
		for n, end := range c.spent {
			if end <= now {
				delete(c.spent, n)
			}
		}
		c.swept = now
	}
	if _, used := c.spent[p.Nonce]; used || len(c.spent) >= maxSpent { //guard:R18 permit-spent
		return fmt.Errorf("%w: it was used", ErrPermit)
	}
	c.spent[p.Nonce] = p.Expires
	return nil
}

// checkIntent compares p with the intent in the ledger.
func (c *Custody) checkIntent(p *permit.Permit) (*receipt.Receipt, error) {
	r, ok := c.c.Intents.OpenIntent(receipt.Ref{Epoch: p.Intent.Epoch, Seq: p.Intent.Seq, Digest: p.Intent.Digest})
	if !ok { //guard:R59 permit-intent
		return nil, fmt.Errorf("%w: the ledger has no open intent for it", ErrPermit)
	}
	if r.Zone != p.Zone || r.Policy != p.Policy || r.Alias != p.Alias || r.Target != p.Target { //guard:A3 permit-agrees
		return nil, fmt.Errorf("%w: it differs from its intent", ErrPermit)
	}
	var want receipt.SecretRef
	if p.SecretID != "" {
		want = receipt.SecretRef{Blob: p.Sealed, ID: p.SecretID, Version: uint64(p.Version)}
	}
	var have receipt.SecretRef
	if r.Secret != nil {
		have = *r.Secret
	}
	if have != want { //guard:A3 permit-secret-agrees
		return nil, fmt.Errorf("%w: it names another secret than its intent", ErrPermit)
	}
	return r, nil
}

// A source is what is needed to open one secret, from custody's own replay.
type source struct {
	policy *policy.Verified
	root   *policy.Root
	record zone.SecretRecord
}

func (s *source) key() opening { return opening{s.record.Sealed, s.policy.ID()} }

// statement returns the sealers' statement for the secret. The zone verified it
// when the record was logged, under the root of that time: a sealer who has left
// since still vouches for what is there.
func (s *source) statement() (*seal.Signed, error) { return seal.ParseStatement(s.record.Statement) }

// source rechecks policy, revocation and secret.
func (c *Custody) source(p *permit.Permit, r *receipt.Receipt) (src source, err error) {
	viewErr := c.c.Laws.View(func(z *zone.Zone) {
		src.policy, err = c.inForce(z, p, r)
		if err != nil {
			return
		}
		s, ok := z.Secret(p.Alias, p.SecretID)
		if !ok || s.Record.State != zone.Active || s.Record.Version != p.Version { //guard:R29 open-active-version
			err = fmt.Errorf("%w: the version is not active", ErrSecret)
			return
		}
		src.record, src.root = s.Record, z.Root()
	})
	if viewErr != nil {
		return source{}, fmt.Errorf("%w: %w", ErrPermit, viewErr)
	}
	return src, err
}

// inForce returns p's policy if it is what decides for its alias now, the root is
// in time, and neither the policy nor this gate nor a block that the intent r names
// is revoked.
func (c *Custody) inForce(z *zone.Zone, p *permit.Permit, r *receipt.Receipt) (*policy.Verified, error) {
	v, ok := z.InForce(p.Alias)
	if !ok || v.ID() != p.Policy { // under any other policy it would not decrypt either
		return nil, fmt.Errorf("%w: its policy is no longer in force", ErrPermit)
	}
	if z.CheckRoot(c.c.Now()) != nil { //guard:R27 open-root-in-time
		return nil, fmt.Errorf("%w: the root has expired", ErrPermit)
	}
	if z.Revoked(zone.RevokePolicy, p.Policy) || z.Revoked(zone.RevokeGate, canon.Hash([]byte(c.c.Gate))) { //guard:R28 open-revoked
		return nil, fmt.Errorf("%w: its policy or this gate is revoked", ErrPermit)
	}
	if z.BlocksRevoked(p.Alias, r.Blocks) { //guard:A3 R28 open-block-revoked
		return nil, fmt.Errorf("%w: its credential is revoked", ErrPermit)
	}
	return v, nil
}

// open opens the secret and returns a copy. It keeps it unless Forget was called
// since forgets was read, before src was: then the log may have ended it.
func (c *Custody) open(ctx context.Context, src source, forgets uint64) (secret.Bytes, error) {
	sealed, err := c.c.Blobs.Sealed(ctx, src.record.Sealed)
	if err != nil {
		return secret.Bytes{}, fmt.Errorf("%w: %w", ErrSecret, err)
	}
	v, err := c.unseal(src, sealed)
	if err != nil {
		return secret.Bytes{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	out := v.Secret.Clone()
	if _, ok := c.opened[src.key()]; ok || c.forgets != forgets { // another was first, or it may be of the past already
		v.Secret.Wipe()
		return out, nil
	}
	if len(c.opened) >= maxCached {
		c.forget()
	}
	c.opened[src.key()] = v.Secret
	return out, nil
}

// kept returns a copy of an opened secret. It copies under the lock, so that
// Forget cannot wipe what is being copied.
func (c *Custody) kept(key opening) (secret.Bytes, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, ok := c.opened[key]
	if !ok {
		return secret.Bytes{}, false
	}
	return s.Clone(), true
}

// unseal opens sealed under src's policy with the key it was sealed to.
func (c *Custody) unseal(src source, sealed []byte) (*seal.Value, error) {
	if canon.Hash(sealed) != src.record.Sealed { //guard:A3 blob-digest
		return nil, fmt.Errorf("%w", ErrSecret)
	}
	h, err := seal.ParseHeader(sealed)
	if err != nil {
		return nil, fmt.Errorf("%w", ErrSecret)
	}
	d, ok := src.policy.Document().Secret(src.record.ID)
	if !ok || h.T != d.Recipients.T || h.ID != src.record.ID || h.Alias != src.record.Alias || h.Version != src.record.Version { // seal.Open compares the rest of the header with the statement
		return nil, fmt.Errorf("%w", ErrSecret)
	}
	if err := c.recipients(h, d.Recipients.Group); err != nil {
		return nil, err
	}
	st, err := src.statement()
	if err != nil {
		return nil, fmt.Errorf("%w", ErrSecret)
	}
	for _, k := range c.c.Keys {
		if v, err := seal.Open(k, src.policy, st, sealed); err == nil {
			return v, nil
		}
	}
	return nil, fmt.Errorf("%w", ErrSecret)
}

// recipients refuses sealed bytes that someone else than gates of the group can
// open: they were made for him as well.
func (c *Custody) recipients(h *seal.Header, group string) error {
	foreign := false
	err := c.c.Laws.View(func(z *zone.Zone) {
		for _, r := range h.Recipients {
			if r.Group != group || !z.Recipient(group, r.KeyID) { //guard:A2 open-recipients
				foreign = true
			}
		}
	})
	if err != nil || foreign {
		return fmt.Errorf("%w", ErrSecret)
	}
	return nil
}

// forgotten returns how often Forget was called.
func (c *Custody) forgotten() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.forgets
}

// Forget wipes all opened secrets that are kept: after a rotation, succession or
// revocation.
func (c *Custody) Forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forgets++
	c.forget()
}

func (c *Custody) forget() {
	for k, s := range c.opened {
		s.Wipe()
		delete(c.opened, k)
	}
}

// Reseal returns the secret of alias, sealed under an ancestor of the policy in
// force, sealed again under the policy in force to the gates of its group. The
// value and its statement stay as they are, and never leave this function.
//
// It has its own permit, whose intent is a receipted act of kind reseal; the
// caller publishes the record. SPEC CUST-4.
func (c *Custody) Reseal(ctx context.Context, p *permit.Permit) ([]byte, *zone.SecretRecord, error) {
	if err := c.spend(p); err != nil {
		return nil, nil, err
	}
	r, err := c.checkIntent(p)
	if err != nil {
		return nil, nil, err
	}
	src, target, err := c.resealSource(p, r)
	if err != nil {
		return nil, nil, err
	}
	sealed, err := c.c.Blobs.Sealed(ctx, src.record.Sealed)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrSecret, err)
	}
	v, err := c.unseal(src, sealed)
	if err != nil {
		return nil, nil, err
	}
	defer v.Secret.Wipe()
	d, ok := target.Document().Secret(src.record.ID)
	if !ok {
		return nil, nil, fmt.Errorf("%w: the policy in force no longer lists it", ErrSecret)
	}
	st, err := src.statement()
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrSecret, err)
	}
	again, err := seal.Seal(target, st, src.root.Group(d.Recipients.Group), v)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrSecret, err)
	}
	rec := src.record
	rec.Policy, rec.Sealed = target.ID(), canon.Hash(again)
	return again, &rec, nil
}

// resealSource returns the secret under the ancestor it is sealed under, and the
// policy in force.
func (c *Custody) resealSource(p *permit.Permit, r *receipt.Receipt) (src source, target *policy.Verified, err error) {
	viewErr := c.c.Laws.View(func(z *zone.Zone) {
		src.root = z.Root()
		target, err = c.inForce(z, p, r)
		if err != nil {
			return
		}
		s, ok := z.Secret(p.Alias, p.SecretID)
		if !ok || s.Record.State != zone.Active || s.Record.Version != p.Version || s.Record.Sealed != p.Sealed {
			err = fmt.Errorf("%w: the version is not active", ErrSecret)
			return
		}
		src.record = s.Record
		for q := target; q != nil; q = q.Prev() {
			if q.ID() == s.Record.Policy {
				src.policy = q
			}
		}
		if src.policy == nil {
			err = fmt.Errorf("%w: it is not sealed under an ancestor of the policy in force", ErrSecret)
		}
	})
	return src, target, errors.Join(viewErr, err)
}

// SignRecord signs a record with the gate's key, so that the policy log takes a
// re-seal.
func SignRecord(rec *zone.SecretRecord, gate sign.Signer) (*sign.Envelope, error) {
	e, err := zone.NewEnvelope(zone.SecretType, rec)
	if err != nil {
		return nil, err
	}
	return e, e.Sign(gate)
}
