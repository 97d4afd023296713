package pggw_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/receipt"
)

// TestTimeBound shows a statement that takes longer than the policy gives it.
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
