package demo

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/writhq/writ/internal/gateway/httpgw"
	"github.com/writhq/writ/internal/gateway/pggw"
	"github.com/writhq/writ/internal/pgstart"
	"github.com/writhq/writ/internal/testpg"
)

// TestMain makes the test's binary the parser when it is started as one.
func TestMain(m *testing.M) { os.Exit(new(testpg.Lazy).Main(m)) }

// TestDatabase tells the act on a database: what is permitted, refused and cut, and
// that nothing of the server's is left.
//
// R2/sql R3/sql R7/sql
func TestDatabase(t *testing.T) {
	if pgstart.Programs() == "" {
		t.Skip("MISSING: postgresql")
	}
	temp, err := os.MkdirTemp("", "writ-") // not the test's own, into which only its user may look
	if err == nil {
		err = os.Chmod(temp, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(temp) })
	t.Setenv("TMPDIR", temp)
	var out bytes.Buffer
	r, err := Run(t.Context(), Config{Dir: filepath.Join(t.TempDir(), "writ-demo"), Out: &out, HTTP: httpgw.Protocol, Postgres: pggw.Protocol})
	if err != nil || !r.OK {
		t.Fatalf("demo: %v\n%s", err, out.String())
	}
	i := slices.IndexFunc(r.Acts, func(a ActResult) bool { return a.Name == "postgres" })
	if i < 0 || r.Acts[i].Skipped != "" || r.Acts[i].Permitted != 3 || r.Acts[i].Denied != 4 || r.Acts[i].UpstreamCalls != 3 {
		t.Errorf("%+v", r.Acts)
	}
	for _, want := range []string{"3 rows: Ada|30000", "response_stopped: the policy lets 5 rows through", "refuses the role the cards too: 42501"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	left, err := filepath.Glob(filepath.Join(temp, "writ-demo*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

// TestDemo tells the story twice in one folder, without a database, and checks what it
// counted.
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
		if i := slices.IndexFunc(r.Acts, func(a ActResult) bool { return a.Name == "postgres" }); i < 0 || r.Acts[i].Skipped == "" || !strings.Contains(out.String(), "left out: ") {
			t.Errorf("the act on a database, which is not there: %+v", r.Acts)
		}
		if r.Receipts != r.ReceiptsVerified || r.ReplayedDecisions < 10 || r.ReplayedDecisions != r.ReplayedDecisionsEqual {
			t.Errorf("receipts %d/%d, replayed %d/%d", r.ReceiptsVerified, r.Receipts, r.ReplayedDecisionsEqual, r.ReplayedDecisions)
		}
		if r.PolicyBitflipsTried < 8*1000 || r.PolicyBitflipsOpened != 0 || r.SecretSightings != 0 || r.SightingsControl != r.SightingsControlPlanted || r.SightingsControl < 19*15 {
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

// TestTwoDemos shows a second demo in a folder where one runs: it leaves it alone,
// and says so also to programs.
func TestTwoDemos(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "writ-demo")
	unlock, err := clearDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Run(t.Context(), Config{Dir: dir, HTTP: httpgw.Protocol})
	if !errors.Is(err, ErrDemo) || r == nil || r.OK || len(r.Faults) != 1 || !strings.Contains(r.Faults[0], "runs in") {
		t.Errorf("%+v, %v", r, err)
	}
	unlock()
	if unlock, err = clearDir(dir); err != nil {
		t.Errorf("after its end: %v", err)
	} else {
		unlock()
	}
}

// TestSightings shows that the search finds a key wherever and however it is: in
// files and in streams, in writings that are made another way than it looks.
//
// R2
func TestSightings(t *testing.T) {
	t.Parallel()
	for i := range 20 { // keys of other characters
		key := newKey()
		nothing := []byte(strings.Repeat("nothing here ", 100))
		if n, _ := sightings([]place{{"a", nothing}}, key); n != 0 {
			t.Errorf("%d sightings where there is nothing", n)
		}
		all := writings(key)
		if len(all) < 19 {
			t.Errorf("only %d writings", len(all))
		}
		for _, w := range all {
			if n, where := sightings([]place{{"a", nothing}, {"b", plant(nothing, w)}}, key); n == 0 || !slices.Equal(where, []string{"b"}) {
				t.Errorf("%q is not seen as %q: %v", key, w, where)
			}
		}
		if i > 0 {
			continue
		}
		dir := t.TempDir()
		for _, name := range []string{"log", "sub/empty", "sub/store"} {
			if err := errors.Join(os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o700), os.WriteFile(filepath.Join(dir, name), nothing, 0o600)); err != nil {
				t.Fatal(err)
			}
		}
		planted, found, err := control(dir, []place{{"stream", nothing}}, key)
		if want := 4 * len(all); err != nil || planted != want || found != want {
			t.Errorf("control: %d of %d found, want %d: %v", found, planted, want, err)
		}
	}
}
