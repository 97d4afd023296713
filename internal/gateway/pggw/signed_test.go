package pggw_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/writhq/writ/op"
	"github.com/writhq/writ/policy"
)

// TestSignedStatements shows a policy that lists the statements that may run, with
// bounds of their values, and what comes in every way that values can.
//
// SPEC SQL-11
// R3/sql R7/sql
func TestSignedStatements(t *testing.T) {
	t.Parallel()
	const text = "UPDATE public.orders SET status = $2 WHERE id = $1"
	most := int64(50)
	w := newWorld(t, func(d *policy.Document) {
		o := &d.Operations[1]
		o.Actions = append(o.Actions, "sql:session")
		o.SQL.Statements = []op.SQLStatement{
			{ID: "mark", Text: text, Values: []op.SQLValue{{Name: "id", Kind: "int", Max: &most}, {Name: "status", Kind: "text", In: []string{"paid", "open"}}}},
			{ID: "ping", Text: "SELECT 1"},
		}
		d.Rules += `@id("s") permit (principal, action == Action::"sql:session", resource);
@id("seven") forbid (principal, action == Action::"sql:update", resource) when { context has values && context.values has id && context.values.id == 7 };`
	})
	cfg, err := pgx.ParseConfig("host=placeholder sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	cfg.Config = *w.config(t, w.Wide(1), w.Holder(0))
	c, err := pgx.ConnectConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	for _, tt := range []struct {
		id     any
		status string
		code   string
	}{
		{1, "paid", ""}, {50, "open", ""}, {51, "paid", "not_declared"}, {-1, "paid", "not_declared"}, {1, "stolen", "not_declared"}, {7, "paid", "forbidden"}, {nil, "paid", "not_declared"},
	} {
		for name, mode := range map[string]pgx.QueryExecMode{"prepared, binary": pgx.QueryExecModeCacheStatement, "described": pgx.QueryExecModeDescribeExec, "text": pgx.QueryExecModeExec} {
			_, err := c.Exec(t.Context(), "update orders set status = $2 where id = $1", mode, tt.id, tt.status)
			if d := denied(err); tt.code == "" && err != nil || tt.code != "" && (d == nil || !strings.Contains(d.Detail, "code "+tt.code)) {
				t.Errorf("%s: %v %s: %v", name, tt.id, tt.status, err)
			}
		}
	}
	conn := c.PgConn()
	for sql, good := range map[string]bool{
		"SELECT 1": true, "PREPARE m AS update orders set status = $2 where id = $1": false,
		"SELECT id FROM orders WHERE id = 1": false, "UPDATE orders SET status = 'paid' WHERE id = 1": false, "BEGIN; ROLLBACK": true,
	} {
		if _, err := query(t, conn, sql); (err == nil) != good || !good && denied(err) == nil {
			t.Errorf("%s: %v", sql, err)
		}
	}
	if _, err := query(t, conn, "SELECT total FROM orders"); !strings.Contains(err.Error(), "its written form is: SELECT total FROM public.orders") {
		t.Errorf("a refusal that does not say the written form: %v", err)
	}
	// A value of a type that the server would make something else of.
	r := conn.ExecParams(t.Context(), text, [][]byte{{0x40, 0, 0, 0, 0, 0, 0, 0}, []byte("paid")}, []uint32{701, 25}, []int16{1, 0}, nil).Read()
	if denied(r.Err) == nil {
		t.Errorf("a float: %v", r.Err)
	}
}
