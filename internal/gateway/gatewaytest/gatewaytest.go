// Package gatewaytest is what every gateway must do. A gateway's own test calls
// [Run] with a driver that speaks the gateway's protocol.
package gatewaytest

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/writhq/writ/credential"
	"github.com/writhq/writ/internal/gateway"
	"github.com/writhq/writ/internal/testgate"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/receipt"
	"github.com/writhq/writ/sign"
)

// A Driver speaks one protocol as its clients do.
type Driver struct {
	Protocol gateway.Protocol
	// Quick is Protocol with times that a test can wait for; it serves junk alone.
	// The zero Quick is Protocol.
	Quick gateway.Protocol
	// Config returns a good configuration for a listener's address, and Bad ones
	// that must be refused.
	Config func(addr string) json.RawMessage
	Bad    []json.RawMessage
	// Upstream returns a running target.
	Upstream func(t testing.TB) Upstream
	// Policy makes the policy permit what Client permits, on the target. With a host
	// the target is to be known by that name instead of its address.
	Policy func(d *policy.Document, up Upstream, host string)
	// Connect is the action of the operation by which a client connects; "" where it
	// connects without one. Then a connection is a session, with one upstream that
	// lasts as long as it does.
	Connect string
	// Client returns a client that holds the credential by the key. It connects with
	// its first operation, and again with the next one if it was told that its session
	// has ended.
	Client func(t testing.TB, g *testgate.Gate, c *credential.Chain, k sign.Signer) Client
	// Wire returns the bytes of one fresh permitted operation, for a raw connection.
	Wire func(t testing.TB, g *testgate.Gate, c *credential.Chain, k sign.Signer) []byte
	// Junk are beginnings of connections that never end, each to be bounded before
	// anyone is known.
	Junk map[string]func(conn net.Conn) error
	// Dial connects to the gateway, below the protocol.
	Dial func(t testing.TB, g *testgate.Gate) net.Conn
}

// A Client makes operations on one connection where the protocol has one.
type Client interface {
	// Permitted makes an operation that the policy permits.
	Permitted() Answer
	// Denied makes one that it does not.
	Denied() Answer
	// Close ends the connection.
	Close()
}

// An Upstream is a target that remembers what was done at it.
type Upstream interface {
	// Operations returns the connection of each operation that reached it: some text
	// that is the connection's own.
	Operations() []string
	// Connections returns how many connections were made, and Open how many of them
	// are open, as it sees them.
	Connections() int
	Open() int
	// Behave says what it does with each operation from now on.
	Behave(b Behaviour)
	// Hold makes the next operation wait until release is called; reached is closed
	// when it has come.
	Hold() (reached <-chan struct{}, release func())
}

// A Behaviour is what a target does with an operation.
type Behaviour int

// The behaviours of targets.
const (
	Works    Behaviour = iota
	Refuses            // answers with an error of its own
	Reflects           // answers with an error that has all that it was told
	HangsUp            // reads the operation and closes the connection
)

// An Answer is what the client got.
type Answer struct {
	OK     bool
	Code   string // of the denial, in the protocol's own place for it
	Text   []byte // every byte that was received
	Failed bool   // the connection broke, or the gateway said "not decided"
}

// run is one test of the suite.
type run struct {
	*testing.T
	d Driver
}

// Run checks everything that a gateway must do.
func Run(t *testing.T, d Driver) {
	for name, test := range map[string]func(*run){
		"unknown configuration refused":          (*run).configuration,
		"permitted":                              (*run).permitted,
		"denied reaches nothing":                 (*run).denied,
		"log down reaches nothing":               (*run).logDown,
		"policy flips in mid-connection":         (*run).flips,
		"revocation in mid-connection":           (*run).revoked,
		"record precedes open":                   (*run).order,
		"no secret byte anywhere":                (*run).secrets,
		"client cut off at every byte":           (*run).cutOff,
		"junk is bounded":                        (*run).junk,
		"drain":                                  (*run).drain,
		"a connection serves one credential":     (*run).oneCredential,
		"a lost response is not asked for again": (*run).lostResponse,
		"unused connections end with a change":   (*run).unusedEnd,
		"custody that does not open sends none":  (*run).custodyDown,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(&run{t, d})
		})
	}
}

// world is a running gate with the driver's door, before a target.
type world struct {
	*testgate.Gate
	up      Upstream
	connect string
}

// gate returns a running gate before a target of its own.
func (r *run) gate(c testgate.Config) *world {
	r.Helper()
	return r.before(r.d.Upstream(r), "", c)
}

// before returns a running gate that knows the target by that name of a host.
func (r *run) before(up Upstream, host string, c testgate.Config) *world {
	r.Helper()
	c.Policy = func(d *policy.Document) { r.d.Policy(d, up, host) }
	c.Doors = []testgate.Door{{Protocol: r.d.Protocol, Config: r.d.Config}}
	return &world{testgate.New(r, c), up, r.d.Connect}
}

func (r *run) client(w *world, c *credential.Chain) Client {
	k := r.d.Client(r, w.Gate, c, w.Holder(len(c.Delegations)))
	r.Cleanup(k.Close)
	return k
}

// reached returns how many operations are upstream.
func (w *world) reached() int { return len(w.up.Operations()) }

// sessions returns n where clients have sessions of their own upstream, and else 0.
func (w *world) sessions(n int) int {
	if w.connect == "" {
		return 0
	}
	return n
}

// receipts returns those of the kind, but for operations by which clients connect.
func (w *world) receipts(kind receipt.Kind) (out []*receipt.Receipt) {
	connecting := make(map[uint64]bool) // by sequence, which one start of a gate does not repeat
	for _, rec := range w.Receipts() {
		switch {
		case w.connect != "" && rec.Action == w.connect && rec.Kind != receipt.Outcome:
			connecting[rec.Seq] = true
		case rec.Kind == kind && (rec.Intent == nil || !connecting[rec.Intent.Seq]):
			out = append(out, rec)
		}
	}
	return out
}

func (r *run) mustPermit(k Client) Answer {
	r.Helper()
	a := k.Permitted()
	if !a.OK {
		r.Fatalf("a permitted operation failed: code %q, %d bytes: %.300s", a.Code, len(a.Text), a.Text)
	}
	return a
}

// forms returns the secret as it could be seen.
func forms(s string) []string {
	rev := []byte(s)
	slices.Reverse(rev)
	return []string{
		s, hex.EncodeToString([]byte(s)), strings.ToUpper(hex.EncodeToString([]byte(s))), url.QueryEscape(s), string(rev),
		base64.RawStdEncoding.EncodeToString([]byte(s))[:len(s)],
		base64.RawStdEncoding.EncodeToString([]byte("x" + s))[2:len(s)], base64.RawStdEncoding.EncodeToString([]byte("xx" + s))[3:len(s)],
	}
}
