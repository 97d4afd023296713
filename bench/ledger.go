package main

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"time"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/ledger"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/receipt"
	"github.com/writhq/writ/secret"
)

// ledgers measures recording and auditing.
func ledgers(b *testing.B, f figures) {
	z := testkit.NewZone(b)
	open := func() *ledger.Ledger {
		l, err := ledger.Open(b.Context(), ledger.Config{
			Dir: b.TempDir(), Gate: "gate-1", Zone: z.Root.Zone(), Signer: z.Key("gate-1"),
			Evidence: secret.Take(make([]byte, 32)), Now: time.Now,
		})
		must(b, err)
		return l
	}
	tmpl := newTemplate(b, z)
	var rates []float64
	for range 3 {
		l := open()
		const writers, each = 64, 1000 // pairs of intent and outcome
		var wg sync.WaitGroup
		start := time.Now()
		for range writers {
			wg.Go(func() {
				for range each {
					tmpl.pair(b, l, receipt.Durable)
				}
			})
		}
		wg.Wait()
		rates = append(rates, 2*writers*each/time.Since(start).Seconds())
		must(b, l.Close())
	}
	f["ledger.durable_per_s_64"] = median(rates)
	f["audit.verify_100k_s"] = audits(b, z, open(), tmpl)
}

// template is a receipt like the gate's, with its evidence. What the gate does to
// make one is measured with the gate.
type template struct {
	r  *receipt.Receipt
	ev *receipt.Evidence
	pd canon.Digest
}

func newTemplate(b *testing.B, z *testkit.Zone) *template {
	r, ev := intent(b, z, z.Operation(b, "POST", "/v1/refunds", `{"order":"8831","amount":1500}`))
	return &template{r, ev, z.Policy.ID()}
}

// pair appends an intent and its outcome.
func (t *template) pair(b *testing.B, l *ledger.Ledger, m receipt.Mode) {
	r := *t.r
	ref, err := l.Append(context.Background(), ledger.Entry{Mode: m, Build: func(uint64, uint64, time.Time) (*receipt.Receipt, *receipt.Evidence, error) {
		return &r, t.ev, nil
	}})
	must(b, err)
	_, err = l.Append(context.Background(), ledger.Entry{Mode: m, Build: func(uint64, uint64, time.Time) (*receipt.Receipt, *receipt.Evidence, error) {
		return &receipt.Receipt{Kind: receipt.Outcome, Intent: &ref, Policy: t.pd, Outcome: &receipt.Result{Class: receipt.OK, Status: 200}}, nil, nil
	}})
	must(b, err)
}

// intent returns a receipt like the gate's, with its evidence.
func intent(b *testing.B, z *testkit.Zone, o *op.Operation) (*receipt.Receipt, *receipt.Evidence) {
	r := &receipt.Receipt{
		Kind: receipt.Intent, Mode: receipt.Durable, Decision: receipt.Permit, Policy: z.Policy.ID(), Version: 1, Alias: testkit.Alias,
		Root: receipt.RootID{1}, Blocks: []canon.Digest{{1}, {2}, {3}}, OpType: "http/1", Action: "http:POST", Purpose: "refund",
		Target: testkit.Target, Subject: testkit.Subject, Level: op.Signed, Rules: [][]string{{"refund-small"}, {}, {}},
		Replay: canon.Digest{4}, ReplayEnd: testkit.Now, Debits: []receipt.Debit{{Key: canon.Digest{5}, ID: "uses", Amount: 1}},
		PolicyLog: &receipt.LogState{Size: 3, Root: canon.Digest{6}}, Secret: &receipt.SecretRef{Blob: canon.Digest{7}, ID: testkit.SecretID, Version: 1},
	}
	ev := receipt.NewEvidence()
	ev.SetOperation(o)
	ev.Context, ev.Proof = make([]byte, 1200), make([]byte, 400)
	must(b, ev.Commit(r))
	return r, ev
}

// audits returns the seconds that verifying 100,000 receipts from an export takes.
func audits(b *testing.B, z *testkit.Zone, l *ledger.Ledger, tmpl *template) float64 {
	const pairs = 50_000
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			for range pairs / 32 {
				tmpl.pair(b, l, receipt.Buffered)
			}
		})
	}
	wg.Wait()
	var export bytes.Buffer
	must(b, l.Export(b.Context(), &export))
	member, _ := z.Root.Gate("gate-1")
	key, err := receipt.LogKey("gate-1", member.SignKey)
	must(b, err)
	count := 0
	start := time.Now()
	_, err = receipt.AuditExport(&export, receipt.AuditConfig{Gate: "gate-1", Zone: z.Root.Zone(), Key: member.SignKey}, key, func(*receipt.Receipt) error {
		count++
		return nil
	})
	must(b, err)
	took := time.Since(start).Seconds() * 100_000 / float64(count)
	must(b, l.Close())
	return took
}
