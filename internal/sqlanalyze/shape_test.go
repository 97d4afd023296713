package sqlanalyze_test

import (
	"math/rand/v2"
	"reflect"
	"regexp"
	"strconv"
	"testing"

	"github.com/writhq/writ/internal/sqlanalyze"
	"github.com/writhq/writ/internal/sqlmeaning"
)

// counting is the grammar in this process, and how often it was asked.
type counting struct {
	direct
	asked int
}

func (c *counting) Parse(text string) ([]byte, error) {
	c.asked++
	return c.direct.Parse(text)
}

var (
	integers = regexp.MustCompile(`\b[0-9]+\b`)
	strung   = regexp.MustCompile(`'[^']*'`)
)

// varied returns the text with other integers.
func varied(r *rand.Rand, text string) string {
	return integers.ReplaceAllStringFunc(text, func(was string) string {
		switch r.IntN(6) {
		case 0:
			return was
		case 1:
			return strconv.Itoa(r.IntN(4))
		case 2:
			return strconv.Itoa(r.IntN(2_000_000_000)) // also such as are longer
		}
		return strconv.Itoa(r.IntN(1_000_000_000))
	})
}

// A shaper maps texts that are varied in their integers.
type shaper struct {
	*rand.Rand
	*sqlanalyze.Analyzer
	by int // texts that were known by their shape
}

// varied maps variants of a text. Each must do what it does when it is mapped by itself,
// and be written in the same way.
func (x *shaper) varied(t *testing.T, text string) {
	t.Helper()
	m, seen := sqlmeaning.New(x.Catalog, x.Path), make(map[string]bool)
	for range 6 {
		text := varied(x.Rand, text)
		g := new(counting)
		got, err := m.Statements(g, text)
		want, bad := x.Map(direct{}, text)
		if (err == nil) != (bad == nil) || len(got) != len(want) {
			t.Errorf("%v, want %v\n  %s", err, bad, text)
			continue
		}
		for i := range got {
			if got[i].Text != want[i].Text || !reflect.DeepEqual(got[i].Statement, want[i].Statement) || !reflect.DeepEqual(got[i].Effect, want[i].Effect) {
				t.Errorf("%s\n%s\n%s\nwant\n%s\n%s", text, got[i].Text, factsOf(&got[i]), want[i].Text, factsOf(&want[i]))
			}
			if got[i].Form != nil && !got[i].Form.Of(&got[i].Statement) { // a long text is not kept, and has none
				t.Errorf("%s: another's form", text)
			}
		}
		if err == nil && g.asked == 0 && !seen[text] {
			x.by++
		}
		seen[text] = true
	}
}

// TestShapes maps generated and ordinary statements with several sets of integers in
// them, first and last by themselves, and in between by their shape. SPEC SQL-14.
//
// R5/sql, R15/sql
func TestShapes(t *testing.T) {
	t.Parallel()
	by := 0
	run := func(a *sqlanalyze.Analyzer, texts []string) {
		x := &shaper{Rand: rand.New(rand.NewPCG(7, 7)), Analyzer: a}
		for _, text := range texts {
			x.varied(t, text)
			x.varied(t, strung.ReplaceAllString(text, "7"))
		}
		by += x.by
	}
	var generated []string
	for i := range statements(t) {
		g := &generator{Rand: rand.New(rand.NewPCG(3, uint64(i)))}
		generated = append(generated, g.statement())
	}
	run(analyzerOf(t, oracleSchema), generated)
	run(analyzerOf(t, ordinarySchema), append(ordinaryStatements(t),
		"SELECT -5", "SELECT - 5", "SELECT 3 - -5", "SELECT 3-5", "SELECT (-(5))", "SELECT -(0)", "SELECT 1 - (-(0))", "SELECT 3 -(- 5)", "SELECT 5 IN (1, 2, 3)", "SELECT id FROM orders WHERE id = 5",
		"SELECT id FROM orders WHERE id BETWEEN -5 AND 5 LIMIT 3", "SELECT id, total FROM orders ORDER BY 2, 1 OFFSET 4", "SELECT DISTINCT ON (1) id, total FROM orders", "SELECT total FROM orders GROUP BY 1",
		"SELECT CAST(total AS numeric(4, 2)) FROM orders WHERE id > 7", "SELECT total FROM orders FETCH FIRST 5 ROWS ONLY", "INSERT INTO orders (id, total) VALUES (1, 2), (3, -4)", "UPDATE orders SET total = total + 5 WHERE id = 5",
		"DELETE FROM orders WHERE id = 5 AND total < 10", "SELECT tags[1:2] FROM customers WHERE id = 3", "SELECT tags[1] FROM customers", "SELECT 5 AS n5 FROM orders n5 WHERE n5.id=5", "SELECT id FROM orders TABLESAMPLE system (10)",
		"SELECT 1; SELECT 2", "EXPLAIN SELECT 5", "SELECT id FROM orders WHERE id <-5", "SELECT id FROM orders WHERE id @-5 = 3", "SELECT 5e3, 0x1F, 1_000, 5., .5, 1.5, 007 FROM orders", "SELECT a.id FROM generate_series(1, 10) a(id)"))
	t.Logf("%d statements by their shape", by)
	if by < 200 {
		t.Errorf("only %d statements were known by their shape", by)
	}
}
