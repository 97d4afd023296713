package pggw_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/writhq/writ/credential"
	"github.com/writhq/writ/internal/gateway/pggw"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/internal/testpg"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/receipt"
	"github.com/writhq/writ/zone"
)

// query runs a simple query and returns its rows.
func query(t testing.TB, c *pgconn.PgConn, sql string) (rows int, err error) {
	t.Helper()
	results, err := c.Exec(t.Context(), sql).ReadAll()
	for _, r := range results {
		rows += len(r.Rows)
	}
	return rows, err
}

// denied returns the refusal of the gate that err is, or nil.
func denied(err error) *pgconn.PgError {
	e, ok := errors.AsType[*pgconn.PgError](err)
	if ok && strings.HasPrefix(e.Message, "writ: ") {
		return e
	}
	return nil
}

// TestStatements shows what the usual policy permits and denies, in both ways of
// asking. Of what is denied the server gets no byte.
//
// SPEC PGGW-4, PGGW-5
// R3/sql R13/sql R15/sql
func TestStatements(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	c := w.client(t)
	for _, tt := range []struct {
		sql  string
		rows int
		code string // of the denial, and SQLSTATE if it is not that of one; "": permitted
	}{
		{"SELECT id, total FROM orders WHERE id = 3", 1, ""},
		{"SELECT c.name, sum(o.total) FROM customers c JOIN orders o ON o.customer_id = c.id GROUP BY c.name ORDER BY 2 DESC LIMIT 3", 3, ""},
		{"UPDATE orders SET status = 'paid' WHERE id = 1 RETURNING id", 1, ""},
		{"SELECT 1", 1, ""},
		{"SHOW application_name", 1, ""},
		{"", 0, ""},
		{"SELECT card FROM customers", 0, "not_declared"},
		{"SELECT * FROM customers", 0, "not_declared"},
		{"SELECT c FROM customers c", 0, "not_declared"},
		{"SELECT name FROM customers ORDER BY card", 0, "not_declared"},
		{"SELECT 1 FROM customers WHERE card LIKE '4%'", 0, "not_declared"},
		{"SELECT id FROM orders WHERE EXISTS (SELECT FROM customers WHERE card = '4111-1')", 0, "not_declared"},
		{"DELETE FROM orders", 0, "not_declared"},
		{"WITH d AS (DELETE FROM orders RETURNING id) SELECT id FROM d", 0, "not_declared"},
		{"UPDATE orders SET total = 0 WHERE id = 1", 0, "not_declared"},
		{"UPDATE orders SET status = 'x'", 0, "not_permitted"},
		{"SELECT pg_read_file('/etc/passwd')", 0, "not_declared"},
		{"SELECT md5('a')", 0, "forbidden"},
		{"SELECT * FROM pg_catalog.pg_authid", 0, "not_declared"},
		{"SET role postgres", 0, "operation_invalid"},
		{"SET search_path TO evil", 0, "not_declared"},
		{"DROP TABLE orders", 0, "operation_invalid"},
		{"DO $$ BEGIN DELETE FROM orders; END $$", 0, "operation_invalid"},
		{"COPY orders TO PROGRAM 'id'", 0, "operation_invalid"},
		{"SELECT id INTO stolen FROM orders", 0, "operation_invalid"},
		{"EXPLAIN ANALYZE DELETE FROM orders", 0, "not_declared"},
		{"SELEKT", 0, "operation_invalid 42601"},
		{"SELECT 'open", 0, "operation_invalid 42601"},
		{"SELECT 1 FROM nothing", 0, "operation_invalid 42P01"},
		{"SELECT nothing FROM orders", 0, "operation_invalid 42703"},
		{"SELECT nothing(1)", 0, "operation_invalid 42883"},
		{"SELECT 1::nothing", 0, "operation_invalid 42704"},
		{"SELECT 1; DELETE FROM orders", 0, "not_declared"},
	} {
		code, state, other := strings.Cut(tt.code, " ")
		if !other {
			state = "42501"
		}
		for _, extended := range []bool{false, true} {
			if extended && (strings.Contains(tt.sql, ";") || tt.sql == "") {
				continue
			}
			before := w.tap.sent.Load()
			var rows int
			var err error
			if extended {
				r := c.ExecParams(t.Context(), tt.sql, nil, nil, nil, nil).Read()
				rows, err = len(r.Rows), r.Err
			} else {
				rows, err = query(t, c, tt.sql)
			}
			d := denied(err)
			switch {
			case tt.code == "" && (err != nil || rows != tt.rows):
				t.Errorf("%s (extended %t): %d rows, %v", tt.sql, extended, rows, err)
			case tt.code != "" && (d == nil || d.Code != state || !strings.Contains(d.Detail, "code "+code+",") && !strings.HasSuffix(d.Detail, "code "+code) || !strings.Contains(d.Detail, "receipt sha256:") || d.Hint == ""):
				t.Errorf("%s (extended %t): %v, want %s", tt.sql, extended, err, tt.code)
			case tt.code != "" && !extended && w.tap.sent.Load() != before:
				t.Errorf("%s: %d bytes to the server", tt.sql, w.tap.sent.Load()-before)
			}
		}
	}
	if n, out := w.count(receipt.Intent, ""), w.count(receipt.Outcome, ""); n != out+1 { // the session's is open
		t.Errorf("%d intents, %d outcomes", n, out)
	}
	if n, err := query(t, c, "SELECT id FROM orders LIMIT 50"); n != 50 || err != nil {
		t.Errorf("nothing was deleted: %d, %v", n, err)
	}
}

// TestTransactions shows that a denial in a transaction is what an error of the
// server is there.
//
// SPEC PGGW-5
func TestTransactions(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	c := w.client(t)
	for _, extended := range []bool{false, true} {
		run := func(sql string) error {
			if extended {
				return c.ExecParams(t.Context(), sql, nil, nil, nil, nil).Read().Err
			}
			_, err := query(t, c, sql)
			return err
		}
		for i, step := range []struct{ sql, want string }{
			{"BEGIN", ""}, {"UPDATE orders SET status = 'lost' WHERE id = 7", ""}, {"SELECT card FROM customers", "42501"},
			{"SELECT 1", "25P02"}, {"COMMIT", ""}, {"SELECT 1", ""},
		} {
			err := run(step.sql)
			e, _ := errors.AsType[*pgconn.PgError](err)
			if (err == nil) != (step.want == "") || e != nil && e.Code != step.want {
				t.Fatalf("extended %t, step %d, %s: %v", extended, i, step.sql, err)
			}
		}
		r := c.ExecParams(t.Context(), "SELECT status FROM orders WHERE id = 7", nil, nil, nil, nil).Read()
		if r.Err != nil || string(r.Rows[0][0]) != "open" {
			t.Errorf("extended %t: %q, %v: the transaction took effect", extended, r.Rows, r.Err)
		}
	}
}

// TestPipeline shows messages before a Sync: what was refused ends the series, and
// undoes it.
//
// SPEC PGGW-4, PGGW-5
// R18/sql
func TestPipeline(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	c := w.client(t)
	b := &pgconn.Batch{}
	b.ExecParams("UPDATE orders SET status = 'batch' WHERE id = 8", nil, nil, nil, nil)
	b.ExecParams("SELECT card FROM customers", nil, nil, nil, nil)
	b.ExecParams("UPDATE orders SET status = 'batch' WHERE id = 9", nil, nil, nil, nil)
	if _, err := c.ExecBatch(t.Context(), b).ReadAll(); denied(err) == nil {
		t.Errorf("a batch with a denied statement: %v", err)
	}
	r := c.ExecParams(t.Context(), "SELECT id FROM orders WHERE status = 'batch'", nil, nil, nil, nil).Read()
	if r.Err != nil || len(r.Rows) != 0 {
		t.Errorf("%d rows of it stay, %v", len(r.Rows), r.Err)
	}
	b = &pgconn.Batch{}
	for i := range 5 {
		b.ExecParams("SELECT total FROM orders WHERE id = $1", [][]byte{fmt.Append(nil, i+1)}, nil, nil, nil)
	}
	results, err := c.ExecBatch(t.Context(), b).ReadAll()
	if err != nil || len(results) != 5 || string(results[4].Rows[0][0]) != "50" {
		t.Errorf("a batch: %d results, %v", len(results), err)
	}
}

// TestPrepared shows a statement that is prepared once and decided at each
// execution, with its values.
//
// SPEC PGGW-4
// R7/sql
func TestPrepared(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	terms := w.Wide(1).Last()
	terms.Holder, terms.Limits = credential.NewHolderKey(w.Holder(1).Public()), map[string]int64{policy.UsesID: 4} // one is the connection
	chain, err := w.Wide(1).Narrow(w.Holder(0), "", terms)
	if err != nil {
		t.Fatal(err)
	}
	c := w.connect(t, w.config(t, chain, w.Holder(1)))
	d, err := c.Prepare(t.Context(), "q", "SELECT total FROM orders WHERE id = $1 AND total > $2", nil)
	if err != nil || len(d.ParamOIDs) != 2 || len(d.Fields) != 1 {
		t.Fatalf("prepare: %+v, %v", d, err)
	}
	for i := range 5 {
		r := c.ExecPrepared(t.Context(), "q", [][]byte{fmt.Append(nil, i+1), []byte("0")}, nil, nil).Read()
		if ok := r.Err == nil && len(r.Rows) == 1; ok != (i < 3) {
			t.Errorf("execution %d: %d rows, %v", i+1, len(r.Rows), r.Err)
		} else if d := denied(r.Err); !ok && (d == nil || !strings.Contains(d.Detail, "quota_exceeded")) {
			t.Errorf("execution %d: %v", i+1, r.Err)
		}
	}
	if n := w.count(receipt.Intent, "sql:select"); n != 3 {
		t.Errorf("%d intents", n)
	}
}

// TestRowBound shows a result that is longer than the policy lets through.
//
// SPEC PGGW-6
// R7/sql
// guard: rows-bound, bytes-bound
func TestRowBound(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*policy.Response){
		"rows": func(r *policy.Response) { r.MaxRows, r.MaxBytes = 5, 0 }, "bytes": func(r *policy.Response) { r.MaxRows, r.MaxBytes = 0, 6 },
	} {
		w := newWorld(t, func(d *policy.Document) { change(d.Operations[1].Response) })
		c := w.client(t)
		for _, extended := range []bool{false, true} {
			var rows int
			var err error
			if extended {
				r := c.ExecParams(t.Context(), "SELECT id FROM orders ORDER BY id", nil, nil, nil, nil).Read()
				rows, err = len(r.Rows), r.Err
			} else {
				rows, err = query(t, c, "SELECT id FROM orders ORDER BY id")
			}
			if d := denied(err); d == nil || !strings.Contains(d.Detail, "response_stopped") || rows > 6 || !extended && rows < 5 {
				t.Errorf("%s, extended %t: %d rows, %v", name, extended, rows, err)
			}
			if n, err := query(t, c, "SELECT id FROM orders LIMIT 5"); n != 5 || err != nil {
				t.Errorf("%s: after it: %d rows, %v", name, n, err)
			}
		}
		stopped := 0
		for _, r := range w.Receipts(receipt.Outcome) {
			if r.Outcome.Class == receipt.Stopped && strings.Contains(r.Note, "rows") {
				stopped++
			}
		}
		if stopped != 2 {
			t.Errorf("%s: %d outcomes say that it was stopped", name, stopped)
		}
	}
}

// TestSessionEnds shows what ends a session that is open: a revocation, a
// successor.
//
// SPEC PGGW-2
// R28/sql
func TestSessionEnds(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*world, *credential.Chain){
		"revoked":   func(w *world, c *credential.Chain) { w.Revoke(zone.RevokeCredential, c.Blocks()[0]) },
		"succeeded": func(w *world, _ *credential.Chain) { w.Succeed(func(d *policy.Document) { d.Expires-- }) },
	} {
		w := newWorld(t, nil)
		chain := w.Wide(1)
		c := w.connect(t, w.config(t, chain, w.Holder(0)))
		if n, err := query(t, c, "SELECT id FROM orders WHERE id = 1"); n != 1 || err != nil {
			t.Fatalf("%s: before: %d, %v", name, n, err)
		}
		change(w, chain)
		if n, err := query(t, c, "SELECT id FROM orders WHERE id = 1"); n != 0 || err == nil {
			t.Errorf("%s: %d rows, %v", name, n, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		for w.count(receipt.Outcome, "") < w.count(receipt.Intent, "") && ctx.Err() == nil {
			time.Sleep(time.Millisecond) // until the session has ended
		}
		if n, out := w.count(receipt.Intent, ""), w.count(receipt.Outcome, ""); n != out {
			t.Errorf("%s: %d intents, %d outcomes", name, n, out)
		}
	}
}

// TestServerGoes shows a server that goes in the middle of an execution.
//
// SPEC PGGW-7
// R16/sql
func TestServerGoes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(d *policy.Document) {
		d.Operations[1].SQL.Functions = append(d.Operations[1].SQL.Functions, "pg_catalog.pg_sleep")
	})
	c := w.client(t)
	done := make(chan error, 1)
	go func() {
		_, err := c.Exec(context.Background(), "SELECT pg_sleep(60)").ReadAll()
		done <- err
	}()
	for w.count(receipt.Intent, "sql:select") == 0 {
		time.Sleep(time.Millisecond)
	}
	(*w.tap.last.Load()).Close()
	if err := <-done; err == nil {
		t.Error("it succeeded")
	}
	for w.count(receipt.Outcome, "") < 2 {
		time.Sleep(time.Millisecond)
	}
	unknown := 0
	for _, r := range w.Receipts(receipt.Outcome) {
		if r.Outcome.Class == receipt.Unknown {
			unknown++
		}
	}
	if unknown != 1 {
		t.Errorf("%d outcomes are unknown", unknown)
	}
}

// TestCancel shows a client that stops its own statement, and one that tries to
// stop another's: with the short keys of protocol 3.0 and the long ones of 3.2.
//
// SPEC PGGW-1, PGGW-7
// guard: cancel-own
func TestCancel(t *testing.T) {
	t.Parallel()
	for version, size := range map[string]int{"3.0": 4, "3.2": 32} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			testCancel(t, version, size)
		})
	}
}

func testCancel(t *testing.T, version string, size int) {
	w := newWorld(t, func(d *policy.Document) {
		d.Operations[1].SQL.Functions = append(d.Operations[1].SQL.Functions, "pg_catalog.pg_sleep")
	})
	cfg := w.config(t, w.Wide(1), w.Holder(0))
	cfg.MinProtocolVersion, cfg.MaxProtocolVersion = version, version
	c := w.connect(t, cfg)
	if n := len(c.SecretKey()); n != size {
		t.Errorf("the key to cancel has %d bytes, want %d", n, size)
	}
	sleep := func(s string) chan error {
		before := w.count(receipt.Intent, "sql:select")
		done := make(chan error, 1)
		go func() {
			_, err := c.Exec(context.Background(), "SELECT pg_sleep("+s+")").ReadAll()
			done <- err
		}()
		for w.count(receipt.Intent, "sql:select") == before {
			time.Sleep(time.Millisecond)
		}
		return done
	}
	done := sleep("60")
	for ended := false; !ended; { // a request that comes before the statement stops nothing
		if err := c.CancelRequest(t.Context()); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-done:
			ended = true
			if e, ok := errors.AsType[*pgconn.PgError](err); !ok || e.Code != "57014" {
				t.Errorf("cancelled: %v", err)
			}
		case <-time.After(50 * time.Millisecond):
		}
	}
	done = sleep("0.2")
	raw, err := tls.Dial("tcp", w.Addrs[0], w.config(t, w.Wide(1), w.Holder(0)).TLSConfig)
	if err == nil {
		raw.Close()
	}
	key := append([]byte(nil), c.SecretKey()...)
	key[0] ^= 1
	if err := pggw.Cancel(t.Context(), w.Addrs[0], c.PID(), key); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Errorf("stopped by another's key: %v", err)
	}
}

// TestPsql runs the client that people have.
//
// R1/sql
func TestPsql(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	out := w.run(t, "postgresql-client", "psql", "-X", "-A", "-t", "-c", "SELECT id, total FROM orders WHERE id < 3 ORDER BY id", "-c", "SELECT card FROM customers",
		"-c", "WITH d AS (DELETE FROM orders RETURNING id) SELECT * FROM d", "-c", "SELECT 7")
	for _, want := range []string{"1|10\n2|20\n", "public.customers.card is not declared", "sql:delete", "7\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if strings.Contains(out, testkit.Plain) {
		t.Error("the password is shown")
	}
}

// TestCatalogRefused shows a server that does not let the gate read its catalog: there
// is no session, since names could not be told.
//
// SPEC PGGW-3
// R11
func TestCatalogRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.pg.Exec(t, w.db, "REVOKE SELECT ON pg_catalog.pg_proc FROM PUBLIC")
	_, err := pgconn.ConnectConfig(t.Context(), w.config(t, w.Wide(1), w.Holder(0)))
	if e, ok := errors.AsType[*pgconn.PgError](err); !ok || !strings.Contains(e.Detail, "target_refused") {
		t.Errorf("connected without a catalog: %v", err)
	}
}

// TestNoSecretSeen looks for the password in all that the client and the log got.
//
// R2/sql R1/sql
func TestNoSecretSeen(t *testing.T) {
	t.Parallel()
	w := newWorldOn(t, testpg.Start(t), pggw.Protocol, nil)
	c := w.client(t)
	query(t, c, "SELECT card FROM customers")
	query(t, c, "SELECT id FROM orders")
	if len(w.Logged.Bytes()) == 0 || strings.Contains(string(w.Logged.Bytes()), testkit.Plain) {
		t.Error("the log is empty, or holds the password")
	}
	w.pg.Exec(t, w.db, "ALTER ROLE app PASSWORD 'another'")
	_, err := pgconn.ConnectConfig(t.Context(), w.config(t, w.Wide(1), w.Holder(0)))
	if e, ok := errors.AsType[*pgconn.PgError](err); !ok || !strings.Contains(e.Detail, "target_refused") || strings.Contains(fmt.Sprint(err), testkit.Plain) {
		t.Errorf("a password that is no longer good: %v", err)
	}
	if strings.Contains(string(w.Logged.Bytes()), testkit.Plain) {
		t.Error("the log holds the password")
	}
}
