package source

import (
	"slices"
	"strconv"
	"strings"

	"github.com/writhq/writ/op"
	"github.com/writhq/writ/op/sql"
	"github.com/writhq/writ/policy"
)

// Samples returns statements at a declaration's borders, and beyond them.
func Samples(o *policy.Operation) []*SQL {
	can := func(kind string) bool { return slices.Contains(o.Actions, "sql:"+kind) }
	if o.SQL == nil {
		return plain(o.Actions)
	}
	if len(o.SQL.Statements) > 0 {
		return append(listed(o), plain(o.Actions)...)
	}
	var out []*SQL
	for _, r := range o.SQL.Relations {
		columns := func(list []string) (names []string) {
			for _, c := range list {
				names = append(names, r.Name+"."+strings.Replace(c, "*", "example", 1))
			}
			return names
		}
		if can("select") && len(r.Read) > 0 {
			out = append(out, &SQL{Kinds: []string{"select"}, Read: columns(r.Read)})
		}
		if can("insert") && len(r.Insert) > 0 {
			out = append(out, &SQL{Kinds: []string{"insert"}, Insert: columns(r.Insert)})
		}
		for _, all := range []bool{false, true} {
			if can("update") && len(r.Update) > 0 {
				out = append(out, &SQL{Kinds: []string{"update"}, Update: columns(r.Update), NoWhere: all})
			}
			if can("delete") && r.Delete {
				out = append(out, &SQL{Kinds: []string{"delete"}, Delete: []string{r.Name}, NoWhere: all})
			}
		}
	}
	return append(append(out, plain(o.Actions)...), &SQL{Kinds: []string{"select"}, Read: []string{"public.somewhere_else.example"}})
}

// plain returns a statement of each of the actions that needs no table.
func plain(actions []string) (out []*SQL) {
	for _, a := range actions {
		if k := strings.TrimPrefix(a, "sql:"); k == sql.Connect || k == sql.Session || k == "transaction" {
			out = append(out, &SQL{Kinds: []string{k}})
		}
	}
	return out
}

// listed returns the statements that a declaration lists, with values in and out of
// their bounds. What they touch is not known here, and counts as nothing.
func listed(o *policy.Operation) (out []*SQL) {
	for i := range o.SQL.Statements {
		s := &o.SQL.Statements[i]
		kind, _, _ := strings.Cut(strings.ToLower(s.Text), " ")
		if !slices.Contains(o.Actions, "sql:"+kind) {
			continue // such as WITH: by its text alone nobody says what it is
		}
		out = append(out, &SQL{Kinds: []string{kind}, Text: s.Text, Values: values(s, -1)})
		for j, v := range s.Values {
			if v.Max != nil {
				out = append(out, &SQL{Kinds: []string{kind}, Text: s.Text, Values: values(s, j)})
			}
		}
	}
	return append(out, &SQL{Kinds: []string{"select"}, Text: "SELECT 1"})
}

// values returns bind values for s at their bounds, and the one at beyond over its own.
func values(s *op.SQLStatement, beyond int) []*string {
	out := make([]*string, len(s.Values))
	for i, v := range s.Values {
		text := "1"
		switch {
		case i == beyond:
			text = strconv.FormatInt(*v.Max+1, 10)
		case v.Max != nil:
			text = strconv.FormatInt(*v.Max, 10)
		case v.Min != nil:
			text = strconv.FormatInt(*v.Min, 10)
		case len(v.In) > 0:
			text = v.In[0]
		}
		out[i] = &text
	}
	return out
}
