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
	o := z.Operation(b, "POST", "/v1/refunds", bigBody2())
	entry := func() ledger.Entry {
		r, ev := intent(b, z, o)
		return ledger.Entry{Mode: receipt.Durable, Build: func(uint64, uint64, time.Time) (*receipt.Receipt, *receipt.Evidence, error) { return r, ev, nil }}
	}
	var rates []float64
	for range 3 {
		l := open()
		const writers, each = 64, 2000
		var wg sync.WaitGroup
		start := time.Now()
		for range writers {
			wg.Go(func() {
				for range each {
					_, err := l.Append(context.Background(), entry())
					must(b, err)
				}
			})
		}
		wg.Wait()
		rates = append(rates, writers*each/time.Since(start).Seconds())
		must(b, l.Close())
	}
	f["ledger.durable_per_s_64"] = median(rates)
	f["audit.verify_100k_s"] = audits(b, z, open(), entry)
}

func bigBody2() string { return `{"order":"8831","amount":1500}` }

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
func audits(b *testing.B, z *testkit.Zone, l *ledger.Ledger, entry func() ledger.Entry) float64 {
	const n = 50_000 // intents, each with its outcome
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			for range n / 32 {
				e := entry()
				e.Mode = receipt.Buffered
				ref, err := l.Append(context.Background(), e)
				must(b, err)
				_, err = l.Append(context.Background(), ledger.Entry{Mode: receipt.Buffered, Build: func(uint64, uint64, time.Time) (*receipt.Receipt, *receipt.Evidence, error) {
					return &receipt.Receipt{Kind: receipt.Outcome, Intent: &ref, Policy: z.Policy.ID(), Outcome: &receipt.Result{Class: receipt.OK, Status: 200}}, nil, nil
				}})
				must(b, err)
			}
		})
	}
	wg.Wait()
	var export bytes.Buffer
	must(b, l.Export(b.Context(), &export))
	member, _ := z.Root.Gate("gate-1")
	key, err := ledger.LogKey("gate-1", member.SignKey)
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
