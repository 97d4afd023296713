package sqlanalyze

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/writhq/writ/internal/sqlcatalog"
	"github.com/writhq/writ/op/sql"
)

// ErrUnmapped is wrapped by the error for a statement of which it cannot be said
// what it does. The operation is denied.
var ErrUnmapped = errors.New("statement not mapped")

// facts gathers what a statement does.
type facts struct {
	kinds      map[string]bool
	relations  map[sql.Relation]bool
	reads      map[sql.Column]bool
	uses       map[sql.Column]bool // of those with which more is done than to return them
	inserts    map[sql.Column]bool
	updates    map[sql.Column]bool
	functions  map[string]bool
	operators  map[string]bool
	types      map[string]bool
	underlying map[string]bool
	channels   map[string]bool
	where      bool // every statement that reads or changes rows says which
	limit      int64
	params     int
	set        *sql.Setting
}

func newFacts() *facts {
	return &facts{
		kinds: make(map[string]bool), relations: make(map[sql.Relation]bool), reads: make(map[sql.Column]bool), uses: make(map[sql.Column]bool), inserts: make(map[sql.Column]bool), updates: make(map[sql.Column]bool),
		functions: make(map[string]bool), operators: make(map[string]bool), types: make(map[string]bool), underlying: make(map[string]bool), channels: make(map[string]bool),
		where: true, limit: sql.NoLimit,
	}
}

// no is the panic by which a visitor leaves: a statement is mapped as a whole or
// not at all.
type no struct{ reason string }

func deny(format string, args ...any) { panic(no{fmt.Sprintf(format, args...)}) }

// caught turns a no into an error. Any other panic goes on.
func caught(err *error) {
	switch r := recover().(type) {
	case nil:
	case no:
		*err = fmt.Errorf("%w: %s", ErrUnmapped, r.reason)
	default:
		panic(r)
	}
}

func (f *facts) relation(n sqlcatalog.Name, mode string) {
	f.relations[sql.Relation{Schema: n.Schema, Name: n.Name, Mode: mode}] = true
}

// statement returns what was gathered in its one order.
func (f *facts) statement() *sql.Statement {
	s := &sql.Statement{
		Kinds: sorted(f.kinds), Functions: sorted(f.functions), Operators: sorted(f.operators), Types: sorted(f.types), Underlying: sorted(f.underlying), Channels: sorted(f.channels),
		Where: f.where, Limit: f.limit, Params: f.params, Set: f.set,
	}
	s.Relations = slices.SortedFunc(maps.Keys(f.relations), sql.Relation.Compare)
	s.Reads = slices.SortedFunc(maps.Keys(f.reads), sql.Column.Compare)
	s.Shown = slices.DeleteFunc(slices.Clone(s.Reads), func(c sql.Column) bool { return f.uses[c] })
	s.Inserts = slices.SortedFunc(maps.Keys(f.inserts), sql.Column.Compare)
	s.Updates = slices.SortedFunc(maps.Keys(f.updates), sql.Column.Compare)
	return s
}

func sorted(m map[string]bool) []string { return slices.Sorted(maps.Keys(m)) }
