package main

import (
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/credential"
	"github.com/writhq/writ/internal/gateway"
	"github.com/writhq/writ/internal/sqlanalyze"
	"github.com/writhq/writ/internal/sqlcatalog"
	"github.com/writhq/writ/internal/sqlparser"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/internal/testpg"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/op/sql"
	"github.com/writhq/writ/permit"
	"github.com/writhq/writ/policy"
)

// Statements with one name that is never the same: each is new in every way.
const (
	pointSelect = "SELECT abalance AS n%d FROM pgbench_accounts WHERE aid = 17"
	cteJoin     = `WITH b AS (SELECT bid, bbalance FROM pgbench_branches WHERE bbalance > -100000)
SELECT a.aid, a.abalance AS n%d, b.bbalance, sum(t.tbalance) FROM pgbench_accounts a JOIN b ON b.bid = a.bid JOIN pgbench_tellers t ON t.bid = b.bid
WHERE a.aid = $1 GROUP BY a.aid, a.abalance, b.bbalance ORDER BY a.aid LIMIT 10`
)

// maps measures what a statement costs to map and to decide about, without server
// and ledger.
func (w *pgBench) maps(b *testing.B, f figures) {
	m := w.newMapping(b)
	defer m.parsers.Close()
	seen := fmt.Sprintf(pointSelect, 0)
	f["pg.map_seen_us"] = perOp(func() { m.decide(b, seen, m.known(b, seen)) })
	n := 0
	fresh := func(form string) func() {
		return func() {
			n++
			text := fmt.Sprintf(form, n)
			m.decide(b, text, m.mapped(b, text))
		}
	}
	f["pg.map_new_point_us"] = perOp(fresh(pointSelect))
	f["pg.map_new_join_us"] = perOp(fresh(cteJoin))
}

// mapping is what a session of the gate maps and decides with.
type mapping struct {
	analyzer *sqlanalyze.Analyzer
	parsers  *sqlparser.Pool
	zone     *testkit.Zone
	chain    *credential.Verified

	mu   sync.Mutex
	kept map[canon.Digest][]sqlanalyze.Mapped // guarded by mu
}

func (w *pgBench) newMapping(b *testing.B) *mapping {
	c := w.pg.Connect(b, w.pg.Local(w.db))
	defer c.Close(b.Context())
	cat, err := sqlcatalog.Load(b.Context(), testpg.Rows{PgConn: c})
	must(b, err)
	self, err := os.Executable()
	must(b, err)
	m := &mapping{
		analyzer: &sqlanalyze.Analyzer{Catalog: cat, Path: []string{"public"}},
		parsers:  sqlparser.New(1, func() *exec.Cmd { return exec.Command(self, sqlparser.Command) }),
		zone:     testkit.NewZoneWith(b, testkit.Config{Policy: pgPolicy(&gateConfig{Origin: "postgres://" + w.pg.Addr + "/" + w.db, Pin: w.pg.Pin, Mode: "buffered"})}),
		kept:     make(map[canon.Digest][]sqlanalyze.Mapped),
	}
	m.chain, err = chainOf(b, m.zone, 1e12, pgBlock).Verify(m.zone.Policy, m.zone.Root)
	must(b, err)
	return m
}

// mapped maps a statement.
func (m *mapping) mapped(b *testing.B, text string) *sqlanalyze.Mapped {
	list, err := m.analyzer.Map(m.parsers, text)
	must(b, err)
	return &list[0]
}

// known finds a statement that was mapped before, as a session does.
func (m *mapping) known(b *testing.B, text string) *sqlanalyze.Mapped {
	id := canon.Hash([]byte(text))
	m.mu.Lock()
	defer m.mu.Unlock()
	list, ok := m.kept[id]
	if !ok {
		list = []sqlanalyze.Mapped{*m.mapped(b, text)}
		m.kept[id] = list
	}
	return &list[0]
}

// decide makes the operation of one execution and puts it to the law.
func (m *mapping) decide(b *testing.B, text string, s *sqlanalyze.Mapped) {
	salt := gateway.NewSalt()
	o, err := sql.NewOperation(&sql.Asked{Target: testkit.Target, Text: text}, &sql.Found{
		Facts: op.Facts{Salt: salt[:]}, Statement: s.Statement, Text: s.Text, Catalog: m.analyzer.Catalog.Version,
	})
	must(b, err)
	d := permit.Decide(m.zone.Policy, m.chain, &policy.Question{
		Subject: testkit.Subject, Actor: "a", Depth: 2, Action: s.Action(), Target: testkit.Target, Operation: o,
		Purpose: "refund", Level: op.Channel, Group: testkit.Group, At: testkit.Now,
	})
	if !d.Permit {
		fatal(b, "denied: %v", d.Denial)
	}
}
