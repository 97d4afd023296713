package server_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"github.com/writhq/writ/api"
	"github.com/writhq/writ/internal/gateway/httpgw"
	"github.com/writhq/writ/internal/testgate"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/sign"
)

func envelopes(g *testgate.Gate) []*sign.Envelope { return []*sign.Envelope{g.RootEnvelope} }

// recorded keeps the bytes of a request.
type recorded struct {
	base http.RoundTripper
	wire []byte
}

func (k *recorded) RoundTrip(r *http.Request) (*http.Response, error) {
	var b bytes.Buffer
	if err := r.Write(&b); err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	k.wire = b.Bytes()
	return k.base.RoundTrip(r)
}

// record makes a request as h and returns its bytes.
func record(t *testing.T, g *testgate.Gate, h *http.Client) []byte {
	t.Helper()
	k := &recorded{base: h.Transport.(*api.Transport).Base}
	if status, body := order(t, g, &http.Client{Transport: testgate.Over(h, k)}); status != 200 {
		t.Fatalf("status %d: %s", status, body)
	}
	return k.wire
}

// play sends bytes to the gate and returns the status, and the code of a denial.
func play(t *testing.T, g *testgate.Gate, wire []byte) (int, op.Code) {
	t.Helper()
	conn, err := tls.Dial("tcp", g.Addrs[0], g.TLS())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write(wire); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var p httpgw.Problem
	if err := json.NewDecoder(resp.Body).Decode(&p); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, p.Code
}
