package clients

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/internal/testpg"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/sign"
	"github.com/writhq/writ/zone"
)

// story is what each client prints of what it did, in this order: a query with a
// value; one prepared once and executed twice; a transaction; a denial, after which
// the session goes on; one in a transaction; three statements at once; values to the
// server and back.
var story = []string{
	"select 3 30",
	"prepared 10 20",
	"transaction paid",
	"denied 42501 code not_declared, receipt sha256:0, hint",
	"after 7",
	"failed 42501 25P02 open",
	"batch 3",
	`values 00ff5c27 it's \ ü☃ -9007199254740993 -0.125`,
}

// A client is a program that people have, or a library in a small program of ours.
type client struct {
	name  string
	ready func(testing.TB) program // skips if a part is missing
	keys  []sign.Algorithm         // that it can have
	omit  []string                 // of the story
	says  []string                 // in place of the story
	tcp   bool                     // it speaks nothing else
	pool  bool                     // says ready, waits for a line, and queries again until it is answered
	done  map[string]int           // receipts of the story
}

// A program tells the story, and returns when it has ended.
type program func(*talk) error

// talk is what a program is run with.
type talk struct {
	settings
	in   io.Reader
	out  io.Writer
	errs bytes.Buffer // what it prints beside that
}

// both are all the algorithms that a holder's key can have.
var both = []sign.Algorithm{sign.Ed25519, sign.P256}

// usual are the receipts of the whole story.
func usual(more map[string]int) map[string]int {
	n := map[string]int{"intent connect": 1, "intent select": 9, "intent update": 5, "intent transaction": 4, "denial select": 2}
	for k, v := range more {
		n[k] += v
	}
	return n
}

// clients are those that are tried.
var clients = []client{
	{name: "pgx", ready: golang(pgxStory), keys: both, pool: true, done: usual(map[string]int{"intent select": 1})},
	{name: "lib/pq", ready: golang(libpqStory), keys: both, pool: true, done: usual(nil)},
	{name: "lib/pq binary", ready: golang(libpqBinary), keys: both, says: story[7:], done: map[string]int{"intent connect": 1, "intent select": 1}},
	{name: "psql", ready: psql, keys: both, omit: []string{"prepared"}, done: usual(map[string]int{"intent select": -2})},
	{name: "psycopg2", ready: script("story2.py", "psycopg2", "python3-psycopg2"), keys: both, pool: true, omit: []string{"prepared"}, done: usual(map[string]int{"intent select": -2})},
	{name: "psycopg3", ready: script("story3.py", "psycopg, psycopg_pool", "python3-psycopg python3-psycopg-pool"), keys: both, pool: true, done: usual(map[string]int{"intent select": 1})},
	{name: "node-postgres", ready: node, keys: both, pool: true, done: usual(map[string]int{"intent select": 1})},
	{name: "jdbc", ready: java, keys: both, tcp: true, done: usual(map[string]int{"intent select": 1})},
	{
		name: "pgbench", ready: pgbench, keys: both, says: []string{"simple 20/20", "extended 20/20", "prepared 20/20", "builtin 20/20"},
		// Two sessions a run, and one before them, which in the last asks for two things more; the
		// partitions it may not see.
		done: map[string]int{"intent connect": 12, "intent select": 81, "denial select": 1},
	},
}

// TestClients tells the story by each client, with the holder's key in its TLS
// certificate and the credential as its password. Clients with a pool come back with
// new sessions when the gate has ended theirs. Each does so once more over a local
// socket, or a port where it does not speak to sockets, where it has neither key nor
// credential, and names no purpose.
//
// SPEC PGGW-1, PGGW-2, PGGW-5, HPG-3, HPG-4, HPG-5, HPG-7
// R1/sql R2/sql R28/sql
func TestClients(t *testing.T) {
	t.Parallel()
	s := testpg.Start(t)
	s.Exec(t, testpg.Superuser, role)
	for _, c := range clients {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			run := c.ready(t)
			for _, alg := range c.keys {
				t.Run(alg.String(), func(t *testing.T) {
					t.Parallel()
					w := newWorld(t, s, alg)
					w.tell(t, c, run, w.settings(t))
				})
			}
			local, relay := "socket", (*world).socket
			if c.tcp {
				local, relay = "port", (*world).port
			}
			t.Run(local, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, s, sign.Ed25519)
				w.tell(t, c, run, relay(w, t))
			})
		})
	}
}

// tell runs the client with the settings, and compares what it printed and what the
// gate recorded with the story.
func (w *world) tell(t *testing.T, c client, run program, s settings) {
	t.Helper()
	var got []string
	var before map[string]int
	printed := converse(t, run, s, func(line string) bool {
		if line != "ready" {
			got = append(got, line)
			return false
		}
		before = w.counts()
		w.Revoke(zone.RevokeKey, canon.Digest(w.Holder(9).Public().ID())) // another's: it changes nothing here
		w.Succeed(func(d *policy.Document) { d.Expires-- })
		return true
	})
	want := slices.DeleteFunc(slices.Clone(story), func(l string) bool { return slices.Contains(c.omit, strings.Fields(l)[0]) })
	if c.says != nil {
		want = c.says
	}
	now := w.counts()
	if c.pool {
		want = append(want, "back 7")
		if now["intent connect"] <= before["intent connect"] {
			t.Errorf("no new session after its end: %v", now)
		}
	} else {
		before = now
	}
	if !slices.Equal(got, want) {
		t.Errorf("it printed\n%s\nwant\n%s\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"), w.Logged.Bytes())
	}
	if !maps.Equal(before, c.done) {
		t.Errorf("receipts: %v, want %v", before, c.done)
	}
	if n := len(w.Logged.Bytes()); n == 0 || strings.Contains(printed+string(w.Logged.Bytes()), testkit.Plain) {
		t.Errorf("the password is in what the client printed, or in the gate's log of %d bytes", n)
	}
}

// digests are what differs from run to run.
var digests = regexp.MustCompile(`sha256:[0-9a-f]{64}`)

// converse runs the program and returns all that it printed. heard is called with
// each line, and reports whether to answer it.
func converse(t *testing.T, run program, s settings, heard func(string) bool) string {
	t.Helper()
	in, answer := io.Pipe()
	lines, out := io.Pipe()
	k := &talk{settings: s, in: in, out: out}
	done := make(chan error, 1)
	go func() {
		done <- run(k)
		in.Close()
		out.Close()
	}()
	var all strings.Builder
	r := bufio.NewScanner(lines)
	for r.Scan() {
		all.WriteString(r.Text() + "\n")
		if heard(digests.ReplaceAllString(r.Text(), "sha256:0")) {
			fmt.Fprintln(answer, "go")
		}
	}
	lines.Close()
	if err := <-done; err != nil || r.Err() != nil {
		t.Errorf("%v, %v\n%s", err, r.Err(), k.errs.String())
	}
	return all.String() + k.errs.String()
}
