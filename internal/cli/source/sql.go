package source

import (
	"crypto/rand"
	"fmt"
	"slices"
	"strings"

	"github.com/writhq/writ/op"
	"github.com/writhq/writ/op/sql"
)

// An SQL is an example of a statement, by what it does: which that is, a gate asks the
// server's catalog, and here there is none. What it does to its columns is written as
// schema.table.column.
type SQL struct {
	Kinds     []string  `json:"kinds"` // such as select; connect
	Read      []string  `json:"read,omitempty"`
	Shown     []string  `json:"shown,omitempty"` // read too, and only returned, as a masked column may be
	Insert    []string  `json:"insert,omitempty"`
	Update    []string  `json:"update,omitempty"`
	Delete    []string  `json:"delete,omitempty"` // tables
	Truncate  []string  `json:"truncate,omitempty"`
	Lock      []string  `json:"lock,omitempty"`
	Functions []string  `json:"functions,omitempty"`
	NoWhere   bool      `json:"no_where,omitempty"` // an UPDATE or DELETE of all rows
	Limit     *int64    `json:"limit,omitempty"`
	Text      string    `json:"text,omitempty"`   // that runs, where the policy lists statements
	Values    []*string `json:"values,omitempty"` // bind values
}

// Action returns the action of the statement.
func (x *SQL) Action() string { return (&sql.Statement{Kinds: x.Kinds}).Action() }

// String returns what the statement does, for people.
func (x *SQL) String() string {
	var out []string
	for _, part := range []struct {
		word string
		list []string
	}{{"read", x.Read}, {"return", x.Shown}, {"insert", x.Insert}, {"update", x.Update}, {"delete", x.Delete}, {"truncate", x.Truncate}, {"lock", x.Lock}, {"call", x.Functions}} {
		if len(part.list) > 0 {
			out = append(out, part.word+" "+strings.Join(part.list, ", "))
		}
	}
	if x.Text != "" {
		out = append(out, x.Text)
	}
	for _, v := range x.Values {
		if v == nil {
			out = append(out, "NULL")
		} else {
			out = append(out, fmt.Sprintf("%q", *v))
		}
	}
	if x.NoWhere {
		out = append(out, "without WHERE")
	}
	if x.Limit != nil {
		out = append(out, fmt.Sprintf("LIMIT %d", *x.Limit))
	}
	return strings.Join(out, "; ")
}

// Operation returns the operation that a gate would make of it for the target.
func (x *SQL) Operation(target string) (*op.Operation, error) {
	s := sql.Statement{Kinds: sorted(x.Kinds), Functions: sorted(x.Functions), Where: !x.NoWhere, Limit: sql.NoLimit, Params: len(x.Values)}
	if x.Limit != nil {
		s.Limit = *x.Limit
	}
	for _, part := range []struct {
		mode string
		list []string
		to   *[]sql.Column
	}{{sql.Read, x.Read, &s.Reads}, {sql.Read, x.Shown, &s.Reads}, {sql.Read, x.Shown, &s.Shown}, {sql.Insert, x.Insert, &s.Inserts}, {sql.Update, x.Update, &s.Updates}} {
		for _, name := range part.list {
			schema, rest, _ := strings.Cut(name, ".")
			at := strings.LastIndexByte(rest, '.')
			if at < 0 {
				return nil, fmt.Errorf("%s %s: want schema.table.column", part.mode, name)
			}
			*part.to = append(*part.to, sql.Column{Schema: schema, Table: rest[:at], Name: rest[at+1:]})
			s.Relations = append(s.Relations, sql.Relation{Schema: schema, Name: rest[:at], Mode: part.mode})
		}
		slices.SortFunc(*part.to, sql.Column.Compare)
		*part.to = slices.Compact(*part.to)
	}
	for mode, list := range map[string][]string{sql.Delete: x.Delete, sql.Truncate: x.Truncate, sql.Lock: x.Lock} {
		for _, name := range list {
			schema, table, ok := strings.Cut(name, ".")
			if !ok {
				return nil, fmt.Errorf("%s %s: want schema.table", mode, name)
			}
			s.Relations = append(s.Relations, sql.Relation{Schema: schema, Name: table, Mode: mode})
		}
	}
	slices.SortFunc(s.Relations, sql.Relation.Compare)
	s.Relations = slices.Compact(s.Relations)
	salt := make([]byte, 16)
	rand.Read(salt)
	return sql.NewOperation(&sql.Asked{Target: target, Text: x.Text, Params: x.Values}, &sql.Found{Facts: op.Facts{Salt: salt}, Statement: s, Text: x.Text})
}

func sorted(list []string) []string {
	out := slices.Sorted(slices.Values(list))
	return slices.Compact(out)
}
