package sqlparser_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/writhq/writ/internal/sqlparser"
	"github.com/writhq/writ/internal/testpg"
)

// TestMain makes the test's binary the parser when it is started as one.
func TestMain(m *testing.M) { os.Exit(new(testpg.Lazy).Main(m)) }

func pool(t testing.TB, n int) *sqlparser.Pool {
	t.Helper()
	p := sqlparser.New(n, func() *exec.Cmd { return exec.Command(os.Args[0], sqlparser.Command) })
	t.Cleanup(p.Close)
	return p
}

// TestPool parses and writes again, over several processes at once.
func TestPool(t *testing.T) {
	t.Parallel()
	p := pool(t, 2)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			tree, err := p.Parse(fmt.Sprintf("select  %d", i))
			if err != nil {
				t.Error(err)
				return
			}
			text, again, err := p.Render(tree)
			if want := fmt.Sprintf("SELECT %d", i); err != nil || text != want || len(again) == 0 {
				t.Errorf("%q, %v", text, err)
			}
		})
	}
	wg.Wait()
	if _, err := p.Parse("selekt"); !errors.Is(err, sqlparser.ErrParser) || !strings.Contains(err.Error(), "syntax error") {
		t.Errorf("not a statement: %v", err)
	}
}

// TestDeep puts statements that overflow a usual stack, or whose tree is deep: they are
// refused before their tree is encoded, which would take seconds. SPEC SQL-6.
//
// A18 R11
// guard: parser-depth
func TestDeep(t *testing.T) {
	t.Parallel()
	p := pool(t, 1)
	for name, text := range map[string]string{
		"sum":         "select 1" + strings.Repeat("+1", 120_000),
		"parentheses": "select " + strings.Repeat("(", 120_000) + "1" + strings.Repeat(")", 120_000),
		"subqueries":  strings.Repeat("select (", 20_000) + "1" + strings.Repeat(")", 20_000),
		"not":         "select " + strings.Repeat("not ", 60_000) + "true",
		"casts":       "select 1" + strings.Repeat("::int", 40_000),
		"quotes":      `select '{"' || ` + strings.Repeat(`'}\"}' || `, 20_000) + "''",
	} {
		if _, err := p.Parse(text); err == nil || errors.Is(err, sqlparser.ErrEnded) || !strings.Contains(err.Error(), "too deep") && !strings.Contains(err.Error(), "memory exhausted") {
			t.Errorf("%s: %v", name, err)
		}
		if tree, err := p.Parse("select 1"); err != nil || len(tree) == 0 {
			t.Fatalf("after %s: %v", name, err)
		}
	}
	if _, err := p.Parse("insert into t values (1, '{{{{')" + strings.Repeat(", (2, '[[\"{')", 16_000)); err != nil {
		t.Errorf("long and not deep: %v", err)
	}
}

// TestFrameBound asks with a frame that is too large: the process ends, and does not
// wait for it.
//
// R11
// guard: parser-frame
func TestFrameBound(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), os.Args[0], sqlparser.Command)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := in.Write([]byte{'p', 4, 0, 0, 1}); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("it ended as if all were well")
		}
	case <-time.After(20 * time.Second):
		cmd.Process.Kill()
		t.Error("it waits for 64 MiB")
	}
}

func BenchmarkParse(b *testing.B) {
	p := pool(b, 1)
	for b.Loop() {
		tree, err := p.Parse("SELECT id, total FROM orders WHERE id = $1")
		if err != nil {
			b.Fatal(err)
		}
		if _, _, err := p.Render(tree); err != nil {
			b.Fatal(err)
		}
	}
}

// TestFrame refuses a question that says it is larger than any may be, and does not
// read it. SPEC SQL-6.
//
// R11
// guard: parser-frame
func TestFrame(t *testing.T) {
	t.Setenv("WRIT_SQL_STACK", "1") // else it would start itself again
	const n = 64<<20 + 1
	head := []byte{'p', n >> 24, n >> 16 & 0xff, n >> 8 & 0xff, n & 0xff}
	in := io.MultiReader(bytes.NewReader(head), bytes.NewReader(bytes.Repeat([]byte{' '}, n)))
	if err := sqlparser.Serve(in, io.Discard); !errors.Is(err, sqlparser.ErrParser) {
		t.Errorf("a frame of %d bytes: %v", n, err)
	}
}
