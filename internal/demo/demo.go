// Package demo tells the whole story on real servers in one process: a secret
// sealed to a signed policy, credentials, calls that are permitted and denied,
// and receipts that an outsider verifies.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/writhq/writ/credential"
	"github.com/writhq/writ/internal/gateway"
)

// ErrDemo is wrapped by the error for a story that did not come out as told.
var ErrDemo = errors.New("demo")

// Config is what a demo needs.
type Config struct {
	Dir   string    // kept; what an earlier demo left in it is replaced
	Out   io.Writer // the story; nil: none
	Serve bool      // keep the servers up until the context ends, and say what to try
	// Program is how the command line is called in what to try: its path.
	Program string
	HTTP    gateway.Protocol // the HTTP door
	// Postgres is the PostgreSQL door; without it, or where PostgreSQL is not
	// installed, the story goes on without a database.
	Postgres gateway.Protocol
}

// A Result counts what happened, where it happened.
type Result struct {
	Permitted               int         `json:"permitted"`
	Denied                  int         `json:"denied"`
	UpstreamCalls           int64       `json:"upstream_calls"`
	Receipts                int         `json:"receipts"`
	ReceiptsVerified        int         `json:"receipts_verified"`
	ReplayedDecisions       int         `json:"replayed_decisions"`
	ReplayedDecisionsEqual  int         `json:"replayed_decisions_equal"`
	PolicyBitflipsTried     int         `json:"policy_bitflips_tried"`
	PolicyBitflipsOpened    int         `json:"policy_bitflips_opened"`
	SecretSightings         int         `json:"secret_sightings"`
	SightingsControl        int         `json:"sightings_control"`
	SightingsControlPlanted int         `json:"sightings_control_planted"`
	ElapsedMS               int64       `json:"elapsed_ms"`
	Acts                    []ActResult `json:"acts"`
	OK                      bool        `json:"ok"`
	Faults                  []string    `json:"faults,omitempty"`
}

// An ActResult is one act's own figures.
type ActResult struct {
	Name          string `json:"name"`
	Permitted     int    `json:"permitted"`
	Denied        int    `json:"denied"`
	UpstreamCalls int64  `json:"upstream_calls"`
	ElapsedMS     int64  `json:"elapsed_ms"`
	Skipped       string `json:"skipped,omitempty"` // why it was left out
}

// story is a demo under way.
type story struct {
	Config
	w       *world
	key     []byte // the real one, as the API's owner has it
	holders []*holder
	reports *credential.Chain // of who reads the database
	printed []byte            // by psql
	r       Result
	act     *ActResult
}

// Run tells the story and returns what it counted, never nil. The error wraps
// [ErrDemo] if something did not come out as told; the Result says what.
func Run(ctx context.Context, c Config) (*Result, error) {
	if c.Out == nil {
		c.Out = io.Discard
	}
	s := &story{Config: c, key: newKey()}
	unlock, err := clearDir(c.Dir)
	if err != nil {
		s.r.Faults = []string{err.Error()}
		return &s.r, err
	}
	defer unlock()
	start := time.Now()
	err = s.tell(ctx)
	s.r.ElapsedMS = time.Since(start).Milliseconds()
	if err != nil {
		if s.w != nil && s.w.database != nil { // it would outlive this
			err = errors.Join(err, s.w.database.close())
		}
		return &s.r, err
	}
	s.r.UpstreamCalls = s.reached()
	s.expect(s.r.UpstreamCalls == int64(s.r.Permitted), "API and database saw %d operations, and %d were permitted", s.r.UpstreamCalls, s.r.Permitted)
	s.r.OK = len(s.r.Faults) == 0
	s.summary()
	if c.Serve {
		if err = s.serve(); err == nil {
			<-ctx.Done()
			s.say("")
		}
	}
	if err := errors.Join(err, s.w.close()); err != nil {
		return &s.r, err
	}
	if !s.r.OK {
		return &s.r, fmt.Errorf("%w: %d things did not come out as told; the first: %s", ErrDemo, len(s.r.Faults), s.r.Faults[0])
	}
	return &s.r, nil
}

// marker is a file by which a demo's folder is known as one.
const marker = "this-is-a-demo"

// clearDir empties the folder of an earlier demo, and refuses any other that has
// something in it, and one in which a demo runs still. It takes the folder until
// unlock is called or the process ends.
func clearDir(dir string) (unlock func(), err error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", ErrDemo, err)
	}
	name := filepath.Join(dir, marker)
	if len(entries) > 0 {
		before, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("%w: %s is not empty and not a demo's; name another folder with --dir", ErrDemo, dir)
		}
		defer before.Close()
		if syscall.Flock(int(before.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
			return nil, fmt.Errorf("%w: a demo runs in %s; stop it, or name another folder with --dir", ErrDemo, dir)
		}
	}
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o700), os.WriteFile(name, []byte("made by writ demo; safe to delete\n"), 0o600)); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDemo, err)
	}
	f, err := os.Open(name)
	if err == nil {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDemo, err)
	}
	return func() { f.Close() }, nil
}

func (s *story) say(format string, args ...any) { fmt.Fprintf(s.Out, format+"\n", args...) }

// fault notes something that did not come out as told.
func (s *story) fault(format string, args ...any) {
	f := fmt.Sprintf(format, args...)
	s.r.Faults = append(s.r.Faults, f)
	s.say("  !! %s", f)
}

// expect notes a fault unless ok.
func (s *story) expect(ok bool, format string, args ...any) {
	if !ok {
		s.fault(format, args...)
	}
}

// begin starts an act; the figures of what follows are its own.
func (s *story) begin(name, title string) func() {
	s.say("\n%s", title)
	s.act = &ActResult{Name: name}
	start, calls := time.Now(), int64(0)
	if s.w != nil && s.w.upstream != nil {
		calls = s.reached()
	}
	return func() {
		s.act.ElapsedMS = time.Since(start).Milliseconds()
		s.act.UpstreamCalls = s.reached() - calls
		s.r.Acts = append(s.r.Acts, *s.act)
	}
}

// reached returns how many operations the API and the database saw.
func (s *story) reached() int64 {
	n := s.w.upstream.calls.Load()
	if s.w.database != nil {
		n += s.w.database.statements() - s.w.database.direct
	}
	return n
}

// make makes a call as h, tells of it, and counts it.
func (s *story) make(ctx context.Context, h *holder, c call) error {
	before := s.w.upstream.calls.Load()
	a, err := h.do(ctx, c)
	if err != nil {
		return err
	}
	s.judge(c, a, s.w.upstream.calls.Load()-before)
	return nil
}

func (s *story) judge(c call, a answer, reached int64) {
	if a.code == "" {
		s.r.Permitted++
		s.act.Permitted++
		s.say("  yes  %-42s -> %d", c.what, a.status)
		s.expect(a.status == 200 && reached == 1, "%s: status %d, %d calls upstream", c.what, a.status, reached)
	} else {
		s.r.Denied++
		s.act.Denied++
		rule := ""
		if a.rule != "" {
			rule = " (" + a.rule + ")"
		}
		s.say("  no   %-42s -> %s%s: %s", c.what, a.code, rule, a.detail)
		s.expect(reached == 0, "%s: denied, but the API saw it", c.what)
	}
	s.expect(a.code == c.want, "%s: got %q, want %q", c.what, a.code, c.want)
}
