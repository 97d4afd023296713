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
	// Policy makes the policy permit what Client permits.
	Policy func(*policy.Document)
	// Client returns a client that holds the credential by the key.
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

// gate returns a running gate with the driver's door.
func (r *run) gate(c testgate.Config) *testgate.Gate {
	r.Helper()
	if c.Upstream == nil {
		c.Upstream = testgate.NewUpstream(r, nil)
	}
	c.Policy = r.d.Policy
	c.Doors = []testgate.Door{{Protocol: r.d.Protocol, Config: r.d.Config}}
	return testgate.New(r, c)
}

func (r *run) client(g *testgate.Gate, c *credential.Chain) Client {
	k := r.d.Client(r, g, c, g.Holder(len(c.Delegations)))
	r.Cleanup(k.Close)
	return k
}

// reached returns how many requests are upstream.
func reached(g *testgate.Gate) int { return len(g.Upstream.Seen()) }

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
