// Package pgrole makes of a policy the role of a PostgreSQL server under which what
// the policy reaches is all that the server lets: the gate is one lock, and the
// server's own rights are the other.
//
// Its functions are pure, and safe for concurrent use.
package pgrole

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/writhq/writ/op"
	"github.com/writhq/writ/op/sql"
	"github.com/writhq/writ/policy"
)

// ErrRole is wrapped by every error of this package.
var ErrRole = errors.New("role for postgres")

// A Role is what one target of a policy needs of its server.
type Role struct {
	Target   string `json:"target"`
	Origin   string `json:"origin"`
	Database string `json:"database"`
	Name     string `json:"role"`
	How      string `json:"inject"` // password, md5 or client_certificate
	// Statements make the role, and give it what the policy declares. If it is there, what
	// it had on what is named ends, and one statement shows what else it has.
	Statements []string `json:"statements"`
	// Others take from everyone what this role then has not either. They change what
	// others may do, so that who runs the server decides.
	Others []string `json:"for_others"`
	// Notes say what the server cannot hold, and what is left to do by hand.
	Notes []string `json:"notes"`

	who    string   // Name for SQL
	server string   // host and port
	named  []string // that Statements give rights on, such as TABLE "a"."b"
}

// Of returns the roles for d's targets of kind postgres, in their order. name, unless
// it is empty, is the role's instead of the user that the policy names. The document
// is one that has passed its check. Errors wrap [ErrRole].
func Of(d *policy.Document, name string) ([]*Role, error) {
	var out []*Role
	for i := range d.Targets {
		if d.Targets[i].Kind != "postgres" {
			continue
		}
		r, err := of(&d.Targets[i], name)
		if err != nil {
			return nil, fmt.Errorf("%w: target %s: %w", ErrRole, d.Targets[i].ID, err)
		}
		out = append(out, r)
	}
	for _, r := range out {
		var targets []string // that are this role too: what one is given, another's script must not take
		for _, o := range out {
			if o.server == r.server && o.Database == r.Database && o.Name == r.Name {
				targets = append(targets, o.Target)
			}
		}
		if err := r.fill(d, gather(d, targets)); err != nil {
			return nil, fmt.Errorf("%w: target %s: %w", ErrRole, r.Target, err)
		}
	}
	return out, nil
}

func of(t *policy.Target, name string) (*Role, error) {
	u, err := url.Parse(t.Origin)
	if err != nil {
		return nil, err
	}
	if name == "" {
		name = t.Inject.Name
	}
	r := &Role{
		Target: t.ID, Origin: t.Origin, Database: strings.TrimPrefix(u.Path, "/"), Name: name, How: t.Inject.How,
		server: strings.TrimSuffix(u.Host, ":5432"),
	}
	if r.who, err = quote(name); err != nil {
		return nil, fmt.Errorf("user: %w", err)
	}
	return r, nil
}

// fill writes r for what the policy wants.
func (r *Role) fill(d *policy.Document, w *want) error {
	database, err := quote(r.Database)
	if err != nil {
		return fmt.Errorf("database: %w", err)
	}
	r.named = []string{"DATABASE " + database}
	r.grant("CONNECT", "DATABASE "+database)
	r.Others = []string{"REVOKE CONNECT, TEMPORARY ON DATABASE " + database + " FROM PUBLIC;"}
	r.reach(w)
	first := []string{r.create()}
	for _, n := range r.named {
		first = append(first, "REVOKE ALL ON "+n+" FROM "+r.who+";")
	}
	r.Statements = append(append(first, r.beyond()), r.Statements...)
	set := " RESET default_transaction_read_only;" // of a version before that only read
	if w.reads {
		set = " SET default_transaction_read_only = on;"
	}
	r.Statements = append(r.Statements, "ALTER ROLE "+r.who+" IN DATABASE "+database+set)
	r.Notes = append(r.Notes, beyond(d, w)...)
	return nil
}

// create returns the statement that makes the role. One that is there must have none of
// the powers that no revoking takes.
func (r *Role) create() string {
	return "DO " + literal("BEGIN\n  CREATE ROLE "+r.who+" LOGIN;\nEXCEPTION WHEN duplicate_object THEN\n"+
		"  IF (SELECT rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication FROM pg_roles WHERE oid = "+literal(r.who)+"::regrole) THEN\n"+
		"    RAISE EXCEPTION 'the role has SUPERUSER, BYPASSRLS, CREATEROLE, CREATEDB or REPLICATION' USING HINT = 'Take it away with ALTER ROLE, or name another role: writ pg grants --role NAME';\n"+
		"  END IF;\nEND") + ";"
}

// beyond returns a query for what the role has in its database that r does not name.
// Source: PostgreSQL, pg_shdepend: a is a right, o is ownership.
func (r *Role) beyond() string {
	role := literal(r.who) + "::regrole"
	return `SELECT pg_describe_object(classid, objid, objsubid) AS "beyond the policy: revoke it" FROM pg_shdepend JOIN pg_database d ON d.oid = dbid` +
		"\n  WHERE datname = current_database() AND refclassid = 'pg_authid'::regclass AND refobjid = " + role + " AND deptype IN ('a', 'o')" +
		"\nUNION ALL SELECT 'what the role ' || roleid::regrole || ' has' FROM pg_auth_members WHERE member = " + role + ";"
}

// grant adds a GRANT of what on a thing.
func (r *Role) grant(what, on string) {
	r.Statements = append(r.Statements, "GRANT "+what+" ON "+on+" TO "+r.who+";")
}

// byHand notes what has no statement.
func (r *Role) byHand(what string, err error) {
	r.Notes = append(r.Notes, fmt.Sprintf("to grant by hand: %s: %s", what, err))
}

// reach gives the role what w lists: schemas first, without which the rest is none.
func (r *Role) reach(w *want) {
	all := &Role{who: r.who}
	var schemas []string
	see := func(schema string) {
		if !slices.Contains(schemas, schema) {
			schemas = append(schemas, schema)
		}
	}
	for _, x := range w.relations {
		all.relation(x, w, see)
	}
	for _, f := range w.functions {
		all.function(f, see)
	}
	for _, t := range w.types {
		if q, schema, err := qualified(t); err != nil {
			all.byHand("the type "+t, err)
		} else {
			see(schema)
			all.named = append(all.named, "TYPE "+q)
			all.grant("USAGE", "TYPE "+q)
		}
	}
	for _, s := range schemas {
		if s == "pg_catalog" || s == "information_schema" { // everyone's
			continue
		}
		q, err := quote(s)
		if err != nil {
			continue // it was part of a name that could be written
		}
		r.named = append(r.named, "SCHEMA "+q)
		r.grant("USAGE", "SCHEMA "+q)
		r.Others = append(r.Others, "REVOKE CREATE ON SCHEMA "+q+" FROM PUBLIC;", "REVOKE ALL ON ALL TABLES IN SCHEMA "+q+" FROM PUBLIC;",
			"REVOKE EXECUTE ON ALL ROUTINES IN SCHEMA "+q+" FROM PUBLIC;")
	}
	r.Others = append(r.Others, "ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON ROUTINES FROM PUBLIC;")
	r.named, r.Statements, r.Notes = append(r.named, all.named...), append(r.Statements, all.Statements...), append(r.Notes, all.Notes...)
}

// relation gives the role one relation: whole, or its columns.
func (r *Role) relation(x *op.SQLRelation, w *want, see func(schema string)) {
	q, schema, err := qualified(x.Name)
	if err != nil {
		r.byHand(x.Name, err)
		return
	}
	see(schema)
	r.named = append(r.named, "TABLE "+q) // a sequence too
	for _, c := range []struct {
		right string
		list  []string
	}{{"SELECT", x.Read}, {"INSERT", x.Insert}, {"UPDATE", x.Update}} {
		switch {
		case len(c.list) == 0:
		case slices.Contains(c.list, "*"):
			r.grant(c.right, "TABLE "+q)
		default:
			r.columns(c.right, c.list, q)
		}
	}
	if x.Delete {
		r.grant("DELETE", "TABLE "+q)
	}
	if x.Truncate {
		r.grant("TRUNCATE", "TABLE "+q)
	}
	if x.Usage {
		r.grant("USAGE", "SEQUENCE "+q)
	}
	if x.Lock && len(x.Update) == 0 && w.has("sql:select") {
		r.Notes = append(r.Notes, "SELECT FOR UPDATE and its kin of "+x.Name+" take UPDATE on one of its columns, which lets more than the policy does: not granted")
	}
	if x.Lock && w.has("sql:lock") {
		r.Notes = append(r.Notes, "LOCK TABLE "+x.Name+" takes, on the whole table, SELECT for ACCESS SHARE, INSERT for ROW EXCLUSIVE, and UPDATE, DELETE or TRUNCATE for any mode: not granted for it")
	}
}

func (r *Role) columns(right string, list []string, table string) {
	var names []string
	for _, c := range list {
		q, err := quote(c)
		if err != nil {
			r.byHand("the column "+c+" of "+table, err)
			continue
		}
		names = append(names, q)
	}
	if len(names) > 0 {
		r.grant(right+" ("+strings.Join(names, ", ")+")", "TABLE "+table)
	}
}

// function gives the role a function. Those of pg_catalog everyone has, but for some
// that the policy should not list.
func (r *Role) function(f string, see func(schema string)) {
	if strings.HasPrefix(f, "@") {
		return
	}
	if strings.HasPrefix(f, "pg_catalog.") {
		r.Notes = append(r.Notes, f+": not granted; everyone may execute most of pg_catalog, and what not everyone may is dangerous")
		return
	}
	q, schema, err := routine(f)
	if err != nil {
		r.byHand("the function "+f, err)
		return
	}
	see(schema)
	if !strings.Contains(f, "(") {
		r.Notes = append(r.Notes, f+" is listed by its name, which GRANT takes only where one function has it; else grant each, with its types")
	}
	r.named = append(r.named, "ROUTINE "+q)
	r.grant("EXECUTE", "ROUTINE "+q)
}

// Text returns what r is as a script for psql.
func (r *Role) Text() string {
	lines := []string{
		comment("target " + r.Target + ": the least that the policy takes. Run it in the database " + r.Database + ", as a superuser"),
		comment("or as who owns what is named. It can be run again, and for a successor: what the role had on what is named"),
		comment("ends, and what else it has is shown. So the role is this policy's alone."),
		"", "BEGIN;", r.Statements[0],
	}
	if r.How != "client_certificate" {
		if r.How == "md5" {
			lines = append(lines, comment("SET password_encryption = 'md5';"))
		}
		lines = append(lines, comment(`\password `+r.who), comment("asks for the password in psql, and sends only its hash. It is what is sealed: writ secret put"))
	}
	lines = append(lines, r.Statements[1:]...)
	lines = append(lines, "COMMIT;", "", comment("for others too: what everyone may do, and so this role as well, until it is revoked"))
	for _, s := range r.Others {
		lines = append(lines, comment(s))
	}
	lines = append(lines, "", comment("what the server does not hold, and the gate does; and what is left to do"))
	for _, s := range r.Notes {
		lines = append(lines, comment(s))
	}
	return strings.Join(lines, "\n") + "\n"
}

// beyond says what the policy holds and the server cannot.
func beyond(d *policy.Document, w *want) []string {
	out := []string{"which rows, values, purposes and times the rules permit (row-level security can hold some of it)"}
	if w.statements {
		out = append(out, "that only the listed statements run, and with which values")
	}
	if w.bounded {
		out = append(out, "how many rows and bytes come back, and for how long a statement runs")
	}
	if len(d.Quotas) > 0 {
		out = append(out, "quotas")
	}
	if len(w.settings) > 0 {
		out = append(out, "that only these settings change: "+strings.Join(w.settings, ", "))
	}
	if len(w.channels) > 0 {
		out = append(out, "that only these channels are used: "+strings.Join(w.channels, ", "))
	}
	return append(out, "what everyone may do: temporary tables, large objects, the functions of pg_catalog, its tables and views")
}

// A want is what the declarations of a target list, together.
type want struct {
	actions, functions, types, settings, channels []string
	relations                                     []*op.SQLRelation
	reads, statements, bounded                    bool
}

func (w *want) has(action string) bool { return slices.Contains(w.actions, action) }

// gather puts together what the declarations of targets list, as far as their own
// actions let it be used.
func gather(d *policy.Document, targets []string) *want {
	w := new(want)
	var all []*op.Declaration
	for i := range d.Operations {
		o := &d.Operations[i]
		if o.Type != "sql" || !slices.ContainsFunc(o.Targets, func(t string) bool { return slices.Contains(targets, t) }) {
			continue
		}
		all = append(all, &o.Declaration)
		w.actions = union(w.actions, o.Actions)
		w.bounded = w.bounded || o.Response != nil
		if o.SQL != nil {
			w.add(o.SQL, o.Actions)
		}
	}
	w.reads = sql.OnlyReads(all)
	return w
}

func (w *want) add(s *op.SQL, actions []string) {
	can := func(kind string) bool { return slices.Contains(actions, "sql:"+kind) }
	if !slices.ContainsFunc([]string{"select", "insert", "update", "delete", "truncate", "lock", "call"}, can) {
		return
	}
	w.functions, w.types = union(w.functions, s.Functions), union(w.types, s.Types)
	w.settings, w.channels = union(w.settings, s.Settings), union(w.channels, s.Channels)
	w.statements = w.statements || len(s.Statements) > 0
	setval := slices.ContainsFunc(s.Functions, func(f string) bool { return strings.HasPrefix(f, "pg_catalog.setval") })
	for _, r := range s.Relations {
		to := w.relation(r.Name)
		to.Read = union(to.Read, r.Read)
		if can("insert") {
			to.Insert = union(to.Insert, r.Insert)
		}
		if can("update") || setval { // of a sequence
			to.Update = union(to.Update, r.Update)
		}
		to.Delete = to.Delete || r.Delete && can("delete")
		to.Truncate = to.Truncate || r.Truncate && can("truncate")
		to.Lock, to.Usage = to.Lock || r.Lock, to.Usage || r.Usage
	}
}

func (w *want) relation(name string) *op.SQLRelation {
	for _, r := range w.relations {
		if r.Name == name {
			return r
		}
	}
	w.relations = append(w.relations, &op.SQLRelation{Name: name})
	return w.relations[len(w.relations)-1]
}

// union returns a, and what of b is not in it.
func union(a, b []string) []string {
	for _, s := range b {
		if !slices.Contains(a, s) {
			a = append(a, s)
		}
	}
	return a
}
