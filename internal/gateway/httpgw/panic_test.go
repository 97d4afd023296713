package httpgw_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/writhq/writ/internal/gateway"
	"github.com/writhq/writ/internal/gateway/httpgw"
	"github.com/writhq/writ/internal/testgate"
	"github.com/writhq/writ/internal/testkit"
)

// hostileBody panics with a secret when it is read.
type hostileBody struct{}

func (hostileBody) Read([]byte) (int, error) { panic("read: " + testkit.Plain) }
func (hostileBody) Close() error             { return nil }

// TestPanicOutsideAct shows a fault where no act is under way: no answer, a line in
// the log that says nothing of the value, and a count.
//
// SPEC HTTPGW-11
// R2/http R11
// guard: panic-noted
func TestPanicOutsideAct(t *testing.T) {
	t.Parallel()
	var handler http.Handler
	var hall *gateway.Hall
	g := testgate.New(t, testgate.Config{Upstream: testgate.NewUpstream(t, nil), Doors: []testgate.Door{{Config: config, Protocol: gateway.Protocol{
		Name: "http", New: func(cfg json.RawMessage, h *gateway.Hall) (gateway.Handler, error) {
			d, err := httpgw.New(cfg, h)
			if err == nil {
				handler, hall = d.(http.Handler), h
			}
			return d, err
		},
	}}}})
	read(t, g) // the door is open
	r := httptest.NewRequest("POST", "/t/shop/v1/refunds", hostileBody{})
	r.ContentLength = 10
	w := httptest.NewRecorder()
	func() {
		defer func() {
			if v := recover(); v != http.ErrAbortHandler {
				t.Errorf("the server gets the panic %v", v)
			}
		}()
		handler.ServeHTTP(w, r)
	}()
	if w.Body.Len() != 0 || hall.Panics() != 1 {
		t.Errorf("%d bytes of an answer, %d panics", w.Body.Len(), hall.Panics())
	}
	log := string(g.Logged.Bytes())
	if !strings.Contains(log, `"msg":"panic","kind":"string"`) || strings.Contains(log, testkit.Plain) {
		t.Errorf("logged: %s", log)
	}
}
