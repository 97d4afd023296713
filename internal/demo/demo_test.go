package demo

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/writhq/writ/internal/gateway/httpgw"
)

// TestDemo tells the story twice in one folder and checks what it counted.
//
// R1 R2 R3 R9 R14 R18 R20 R26 R28 R58
func TestDemo(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "writ-demo")
	for range 2 {
		var out bytes.Buffer
		r, err := Run(t.Context(), Config{Dir: dir, Out: &out, HTTP: httpgw.Protocol})
		if err != nil || !r.OK {
			t.Fatalf("demo: %v\n%s", err, out.String())
		}
		if r.Permitted < 8 || r.Denied < 12 || r.UpstreamCalls != int64(r.Permitted) {
			t.Errorf("%d permitted, %d denied, %d upstream", r.Permitted, r.Denied, r.UpstreamCalls)
		}
		if r.Receipts != r.ReceiptsVerified || r.ReplayedDecisions < 10 || r.ReplayedDecisions != r.ReplayedDecisionsEqual {
			t.Errorf("receipts %d/%d, replayed %d/%d", r.ReceiptsVerified, r.Receipts, r.ReplayedDecisionsEqual, r.ReplayedDecisions)
		}
		if r.PolicyBitflipsTried < 8*1000 || r.PolicyBitflipsOpened != 0 || r.SecretSightings != 0 || r.SightingsControl != r.SightingsControlPlanted {
			t.Errorf("flips %d/%d, sightings %d, control %d/%d", r.PolicyBitflipsOpened, r.PolicyBitflipsTried, r.SecretSightings, r.SightingsControl, r.SightingsControlPlanted)
		}
	}
}

// TestForeignFolder shows that a folder that is not a demo's is left alone.
func TestForeignFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "mine"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Run(t.Context(), Config{Dir: dir, HTTP: httpgw.Protocol}); !errors.Is(err, ErrDemo) {
		t.Errorf("run: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "mine")); err != nil {
		t.Error("a file that is not the demo's was removed")
	}
}

// TestSightings shows that the search finds a key wherever and however it is.
//
// R2
func TestSightings(t *testing.T) {
	t.Parallel()
	key := newKey()
	if n := sightings([]place{{"a", []byte(strings.Repeat("nothing here ", 100))}}, key); n != 0 {
		t.Errorf("%d sightings where there is nothing", n)
	}
	all := forms(key)
	if len(all) < 12 {
		t.Errorf("only %d forms", len(all))
	}
	for name, f := range all {
		if n := sightings([]place{{"a", append([]byte("before"), f...)}}, key); n == 0 {
			t.Errorf("the form %s is not seen", name)
		}
	}
}
