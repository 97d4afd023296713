package gateway

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/credential"
	"github.com/writhq/writ/internal/gate"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/receipt"
	"github.com/writhq/writ/secret"
	"github.com/writhq/writ/sign"
)

// A Session is one credential's way to the gate. It holds no permission: each
// operation is decided by itself. It is safe for concurrent use.
type Session struct {
	hall   *Hall
	chain  *credential.Chain
	spki   []byte           // of the holder's key
	policy *policy.Verified // in force when the session began: for mapping only
}

// Holder returns the key that a proof must be by.
func (s *Session) Holder() sign.PublicKey { return s.chain.Holder() }

// Lookup returns the declaration that lists the action for the target, and the
// target, in the policy in force when the session began. The gate looks again.
func (s *Session) Lookup(action, target string) (*op.Declaration, *Target, bool) {
	d, ok := s.policy.Document().Operation(action, target)
	if !ok {
		return nil, nil, false
	}
	t, ok := s.policy.Document().Target(target)
	return &d.Declaration, t, ok
}

// Declared returns the declarations of operations on the target in that policy.
func (s *Session) Declared(target string) (out []*op.Declaration) {
	list := s.policy.Document().Operations
	for i := range list {
		if slices.Contains(list[i].Targets, target) {
			out = append(out, &list[i].Declaration)
		}
	}
	return out
}

// Bounds returns what may come back of the action at the target, by that policy.
func (s *Session) Bounds(action, target string) (r Response) {
	if o, ok := s.policy.Document().Operation(action, target); ok && o.Response != nil {
		r = *o.Response
	}
	return r
}

// A Request is one operation for [Session.Use] or [Session.Do].
type Request struct {
	Action    string
	Target    string
	Operation *op.Operation // nil with Denial
	Denial    *op.Denial    // why it could not be mapped; it is recorded and returned
	Proof     Proof
	Session   bool   // the act is a connection that lasts; see [gate.Request]
	Remote    string // address of a session's client
}

// NewSalt returns what [op.Facts] needs.
func NewSalt() (salt [16]byte) {
	rand.Read(salt[:])
	return salt
}

// An Act is a permitted operation being performed.
type Act struct {
	// Secret is what the target takes; empty if it takes none. It is wiped when the
	// function returns.
	Secret   secret.Bytes
	Target   Target
	Response Response
	Digest   canon.Digest // of the operation that was permitted
	Receipt  canon.Digest // id of the intent's receipt

	dial func(ctx context.Context) (*Conn, error)
}

// TLS returns how a protocol that asks its target for TLS must speak it: the
// target shows that it is itself as the policy says.
func (a *Act) TLS() *tls.Config {
	u, err := url.Parse(a.Target.Origin)
	if err != nil {
		return tlsTo("", &a.Target) // no certificate is for it
	}
	c := tlsTo(u.Hostname(), &a.Target)
	c.NextProtos = nil
	return c
}

// Certificate returns the client certificate that the secret is: PEM blocks of the
// chain, leaf first, and of the leaf's key. The library keeps the key.
func (a *Act) Certificate() (*tls.Certificate, error) { return certificate(a.Secret) }

// Dial returns a connection to the target that serves this credential only. It
// is checked to go where the policy says.
func (a *Act) Dial(ctx context.Context) (*Conn, error) { return a.dial(ctx) }

// An Outcome is what became of an act.
type Outcome struct {
	Class    receipt.Class
	Status   int // in the protocol's own numbers
	Sent     uint64
	Received uint64
	Note     string
}

// The classes of outcomes; see [receipt.Class].
const (
	OK      = receipt.OK
	Failed  = receipt.Failed
	Unknown = receipt.Unknown
	NotSent = receipt.NotSent
	Stopped = receipt.Stopped
)

// act is an act under way.
type act struct {
	permitted *gate.Permitted
	cancel    context.CancelCauseFunc
	expiry    *time.Timer
	open      *Open // nil: no session
}

// expire ends a: its credential, policy or root has expired.
func (a *act) expire() {
	a.cancel(errExpired) //guard-call:R27 act-expires
}

// Use asks the gate about r and, if the answer is yes and is recorded, opens the
// secret and calls fn with it, once. What fn says came of it is recorded. The
// context that fn gets ends when the credential or policy stops being good.
//
// It returns an [*op.Denial] if the answer was no, fn's error if fn was called,
// and any other error if nothing was decided or opened; then nothing was done.
// SPEC HALL-1, HALL-2, HALL-3.
func (s *Session) Use(ctx context.Context, r *Request, fn func(ctx context.Context, a *Act) (Outcome, error)) error {
	return s.perform(ctx, r, false, fn)
}

// Do is Use for an operation on a connection that carries its secret already:
// nothing is opened.
func (s *Session) Do(ctx context.Context, r *Request, fn func(ctx context.Context, a *Act) (Outcome, error)) error {
	return s.perform(ctx, r, true, fn)
}

func (s *Session) perform(ctx context.Context, r *Request, bare bool, fn func(context.Context, *Act) (Outcome, error)) error {
	turns := s.hall.turns.Load()
	p, err := s.hall.c.Gate.Decide(ctx, s.request(r, bare))
	if err != nil { //guard:R16 use-decided
		s.hall.undecided(err)
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	a := &act{permitted: p, cancel: cancel}
	if r.Session {
		a.open = &Open{
			ID: p.Permit.Intent.Digest, Subject: string(s.chain.Grant.Subject), Target: r.Target, Purpose: p.Purpose, Remote: r.Remote, Since: s.hall.Now(), Until: p.Until,
		}
	}
	s.hall.begin(a)
	defer s.hall.end(a)
	out := Outcome{Class: NotSent, Note: "revoked"}
	if s.hall.turns.Load() != turns && !s.hall.stillAllowed(a) { //guard:A13 R28 change-before-act
		err = errRevoked // it came between the decision and begin: nothing else would end the act
	} else {
		out, err = s.act(ctx, p, bare, fn)
	}
	if ferr := s.finish(ctx, p, out); ferr != nil {
		s.hall.c.Log.Error("outcome not recorded", "err", ferr)
		err = errors.Join(err, ferr)
	}
	return err
}

func (s *Session) request(r *Request, bare bool) *gate.Request {
	return &gate.Request{
		At: s.hall.Now(), Chain: s.chain, Operation: r.Operation, Denial: r.Denial, Action: r.Action, Target: r.Target,
		Purpose: r.Proof.Purpose, Level: r.Proof.Level, Lineage: r.Proof.Lineage, Idem: r.Proof.Idem,
		Replay: r.Proof.Replay, ReplayEnd: r.Proof.ReplayEnd, Issued: r.Proof.Issued, Policy: r.Proof.Policy, Proof: r.Proof.Evidence, Bare: bare, Session: r.Session,
	}
}

// act opens the secret and calls fn. A panic in fn leaves an unknown outcome, one
// before it the outcome that nothing was sent.
func (s *Session) act(ctx context.Context, p *gate.Permitted, bare bool, fn func(context.Context, *Act) (Outcome, error)) (out Outcome, err error) {
	out = Outcome{Class: NotSent, Note: "panic"}
	defer func() {
		if r := recover(); r != nil { //guard:R13 panic-recorded
			s.hall.Panicked(r)
			err = fmt.Errorf("%w: panic while performing", ErrGateway)
		}
	}()
	a := &Act{Target: p.Target, Response: p.Response, Digest: p.Permit.Operation, Receipt: p.Permit.Intent.Digest}
	if bare || p.Permit.SecretID == "" {
		err = s.hall.c.Custody.Check(p.Permit)
	} else {
		a.Secret, err = s.hall.c.Custody.Open(ctx, p.Permit)
	}
	if err != nil { //guard:R13 opened-before-act
		s.hall.c.Log.Error("permitted, and not done: custody refused", "target", p.Target.ID, "secret", p.Permit.SecretID, "err", err)
		return Outcome{Class: NotSent, Note: "custody"}, fmt.Errorf("%w: open: %w", ErrGateway, err)
	}
	defer a.Secret.Wipe() //guard-call:R2 act-wiped
	key := poolKey{p.Permit.Sealed, p.Permit.Policy, p.Target.ID, s.chain.Digest()}
	a.dial = func(ctx context.Context) (*Conn, error) { return s.hall.dial(ctx, key, a) }
	out.Class = Unknown // from here on a panic may come after something was sent
	return fn(ctx, a)
}

// finish records the outcome even if the client has gone.
func (s *Session) finish(ctx context.Context, p *gate.Permitted, o Outcome) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), maxFinish)
	defer cancel()
	_, err := s.hall.c.Gate.Finish(ctx, p, gate.Outcome{Class: o.Class, Status: o.Status, Sent: o.Sent, Received: o.Received, Note: o.Note})
	return err
}

func (h *Hall) begin(a *act) {
	a.expiry = time.AfterFunc(a.permitted.Until.Sub(h.Now()), a.expire)
	h.mu.Lock()
	h.acts[a] = struct{}{}
	h.mu.Unlock()
}

func (h *Hall) end(a *act) {
	a.expiry.Stop()
	h.mu.Lock()
	delete(h.acts, a)
	h.mu.Unlock()
}
