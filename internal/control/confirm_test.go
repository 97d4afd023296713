package control_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/writhq/writ/api"
	"github.com/writhq/writ/internal/control"
	"github.com/writhq/writ/internal/polog"
	"github.com/writhq/writ/internal/testgate"
	"github.com/writhq/writ/tlog"
)

// A folder that was restored is confirmed on the socket alone, and the server is
// not ready until then. SPEC CTRL-2, CTRL-8, CTRL-21.
//
// R50
// guard: local-only, readyz-honest
func TestConfirm(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testgate.Config{NoSecret: true})
	why, calls := "restored", 0
	s := w.Server
	w.api.Open(control.Authority{
		Publisher: s, Log: s.PolicyLog(), Ledger: s.Ledger(), Gate: s.Member(), Backup: s.Backup, Reach: s.Reach, Held: func() string { return why },
		Confirm: func(_ context.Context, head *tlog.Checkpoint) (bool, error) {
			if calls++; head != nil {
				return false, polog.ErrHead
			}
			was := why != ""
			why = ""
			return was, nil
		},
	})
	head, err := s.PolicyLog().Head()
	if err != nil {
		t.Fatal(err)
	}
	ready := func(want int, code string) {
		t.Helper()
		for _, h := range []http.Handler{w.api.Local(), w.api.Remote()} {
			if status, body := ask(h, "GET", "/readyz", ""); status != want || !strings.Contains(body, code) {
				t.Errorf("%d %s", status, body)
			}
		}
	}
	ready(503, `"code":"restored"`)
	for name, c := range map[string]struct {
		h      http.Handler
		body   string
		status int
		code   string
	}{
		"over TLS":    {w.api.Remote(), "", 403, api.CodeNotReader},
		"no head":     {w.api.Local(), "x", 400, api.CodeMalformed},
		"another log": {w.api.Local(), string(head.Encode()), 409, api.CodeRefused},
		"too large":   {w.api.Local(), strings.Repeat("x", 70000), 413, api.CodeTooLarge},
	} {
		if status, body := ask(c.h, "POST", "/v1/restored", c.body); status != c.status || code(t, body) != c.code {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
	if calls != 1 {
		t.Errorf("%d were asked of the server", calls)
	}
	ready(503, `"code":"restored"`)
	for _, want := range []bool{true, false} {
		status, body := ask(w.api.Local(), "POST", "/v1/restored", "")
		var got api.Confirmed
		if err := json.Unmarshal([]byte(body), &got); err != nil || status != 200 || got.Confirmed != want || got.State != api.StateReady {
			t.Errorf("%d %s", status, body)
		}
	}
	ready(200, "ready")
}
