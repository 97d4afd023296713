// Package sqlcatalog holds what a PostgreSQL server says of its names, which is what
// they are looked up in, and reads it from one.
package sqlcatalog

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// ErrCatalog is wrapped by every error of this package.
var ErrCatalog = errors.New("catalog")

// A Querier runs one query and returns its rows as text; NULL is "".
type Querier interface {
	Query(ctx context.Context, sql string) ([][]string, error)
}

// All names in these queries are qualified, so that nothing on the server can take
// their place.
const (
	relations = `SELECT c.oid, n.nspname, c.relname, c.relkind,
 (SELECT pg_catalog.string_agg(a.attname, E'\x01' ORDER BY a.attnum) FROM pg_catalog.pg_attribute a
  WHERE a.attrelid OPERATOR(pg_catalog.=) c.oid AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped),
 (SELECT pg_catalog.string_agg(a.attnum::pg_catalog.text, E'\x01' ORDER BY a.attnum) FROM pg_catalog.pg_attribute a
  WHERE a.attrelid OPERATOR(pg_catalog.=) c.oid AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped),
 (SELECT pg_catalog.string_agg(a.atttypid::pg_catalog.text, E'\x01' ORDER BY a.attnum) FROM pg_catalog.pg_attribute a
  WHERE a.attrelid OPERATOR(pg_catalog.=) c.oid AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
WHERE c.relkind OPERATOR(pg_catalog.=) ANY (ARRAY['r','p','v','m','f','S']::pg_catalog."char"[]) AND c.relpersistence OPERATOR(pg_catalog.<>) 't'
ORDER BY c.oid`
	// edges are what a relation stands for: views, rules and policies read relations.
	edges = `SELECT r.ev_class, d.refobjid FROM pg_catalog.pg_rewrite r
JOIN pg_catalog.pg_depend d ON d.classid OPERATOR(pg_catalog.=) 2618 AND d.objid OPERATOR(pg_catalog.=) r.oid AND d.refclassid OPERATOR(pg_catalog.=) 1259
WHERE d.refobjid OPERATOR(pg_catalog.<>) r.ev_class
UNION SELECT p.polrelid, d.refobjid FROM pg_catalog.pg_policy p
JOIN pg_catalog.pg_depend d ON d.classid OPERATOR(pg_catalog.=) 3256 AND d.objid OPERATOR(pg_catalog.=) p.oid AND d.refclassid OPERATOR(pg_catalog.=) 1259
WHERE d.refobjid OPERATOR(pg_catalog.<>) p.polrelid ORDER BY 1, 2`
	// calls are the functions in what runs with a relation: c where it is read or
	// written, f where it is written, k where it or a partition of it is; t with a domain;
	// or a with a function, whose arguments have defaults. They stand in trees, whose dependencies on the
	// server's own functions are not recorded. Behind its operators and casts (formats
	// 1 and 2) the server's own functions do not count.
	calls = `SELECT DISTINCT x.r, x.w, m[2] FROM (` + trees + `) x,
 LATERAL pg_catalog.regexp_matches(x.t, ':(aggfnoid|winfnoid|opfuncid|funcid) (\d+)(?: :funcresulttype \d+ :funcretset \w+ :funcvariadic \w+ :funcformat (\d))?', 'g') m
WHERE NOT (m[2]::pg_catalog.oid OPERATOR(pg_catalog.<) 16384 AND (m[1] OPERATOR(pg_catalog.=) 'opfuncid' OR COALESCE(m[3], '') OPERATOR(pg_catalog.=) ANY (ARRAY['1', '2'])))
ORDER BY 1, 2, 3`
	// casts to types of users stand in the same trees, and name no function.
	coercions = `SELECT DISTINCT x.r, x.w, m[1] FROM (` + trees + `) x, LATERAL pg_catalog.regexp_matches(x.t, ':resulttype (\d+)', 'g') m
WHERE m[1]::pg_catalog.oid OPERATOR(pg_catalog.>=) 16384 ORDER BY 1, 2, 3`
	trees = `
 SELECT ev_class r, 'c' w, ev_qual::pg_catalog.text OPERATOR(pg_catalog.||) ev_action::pg_catalog.text t FROM pg_catalog.pg_rewrite
 UNION ALL SELECT polrelid, 'c', pg_catalog.concat(polqual::pg_catalog.text, polwithcheck::pg_catalog.text) FROM pg_catalog.pg_policy
 UNION ALL SELECT adrelid, 'f', adbin::pg_catalog.text FROM pg_catalog.pg_attrdef
 UNION ALL SELECT conrelid, 'f', conbin::pg_catalog.text FROM pg_catalog.pg_constraint WHERE conrelid OPERATOR(pg_catalog.<>) 0 AND conbin IS NOT NULL
 UNION ALL SELECT indrelid, 'f', pg_catalog.concat(indexprs::pg_catalog.text, indpred::pg_catalog.text) FROM pg_catalog.pg_index WHERE indexprs IS NOT NULL OR indpred IS NOT NULL
 UNION ALL SELECT oid, 'a', proargdefaults::pg_catalog.text FROM pg_catalog.pg_proc WHERE proargdefaults IS NOT NULL
 UNION ALL SELECT partrelid, 'k', partexprs::pg_catalog.text FROM pg_catalog.pg_partitioned_table WHERE partexprs IS NOT NULL
 UNION ALL SELECT contypid, 't', conbin::pg_catalog.text FROM pg_catalog.pg_constraint WHERE contypid OPERATOR(pg_catalog.<>) 0`
	// parents are the tables that others are children or partitions of.
	parents = `SELECT inhrelid, inhparent FROM pg_catalog.pg_inherits ORDER BY 1, 2`
	// fills are the sequences that defaults take from.
	fills = `SELECT DISTINCT a.adrelid, d.refobjid FROM pg_catalog.pg_attrdef a
JOIN pg_catalog.pg_depend d ON d.classid OPERATOR(pg_catalog.=) 2604 AND d.objid OPERATOR(pg_catalog.=) a.oid AND d.refclassid OPERATOR(pg_catalog.=) 1259
JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) d.refobjid AND c.relkind OPERATOR(pg_catalog.=) 'S' ORDER BY 1, 2`
	constraints = `SELECT c.conrelid, c.conname, (SELECT pg_catalog.string_agg(a.attname, E'\x01' ORDER BY a.attnum) FROM pg_catalog.pg_attribute a
  WHERE a.attrelid OPERATOR(pg_catalog.=) c.conrelid AND a.attnum OPERATOR(pg_catalog.=) ANY (c.conkey))
FROM pg_catalog.pg_constraint c WHERE c.contype OPERATOR(pg_catalog.=) ANY (ARRAY['p','u','x']::pg_catalog."char"[]) ORDER BY c.oid`
	functions = `SELECT p.oid, n.nspname, p.proname, p.pronargdefaults, p.provariadic OPERATOR(pg_catalog.<>) 0, p.provolatile, p.prokind,
 (SELECT pg_catalog.string_agg(CASE tn.nspname WHEN 'pg_catalog' THEN '' ELSE tn.nspname OPERATOR(pg_catalog.||) '.' END OPERATOR(pg_catalog.||) t.typname, E'\x01' ORDER BY x.i)
  FROM pg_catalog.unnest(p.proargtypes) WITH ORDINALITY x(t, i) JOIN pg_catalog.pg_type t ON t.oid OPERATOR(pg_catalog.=) x.t
  JOIN pg_catalog.pg_namespace tn ON tn.oid OPERATOR(pg_catalog.=) t.typnamespace),
 (SELECT pg_catalog.string_agg(COALESCE(p.proargnames[x.i], ''), E'\x01' ORDER BY x.i)
  FROM pg_catalog.unnest(p.proargmodes) WITH ORDINALITY x(m, i) WHERE x.m OPERATOR(pg_catalog.=) ANY (ARRAY['o','b','t']::pg_catalog."char"[])),
 (SELECT pg_catalog.string_agg(a.attname, E'\x01' ORDER BY a.attnum) FROM pg_catalog.pg_type t
  JOIN pg_catalog.pg_attribute a ON a.attrelid OPERATOR(pg_catalog.=) t.typrelid
  WHERE t.oid OPERATOR(pg_catalog.=) p.prorettype AND t.typrelid OPERATOR(pg_catalog.<>) 0 AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped),
 (SELECT t.typtype FROM pg_catalog.pg_type t WHERE t.oid OPERATOR(pg_catalog.=) p.prorettype),
 COALESCE(CASE p.prokind WHEN 'p' THEN pg_catalog.cardinality(pg_catalog.array_positions(p.proargmodes, 'o')) END, 0),
 pg_catalog.concat_ws(E'\x01', p.prorettype, pg_catalog.array_to_string(COALESCE(p.proallargtypes, p.proargtypes::pg_catalog.oid[]), E'\x01'))
FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) p.pronamespace ORDER BY p.oid`
	operators = `SELECT n.nspname, o.oprname, fn.nspname, p.proname,
 (SELECT pg_catalog.string_agg(CASE tn.nspname WHEN 'pg_catalog' THEN '' ELSE tn.nspname OPERATOR(pg_catalog.||) '.' END OPERATOR(pg_catalog.||) t.typname, ',' ORDER BY x.i)
  FROM pg_catalog.unnest(p.proargtypes) WITH ORDINALITY x(t, i) JOIN pg_catalog.pg_type t ON t.oid OPERATOR(pg_catalog.=) x.t
  JOIN pg_catalog.pg_namespace tn ON tn.oid OPERATOR(pg_catalog.=) t.typnamespace)
FROM pg_catalog.pg_operator o JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) o.oprnamespace
JOIN pg_catalog.pg_proc p ON p.oid OPERATOR(pg_catalog.=) o.oprcode JOIN pg_catalog.pg_namespace fn ON fn.oid OPERATOR(pg_catalog.=) p.pronamespace ORDER BY o.oid`
	types = `SELECT t.oid, n.nspname, t.typname FROM pg_catalog.pg_type t
JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) t.typnamespace ORDER BY t.oid`
	// parts are the types that a type is made of: a domain of another type, a row of its
	// columns, an array, a range or several of them of their elements. 1247 is pg_type.
	parts = `SELECT oid, typbasetype FROM pg_catalog.pg_type WHERE typbasetype OPERATOR(pg_catalog.<>) 0
UNION SELECT oid, typelem FROM pg_catalog.pg_type WHERE typelem OPERATOR(pg_catalog.<>) 0
UNION SELECT rngtypid, rngsubtype FROM pg_catalog.pg_range
UNION SELECT objid, refobjid FROM pg_catalog.pg_depend WHERE classid OPERATOR(pg_catalog.=) 1247 AND refclassid OPERATOR(pg_catalog.=) 1247
UNION SELECT t.oid, a.atttypid FROM pg_catalog.pg_type t JOIN pg_catalog.pg_attribute a ON a.attrelid OPERATOR(pg_catalog.=) t.typrelid
 WHERE t.typrelid OPERATOR(pg_catalog.<>) 0 AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped
ORDER BY 1, 2`
	// casts are those of users: 2605 is pg_cast, and what an extension brought is its own,
	// or the server with a range; 12 is the language of its own functions.
	casts = `SELECT c.castfunc FROM pg_catalog.pg_cast c JOIN pg_catalog.pg_proc p ON p.oid OPERATOR(pg_catalog.=) c.castfunc
WHERE c.oid OPERATOR(pg_catalog.>=) 16384 AND NOT (p.prolang OPERATOR(pg_catalog.=) 12 AND p.prosrc OPERATOR(pg_catalog.=) 'multirange_constructor1')
 AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend d WHERE d.classid OPERATOR(pg_catalog.=) 2605 AND d.objid OPERATOR(pg_catalog.=) c.oid AND d.deptype OPERATOR(pg_catalog.=) 'e')
ORDER BY c.oid`
)

// A reader keeps the first error and hashes all that it reads.
type reader struct {
	ctx  context.Context
	q    Querier
	hash []byte
	err  error
}

// rows returns the rows of a query that has n columns.
func (r *reader) rows(sql string, n int) [][]string {
	if r.err != nil {
		return nil
	}
	rows, err := r.q.Query(r.ctx, sql)
	if err != nil {
		r.err = fmt.Errorf("%w: %w", ErrCatalog, err)
		return nil
	}
	h := sha256.New()
	h.Write(r.hash)
	for _, row := range rows {
		if len(row) != n {
			r.err = fmt.Errorf("%w: a row of %d columns", ErrCatalog, len(row))
			return nil
		}
		for _, c := range row {
			fmt.Fprintf(h, "%d:%s", len(c), c)
		}
	}
	r.hash = h.Sum(nil)
	return rows
}

// Load returns the catalog that q's server has now. Errors wrap [ErrCatalog].
func Load(ctx context.Context, q Querier) (*Catalog, error) {
	r := &reader{ctx: ctx, q: q}
	c := &Catalog{
		Relations: make(map[Name]*Relation), Functions: make(map[Name][]*Function),
		Operators: make(map[string][]*Operator), Types: make(map[Name]*Type),
	}
	functions, typesOf := r.functions(c)
	signatures := make(map[string]string)
	for oid, f := range functions {
		signatures[oid] = f.String()
	}
	own := r.calls(signatures)
	checks := r.checks(own)
	for _, x := range r.rows(coercions, 3) {
		own[x[1]+x[0]] = append(own[x[1]+x[0]], checks(x[2])...)
	}
	for oid, f := range functions {
		f.Calls = append(own["a"+oid], checks(typesOf[oid]...)...)
	}
	r.relations(c, own, checks)
	for _, x := range r.rows(operators, 5) {
		c.Operators[x[1]] = append(c.Operators[x[1]], &Operator{Schema: x[0], Function: x[2] + "." + x[3] + "(" + x[4] + ")"})
	}
	for _, x := range r.rows(types, 3) {
		n := Name{Schema: x[1], Name: x[2]}
		c.Types[n] = &Type{Name: n, Checks: checks(x[0])}
	}
	for _, x := range r.rows(casts, 1) {
		c.Casts = append(c.Casts, signatures[x[0]])
	}
	if r.err != nil {
		return nil, r.err
	}
	c.Version = hex.EncodeToString(r.hash[:16])
	return c, nil
}

// calls returns the signatures of functions by what they run with: a letter (see the
// query) and its OID.
func (r *reader) calls(signatures map[string]string) map[string][]string {
	out := make(map[string][]string)
	for _, x := range r.rows(calls, 3) {
		out[x[1]+x[0]] = append(out[x[1]+x[0]], signatures[x[2]])
	}
	return out
}

// checks returns what finds the signatures of the functions in the checks of domains
// that types are made of, at any depth; own is what calls returned.
func (r *reader) checks(own map[string][]string) func(oids ...string) []string {
	next := r.graph(parts)
	return func(oids ...string) (out []string) {
		closure(oids, func(o string) { out = append(out, own["t"+o]...) }, next)
		slices.Sort(out)
		return slices.Compact(out)
	}
}

// relations reads relations and what belongs to them; own is what calls returned, and
// checks what checks did.
func (r *reader) relations(c *Catalog, own map[string][]string, checks func(...string) []string) {
	byOID := make(map[string]*Relation)
	c.OIDs = make(map[uint32]*Relation)
	for _, x := range r.rows(relations, 7) {
		rel := &Relation{Name: Name{Schema: x[1], Name: x[2]}, Columns: list(x[4])}
		if len(x[3]) == 1 {
			rel.Kind = Kind(x[3][0])
		}
		for _, n := range list(x[5]) {
			rel.Numbers = append(rel.Numbers, uint16(r.number(n, 16)))
		}
		types := list(x[6])
		if len(rel.Columns) != len(types) { // a name with the separator in it: nothing can be said of it
			continue
		}
		rel.Checks = make(map[string][]string)
		for i, t := range types {
			if found := checks(t); found != nil {
				rel.Checks[rel.Columns[i]] = found
			}
		}
		byOID[x[0]], c.Relations[rel.Name], c.OIDs[uint32(r.number(x[0], 32))] = rel, rel, rel
	}
	g := &relatives{byOID: byOID, own: own, behind: r.graph(edges), above: r.graph(parents), below: make(map[string][]string)}
	for child, list := range g.above {
		for _, parent := range list {
			g.below[parent] = append(g.below[parent], child)
		}
	}
	for _, x := range r.rows(fills, 2) {
		if s := byOID[x[1]]; s != nil {
			own["f"+x[0]] = append(own["f"+x[0]], s.Name.String())
		}
	}
	for _, x := range r.rows(constraints, 3) {
		if rel := byOID[x[0]]; rel != nil {
			if rel.Constraints == nil {
				rel.Constraints = make(map[string][]string)
			}
			rel.Constraints[x[1]] = list(x[2])
		}
	}
	for oid := range byOID {
		g.stands(oid)
	}
}

// relatives are relations, what runs with them, and which are behind others, below and
// above them; all by OID.
type relatives struct {
	byOID                     map[string]*Relation
	own, behind, below, above map[string][]string
}

// stands notes what a relation stands for, and what runs with it.
func (g *relatives) stands(oid string) {
	rel := g.byOID[oid]
	closure([]string{oid}, func(o string) {
		if u := g.byOID[o]; u != nil {
			for _, list := range u.Checks {
				rel.Fills = append(rel.Fills, list...)
			}
			if o != oid {
				rel.Underlying = append(rel.Underlying, u.Name)
			}
		}
		rel.Calls = append(rel.Calls, g.own["c"+o]...)
		rel.Fills = append(append(rel.Fills, g.own["f"+o]...), g.own["k"+o]...)
	}, g.behind, g.below)
	closure(g.behind[oid], func(o string) {
		if u := g.byOID[o]; u != nil && o != oid {
			rel.Behind = append(rel.Behind, u.Name)
		}
	}, g.behind, g.below)
	closure([]string{oid}, func(o string) { rel.Fills = append(rel.Fills, g.own["k"+o]...) }, g.above)
	for _, list := range [][]Name{rel.Underlying, rel.Behind} {
		slices.SortFunc(list, func(a, b Name) int { return strings.Compare(a.String(), b.String()) })
	}
	slices.Sort(rel.Calls)
	slices.Sort(rel.Fills)
	rel.Calls, rel.Fills = slices.Compact(rel.Calls), slices.Compact(rel.Fills)
}

// graph returns what a query says that OIDs lead to.
func (r *reader) graph(sql string) map[string][]string {
	next := make(map[string][]string)
	for _, x := range r.rows(sql, 2) {
		next[x[0]] = append(next[x[0]], x[1])
	}
	return next
}

// number returns a number of so many bits.
func (r *reader) number(s string, bits int) uint64 {
	n, err := strconv.ParseUint(s, 10, bits)
	if err != nil && r.err == nil {
		r.err = fmt.Errorf("%w: number: %w", ErrCatalog, err)
	}
	return n
}

// closure tells what is behind of what is in a list, itself first, at any depth.
func closure(list []string, tell func(oid string), next ...map[string][]string) {
	seen := make(map[string]bool)
	for todo := slices.Clone(list); len(todo) > 0; {
		o := todo[0]
		if todo = todo[1:]; seen[o] {
			continue
		}
		seen[o] = true
		tell(o)
		for _, n := range next {
			todo = append(todo, n[o]...)
		}
	}
}

// functions reads functions, and returns them and the OIDs of their types by OID.
func (r *reader) functions(c *Catalog) (found map[string]*Function, types map[string][]string) {
	found, types = make(map[string]*Function), make(map[string][]string)
	for _, x := range r.rows(functions, 13) {
		f := &Function{Name: Name{Schema: x[1], Name: x[2]}, Variadic: x[4] == "t", Args: list(x[7])}
		var err, err2 error
		f.Defaults, err = strconv.Atoi(x[3])
		if f.Outs, err2 = strconv.Atoi(x[11]); err != nil || err2 != nil || len(x[5]) != 1 || len(x[6]) != 1 {
			r.err = fmt.Errorf("%w: function %s", ErrCatalog, f.Name)
			return nil, nil
		}
		f.Volatile, f.Kind = x[5][0], x[6][0]
		if f.Columns = list(x[9]); f.Columns == nil && x[8] != "" {
			f.Columns = list(x[8])
			for i, n := range f.Columns {
				if n == "" {
					f.Columns[i] = "column" + strconv.Itoa(i+1)
				}
			}
		}
		f.Open = f.Columns == nil && (x[10] == "p" || x[10] == "d" || x[10] == "c") // a pseudotype, a domain, which may be over a row, or a row without columns
		f.signature = f.String()
		c.Functions[f.Name] = append(c.Functions[f.Name], f)
		found[x[0]], types[x[0]] = f, list(x[12])
	}
	return found, types
}

func list(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, "\x01")
}
