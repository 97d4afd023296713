package ledger_test

import (
	"context"
	"crypto/rand"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/ledger"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/receipt"
	"github.com/writhq/writ/secret"
	"github.com/writhq/writ/sign"
)

var (
	zone = canon.Hash([]byte("zone"))
	seed = []byte("0123456789abcdef0123456789abcdef")
)

func testKey(t testing.TB) sign.PrivateKey {
	t.Helper()
	k, err := sign.FromSeed(seed)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func testConfig(t testing.TB, dir string) ledger.Config {
	t.Helper()
	return ledger.Config{
		Dir: dir, Gate: "gate-1", Zone: zone, Signer: testKey(t), Now: time.Now,
		Evidence: secret.Take([]byte("an evidence key of 32 bytes ....")),
	}
}

func openLedger(t testing.TB, cfg ledger.Config) *ledger.Ledger {
	t.Helper()
	l, err := ledger.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// evidence returns evidence of the usual size.
func evidence() *receipt.Evidence {
	e := receipt.NewEvidence()
	e.SetOperation(&op.Operation{Type: "http/1", Asked: make([]byte, 200), Found: make([]byte, 20)})
	e.Context = make([]byte, 300)
	return e
}

// intent returns an entry with a receipt of the usual fields.
func intent(m receipt.Mode, ev *receipt.Evidence) ledger.Entry {
	r := &receipt.Receipt{
		Kind: receipt.Intent, Policy: canon.Hash([]byte("policy")), Alias: "payments/refunds", Version: 3,
		Blocks: []canon.Digest{canon.Hash([]byte("0")), canon.Hash([]byte("1")), canon.Hash([]byte("2"))},
		OpType: "http/1", Action: "http:POST", Purpose: "refund", Decision: receipt.Permit,
		Rules: [][]string{{"refund-small"}, {"agent"}, {}}, Level: op.Signed, Replay: canon.Hash([]byte("jti")),
		Debits:    []receipt.Debit{{Key: canon.Hash([]byte("q")), ID: "uses", Amount: 1}},
		PolicyLog: &receipt.LogState{Size: 10, Root: canon.Hash([]byte("root"))},
		Secret:    &receipt.SecretRef{Blob: canon.Hash([]byte("blob")), ID: "api-key", Version: 1},
		Target:    "orders", Subject: "agent-7", ReplayEnd: 1_800_000_000, Build: "writ 0.1",
	}
	rand.Read(r.Root[:])
	r.Operation = canon.Hash(r.Root[:])
	if ev != nil {
		if err := ev.Commit(r); err != nil {
			panic(err)
		}
	}
	return ledger.Entry{Mode: m, Build: func(uint64, uint64, time.Time) (*receipt.Receipt, *receipt.Evidence, error) {
		return r, ev, nil
	}}
}

// outcome returns an entry with the outcome ok of an intent.
func outcome(m receipt.Mode, l *ledger.Ledger, ref ledger.Ref) ledger.Entry {
	return ledger.Entry{Mode: m, Build: func(uint64, uint64, time.Time) (*receipt.Receipt, *receipt.Evidence, error) {
		return &receipt.Receipt{Kind: receipt.Outcome, Intent: &ref, Outcome: &receipt.Result{Class: receipt.OK, Status: 200}}, nil, nil
	}}
}

func cpu() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// benchAppend appends pairs of intent and outcome from n callers; one iteration
// is one receipt.
func benchAppend(b *testing.B, m receipt.Mode, n int) {
	l := openLedger(b, testConfig(b, b.TempDir()))
	defer l.Close()
	ev := evidence()
	var left atomic.Int64
	var wg sync.WaitGroup
	runtime.GC()
	b.ReportAllocs()
	b.ResetTimer()
	before := cpu()
	left.Store(int64(b.N))
	for range n {
		wg.Go(func() {
			for left.Add(-2) > -2 {
				ref, err := l.Append(context.Background(), intent(m, ev))
				if err == nil {
					_, err = l.Append(context.Background(), outcome(m, l, ref))
				}
				if err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(cpu()-before)/float64(b.N)/1e3, "cpu-µs/op")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "receipts/s")
}

func BenchmarkAppendDurable1(b *testing.B)   { benchAppend(b, receipt.Durable, 1) }
func BenchmarkAppendDurable64(b *testing.B)  { benchAppend(b, receipt.Durable, 64) }
func BenchmarkAppendBuffered1(b *testing.B)  { benchAppend(b, receipt.Buffered, 1) }
func BenchmarkAppendBuffered16(b *testing.B) { benchAppend(b, receipt.Buffered, 16) }
