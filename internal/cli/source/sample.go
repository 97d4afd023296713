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
			x := &SQL{Kinds: []string{"select"}}
			for _, c := range columns(r.Read) {
				if slices.Contains(o.SQL.Mask, c) {
					x.Shown = append(x.Shown, c)
				} else {
					x.Read = append(x.Read, c)
				}
			}
			out = append(out, x)
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

// Touches returns lines that say what a declaration lets statements touch.
func Touches(s *op.SQL) (out []string) {
	if s == nil {
		return nil
	}
	line := func(before string, list []string, after string) {
		if len(list) > 0 {
			out = append(out, before+strings.Join(list, ", ")+after)
		}
	}
	for _, r := range s.Relations {
		var parts []string
		for verb, list := range map[string][]string{"read": r.Read, "insert": r.Insert, "update": r.Update} {
			if len(list) > 0 {
				parts = append(parts, verb+" "+strings.Join(list, ", "))
			}
		}
		for verb, ok := range map[string]bool{"delete": r.Delete, "truncate": r.Truncate, "lock": r.Lock, "usage": r.Usage} {
			if ok {
				parts = append(parts, verb)
			}
		}
		slices.Sort(parts)
		out = append(out, r.Name+": "+strings.Join(parts, "; "))
	}
	line("functions ", s.Functions, "")
	line("types ", s.Types, "")
	line("settings ", s.Settings, "")
	line("channels ", s.Channels, "")
	line("mask ", s.Mask, ": returned as NULL")
	if s.Introspection {
		out = append(out, "introspection: which tables, columns and functions there are")
	}
	if s.PurposeComment {
		out = append(out, "purpose_comment: a statement may name its purpose")
	}
	for _, x := range s.Statements {
		out = append(out, "statement "+x.ID)
	}
	return out
}

// Reads reports whether a declaration lists schema.table.column among what is read.
func Reads(s *op.SQL, column string) bool {
	return slices.ContainsFunc(s.Relations, func(r op.SQLRelation) bool {
		c, ok := strings.CutPrefix(column, r.Name+".")
		return ok && (slices.Contains(r.Read, c) || slices.Contains(r.Read, "*"))
	})
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
