package main

import (
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/writhq/writ/credential"
	"github.com/writhq/writ/internal/gateway"
	"github.com/writhq/writ/internal/sqlcatalog"
	"github.com/writhq/writ/internal/sqlmeaning"
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
	f["pg.map_seen_us"] = perOp(func() { m.decide(b, seen) })
	n := 0
	fresh := func(form string) func() {
		return func() {
			n++
			m.decide(b, fmt.Sprintf(form, n))
		}
	}
	f["pg.map_new_point_us"] = perOp(fresh(pointSelect))
	f["pg.map_new_join_us"] = perOp(fresh(cteJoin))
}

// mapping is what a session of the gate maps and decides with.
type mapping struct {
	meaning *sqlmeaning.Meaning
	parsers *sqlparser.Pool
	zone    *testkit.Zone
	chain   *credential.Verified
}

func (w *pgBench) newMapping(b *testing.B) *mapping {
	c := w.pg.Connect(b, w.pg.Local(w.db))
	defer c.Close(b.Context())
	cat, err := sqlcatalog.Load(b.Context(), testpg.Rows{PgConn: c})
	must(b, err)
	self, err := os.Executable()
	must(b, err)
	m := &mapping{
		meaning: sqlmeaning.New(cat, []string{"public"}),
		parsers: sqlparser.New(1, func() *exec.Cmd { return exec.Command(self, sqlparser.Command) }),
		zone:    testkit.NewZoneWith(b, testkit.Config{Policy: pgPolicy(&gateConfig{Origin: "postgres://" + w.pg.Addr + "/" + w.db, Pin: w.pg.Pin, Mode: "buffered"})}),
	}
	m.chain, err = chainOf(b, m.zone, 1e12, pgBlock).Verify(m.zone.Policy, m.zone.Root)
	must(b, err)
	return m
}

// decide maps a statement, makes the operation of one execution and puts it to the law.
func (m *mapping) decide(b *testing.B, text string) {
	list, err := m.meaning.Statements(m.parsers, text)
	must(b, err)
	s := &list[0]
	var d *op.Declaration
	if o, ok := m.zone.Policy.Document().Operation(s.Action(), testkit.Target); ok {
		d = &o.Declaration
	}
	o, err := m.meaning.Operation(s, &sql.Asked{Target: testkit.Target, Text: text}, gateway.NewSalt(), d)
	must(b, err)
	x := permit.Decide(m.zone.Policy, m.chain, &policy.Question{
		Subject: testkit.Subject, Actor: "a", Depth: 2, Action: s.Action(), Target: testkit.Target, Operation: o,
		Purpose: "refund", Level: op.Channel, Group: testkit.Group, At: testkit.Now,
	})
	if !x.Permit {
		fatal(b, "denied: %v", x.Denial)
	}
}
