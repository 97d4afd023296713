// Package sqlfacts gathers what a statement does, in whatever order it is found.
package sqlfacts

import (
	"maps"
	"slices"

	"github.com/writhq/writ/op/sql"
)

// Facts are what a statement does, as far as it was looked at. They are one visitor's.
type Facts struct {
	Kinds      map[string]bool
	Relations  map[sql.Relation]bool
	Reads      map[sql.Column]bool
	Uses       map[sql.Column]bool // of those with which more is done than to return them
	Inserts    map[sql.Column]bool
	Updates    map[sql.Column]bool
	Functions  map[string]bool
	Operators  map[string]bool
	Types      map[string]bool
	Underlying map[string]bool
	Channels   map[string]bool
	Where      bool // every statement that reads or changes rows says which
	Limit      int64
	Params     int
	Set        *sql.Setting
}

// New returns the facts of a statement that does nothing.
func New() *Facts {
	return &Facts{
		Kinds: make(map[string]bool), Relations: make(map[sql.Relation]bool), Reads: make(map[sql.Column]bool), Uses: make(map[sql.Column]bool), Inserts: make(map[sql.Column]bool), Updates: make(map[sql.Column]bool),
		Functions: make(map[string]bool), Operators: make(map[string]bool), Types: make(map[string]bool), Underlying: make(map[string]bool), Channels: make(map[string]bool),
		Where: true, Limit: sql.NoLimit,
	}
}

// Runs counts what runs because of what a statement names.
func (f *Facts) Runs(list []string) {
	for _, s := range list {
		f.Underlying[s] = true
	}
}

// Statement returns what was gathered in its one order.
func (f *Facts) Statement() *sql.Statement {
	s := &sql.Statement{
		Kinds: sorted(f.Kinds), Functions: sorted(f.Functions), Operators: sorted(f.Operators), Types: sorted(f.Types), Underlying: sorted(f.Underlying), Channels: sorted(f.Channels),
		Where: f.Where, Limit: f.Limit, Params: f.Params, Set: f.Set,
	}
	s.Relations = slices.SortedFunc(maps.Keys(f.Relations), sql.Relation.Compare)
	s.Reads = slices.SortedFunc(maps.Keys(f.Reads), sql.Column.Compare)
	s.Shown = slices.DeleteFunc(slices.Clone(s.Reads), func(c sql.Column) bool { return f.Uses[c] })
	s.Inserts = slices.SortedFunc(maps.Keys(f.Inserts), sql.Column.Compare)
	s.Updates = slices.SortedFunc(maps.Keys(f.Updates), sql.Column.Compare)
	return s
}

func sorted(m map[string]bool) []string { return slices.Sorted(maps.Keys(m)) }
