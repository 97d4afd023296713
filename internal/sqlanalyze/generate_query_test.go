package sqlanalyze_test

import (
	"fmt"
	"strings"
)

// query returns a query whose columns have the types of want, or any if want is "".
func (g *generator) query(outer *glevel, want string, depth int) (string, []gcol) {
	g.budget--
	if want == "" {
		for range 1 + g.IntN(3) {
			want += string(pick(g, byte('i'), 't', 'n', 'b', 'd', 'i', 't'))
		}
		if g.chance(25) && depth < 3 {
			return g.starred(outer)
		}
	}
	var cols []gcol
	text := g.with(outer, func(l *glevel) string {
		var q string
		switch n := g.IntN(100); {
		case n < 10 && g.budget > 0:
			q, cols = g.setOperation(l, want, depth)
		case n < 15:
			q, cols = g.values(l, want)
		case n < 32:
			q, cols = g.grouped(l, want)
		default:
			q, cols = g.selected(l, want, depth)
		}
		return q
	})
	return text, cols
}

// starred returns a SELECT with a star.
func (g *generator) starred(outer *glevel) (string, []gcol) {
	l := &glevel{outer: outer}
	for range 1 + g.IntN(2) {
		l.ctes = nil
	}
	text, s := g.item(l)
	l.sources = []*gsource{s}
	star := pick(g, "*", gquote(s.alias)+".*")
	return "SELECT " + star + " FROM " + text + " WHERE " + g.expr('b', l, 2), s.cols
}

func (g *generator) setOperation(l *glevel, want string, depth int) (string, []gcol) {
	a, cols := g.query(l, want, depth+1)
	b, _ := g.query(l, want, depth+1)
	text := "(" + a + ")" + pick(g, " UNION ", " UNION ALL ", " INTERSECT ", " EXCEPT ", " EXCEPT ALL ") + "(" + b + ")"
	if g.chance(30) {
		text += " ORDER BY 1"
	}
	return text, cols
}

func (g *generator) values(l *glevel, want string) (string, []gcol) {
	var rows []string
	for range 1 + g.IntN(2) {
		var list []string
		for i := range want {
			list = append(list, cast(want[i], g.expr(want[i], &glevel{outer: l}, 3)))
		}
		rows = append(rows, "("+strings.Join(list, ", ")+")")
	}
	var cols []gcol
	for i := range want {
		cols = append(cols, gcol{fmt.Sprintf("column%d", i+1), want[i]})
	}
	return "VALUES " + strings.Join(rows, ", ") + pick(g, "", " ORDER BY column1"), cols
}

// cast makes sure of the type, which is not clear for a literal alone.
func cast(typ byte, s string) string {
	return "(" + s + ")::" + map[byte]string{'i': "int", 't': "text", 'n': "numeric", 'b': "bool", 'd': "timestamp"}[typ]
}

// target gives an expression of the select list its name.
func (g *generator) target(typ byte, e string) (string, gcol) {
	g.aliases++
	name := fmt.Sprintf("o%d", g.aliases)
	if g.chance(30) {
		name = pick(g, columnNames...)
	}
	return cast(typ, e) + " AS " + gquote(name), gcol{name, typ}
}

// selected returns a SELECT without groups.
func (g *generator) selected(l *glevel, want string, depth int) (string, []gcol) {
	from := g.from(l)
	var list []string
	var cols []gcol
	window := g.chance(12)
	for i := range want {
		e := g.expr(want[i], l, depth)
		if window && want[i] == 'i' {
			e = g.window(l)
		}
		t, c := g.target(want[i], e)
		list, cols = append(list, t), append(cols, c)
	}
	distinct := ""
	order := g.order(l, cols)
	switch n := g.IntN(100); {
	case n < 8:
		distinct = "DISTINCT "
		order = pick(g, "", " ORDER BY 1")
	case n < 14:
		on := g.expr('i', l, 3)
		if strings.Contains("0123456789N", on[:1]) {
			on = "1"
		}
		distinct, order = "DISTINCT ON ("+on+") ", ""
	}
	text := "SELECT " + distinct + strings.Join(list, ", ") + " FROM " + from
	if g.chance(60) {
		text += " WHERE " + g.expr('b', l, 1)
	}
	text += order
	if g.chance(20) {
		text += " LIMIT " + pick(g, "2", "1 + 1", "(SELECT count(*) FROM items)") + pick(g, "", " OFFSET 0")
	}
	if !window && distinct == "" && !strings.Contains(from, "JOIN") && g.chance(12) {
		text += g.lock(l)
	}
	return text, cols
}

func (g *generator) lock(l *glevel) string {
	text := pick(g, " FOR UPDATE", " FOR SHARE", " FOR NO KEY UPDATE", " FOR KEY SHARE")
	if g.chance(40) {
		text += " OF " + gquote(pick(g, l.sources...).alias)
	}
	return text + pick(g, "", " SKIP LOCKED")
}

func (g *generator) order(l *glevel, cols []gcol) string {
	c := pick(g, cols...)
	switch n := g.IntN(10); {
	case n < 2:
		return " ORDER BY 1" + pick(g, "", " DESC", " NULLS FIRST")
	case n == 2 && count(cols, c.name) == 1:
		return " ORDER BY " + gquote(c.name)
	case n == 3:
		return " ORDER BY (" + g.expr('t', l, 3) + ") || ''"
	case n == 4:
		return " ORDER BY length(" + g.expr('t', l, 3) + ") USING <"
	}
	return ""
}

func (g *generator) window(l *glevel) string {
	over := " OVER (PARTITION BY (" + g.expr('t', l, 3) + ")::text ORDER BY (" + g.expr('i', l, 3) + ")::int" +
		pick(g, "", " ROWS BETWEEN 1 PRECEDING AND CURRENT ROW", " RANGE UNBOUNDED PRECEDING") + ")"
	return pick(g, "rank()", "row_number()", "count(*)", "lag("+g.expr('i', l, 3)+"::int)", "sum("+g.expr('i', l, 3)+")", "ntile(2)") + over
}

// grouped returns a SELECT with GROUP BY.
func (g *generator) grouped(l *glevel, want string) (string, []gcol) {
	from := g.from(l)
	local := &glevel{sources: l.sources}
	var keys, list []string
	var cols []gcol
	for i := range want {
		e := g.column(want[i], local)
		if e == "" || g.chance(50) {
			e = g.aggregate(want[i], l)
		} else {
			keys = append(keys, e)
		}
		t, c := g.target(want[i], e)
		list, cols = append(list, t), append(cols, c)
	}
	text := "SELECT " + strings.Join(list, ", ") + " FROM " + from
	if g.chance(50) {
		text += " WHERE " + g.expr('b', l, 2)
	}
	if len(keys) > 0 {
		k := strings.Join(keys, ", ")
		text += " GROUP BY " + pick(g, k, k, "ROLLUP ("+k+")", "CUBE ("+k+")", "GROUPING SETS ((), ("+k+"))", "("+k+")")
	}
	if g.chance(30) {
		text += " HAVING " + g.aggregate('b', l)
	}
	return text, cols
}

// writable returns a table that can be written to, for l.
func (g *generator) writable(l *glevel) (gtable, string, *gsource) {
	for {
		t := pick(g, gtables...)
		if t.view || l.hasCTE(t.alias) {
			continue
		}
		s := &gsource{alias: t.alias, cols: t.cols}
		text := t.name
		if g.chance(30) {
			s.alias = g.alias()
			text += " AS " + gquote(s.alias)
		}
		return t, text, s
	}
}

// returning returns RETURNING, or nothing.
func (g *generator) returning(l *glevel) (string, []gcol) {
	if g.chance(50) {
		return "", nil
	}
	if g.chance(20) && len(l.sources) == 1 {
		return " RETURNING *", append([]gcol{}, l.sources[0].cols...)
	}
	typ := pick(g, byte('i'), 't', 'n')
	t, c := g.target(typ, g.expr(typ, l, 2))
	return " RETURNING " + t, []gcol{c}
}

func (g *generator) insert(l *glevel) (string, []gcol) {
	t, text, s := g.writable(l)
	text = strings.TrimPrefix(text, "ONLY ")
	cols := t.cols
	if t.unique == "" && g.chance(50) {
		cols = cols[:1+g.IntN(len(cols))]
	}
	if t.name == "orders" && g.chance(40) {
		cols = cols[1:]
	}
	want := ""
	for _, c := range cols {
		want += string(c.typ)
	}
	var source string
	if g.chance(40) && g.budget > 0 {
		q, _ := g.query(&glevel{ctes: l.ctes}, want, 2)
		source = "SELECT * FROM (" + q + ") AS src WHERE false"
	} else {
		var row []string
		for i, c := range cols {
			v := cast(c.typ, g.expr(c.typ, &glevel{ctes: l.ctes}, 3))
			if i == 0 {
				v = "90000 + " + fmt.Sprint(g.IntN(1000))
			}
			if c.name == "note" && g.chance(20) {
				v = "DEFAULT"
			}
			if c.name == "status" {
				v = "'s'"
			}
			row = append(row, v)
		}
		source = "VALUES (" + strings.Join(row, ", ") + ")"
	}
	text = "INSERT INTO " + text + " (" + gnames(cols) + ") " + source
	in := &glevel{sources: []*gsource{s}, ctes: l.ctes}
	if t.unique != "" && g.chance(50) {
		text += g.conflict(t, in)
	}
	ret, out := g.returning(in)
	return text + ret, out
}

func (g *generator) conflict(t gtable, l *glevel) string {
	on := pick(g, " ON CONFLICT", " ON CONFLICT ("+t.unique+")")
	if t.name == "customers" {
		on = pick(g, on, " ON CONFLICT ON CONSTRAINT customers_pkey", " ON CONFLICT ON CONSTRAINT customers_email_key")
	}
	if on == " ON CONFLICT" || g.chance(40) {
		return on + " DO NOTHING"
	}
	in := &glevel{sources: []*gsource{{alias: l.sources[0].alias, cols: l.sources[0].cols}, {alias: "excluded", cols: t.cols}}}
	set := g.assignments(t, in)
	if g.chance(40) {
		set += " WHERE " + g.expr('b', in, 2)
	}
	return on + " DO UPDATE SET " + set
}

func (g *generator) assignments(t gtable, l *glevel) string {
	a := pick(g, t.cols[1:]...)
	if a.name == "status" || a.name == "kind" {
		return a.name + " = 's'"
	}
	if len(t.cols) > 3 && g.chance(25) {
		b := t.cols[2]
		for b == a || b.name == "status" {
			b = t.cols[1]
			a = t.cols[len(t.cols)-1]
		}
		return fmt.Sprintf("(%s, %s) = (%s, %s)", gquote(a.name), gquote(b.name), cast(a.typ, g.expr(a.typ, l, 2)), cast(b.typ, g.expr(b.typ, l, 2)))
	}
	if g.chance(15) && g.budget > 0 && len(t.cols) > 3 {
		q, _ := g.query(l, string(a.typ), 2)
		return gquote(a.name) + " = (SELECT * FROM (" + q + ") AS v LIMIT 1)"
	}
	return gquote(a.name) + " = " + pick(g, cast(a.typ, g.expr(a.typ, l, 2)), "DEFAULT")
}

func (g *generator) update(l *glevel) (string, []gcol) {
	t, text, s := g.writable(l)
	in := &glevel{sources: []*gsource{s}, ctes: l.ctes}
	from := ""
	if g.chance(35) {
		f, s2 := g.item(&glevel{ctes: l.ctes})
		if s2.alias != s.alias {
			from = " FROM " + f
			in.sources = append(in.sources, s2)
		}
	}
	text = "UPDATE " + text + " SET " + g.assignments(t, in) + from
	if g.chance(80) {
		text += " WHERE " + g.expr('b', in, 1)
	}
	ret, cols := g.returning(in)
	return text + ret, cols
}

func (g *generator) delete(l *glevel) (string, []gcol) {
	_, text, s := g.writable(l)
	in := &glevel{sources: []*gsource{s}, ctes: l.ctes}
	using := ""
	if g.chance(35) {
		f, s2 := g.item(&glevel{ctes: l.ctes})
		if s2.alias != s.alias {
			using = " USING " + f
			in.sources = append(in.sources, s2)
		}
	}
	text = "DELETE FROM " + text + using
	if g.chance(80) {
		text += " WHERE " + g.expr('b', in, 1)
	}
	ret, cols := g.returning(in)
	return text + ret, cols
}
