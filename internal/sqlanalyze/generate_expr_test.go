package sqlanalyze_test

import (
	"fmt"
	"strings"
)

// column returns a reference to a column of the type that l sees, or "".
func (g *generator) column(typ byte, l *glevel) string {
	var found []string
	hidden := make(map[string]bool) // names that an inner level has
	for depth := 0; l != nil && depth < 4; l, depth = l.outer, depth+1 {
		names := make(map[string]int)
		aliases := make(map[string]int)
		for _, s := range l.sources {
			aliases[s.alias]++
			for _, c := range s.cols {
				names[c.name]++
			}
		}
		for _, s := range l.sources {
			for _, c := range s.cols {
				if c.typ != typ {
					continue
				}
				merged := s.merged[c.name]
				if (names[c.name] == 1 || merged) && !hidden[c.name] {
					found = append(found, gquote(c.name), gquote(c.name))
				}
				if aliases[s.alias] == 1 && !hidden["."+s.alias] && count(s.cols, c.name) == 1 {
					found = append(found, gquote(s.alias)+"."+gquote(c.name))
					if g.chance(5) && !hidden[s.alias] && count(s.cols, s.alias) == 0 {
						found = append(found, "("+gquote(s.alias)+")."+gquote(c.name))
					}
				}
			}
		}
		if len(found) > 0 && g.chance(70) {
			break
		}
		for n := range names {
			hidden[n] = true
		}
		for a := range aliases {
			hidden["."+a] = true
		}
	}
	if len(found) == 0 {
		return ""
	}
	return pick(g, found...)
}

// row returns a reference to a whole row that l sees, or "".
func (g *generator) row(l *glevel) string {
	if l == nil || len(l.sources) == 0 {
		return ""
	}
	s := pick(g, l.sources...)
	if g.chance(40) {
		return gquote(s.alias) + ".*"
	}
	return gquote(s.alias)
}

var literals = map[byte][]string{
	'i': {"1", "2", "3", "0", "NULL::int"}, 't': {"'a'", "'open'", "'x'::text", "text 'y'", "$$z$$"}, 'n': {"1.5", "2::numeric", "0.1"},
	'b': {"true", "false", "(1 = 1)"}, 'd': {"'2020-01-01'::timestamp", "timestamp '2021-01-01'", "localtimestamp"},
}

// expr returns an expression of a type.
func (g *generator) expr(typ byte, l *glevel, depth int) string {
	if depth > 4 || g.chance(35) {
		if c := g.column(typ, l); c != "" && !g.chance(10) {
			return c
		}
		return pick(g, literals[typ]...)
	}
	e := func(t byte) string { return g.expr(t, l, depth+1) }
	if s := g.general(typ, l, depth); s != "" {
		return s
	}
	switch typ {
	case 'i':
		return g.intExpr(l, e)
	case 't':
		return g.textExpr(l, e)
	case 'n':
		return pick(g, func() string { return "(" + e('n') + pick(g, " + ", " - ") + e('n') + ")" }, func() string { return "round(" + e('n') + ", 1)" },
			func() string { return e('i') + "::numeric" }, func() string { return "abs(" + e('n') + ")" },
			func() string { return "greatest(" + e('n') + ", " + e('i') + ")" }, func() string { return "trunc(" + e('n') + ")" })()
	case 'b':
		return g.boolExpr(l, e, depth)
	}
	return pick(g, func() string { return "date_trunc('day', " + e('d') + ")" }, func() string { return "(" + e('d') + " + interval '1 day')" },
		func() string { return "current_date::timestamp" }, func() string { return "now()::timestamp" },
		func() string { return "make_timestamp(2020, 1, 1, 1, 1, 1.0)" }, func() string { return "(" + e('d') + " AT TIME ZONE 'UTC')::timestamp" })()
}

// general returns an expression that there is of every type, or "".
func (g *generator) general(typ byte, l *glevel, depth int) string {
	e := func(t byte) string { return g.expr(t, l, depth+1) }
	switch g.IntN(22) {
	case 0:
		return "CASE WHEN " + e('b') + " THEN " + e(typ) + " ELSE " + e(typ) + " END"
	case 1:
		return "CASE " + e('i') + " WHEN " + e('i') + " THEN " + e(typ) + " END"
	case 2:
		return "coalesce(" + e(typ) + ", " + e(typ) + ")"
	case 3:
		return "nullif(" + e(typ) + ", " + e(typ) + ")"
	case 4, 5, 6:
		if g.budget > 0 {
			q, _ := g.query(l, string(typ), depth+1)
			return "(SELECT * FROM (" + q + ") AS one LIMIT 1)"
		}
	case 7:
		if g.budget > 0 {
			return g.aggregated(typ, l)
		}
	case 8:
		return "(ARRAY[" + e(typ) + ", " + e(typ) + "])[1]"
	}
	return ""
}

// aggregated returns a subquery that is one value, over one table and correlated.
func (g *generator) aggregated(typ byte, l *glevel) string {
	g.budget--
	t := pick(g, gtables...)
	text, s := g.aliased(t.name, t, false)
	in := &glevel{sources: []*gsource{s}, outer: l}
	return "(SELECT " + g.aggregate(typ, in) + " FROM " + text + " WHERE " + g.expr('b', in, 3) + ")"
}

// aggregate returns an aggregate of a type.
func (g *generator) aggregate(typ byte, l *glevel) string {
	e := func(t byte) string { return g.expr(t, &glevel{sources: l.sources}, 4) }
	filter := pick(g, "", "", " FILTER (WHERE "+g.expr('b', &glevel{sources: l.sources}, 4)+")")
	switch typ {
	case 'i':
		return pick(g, "count(*)", "count("+pick(g, "DISTINCT ", "")+e('t')+")", "max("+e('i')+")", "min("+e('i')+")") + filter + "::int"
	case 't':
		return pick(g, "string_agg("+e('t')+", ',' ORDER BY "+e('i')+")", "max("+e('t')+")", "min("+e('t')+")") + filter
	case 'n':
		return pick(g, "sum("+e('n')+")", "avg("+e('i')+")", "max("+e('n')+")", "(percentile_cont(0.5) WITHIN GROUP (ORDER BY "+e('i')+"))::numeric")
	case 'b':
		return pick(g, "bool_and("+e('b')+")", "every("+e('b')+")", "(count(*) > 1)")
	}
	return pick(g, "max("+e('d')+")", "min("+e('d')+")")
}

func (g *generator) intExpr(l *glevel, e func(byte) string) string {
	switch g.IntN(13) {
	case 0, 1:
		return "(" + e('i') + pick(g, " + ", " - ", " & ", " | ") + e('i') + ")"
	case 2:
		return "length(" + e('t') + ")"
	case 3:
		return "abs(" + e('i') + ")"
	case 4:
		return "extract(" + pick(g, "year", "month") + " FROM " + e('d') + ")::int"
	case 5:
		return pick(g, "twice(", "public.twice(") + e('i') + ")"
	case 6:
		return "strpos(" + e('t') + ", 'a')"
	case 7:
		return pick(g, "greatest(", "least(") + e('i') + ", " + e('i') + ")"
	case 8:
		return pick(g, "nextval('seq')", "nextval('s2.seq2'::regclass)", "setval('seq', 5)", "nextval('public.seq')") + "::int"
	case 9:
		return "position('a' IN " + e('t') + ")"
	case 10:
		return "array_length(ARRAY[" + e('i') + ", 1], 1)"
	case 11:
		return "(-" + e('i') + ")"
	}
	return "octet_length(" + e('t') + ")"
}

func (g *generator) textExpr(l *glevel, e func(byte) string) string {
	switch g.IntN(14) {
	case 0, 1:
		return "(" + e('t') + " || " + e('t') + ")"
	case 2:
		return pick(g, "lower(", "upper(", "pg_catalog.upper(", "md5(", "btrim(") + e('t') + ")"
	case 3:
		return "substring(" + e('t') + " FROM 1 FOR 2)"
	case 4:
		return "replace(" + e('t') + ", 'a', " + e('t') + ")"
	case 5:
		return "to_char(" + e('d') + ", 'YYYY')"
	case 6:
		return "CAST(" + e('i') + " AS text)"
	case 7:
		return "concat(" + e('t') + ", " + e('i') + ", " + e('n') + ")"
	case 8:
		return pick(g, "label(", "public.label(") + e('t') + pick(g, "", ", 'b'") + ")"
	case 9:
		return pick(g, "current_user::text", "session_user::text", "current_schema::text")
	case 10:
		if r := g.row(l); r != "" && !strings.HasSuffix(r, "*") {
			return r + "::text"
		}
	case 11:
		return pick(g, "format('%s', "+e('t')+")", "('w' || "+e('t')+")::s2.word::text")
	case 12:
		return "trim(both 'x' from " + e('t') + ")"
	}
	return "left(" + e('t') + ", 2)"
}

func (g *generator) boolExpr(l *glevel, e func(byte) string, depth int) string {
	typ := pick(g, byte('i'), 't', 'n', 'd')
	op := pick(g, " = ", " <> ", " < ", " >= ", " != ")
	switch g.IntN(17) {
	case 0, 1, 2:
		return e(typ) + op + e(typ)
	case 3:
		return "(" + e('b') + pick(g, " AND ", " OR ") + e('b') + ")"
	case 4:
		return "NOT " + e('b')
	case 5:
		return e(typ) + pick(g, " IN (", " NOT IN (") + e(typ) + ", " + e(typ) + ")"
	case 6, 7:
		if g.budget <= 0 {
			return "true"
		}
		q, _ := g.query(l, string(typ), depth+1)
		return "(" + e(typ) + pick(g, " IN (", " = ANY (", " <> ALL (", " NOT IN (") + q + "))"
	case 8, 9:
		if g.budget <= 0 {
			return "false"
		}
		q, _ := g.query(l, "", depth+1)
		return "EXISTS (" + q + ")"
	case 10:
		return "(" + e(typ) + " BETWEEN " + pick(g, "", "SYMMETRIC ") + e(typ) + " AND " + e(typ) + ")"
	case 11:
		return "(" + e('t') + pick(g, " LIKE ", " NOT ILIKE ", " ~ ", " === ", " OPERATOR(public.===) ", " SIMILAR TO ") + e('t') + ")"
	case 12:
		return "(" + e(typ) + pick(g, " IS NULL", " IS NOT NULL", " IS DISTINCT FROM "+e(typ)) + ")"
	case 13:
		return "(" + e(typ) + " = ANY (ARRAY[" + e(typ) + "]))"
	case 14:
		return fmt.Sprintf("((%s, %s) < (%s, %s))", e('i'), e('t'), e('i'), e('t'))
	case 15:
		return pick(g, "('good'::mood = "+e('t')+"::text)", "(CASE 'good'::mood WHEN "+e('t')+"::text THEN true END)", "('good'::mood IN (SELECT 'a'::text))")
	}
	return "(" + e('b') + " IS NOT TRUE)"
}
