package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"testing"

	"github.com/writhq/writ/internal/gateway/pggw"
	"github.com/writhq/writ/internal/server"
	"github.com/writhq/writ/internal/testgate"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/policy"
)

// gateConfig is what the process of a gate is told.
type gateConfig struct {
	Origin, Pin string // of the server
	Mode        string // of receipts
	Dir         string // for the holder's key
	Profile     string // "", or the file for a profile of its processor time
}

// gateReady is what it answers, in the words of libpq.
type gateReady struct {
	Addr string
	Env  []string
}

// pgPolicy is a policy of 20 rules for what pgbench does, with what it asks the
// catalog before it begins.
func pgPolicy(c *gateConfig) func(*policy.Document) {
	return func(d *policy.Document) {
		d.Language.Mappers = map[string]int{"sql": 1}
		d.Targets = []policy.Target{{
			ID: testkit.Target, Kind: "postgres", Origin: c.Origin, Pins: []string{c.Pin}, Private: true,
			Inject: policy.Inject{How: "password", Name: pgUser}, Secret: testkit.SecretID,
		}}
		table := func(name string) op.SQLRelation { return op.SQLRelation{Name: name, Read: []string{"*"}} }
		d.Operations = []policy.Operation{
			{Declaration: op.Declaration{Type: "sql", Targets: []string{testkit.Target}, Actions: []string{"sql:connect"}}},
			{Declaration: op.Declaration{
				Type: "sql", Targets: []string{testkit.Target}, Actions: []string{"sql:select"}, SQL: &op.SQL{
					Relations: []op.SQLRelation{
						table("public.pgbench_accounts"), table("public.pgbench_branches"), table("public.pgbench_tellers"),
						table("pg_catalog.pg_class"), table("pg_catalog.pg_namespace"), table("pg_catalog.pg_partitioned_table"), table("pg_catalog.pg_inherits"),
					},
					Functions: []string{"@scalar", "@aggregates", "pg_catalog.array_position", "pg_catalog.current_schemas"},
				},
			}},
		}
		d.Rules = pgRules()
		d.Quotas, d.Pop = nil, policy.Pop{Default: op.Channel}
		d.Receipts.Mode = c.Mode
	}
}

// pgRules returns 20 rules, of which two permit what pgbench does.
func pgRules() string {
	var s strings.Builder
	s.WriteString(`@id("connect") permit (principal, action == Action::"sql:connect", resource);
@id("read") permit (principal, action == Action::"sql:select", resource);
`)
	for i := range 18 {
		fmt.Fprintf(&s, "@id(\"r%d\") forbid (principal, action == Action::\"sql:select\", resource) when { context.relations.contains(\"public.payroll%d\") && context.params < 1000 };\n", i, i)
	}
	return s.String()
}

// pgBlock is the rule of block i of a credential.
func pgBlock(i int) string {
	return fmt.Sprintf(`@id("b%d") forbid (principal, action == Action::"sql:select", resource) when { context.reads.contains("public.pgbench_accounts.filler%d") };`, i, i)
}

// pgGate is the other process: a gate before the server, which is told what it
// needs on standard input, says that it is ready, answers each further line with
// how many receipts it has, and ends with the input.
func pgGate() error {
	testing.Init()
	return measured(part{"gate", func(b *testing.B, _ figures) {
		server.Tune() // as writ server does
		in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
		var c gateConfig
		must(b, in.Decode(&c))
		g := testgate.New(b, testgate.Config{
			Policy: pgPolicy(&c),
			Doors:  []testgate.Door{{Protocol: pggw.Protocol, Config: func(string) json.RawMessage { return json.RawMessage(`{}`) }}},
		})
		go tick(b.Context(), g.Clock)
		must(b, out.Encode(gateReady{g.Addrs[0], holder(b, g, c.Dir)}))
		if c.Profile != "" {
			file, err := os.Create(c.Profile)
			must(b, err)
			defer file.Close()
			must(b, pprof.StartCPUProfile(file))
			defer pprof.StopCPUProfile()
		}
		for {
			var any json.RawMessage
			if err := in.Decode(&any); errors.Is(err, io.EOF) {
				return
			} else {
				must(b, err)
			}
			must(b, out.Encode(g.Server.Ledger().Len()))
		}
	}}, nil)
}

// holder writes the holder's key and returns what its client needs.
func holder(b *testing.B, g *testgate.Gate, dir string) []string {
	base := filepath.Join(dir, "holder")
	writePair(b, g.TLSAs(g.Holder(2)).Certificates[0], base)
	c := chainOf(b, g.Zone, 1e12, pgBlock)
	return []string{
		"PGSSLCERT=" + base + ".crt", "PGSSLKEY=" + base + ".key", "PGPASSWORD=" + c.Text(), "PGUSER=me", "PGDATABASE=" + testkit.Target,
		"PGOPTIONS=-c writ.purpose=refund",
	}
}

// A gateProcess is a gate in a process of its own.
type gateProcess struct {
	way
	mode string // of receipts
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *json.Decoder
}

func startGate(b *testing.B, c gateConfig) *gateProcess {
	self, err := os.Executable()
	must(b, err)
	g := &gateProcess{mode: c.Mode, cmd: exec.CommandContext(b.Context(), self, "gate")}
	g.cmd.Stderr = os.Stderr
	g.in, err = g.cmd.StdinPipe()
	must(b, err)
	out, err := g.cmd.StdoutPipe()
	must(b, err)
	g.out = json.NewDecoder(out)
	must(b, g.cmd.Start())
	must(b, json.NewEncoder(g.in).Encode(c))
	var r gateReady
	must(b, g.out.Decode(&r))
	g.way = newWay(b, r.Addr, r.Env...)
	return g
}

// receipts returns how many there are.
func (g *gateProcess) receipts(b *testing.B) (n int64) {
	_, err := io.WriteString(g.in, "0\n")
	must(b, err)
	must(b, g.out.Decode(&n))
	return n
}

func (g *gateProcess) stop(b *testing.B) {
	must(b, g.in.Close())
	must(b, g.cmd.Wait())
}
