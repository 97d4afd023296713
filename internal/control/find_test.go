package control_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/writhq/writ/api"
	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/control"
	"github.com/writhq/writ/internal/ledger"
	"github.com/writhq/writ/internal/testgate"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/receipt"
	"github.com/writhq/writ/secret"
)

// fill appends n denials and returns their references.
func fill(t *testing.T, l *ledger.Ledger, n int) (refs []ledger.Ref) {
	t.Helper()
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range n / 16 {
				ref, err := l.Append(context.Background(), ledger.Entry{Mode: receipt.Buffered, Build: func(uint64, uint64, time.Time) (*receipt.Receipt, *receipt.Evidence, error) {
					return &receipt.Receipt{Kind: receipt.Denial, Mode: receipt.Buffered, Decision: "not_permitted", OpType: "http/1", Action: "http:GET", Target: testkit.Target}, nil, nil
				}})
				if err != nil {
					t.Errorf("append: %v", err)
					return
				}
				mu.Lock()
				refs = append(refs, ref)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return refs
}

// A receipt is found by its id and by its place, wherever it is: in each epoch, at
// the beginning and the end, and where one step of the search ends.
func TestFindReceipt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testgate.Config{})
	dir := t.TempDir()
	open := func() *ledger.Ledger {
		t.Helper()
		l, err := ledger.Open(t.Context(), ledger.Config{
			Dir: dir, Gate: "gate-1", Zone: w.Root.Zone(), Signer: w.Key("gate-1"), Evidence: secret.Take(make([]byte, 32)), Now: w.Clock.Now,
		})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	var refs []ledger.Ref
	var l *ledger.Ledger
	for _, n := range []int{8208, 16, 32} { // more than two steps, then two short epochs
		if l != nil {
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		}
		l = open()
		refs = append(refs, fill(t, l, n)...)
	}
	defer l.Close()
	s := w.Server
	w.api.Open(control.Authority{Publisher: s, Log: s.PolicyLog(), Ledger: l, Gate: s.Member(), Backup: s.Backup, Reach: s.Reach, Held: s.Held, Confirm: s.Confirm})
	tried := 0
	for i, r := range refs {
		if r.Epoch == 1 && r.Seq > 3 && r.Seq%4096 > 3 && r.Seq%4096 < 4094 && i%1997 > 0 {
			continue
		}
		tried++
		for _, ref := range []string{r.Digest.String(), fmt.Sprintf("%d.%d", r.Epoch, r.Seq)} {
			status, body := ask(w.api.Local(), "GET", "/v1/receipts/"+ref, "")
			var item api.ReceiptItem
			if err := json.Unmarshal([]byte(body), &item); status != 200 || err != nil || item.ID != r.Digest || item.Seq != r.Seq {
				t.Fatalf("%s: %d %s", ref, status, body)
			}
		}
	}
	if tried < 60 {
		t.Errorf("only %d were looked for", tried)
	}
	for _, ref := range []string{canon.Hash([]byte("no")).String(), "1.99999", "9.1", "2.0", "0.0", "0.1"} {
		if status, body := ask(w.api.Local(), "GET", "/v1/receipts/"+ref, ""); status != 404 || code(t, body) != api.CodeNotFound {
			t.Errorf("%s: %d %s", ref, status, body)
		}
	}
}
