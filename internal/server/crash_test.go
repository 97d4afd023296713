package server_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/writhq/writ/api"
	"github.com/writhq/writ/internal/gateway/httpgw"
	"github.com/writhq/writ/internal/ledger"
	"github.com/writhq/writ/internal/testgate"
	"github.com/writhq/writ/internal/testkit"
	ophttp "github.com/writhq/writ/op/http"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/receipt"
	"github.com/writhq/writ/zone"
)

// crashEnv tells the test binary that it is the gate that gets killed: folder,
// mode, and where the upstream is.
const crashEnv = "WRIT_CRASH_CHILD"

// crashKills returns how often a gate is killed: WRIT_KILLS, or a few.
func crashKills(t *testing.T) int {
	n, err := strconv.Atoi(os.Getenv("WRIT_KILLS"))
	if err == nil {
		return n
	}
	if testing.Short() {
		t.Skip("kills processes")
	}
	return 12
}

// crashConfig returns the configuration of a gate from the parts of crashEnv:
// folder, receipts.mode, origin and pin of the upstream.
func crashConfig(args []string) testgate.Config {
	return testgate.Config{
		Dir: args[0], Upstream: &testgate.Upstream{Origin: args[2], Pin: args[3]},
		Doors:  []testgate.Door{{Protocol: httpgw.Protocol, Config: config}},
		Policy: func(d *policy.Document) { d.Receipts.Mode = args[1] },
	}
}

// TestCrashChild is the gate in a process of its own; it runs until it is killed.
func TestCrashChild(t *testing.T) {
	args := strings.Split(os.Getenv(crashEnv), "|")
	if len(args) != 4 {
		t.Skip("run by TestKilledGate")
	}
	g := testgate.Prepare(t, crashConfig(args))
	g.Start()
	known := false
	if err := g.Server.View(func(z *zone.Zone) { _, known = z.Secret(testkit.Alias, testkit.SecretID) }); err != nil {
		t.Fatal(err)
	}
	if !known {
		g.Publish(g.Envelope)
		g.PutInForce(g.Zone.Policy)
		g.PutSecret(1, testkit.Plain)
	}
	fmt.Printf("\nREADY %s\n", g.Addrs[0])
	<-t.Context().Done()
}

// crash is a gate that is killed again and again, with its upstream.
type crash struct {
	*testing.T
	mode string
	dir  string
	up   *testgate.Upstream
	g    *testgate.Gate // never started: it knows the keys
	next atomic.Int64   // number of the next order
	oks  atomic.Int64
}

// TestKilledGate kills a whole gate with SIGKILL at random moments while it
// works, in each receipts.mode: nothing reaches the upstream without an intent in
// the ledger, and every intent gets one outcome.
//
// R16 R18 R59 A33 A36
func TestKilledGate(t *testing.T) {
	kills := crashKills(t)
	for _, mode := range []string{"buffered", "durable"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			c := &crash{T: t, mode: mode, dir: t.TempDir(), up: testgate.NewUpstream(t, nil)}
			c.g = testgate.Prepare(t, crashConfig([]string{c.dir, mode, c.up.Origin, c.up.Pin}))
			for range kills {
				c.round()
			}
			c.check(kills)
		})
	}
}

// round starts the gate, lets it work, and kills it.
func (c *crash) round() {
	c.Helper()
	cmd := exec.Command(os.Args[0], "-test.run", "^TestCrashChild$", "-test.v")
	cmd.Env = append(os.Environ(), crashEnv+"="+strings.Join([]string{c.dir, c.mode, c.up.Origin, c.up.Pin}, "|"))
	out, err := cmd.StdoutPipe()
	if err != nil {
		c.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		c.Fatal(err)
	}
	addr, seen := "", ""
	lines := bufio.NewScanner(out)
	for addr == "" && lines.Scan() {
		seen += lines.Text() + "\n"
		addr, _ = strings.CutPrefix(lines.Text(), "READY ")
		if addr == lines.Text() {
			addr = ""
		}
	}
	if addr == "" {
		c.Fatalf("the gate did not start: %s", seen)
	}
	ctx, cancel := context.WithCancel(c.Context())
	first := make(chan struct{}, 1)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { c.work(ctx, addr, first) })
	}
	<-first
	time.Sleep(time.Duration(rand.IntN(20_000)) * time.Microsecond) // the moment of the kill is what is drawn
	cmd.Process.Kill()
	cmd.Wait()
	cancel()
	wg.Wait()
}

// work reads orders, each with a number of its own, until the gate is gone.
func (c *crash) work(ctx context.Context, addr string, first chan<- struct{}) {
	chain := c.g.Wide(1)
	base := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} // the child's certificate is new each time
	defer base.CloseIdleConnections()
	h := &http.Client{Timeout: 5 * time.Second, Transport: &api.Transport{Credential: chain, Key: c.g.Holder(0), Audience: testkit.Domain, Purpose: "refund", Base: base, Now: c.g.Clock.Now}}
	for ctx.Err() == nil {
		req, err := http.NewRequestWithContext(ctx, "GET", fmt.Sprintf("https://%s/t/shop/v1/orders/%d", addr, c.next.Add(1)), nil)
		if err != nil {
			return
		}
		resp, err := h.Do(req)
		if err != nil {
			return
		}
		resp.Body.Close()
		if resp.StatusCode == 200 {
			c.oks.Add(1)
		}
		select {
		case first <- struct{}{}:
		default:
		}
	}
}

// check compares what reached the upstream with the ledger.
func (c *crash) check(kills int) {
	s, err := c.g.Open()
	if err != nil {
		c.Fatalf("open after %d kills: %v", kills, err)
	}
	defer s.Close()
	intents, outcomes := make(map[string]int), make(map[receipt.Ref]receipt.Class)
	var refs []ledger.Ref
	l := s.Ledger()
	err = l.Receipts(c.Context(), ledger.Ref{}, ledger.Ref{}, func(ref ledger.Ref, r *receipt.Receipt) error {
		switch {
		case r.Kind == receipt.Intent && r.OpType == "http/1":
			refs = append(refs, ref)
		case r.Kind == receipt.Outcome:
			if _, twice := outcomes[*r.Intent]; twice {
				c.Errorf("intent %d has two outcomes", r.Intent.Seq)
			}
			outcomes[*r.Intent] = r.Outcome.Class
		}
		return nil
	})
	if err != nil {
		c.Fatal(err)
	}
	unknown := 0
	for _, ref := range refs {
		ev, err := l.Evidence(c.Context(), ref)
		if err != nil {
			c.Fatalf("evidence: %v", err)
		}
		asked, err := ophttp.Parse(ev.TheOperation().Asked)
		if err != nil {
			c.Fatal(err)
		}
		intents[asked.Path]++
		class, ok := outcomes[ref]
		if !ok {
			c.Errorf("intent %d/%d has no outcome", ref.Epoch, ref.Seq)
		}
		if class == receipt.Unknown {
			unknown++
		}
	}
	acts := make(map[string]int)
	for _, r := range c.up.Seen() {
		acts[r.URI]++
		if intents[r.URI] == 0 {
			c.Errorf("%s reached the upstream without an intent", r.URI)
		}
		if acts[r.URI] > 1 {
			c.Errorf("%s reached the upstream twice", r.URI)
		}
	}
	if len(acts) < kills || c.oks.Load() == 0 {
		c.Errorf("only %d acts in %d kills", len(acts), kills)
	}
	c.Logf("%s: %d kills, %d intents, %d acts, %d outcomes unknown", c.mode, kills, len(refs), len(acts), unknown)
}
