package ledger_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/writhq/writ/internal/ledger"
	"github.com/writhq/writ/receipt"
)

// Nothing of the evidence is in the log or readable beside it, and erasing a key
// erases evidence, not receipts.
// A37
// R2
// guard: evidence-authentic, evidence-of-this-receipt
// SPEC LEDG-7
func TestEvidenceIsApart(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t, t.TempDir())
	l := openLedger(t, cfg)
	ev := receipt.NewEvidence()
	ev.Context = []byte("CANARY-" + strings.Repeat("c", 40))
	ref := mustAppend(t, l, intent(receipt.Durable, ev))
	bare := mustAppend(t, l, intent(receipt.Durable, nil))
	if _, err := l.Evidence(t.Context(), bare); !errors.Is(err, ledger.ErrErased) {
		t.Error("evidence out of nothing")
	}
	wrong := ref
	wrong.Digest = zone
	if _, err := l.Evidence(t.Context(), wrong); !errors.Is(err, ledger.ErrUnknown) {
		t.Error("evidence of another receipt")
	}
	if _, err := l.Evidence(t.Context(), ledger.Ref{Epoch: 9, Seq: 1}); !errors.Is(err, ledger.ErrUnknown) {
		t.Error("evidence of no receipt")
	}
	salt, err := ev.Disclose(receipt.FieldContext)
	if err != nil {
		t.Fatal(err)
	}
	looked := 0
	files, err := filepath.Glob(filepath.Join(cfg.Dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, needle := range [][]byte{ev.Key[:], salt.Salt, ev.Context} {
			looked++
			for _, form := range []string{string(needle), hex.EncodeToString(needle), base64.StdEncoding.EncodeToString(needle)} {
				if bytes.Contains(b, []byte(form)) {
					t.Errorf("evidence in the clear in %s", filepath.Base(name))
				}
			}
		}
	}
	if looked < 12 {
		t.Fatalf("looked at %d", looked)
	}
	evd, key := filepath.Join(cfg.Dir, "00000001.evd"), filepath.Join(cfg.Dir, "00000001.key")
	spoil := func(file string, at int) {
		t.Helper()
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		b[at] ^= 1
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Evidence(t.Context(), ref); !errors.Is(err, ledger.ErrErased) {
			t.Errorf("spoilt %s: %v", filepath.Base(file), err)
		}
		b[at] ^= 1
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	spoil(evd, 3)
	spoil(key, 3)
	spoil(key, 30)
	if _, err := l.Evidence(t.Context(), ref); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Evidence(t.Context(), ref); !errors.Is(err, ledger.ErrErased) {
		t.Error("evidence without its key")
	}
	mustAudit(t, l)
}
