package sqlanalyze

import (
	"slices"

	"github.com/writhq/writ/internal/sqlcatalog"
	"github.com/writhq/writ/op/sql"
)

// open stands among the columns of an entry or a query for any that cannot be known
// before it runs, such as those of unnest of an array of rows. No name holds a NUL.
const open = "\x00"

// An output is a column as an expression can name it.
type output struct {
	name string
	from []sql.Column // what a reference reads; none where that was counted already
}

// An entry is what a name in FROM stands for. The sides of a join without alias
// can be named but their columns cannot alone: those are the join's, whose own
// entry has no name. Source: PostgreSQL, ParseNamespaceItem.
type entry struct {
	alias    string
	schema   string               // of a relation without alias
	relation *sqlcatalog.Relation // nil for subqueries, functions and the like
	columns  []output
	named    bool // alias.column and alias.* find it
	seen     bool // a column alone and * find it
}

// find returns what the column reads, and whether there is one.
func (e *entry) find(name string) (from []sql.Column, ok bool) {
	for _, c := range e.columns {
		if c.name == name {
			from, ok = append(from, c.from...), true
		}
	}
	if !ok && e.relation != nil && e.relation.Kind != sqlcatalog.View && systemColumns[name] {
		return []sql.Column{e.relation.Column(name)}, true
	}
	return from, ok
}

// open reports whether e may have columns that are not known.
func (e *entry) open() bool {
	return slices.ContainsFunc(e.columns, func(c output) bool { return c.name == open })
}

func (e *entry) names() []string {
	out := make([]string, len(e.columns))
	for i, c := range e.columns {
		out[i] = c.name
	}
	return out
}

// systemColumns are those that every table has.
var systemColumns = map[string]bool{"tableoid": true, "ctid": true, "xmin": true, "xmax": true, "cmin": true, "cmax": true}

// A locked is an item of FROM as FOR UPDATE finds it.
type locked struct {
	alias    string
	relation *sqlcatalog.Relation // or
	inner    []locked             // what a subquery has
}

// A scope is the names that an expression sees: those of one query level, and
// then those of the levels around it.
type scope struct {
	entries []*entry
	outer   *scope
	ctes    map[string][]string // columns, by the name of a common table expression; nil before they are known
	rows    *[]locked           // of this level's query
}

// inside returns an empty scope for a query inside s.
func inside(s *scope) *scope { return &scope{outer: s, rows: new([]locked)} }

// seeing returns a scope of the same level that sees other entries.
func (s *scope) seeing(entries []*entry) *scope {
	return &scope{entries: entries, outer: s.outer, ctes: s.ctes, rows: s.rows}
}

// width returns how many entries and columns a name alone is looked for among, at most.
func (s *scope) width() (n int) {
	for ; s != nil; s = s.outer {
		for _, e := range s.entries {
			n += 1 + len(e.columns)
		}
	}
	return n
}

// reach returns the same for a name of so many parts: with more than one it is looked for
// in one entry, which is found by the first.
func (s *scope) reach(parts int) (n int) {
	if parts == 1 {
		return s.width()
	}
	for ; s != nil; s = s.outer {
		n += len(s.entries)
	}
	return n
}

// cte returns the columns of the common table expression that an unqualified name
// stands for.
func (s *scope) cte(name string) ([]string, bool) {
	for ; s != nil; s = s.outer {
		if c, ok := s.ctes[name]; ok {
			return c, true
		}
	}
	return nil, false
}

// entry returns the entry with the alias, of the innermost level that has one.
func (s *scope) entry(schema, alias string) *entry {
	for ; s != nil; s = s.outer {
		for _, e := range s.entries {
			if e.named && e.alias == alias && (schema == "" || schema == e.schema) {
				return e
			}
		}
	}
	return nil
}

// A finding is how sure it is that a name is a column.
type finding int

const (
	nowhere  finding = iota
	possible         // of an open entry
	found
)

// with returns what the column reads, of the innermost level where any entry has
// it: of all of them, since the server takes no name that stands for two. An open
// entry on the way may have it as well; what is inside that was counted already.
func (s *scope) with(column string) (from []sql.Column, how finding) {
	for ; s != nil; s = s.outer {
		level := nowhere
		for _, e := range s.entries {
			if !e.seen {
				continue
			}
			if e.open() {
				how = possible
			}
			if f, ok := e.find(column); ok {
				from, level = append(from, f...), found
			}
		}
		if level == found {
			return from, found
		}
	}
	return nil, how
}
