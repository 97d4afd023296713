package pggw_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/testpg"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/receipt"
	"github.com/writhq/writ/zone"
)

// TestTimeBound shows a statement that takes longer than seconds of time.
//
// SPEC PGGW-6
// R7/sql
// guard: seconds-bound
func TestTimeBound(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(d *policy.Document) {
		d.Operations[1].SQL.Functions = append(d.Operations[1].SQL.Functions, "pg_catalog.pg_sleep")
		d.Operations[1].Response = &policy.Response{MaxSeconds: 1}
	})
	c := w.client(t)
	for _, sql := range []string{"SELECT pg_sleep(25)", "SELECT 1; SELECT pg_sleep(25); SELECT 2"} {
		if _, err := query(t, c, sql); denied(err) == nil || !strings.Contains(denied(err).Detail, "response_stopped") {
			t.Errorf("%s: %v", sql, err)
		}
	}
	r := c.ExecParams(t.Context(), "SELECT pg_sleep(25)", nil, nil, nil, nil).Read()
	if d := denied(r.Err); d == nil || !strings.Contains(d.Detail, "response_stopped") {
		t.Errorf("extended: %v", r.Err)
	}
	if n, err := query(t, c, "SELECT id FROM orders WHERE id = 1"); n != 1 || err != nil {
		t.Errorf("after it: %d rows, %v", n, err)
	}
	stopped := 0
	for _, o := range w.Receipts(receipt.Outcome) {
		if o.Outcome.Class == receipt.Stopped {
			stopped++
		}
	}
	if stopped != 3 {
		t.Errorf("%d outcomes say that it was stopped", stopped)
	}
}

// TestUnderWay shows what a session has the server do while it stops being good: it ends
// as well, and is not done.
//
// SPEC PGGW-8
// R28/sql
// guard: under-way-ends
func TestUnderWay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(d *policy.Document) {
		d.Operations[1].SQL.Functions = append(d.Operations[1].SQL.Functions, "pg_catalog.pg_sleep")
	})
	active := "SELECT count(*) FROM pg_stat_activity WHERE datname = '" + w.db + "' AND usename = 'app' AND state = 'active' AND query LIKE 'UPDATE%'"
	server := testpg.Rows{PgConn: w.pg.Connect(t, w.pg.Local(w.db))}
	is := func(want string) bool {
		for end := time.Now().Add(15 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
			rows, err := server.Query(t.Context(), active)
			if err != nil {
				t.Fatal(err)
			}
			if rows[0][0] == want {
				return true
			}
		}
		return false
	}
	for _, tt := range []struct {
		name string
		end  func()
	}{
		{"ended", func() { w.Server.Hall().End(w.Server.Sessions()[0].ID) }},
		{"revoked", func() { w.Revoke(zone.RevokeKey, canon.Digest(w.Holder(0).Public().ID())) }}, // and nobody can connect any more
	} {
		c := w.client(t)
		done := make(chan error, 1)
		go func() {
			_, err := c.Exec(context.Background(), "UPDATE orders SET status = 'late' WHERE id = 7 AND pg_sleep(25) IS NOT NULL").ReadAll()
			done <- err
		}()
		if !is("1") {
			t.Fatal("it has not begun")
		}
		if tt.end(); !is("0") {
			t.Errorf("%s: the server goes on", tt.name)
		}
		if err := <-done; err == nil {
			t.Errorf("%s: no error", tt.name)
		}
		if rows, err := server.Query(t.Context(), "SELECT status FROM orders WHERE id = 7"); err != nil || rows[0][0] == "late" {
			t.Errorf("%s: it was done: %v, %v", tt.name, rows, err)
		}
	}
}

// TestPinnedBehind shows a function of the server that changes a setting on which
// the meaning of literals hangs.
//
// SPEC PGGW-8
// A17
// guard: pinned-watched
func TestPinnedBehind(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(d *policy.Document) {
		d.Operations[1].SQL.Functions = append(d.Operations[1].SQL.Functions, "public.evil")
	})
	w.pg.Exec(t, w.db, `CREATE FUNCTION public.evil() RETURNS text LANGUAGE sql AS $$ SELECT set_config('standard_conforming_strings', 'off', false) $$`)
	c := w.client(t)
	_, err := query(t, c, "SELECT public.evil()")
	if e, ok := errors.AsType[*pgconn.PgError](err); !ok || e.Severity != "FATAL" {
		t.Errorf("it was called: %v", err)
	}
	if _, err := query(t, c, "SELECT 1"); err == nil {
		t.Error("the session goes on")
	}
}

// TestStopTellsIdle shows a session without a statement under way when the gate
// stops.
//
// SPEC PGGW-8
func TestStopTellsIdle(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	c := w.client(t)
	if _, err := query(t, c, "BEGIN"); err != nil {
		t.Fatal(err)
	}
	if err := w.Stop(); err != nil {
		t.Fatal(err)
	}
	_, err := query(t, c, "SELECT 1")
	if e, ok := errors.AsType[*pgconn.PgError](err); !ok || e.Code != "57P01" || !strings.Contains(e.Message, "stopping") {
		t.Errorf("%v", err)
	}
}

// TestSessions shows what is open, and ends one of two.
//
// SPEC PGGW-8
func TestSessions(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	if n := len(w.Server.Sessions()); n != 0 {
		t.Errorf("%d sessions before anybody came", n)
	}
	a := w.client(t)
	b := w.client(t)
	list := w.Server.Sessions()
	if len(list) != 2 || list[0].ID == list[1].ID || list[0].Target != "shop" || list[0].Purpose != "refund" || list[0].Subject == "" || list[0].Until <= list[0].Since {
		t.Fatalf("%+v", list)
	}
	first, second := list[0], list[1]
	if first.Remote != a.Conn().LocalAddr().String() {
		first, second = second, first
	}
	if first.Remote != a.Conn().LocalAddr().String() || second.Remote != b.Conn().LocalAddr().String() {
		t.Errorf("%+v", list)
	}
	if !w.Server.Hall().End(first.ID) || w.Server.Hall().End(canon.Hash(nil)) {
		t.Error("one that is open does not end, or one that is not does")
	}
	_, err := query(t, a, "SELECT 1")
	if e, ok := errors.AsType[*pgconn.PgError](err); !ok || e.Code != "57P01" || !strings.Contains(e.Message, "ended by who runs the gate") {
		t.Errorf("the one that was ended: %v", err)
	}
	if n, err := query(t, b, "SELECT id FROM orders WHERE id = 1"); n != 1 || err != nil {
		t.Errorf("the other one: %d rows, %v", n, err)
	}
	if list := w.Server.Sessions(); len(list) != 1 || list[0].ID != second.ID {
		t.Errorf("after it: %+v", list)
	}
}
