package sqltree

import (
	"strings"
	"testing"

	pg "github.com/pganalyze/pg_query_go/v6"
	"github.com/pganalyze/pg_query_go/v6/parser"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// trees are the texts whose trees are compared.
var trees = []string{
	"SELECT 1", "SELECT  1", "SELECT 2", "SELECT '1'", "SELECT 1; SELECT 2", "", "SELECT", "SELECT 0", "SELECT 0.0", "SELECT NULL", "SELECT false",
	"SELECT a FROM t WHERE b = 1", "SELECT a FROM t WHERE b =\n\t 1", "SELECT a FROM t WHERE b = $1", "SELECT a FROM s.t WHERE b = 1", "SELECT a, b FROM t", "SELECT b, a FROM t",
	"SELECT DISTINCT a FROM t", "SELECT DISTINCT ON (a) a FROM t", "SELECT * FROM t", "SELECT count(*) FROM t", "SELECT count() FROM t", "SELECT (SELECT 1) FROM t",
	"WITH c AS (SELECT 1) SELECT * FROM c JOIN t USING (id) LEFT JOIN u ON true ORDER BY 1 LIMIT 5", "INSERT INTO t (a) VALUES (1), (2) ON CONFLICT DO NOTHING RETURNING a",
	"UPDATE t SET a = 1, b = DEFAULT WHERE c IS NULL", "DELETE FROM t USING u", "EXPLAIN (ANALYZE) SELECT 1", "BEGIN", "BEGIN READ ONLY", "DO 'x'", "CREATE TABLE t ()", "CREATE TABLE t (a int)",
}

func treeOf(t testing.TB, text string) []byte {
	t.Helper()
	b, err := parser.ParseToProtobuf(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return b
}

// unplaced takes out of a tree where in the text its nodes stood.
func unplaced(m protoreflect.Message) {
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case strings.HasSuffix(string(fd.Name()), "location") || fd.Name() == "stmt_len":
			m.Clear(fd)
		case fd.Kind() != protoreflect.MessageKind:
		case fd.IsList():
			for i := range v.List().Len() {
				unplaced(v.List().Get(i).Message())
			}
		default:
			unplaced(v.Message())
		}
		return true
	})
}

// decoded returns a tree without places; nil if b is none.
func decoded(b []byte) *pg.ParseResult {
	tree := new(pg.ParseResult)
	if proto.Unmarshal(b, tree) != nil {
		return nil
	}
	unplaced(tree.ProtoReflect())
	return tree
}

// listed reports whether what is below n is in the grammar's table.
func listed(m protoreflect.Message) bool {
	name, ok := m.Descriptor().Name(), true
	fields, isKnown := known[name]
	if !isKnown && name != "Node" || len(m.GetUnknown()) > 0 {
		return false
	}
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case name != "Node" && !fields[fd.Name()]:
			ok = false
		case fd.Kind() != protoreflect.MessageKind:
		case fd.IsList():
			for i := 0; ok && i < v.List().Len(); i++ {
				ok = listed(v.List().Get(i).Message())
			}
		default:
			ok = listed(v.Message())
		}
		return ok
	})
	return ok
}

// allListed reports whether all of a tree is in the grammar's table.
func allListed(tree *pg.ParseResult) bool {
	for _, s := range tree.Stmts {
		if len(s.ProtoReflect().GetUnknown()) > 0 || s.Stmt != nil && !listed(s.Stmt.ProtoReflect()) {
			return false
		}
	}
	return len(tree.ProtoReflect().GetUnknown()) == 0
}

// TestSame compares each pair of trees as bytes and as what they are decoded to, and
// looks for what is not known in both forms. SPEC SQL-4, SQL-5.
func TestSame(t *testing.T) {
	equal, open := 0, 0
	for _, x := range trees {
		a := treeOf(t, x)
		if got, want := closed(a, result(), -aroundDepth) == nil, allListed(decoded(a)); got != want {
			t.Errorf("%s: known: %v, want %v", x, got, want)
		} else if !want {
			open++
		}
		for _, y := range trees {
			b := treeOf(t, y)
			want := proto.Equal(decoded(a), decoded(b))
			if want {
				equal++
			}
			if got := same(a, b, result()); got != want {
				t.Errorf("%q and %q: %v, want %v", x, y, got, want)
			}
		}
	}
	if equal <= len(trees) || open < 3 {
		t.Errorf("%d pairs are equal, %d trees are not known", equal, open)
	}
}

// FuzzSame holds bytes against a tree, and against the table: what counts as the same,
// or as known, is so once it is decoded. SPEC SQL-4, SQL-5.
//
// R5/sql
func FuzzSame(f *testing.F) {
	for i, x := range trees {
		f.Add(i, treeOf(f, x))
	}
	f.Fuzz(func(t *testing.T, i int, b []byte) {
		a := treeOf(t, trees[uint(i)%uint(len(trees))])
		if same(a, b, result()) && !proto.Equal(decoded(a), decoded(b)) {
			t.Errorf("%x counts as %x", b, a)
		}
		if tree := decoded(b); tree != nil && closed(b, result(), -aroundDepth) == nil && !allListed(tree) {
			t.Errorf("%x counts as known", b)
		}
	})
}
