// Package gateway is the hall behind the doors: it accepts connections, knows
// credentials, verifies the holder's proof, and gives a protocol its only way to
// a secret, for one operation at a time.
//
// # Adding a protocol
//
// Make one folder, internal/gateway/NAMEgw, with a Protocol variable in it; add
// that variable to the list in cmd/writ/protocols.go; describe the wire in
// spec/NAME.md; call gatewaytest.Run from its test.
package gateway

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/credential"
	"github.com/writhq/writ/internal/gate"
	"github.com/writhq/writ/internal/ledger"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/permit"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/secret"
	"github.com/writhq/writ/zone"
)

// ErrGateway is wrapped by the errors of this package that are not an
// [op.Denial].
var ErrGateway = errors.New("gateway")

// A Protocol is one kind of door.
type Protocol struct {
	// Name is the protocol's name in policies, configuration and metrics.
	Name string
	// New returns a handler from its part of the configuration. It must reject
	// fields that it does not know.
	New func(cfg json.RawMessage, h *Hall) (Handler, error)
}

// A Handler speaks one protocol.
type Handler interface {
	// Serve speaks on the connections of l until ctx ends; then it takes no new
	// operation, lets those under way end, and returns nil. Every operation goes
	// through a [Session] of the hall before it is carried out.
	Serve(ctx context.Context, l net.Listener) error
}

// A Decider decides and records; see [gate.Gate].
type Decider interface {
	Decide(ctx context.Context, r *gate.Request) (*gate.Permitted, error)
	Finish(ctx context.Context, p *gate.Permitted, o gate.Outcome) (ledger.Ref, error)
	Holds(p *gate.Permitted, at time.Time) bool
}

// An Opener opens one secret for one permit; see custody.
type Opener interface {
	Open(ctx context.Context, p *permit.Permit) (secret.Bytes, error)
	Check(p *permit.Permit) error
}

// Laws is the policy log, replayed.
type Laws interface {
	View(fn func(*zone.Zone)) error
}

// Config is what a Hall needs. Every field is required but TLS, Resolve and Tally.
type Config struct {
	Gate    Decider
	Custody Opener
	Laws    Laws
	Domain  string // replay domain: what holders name as audience
	Now     func() time.Time
	Log     *slog.Logger
	// TLS is what listeners speak with clients; nil only in tests and on sockets
	// that do not leave the machine.
	TLS *tls.Config
	// Resolve returns the addresses of a host; nil: the system's resolver.
	Resolve func(ctx context.Context, host string) ([]net.IP, error)
	// Tally counts a refusal that no receipt can be written for; nil: not counted.
	Tally func(op.Code)
}

// A Hall is what all gateways of a gate share. It is safe for concurrent use.
type Hall struct {
	c      Config
	pool   *pool
	places places
	nonces secret.Bytes // key of the nonces that this process offers
	mu     sync.Mutex
	chains map[canon.Digest]known // guarded by mu; by digest of their bytes
	size   int                    // guarded by mu; bytes of chains
	acts   map[*act]struct{}      // guarded by mu; under way
	turns  atomic.Uint64          // how often the policy log changed
	panics atomic.Uint64
}

// known is a credential that held under a policy and a root; the gate asks again.
type known struct {
	chain        *credential.Chain
	spki         []byte // of the holder's key
	policy, root canon.Digest
}

// New returns a Hall.
func New(c Config) (*Hall, error) {
	if c.Gate == nil || c.Custody == nil || c.Laws == nil || c.Domain == "" || c.Now == nil || c.Log == nil {
		return nil, fmt.Errorf("%w: incomplete configuration", ErrGateway)
	}
	if c.Resolve == nil {
		c.Resolve = func(ctx context.Context, host string) ([]net.IP, error) {
			return net.DefaultResolver.LookupIP(ctx, "ip", host)
		}
	}
	if c.Tally == nil {
		c.Tally = func(op.Code) {}
	}
	key := make([]byte, nonceKeySize)
	rand.Read(key)
	return &Hall{
		c: c, pool: newPool(), places: newPlaces(), nonces: secret.Take(key), chains: make(map[canon.Digest]known), acts: make(map[*act]struct{}),
	}, nil
}

// Domain returns the replay domain that holders name as audience.
func (h *Hall) Domain() string { return h.c.Domain }

// TLS returns how listeners speak TLS with these protocols, or nil for not at all.
// It ends at the gate and proves the client's key on each connection: no older
// version, no tickets, which would stand in for the proof for days. Who signed a
// client's certificate does not matter; only its key counts.
func (h *Hall) TLS(protocols ...string) *tls.Config {
	if h.c.TLS == nil {
		return nil
	}
	c := h.c.TLS.Clone()
	harden(c) //guard-call:A13 tls-hardened
	c.NextProtos = protocols
	return c
}

func harden(c *tls.Config) {
	c.MinVersion, c.SessionTicketsDisabled, c.ClientAuth = tls.VersionTLS13, true, tls.RequestClientCert
	c.DynamicRecordSizingDisabled = true // what is sent together is one record
}

// Log returns the hall's log.
func (h *Hall) Log() *slog.Logger { return h.c.Log }

// Panicked notes what a gateway recovered from. Only the kind is logged: the value
// may hold a secret.
func (h *Hall) Panicked(value any) {
	h.panics.Add(1)
	h.c.Log.Error("panic", "kind", fmt.Sprintf("%T", value))
}

// undecided notes why nothing was decided, where nothing else does.
func (h *Hall) undecided(err error) {
	if errors.Is(err, gate.ErrPanic) {
		h.panics.Add(1)
		h.c.Log.Error("not decided", "err", err)
	}
}

// Panics returns how many panics there were, in gateways, decisions and acts.
func (h *Hall) Panics() uint64 { return h.panics.Load() }

// Now returns the time.
func (h *Hall) Now() time.Time { return h.c.Now() }

// Session returns a session for the credential in b. One that is not well-formed,
// or that no issuer of the policy in force vouches for, gives an [*op.Denial] and
// is tallied: anybody can make one, for any subject.
func (h *Hall) Session(b []byte) (*Session, error) {
	if len(b) > credential.MaxBytes {
		return nil, h.Refuse(op.Deny(op.CredentialInvalid, "the credential is too large"))
	}
	h.mu.Lock()
	c, ok := h.chains[canon.Hash(b)]
	h.mu.Unlock()
	if !ok {
		chain, err := credential.Parse(b)
		if err != nil {
			return nil, h.Refuse(op.Deny(op.CredentialInvalid, err.Error()))
		}
		c = known{chain: chain, spki: spkiOf(chain.Holder())}
	}
	return h.session(c)
}

// SessionText is Session for a credential in its text form.
func (h *Hall) SessionText(text string) (*Session, error) {
	b, err := credential.DecodeText(text)
	if err != nil {
		return nil, h.Refuse(op.Deny(op.CredentialInvalid, err.Error()))
	}
	return h.Session(b)
}

// SessionByDigest returns a session for a credential that this hall has seen. An
// unknown one gives ok false: the holder presents it whole.
func (h *Hall) SessionByDigest(d canon.Digest) (s *Session, ok bool, err error) {
	h.mu.Lock()
	c, ok := h.chains[d]
	h.mu.Unlock()
	if !ok {
		return nil, false, nil
	}
	s, err = h.session(c)
	return s, true, err
}

func (h *Hall) session(c known) (*Session, error) {
	var p *policy.Verified
	var root *policy.Root
	err := h.c.Laws.View(func(z *zone.Zone) {
		p, _ = z.InForce(c.chain.Grant.Alias)
		root = z.Root()
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrGateway, err)
	}
	if p == nil {
		return nil, h.Refuse(op.Deny(op.PolicyUnknown, "no policy is in force for the credential's alias"))
	}
	if c.policy != p.ID() || c.root != root.ID() {
		if _, err := c.chain.Verify(p, root); err != nil { //guard:R6 session-vouched
			return nil, h.Refuse(op.Deny(op.CredentialInvalid, err.Error()))
		}
		c.policy, c.root = p.ID(), root.ID()
		h.keep(c)
	}
	return &Session{hall: h, chain: c.chain, spki: c.spki, policy: p}, nil
}

// keep remembers c, so that it can be referred to.
func (h *Hall) keep(c known) {
	d, n := c.chain.Digest(), len(c.chain.Bytes())
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.chains[d]; !ok {
		if len(h.chains) >= maxKnownChains || h.size+n > maxKnownBytes {
			clear(h.chains) // a holder can fill it, and lose others no more than a verification or a 428
			h.size = 0
		}
		h.size += n
	}
	h.chains[d] = c
}

// Refuse counts a refusal of someone who is not known, and returns it. SPEC HALL-8.
func (h *Hall) Refuse(d *op.Denial) *op.Denial {
	h.c.Tally(d.Code)
	if d.Next == "" {
		d.Next = d.Code.Advice()
	}
	return d
}

// Changed ends what the newest entries of the policy log no longer allow: acts
// under way whose policy is no longer in force or whose credential is revoked,
// and all unused upstream connections.
func (h *Hall) Changed() {
	h.turns.Add(1) // before looking at the acts: one that begins after that sees it
	h.pool.flush()
	h.mu.Lock()
	acts := make([]*act, 0, len(h.acts))
	for a := range h.acts {
		acts = append(acts, a)
	}
	h.mu.Unlock()
	for _, a := range acts {
		if !h.stillAllowed(a) { //guard:A13 stream-ends
			a.cancel(errRevoked)
		}
	}
}

// Why an act ended before it was done.
var (
	errRevoked = fmt.Errorf("%w: revoked, or its policy or secret is no longer the one in force", ErrGateway)
	errExpired = fmt.Errorf("%w: the credential, its policy or the root has expired", ErrGateway)
	errEnded   = fmt.Errorf("%w: ended by who runs the gate", ErrGateway)
)

// Why returns in words why the context of an act has ended.
func Why(ctx context.Context) string {
	cause := context.Cause(ctx)
	for _, err := range []error{errRevoked, errExpired, errEnded} {
		if errors.Is(cause, err) {
			return strings.TrimPrefix(err.Error(), ErrGateway.Error()+": ")
		}
	}
	return "the gate ends it"
}

func (h *Hall) stillAllowed(a *act) bool { return h.c.Gate.Holds(a.permitted, h.Now()) }

// Close closes the unused upstream connections.
func (h *Hall) Close() { h.pool.flush() }

// A Target is where an act goes; see [policy.Target].
type Target = policy.Target

// An Inject says how the secret is put into what is sent; see [policy.Inject].
type Inject = policy.Inject

// A Response is what may come back; see [policy.Response].
type Response = policy.Response
