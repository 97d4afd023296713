package server_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/writhq/writ/api"
	"github.com/writhq/writ/internal/gateway"
	"github.com/writhq/writ/internal/gateway/httpgw"
	"github.com/writhq/writ/internal/ledger"
	"github.com/writhq/writ/internal/testgate"
	"github.com/writhq/writ/internal/testkit"
	ophttp "github.com/writhq/writ/op/http"
	gatepermit "github.com/writhq/writ/permit"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/receipt"
	"github.com/writhq/writ/secret"
	"github.com/writhq/writ/zone"
)

// crashEnv tells the test binary that it is the gate that gets killed, and how.
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

// An aim says when the gate of a round dies.
type aim string

const (
	anywhere aim = "anywhere" // at a random moment of its work, by the parent
	permit   aim = "permit"   // by itself, with a permit in hand and nothing opened
	opened   aim = "opened"   // by itself, with the secret opened and nothing sent
	changing aim = "changing" // at a random moment while policies and secrets are published and sealed again
	torn     aim = "torn"     // by itself, in the middle of a write of the ledger while that goes on
)

// aims are taken in turn.
var aims = []aim{anywhere, permit, changing, opened, torn}

func (a aim) byItself() bool { return a == permit || a == opened || a == torn }

func (a aim) changes() bool { return a == changing || a == torn }

// crashArgs are what the process of a round is told.
type crashArgs struct {
	Dir, Mode, Origin, Pin string
	Aim                    aim
	Count                  int64 // at which permit or write it kills itself
}

// config returns the configuration of a gate that dies as a says. Writes count once
// it is armed.
func (a crashArgs) config(armed *atomic.Bool) testgate.Config {
	var calls, writes atomic.Int64
	c := testgate.Config{
		Dir: a.Dir, Upstream: &testgate.Upstream{Origin: a.Origin, Pin: a.Pin},
		Doors:  []testgate.Door{{Protocol: httpgw.Protocol, Config: config}},
		Policy: func(d *policy.Document) { d.Receipts.Mode = a.Mode },
	}
	switch a.Aim {
	case permit, opened:
		c.Opener = func(o gateway.Opener) gateway.Opener {
			return dying{o, func() bool { return calls.Add(1) == a.Count }, a.Aim == opened}
		}
	case torn:
		c.Faults = func(call ledger.Call) error {
			if call.Op == "write" && armed.Load() && writes.Add(1) == a.Count {
				call.Run(rand.IntN(call.Size + 1))
				die()
			}
			return call.Run(call.Size)
		}
	}
	return c
}

// die ends this process as a loss of power to it would.
func die() {
	syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

// dying is custody that kills its own process when it is asked.
type dying struct {
	gateway.Opener
	now   func() bool
	after bool // it opens first
}

func (o dying) Open(ctx context.Context, p *gatepermit.Permit) (secret.Bytes, error) {
	if !o.now() {
		return o.Opener.Open(ctx, p)
	}
	if o.after {
		o.Opener.Open(ctx, p)
	}
	die()
	return secret.Bytes{}, nil
}

// TestCrashChild is the gate in a process of its own; it runs until it is killed.
func TestCrashChild(t *testing.T) {
	if os.Getenv(crashEnv) == "" {
		t.Skip("run by TestKilledGate")
	}
	var a crashArgs
	if err := json.Unmarshal([]byte(os.Getenv(crashEnv)), &a); err != nil {
		t.Fatal(err)
	}
	var armed atomic.Bool
	g := testgate.Prepare(t, a.config(&armed))
	g.Start()
	version := int64(0)
	if err := g.Server.View(func(z *zone.Zone) {
		if s, ok := z.Secret(testkit.Alias, testkit.SecretID); ok {
			version = s.Record.Version
		}
		g.Law, _ = z.InForce(testkit.Alias)
	}); err != nil {
		t.Fatal(err)
	}
	if version == 0 {
		g.Publish(g.Envelope)
		g.PutInForce(g.Zone.Policy)
		version = 1
		g.PutSecret(version, testkit.Plain)
	}
	fmt.Printf("\nREADY %s\n", g.Addrs[0])
	for armed.Store(true); a.Aim.changes(); {
		g.Succeed(func(d *policy.Document) { d.Quotas[0].Limit = 1000 + rand.Int64N(1<<40) }) // another than one that a death left half done; it seals the secret again
		version++
		g.PutSecret(version, testkit.Plain)
	}
	<-t.Context().Done()
}

// crash is a gate that is killed again and again, with its upstream.
type crash struct {
	*testing.T
	mode   string
	dir    string
	up     *testgate.Upstream
	g      *testgate.Gate // never started: it knows the keys
	next   atomic.Int64   // number of the next order
	rounds map[aim]int
}

// TestKilledGate kills a whole gate with SIGKILL, in each receipts.mode: at random
// moments while it works, between a permit and its act, and while policies and
// secrets are published and sealed again. Nothing reaches the upstream without an
// intent in the ledger, every intent gets one outcome, and the next start goes on.
//
// R16 R18 R59 A33 A36
func TestKilledGate(t *testing.T) {
	kills := crashKills(t)
	for _, mode := range []string{"buffered", "durable"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			for done := 0; done < kills; done += maxLife { // a start reads all that was before
				life(t, mode, min(maxLife, kills-done))
			}
		})
	}
}

// maxLife is how often the gate of one folder is killed.
const maxLife = 50

func life(t *testing.T, mode string, kills int) {
	c := &crash{T: t, mode: mode, dir: t.TempDir(), up: testgate.NewUpstream(t, nil), rounds: make(map[aim]int)}
	var never atomic.Bool
	c.g = testgate.Prepare(t, c.args(anywhere).config(&never))
	for i := 0; i < kills && !t.Failed(); i++ {
		a := aims[i%len(aims)]
		if i == kills-1 {
			a = anywhere
		}
		c.rounds[a]++
		c.round(a)
	}
	c.check(kills)
}

func (c *crash) args(a aim) crashArgs {
	return crashArgs{c.dir, c.mode, c.up.Origin, c.up.Pin, a, 1 + rand.Int64N(8)}
}

// start starts the gate in a process of its own.
func (c *crash) start(a aim) *process {
	c.Helper()
	args, err := json.Marshal(c.args(a))
	if err != nil {
		c.Fatal(err)
	}
	cmd := exec.CommandContext(c.Context(), os.Args[0], "-test.run", "^TestCrashChild$", "-test.v")
	cmd.Env = append(os.Environ(), crashEnv+"="+string(args))
	out, err := cmd.StdoutPipe()
	if err != nil {
		c.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		c.Fatal(err)
	}
	seen := ""
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if addr, ok := strings.CutPrefix(lines.Text(), "READY "); ok {
			said := make(chan string, 1)
			go func() {
				for lines.Scan() {
					seen += lines.Text() + "\n"
				}
				said <- seen + "it ended\n"
			}()
			return &process{cmd, addr, said}
		}
		seen += lines.Text() + "\n"
	}
	c.Fatalf("the gate did not start: %s", seen)
	return nil
}

// A process is a gate in one of its own.
type process struct {
	*exec.Cmd
	addr string
	said <-chan string // all that it printed, when it has ended
}

// round starts the gate, lets it work, and sees it die.
func (c *crash) round(a aim) {
	c.Helper()
	p := c.start(a)
	ctx, cancel := context.WithCancel(c.Context())
	first := make(chan struct{}, 1)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { c.work(ctx, a, call{p.addr, first}) })
	}
	late := time.AfterFunc(30*time.Second, func() {
		c.Errorf("%s: the gate lives on", a)
		p.Process.Kill()
	})
	defer late.Stop()
	said := ""
	if !a.byItself() {
		select {
		case <-first:
			time.Sleep(time.Duration(rand.IntN(20_000)) * time.Microsecond) // the moment of the kill is what is drawn
			p.Process.Kill()
		case said = <-p.said: // it ended before
		}
	}
	if said == "" {
		said = <-p.said
	}
	if p.Wait(); p.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		c.Fatalf("%s: the gate ended with %s: %s", a, p.ProcessState, said)
	}
	cancel()
	wg.Wait()
}

// A call is where a round's calls go, and who is told of the first answer.
type call struct {
	addr  string
	first chan<- struct{}
}

// work reads orders, each with a number of its own, until the gate is gone.
func (c *crash) work(ctx context.Context, a aim, to call) {
	chain := c.g.Wide(1)
	base := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} // the child's certificate is new each time
	defer base.CloseIdleConnections()
	h := &http.Client{Timeout: 5 * time.Second, Transport: &api.Transport{Credential: chain, Key: c.g.Holder(0), Audience: testkit.Domain, Purpose: "refund", Base: base, Now: c.g.Clock.Now}}
	for ctx.Err() == nil {
		req, err := http.NewRequestWithContext(ctx, "GET", fmt.Sprintf("https://%s/t/shop/v1/orders/%d", to.addr, c.next.Add(1)), nil)
		if err != nil {
			return
		}
		resp, err := h.Do(req)
		if err != nil {
			return
		}
		resp.Body.Close()
		if resp.StatusCode != 200 && !a.changes() { // whatever the death before left
			c.Errorf("%s: order: status %d", a, resp.StatusCode)
		}
		select {
		case to.first <- struct{}{}:
		default:
		}
	}
}

// check compares what reached the upstream with the ledger.
func (c *crash) check(kills int) {
	c.Helper()
	s, err := c.g.Open()
	if err != nil {
		c.Fatalf("open after %d kills: %v", kills, err)
	}
	defer s.Close()
	intents, unknown := c.intents(s.Ledger())
	acts := make(map[string]int)
	for _, r := range c.up.Seen() {
		acts[r.URI]++
		if intents[r.URI] == 0 {
			c.Errorf("%s reached the upstream without an intent", r.URI)
		}
		if acts[r.URI] > 1 {
			c.Errorf("%s reached the upstream twice", r.URI)
		}
		if r.Header.Get("Authorization") != "Bearer "+testkit.Plain {
			c.Errorf("%s reached the upstream with another secret", r.URI)
		}
	}
	if len(acts) < c.rounds[anywhere] {
		c.Errorf("only %d acts in %d rounds", len(acts), c.rounds[anywhere])
	}
	if n := c.rounds[permit] + c.rounds[opened]; unknown < n {
		c.Errorf("%d outcomes unknown, after %d deaths between permit and act", unknown, n)
	}
	var law, version int64
	if err := s.View(func(z *zone.Zone) {
		p, _ := z.InForce(testkit.Alias)
		x, _ := z.Secret(testkit.Alias, testkit.SecretID)
		law, version = p.Document().Version, x.Record.Version
	}); err != nil {
		c.Fatal(err)
	}
	if c.rounds[changing]+c.rounds[torn] >= 10 && (law < 2 || version < 2) {
		c.Errorf("nothing was changed: policy version %d, secret version %d", law, version)
	}
	c.Logf("%s: %d kills, %d intents, %d acts, %d outcomes unknown, policy version %d, secret version %d", c.mode, kills, len(intents), len(acts), unknown, law, version)
}

// intents returns how many intents for each path are in the ledger, and how many
// outcomes are unknown. Each intent has one outcome, those of re-seals too.
func (c *crash) intents(l *ledger.Ledger) (paths map[string]int, unknown int) {
	c.Helper()
	paths = make(map[string]int)
	outcomes := make(map[receipt.Ref]receipt.Class)
	var refs, calls []ledger.Ref
	err := l.Receipts(c.Context(), ledger.Ref{}, ledger.Ref{}, func(ref ledger.Ref, r *receipt.Receipt) error {
		switch r.Kind {
		case receipt.Intent:
			if refs = append(refs, ref); r.OpType == "http/1" {
				calls = append(calls, ref)
			}
		case receipt.Outcome:
			if _, twice := outcomes[*r.Intent]; twice {
				c.Errorf("intent %d has two outcomes", r.Intent.Seq)
			}
			if outcomes[*r.Intent] = r.Outcome.Class; r.Outcome.Class == receipt.Unknown {
				unknown++
			}
		}
		return nil
	})
	if err != nil {
		c.Fatal(err)
	}
	for _, ref := range refs {
		if _, ok := outcomes[ref]; !ok {
			c.Errorf("intent %d/%d has no outcome", ref.Epoch, ref.Seq)
		}
	}
	for _, ref := range calls {
		ev, err := l.Evidence(c.Context(), ref)
		if err != nil {
			c.Fatalf("evidence: %v", err)
		}
		asked, err := ophttp.Parse(ev.TheOperation().Asked)
		if err != nil {
			c.Fatal(err)
		}
		paths[asked.Path]++
	}
	return paths, unknown
}
