package gateway_test

import (
	"context"
	"encoding/json"
	"sync/atomic"
	"testing"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/credential"
	"github.com/writhq/writ/internal/gateway"
	"github.com/writhq/writ/internal/ledger"
	"github.com/writhq/writ/internal/testgate"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/receipt"
	"github.com/writhq/writ/zone"
)

// TestChangeWhileDeciding revokes and succeeds in the moment between a decision and
// its act, when the act is not yet under way for anyone to end.
//
// SPEC HALL-3
// R28 A13
// guard: change-before-act
func TestChangeWhileDeciding(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(*testgate.Gate, *credential.Chain)
		bare   bool
	}{
		"a block is revoked": {
			func(g *testgate.Gate, c *credential.Chain) { g.Revoke(zone.RevokeBlock, c.Blocks()[0]) },
			false,
		},
		"a holder's key is revoked": {
			func(g *testgate.Gate, c *credential.Chain) { g.Revoke(zone.RevokeKey, canon.Digest(c.Holder().ID())) },
			true,
		},
		"the policy is succeeded": {
			func(g *testgate.Gate, _ *credential.Chain) { g.Succeed(func(d *policy.Document) { d.Expires-- }) },
			true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var armed atomic.Bool
			var g *testgate.Gate
			c := new(credential.Chain)
			halls := make(chan *gateway.Hall, 1)
			g = testgate.New(t, testgate.Config{
				Upstream: testgate.NewUpstream(t, nil), NoSecret: tt.bare, // or a succession would write receipts in the midst of one
				Doors: []testgate.Door{{
					Protocol: gateway.Protocol{Name: "http", New: func(_ json.RawMessage, h *gateway.Hall) (gateway.Handler, error) {
						halls <- h
						return idle{}, nil
					}},
					Config: func(string) json.RawMessage { return nil },
				}},
				Faults: func(call ledger.Call) error {
					err := call.Run(call.Size)
					if call.Op == "write" && armed.CompareAndSwap(true, false) { // of the intent
						tt.change(g, c)
					}
					return err
				},
			})
			h := <-halls
			c = g.Wide(1)
			s, err := h.Session(c.Bytes())
			if err != nil {
				t.Fatal(err)
			}
			r := ask(t, g)
			if _, err := g.Server.Ledger().Head(t.Context()); err != nil { // the batch of what came before is written: the next write is the intent
				t.Fatal(err)
			}
			armed.Store(true)
			use := s.Use
			if tt.bare {
				use = s.Do
			}
			err = use(t.Context(), r, func(context.Context, *gateway.Act) (gateway.Outcome, error) {
				t.Error("performed")
				return gateway.Outcome{Class: gateway.OK}, nil
			})
			if err == nil {
				t.Error("no error")
			}
			if out := g.Receipts(receipt.Outcome); len(out) == 0 || out[0].Outcome.Class != gateway.NotSent {
				t.Errorf("%d outcomes", len(out))
			}
		})
	}
}

// TestStrangers shows credentials that anybody can make: no session, no receipt.
//
// SPEC HALL-8
// A22 R6
// guard: session-vouched
func TestStrangers(t *testing.T) {
	t.Parallel()
	g, h := newHall(t)
	grant := g.Grant()
	grant.ID, grant.Subject = credential.NewID(), "svc/someone-else"
	c, err := credential.Issue(grant, g.Holder(7))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := h.Session(c.Bytes()); err == nil {
			t.Error("a session for what no issuer signed")
		}
	}
	if _, ok, _ := h.SessionByDigest(c.Digest()); ok {
		t.Error("it is remembered")
	}
	if n := g.Server.Tallied()[op.CredentialInvalid]; n != 2 {
		t.Errorf("%d refusals tallied", n)
	}
	if n := len(g.Receipts(receipt.Denial)); n != 0 {
		t.Errorf("%d denials in the ledger", n)
	}
	good := g.Wide(1)
	if _, err := h.Session(good.Bytes()); err != nil {
		t.Fatal(err)
	}
	g.Succeed(func(d *policy.Document) { d.Delegation.Issuers = d.Delegation.Issuers[1:] })
	if _, ok, err := h.SessionByDigest(good.Digest()); !ok || err == nil {
		t.Errorf("a credential whose issuer was dropped: %v, %v", ok, err)
	}
}
