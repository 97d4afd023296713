package policies

import (
	"fmt"
	"slices"
	"strings"

	"github.com/writhq/writ/internal/cli/shell"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/policy"
)

// database reports whether the policy is to be for a database.
func (o *options) database() bool { return strings.HasPrefix(o.Origin, "postgres:") }

// verbs are what --allow takes for a database.
var verbs = []string{"select", "insert", "update", "delete"}

// A touch is one --allow of a database.
type touch struct {
	verb, table, purpose string
	columns              []string
}

func (o *options) parseTouch(s string) (t touch, err error) {
	f := strings.Fields(s)
	if n := len(f); n > 2 && f[n-2] == "for" {
		t.purpose, f = f[n-1], f[:n-2]
		if !slices.ContainsFunc(o.Purposes, func(p string) bool { return strings.HasPrefix(p, t.purpose+"=") }) {
			return t, shell.Usage("--allow %q: no --purpose %s=TEXT lists the purpose, so it would permit nothing", s, t.purpose)
		}
	}
	want := 3
	if len(f) > 0 && strings.EqualFold(f[0], "delete") {
		want = 2
	}
	if len(f) != want || !slices.Contains(verbs, strings.ToLower(f[0])) || !strings.Contains(f[1], ".") {
		return t, shell.Usage("--allow %q: want SELECT, INSERT or UPDATE schema.table COLUMN,… or *, or DELETE schema.table; then for PURPOSE", s)
	}
	t.verb, t.table = strings.ToLower(f[0]), f[1]
	if want == 3 {
		t.columns = strings.Split(f[2], ",")
	}
	return t, nil
}

// statements adds declarations and rules for a database: connecting, and one with all
// that statements may touch, since a statement must have its all in one.
func (o *options) statements(d *policy.Document) error {
	add := func(x op.Declaration, r *policy.Response) {
		x.Type, x.Targets = "sql", []string{o.Target}
		d.Operations = append(d.Operations, policy.Operation{Declaration: x, Response: r})
	}
	add(op.Declaration{Actions: []string{"sql:connect"}}, nil)
	d.Rules = "// A session begins.\n@id(\"connect\")\npermit (principal, action == Action::\"sql:connect\", resource);\n\n"
	if len(o.Allow) == 0 {
		return nil
	}
	x := op.Declaration{SQL: &op.SQL{Functions: []string{"@scalar", "@aggregates"}}}
	var all []touch
	for _, s := range o.Allow {
		t, err := o.parseTouch(s)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(all, func(u touch) bool { return u.verb == t.verb && u.table == t.table }) {
			return shell.Usage("--allow %q: the verb and table stand twice; name all columns in one, or write the rules by hand", s)
		}
		if slices.ContainsFunc(all, func(u touch) bool { return u.table == t.table && crossed(u, t) }) { //guard:R3/sql crossed-purposes
			return shell.Usage("--allow %q: what may be read of %s for one purpose could be read by RETURNING for another; write the rules by hand", s, t.table)
		}
		all = append(all, t)
		t.declare(x.SQL)
		if a := "sql:" + t.verb; !slices.Contains(x.Actions, a) {
			x.Actions = append(x.Actions, a)
		}
	}
	x.Actions = append(x.Actions, "sql:transaction")
	add(x, &policy.Response{MaxRows: 1000, MaxSeconds: 30})
	d.Rules += "// BEGIN, COMMIT and their kin touch nothing.\n@id(\"transaction\")\npermit (principal, action == Action::\"sql:transaction\", resource);\n\n"
	d.Rules += touchRules(all)
	return nil
}

// crossed reports whether one of two touches of a table reads for a purpose that the
// other is not for.
func crossed(a, b touch) bool {
	return a.purpose != b.purpose && (a.verb == "select" && a.purpose != "" || b.verb == "select" && b.purpose != "")
}

// declare adds what t touches to s.
func (t *touch) declare(s *op.SQL) {
	at := slices.IndexFunc(s.Relations, func(r op.SQLRelation) bool { return r.Name == t.table })
	if at < 0 {
		s.Relations = append(s.Relations, op.SQLRelation{Name: t.table})
		at = len(s.Relations) - 1
	}
	r := &s.Relations[at]
	switch t.verb {
	case "select":
		r.Read = t.columns
	case "insert":
		r.Insert = t.columns
	case "update":
		r.Update = t.columns
	case "delete":
		r.Delete = true
	}
}

// touchRules returns a rule for each verb and purpose. A statement of a verb has its
// tables among those, and those that the purpose may read.
func touchRules(all []touch) string {
	var out strings.Builder
	var done []string
	for _, t := range all {
		id := t.verb
		if t.purpose != "" {
			id += "-" + t.purpose
		}
		if slices.Contains(done, id) {
			continue
		}
		done = append(done, id)
		var tables []string
		for _, u := range all {
			mine := u.verb == t.verb && u.purpose == t.purpose
			read := u.verb == "select" && (u.purpose == "" || u.purpose == t.purpose)
			if q := fmt.Sprintf("%q", u.table); (mine || read) && !slices.Contains(tables, q) {
				tables = append(tables, q)
			}
		}
		when := []string{"[" + strings.Join(tables, ", ") + "].containsAll(context.relations)"}
		if t.purpose != "" {
			when = append(when, fmt.Sprintf("context.purpose == %q", t.purpose))
		}
		if t.verb == "update" || t.verb == "delete" {
			when = append(when, "context.where")
		}
		fmt.Fprintf(&out, "// %s%s\n@id(%q)\npermit (principal, action == Action::\"sql:%s\", resource)\nwhen {\n  %s\n};\n\n",
			strings.ToUpper(t.verb), forPurpose(t.purpose), id, t.verb, strings.Join(when, " &&\n  "))
	}
	return out.String()
}
