package policies

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pganalyze/pg_query_go/v6/parser"

	"github.com/writhq/writ/internal/cli/shell"
	"github.com/writhq/writ/internal/cli/source"
	"github.com/writhq/writ/internal/pgrole"
	"github.com/writhq/writ/internal/sqlanalyze"
	"github.com/writhq/writ/internal/sqlcatalog"
	"github.com/writhq/writ/internal/testpg"
)

// database writes a policy for a database by policy new and returns its source.
func database(t *testing.T, flags ...string) (name string, err error) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "p")
	args := []string{"new", "--alias", "a/b", "--origin", "postgres://db.example:5432/shop", "--target", "shop", "--signers", "1:ana", "--sealers", "1:sam", "--issuer", "iris=svc/*",
		"--purpose", "x=Why", "--purpose", "y=Why else", "--inject", "password:app", "--out", out}
	_, err = run(t, now, append(args, flags...)...)
	return out + source.Ext, err
}

// What policy new writes for a database, policy check accepts without a warning, and
// decides as it says.
func TestNewDatabase(t *testing.T) {
	t.Parallel()
	for _, allow := range [][]string{
		nil, {"SELECT public.orders *"}, {"SELECT public.orders id,total for x", "UPDATE public.orders total for x", "DELETE public.log"},
		{"INSERT public.log line for x", "SELECT public.orders * for y"},
	} {
		var flags []string
		for _, a := range allow {
			flags = append(flags, "--allow", a)
		}
		name, err := database(t, flags...)
		if err != nil {
			t.Fatalf("%q: %v", allow, err)
		}
		if got := codes(t, name); len(got) > 0 {
			t.Errorf("%q: warnings %v", allow, got)
		}
		text, err := say(t, "check", name)
		if err != nil || !strings.Contains(text, "yes  sql:connect") || strings.Contains(text, "%!") {
			t.Errorf("%q: %v\n%s", allow, err, text)
		}
		for _, a := range allow {
			verb, _, _ := strings.Cut(strings.ToLower(a), " ")
			if !strings.Contains(text, "yes  sql:"+verb) {
				t.Errorf("%q: no %s is permitted in\n%s", allow, verb, text)
			}
		}
		if strings.Contains(text, "yes  sql:update update public.orders.total; without WHERE") || strings.Contains(text, "yes  sql:select read public.somewhere_else") {
			t.Errorf("%q permits what it must not:\n%s", allow, text)
		}
	}
	for how, goes := range map[string]string{"md5:app": "by MD5", "client_certificate:app": "user app's certificate"} {
		name, err := database(t, "--inject", how)
		if text, showErr := say(t, "show", name); err != nil || showErr != nil || !strings.Contains(text, goes) {
			t.Errorf("%s: %v, %v\n%s", how, err, showErr, text)
		}
	}
}

// What policy new cannot make for a database is refused, with what is wanted.
//
// guard: crossed-purposes
func TestNewDatabaseRefuses(t *testing.T) {
	t.Parallel()
	for _, flags := range [][]string{
		{"--allow", "GET /orders"}, {"--allow", "SELECT orders *"}, {"--allow", "DELETE public.a x"}, {"--allow", "SELECT public.a"}, {"--allow", "SELECT public.a * for z"},
		{"--allow", "SELECT public.a x", "--allow", "SELECT public.a y"}, {"--allow", "SELECT public.a x for x", "--allow", "UPDATE public.a y for y"},
		{"--inject", "header:x-api-key"}, {"--inject", "none"}, {"--inject", "password"},
	} {
		if _, err := database(t, flags...); !errors.Is(err, shell.ErrUsage) {
			t.Errorf("%q: %v", flags, err)
		}
	}
	for kind, want := range map[string]string{"postgres": "password:USER", "http": "header:NAME[:PREFIX]"} {
		if got := forms(kind); !strings.Contains(got, want) || strings.Contains(got, "password:") != (kind == "postgres") || strings.Contains(got, "header:") != (kind == "http") {
			t.Errorf("for %s, --inject takes %s", kind, got)
		}
	}
}

// Statements on everything at once are warned of, where they are really permitted.
func TestWarnsOfWide(t *testing.T) {
	t.Parallel()
	const open = `@id("r") permit (principal, action, resource);`
	name, err := database(t, "--allow", "UPDATE public.orders total", "--allow", "DELETE public.log", "--allow", "SELECT public.orders *")
	if err != nil {
		t.Fatal(err)
	}
	rules := strings.TrimSuffix(name, source.Ext) + source.RulesExt
	if err := os.WriteFile(rules, []byte(open), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := codes(t, name); !slices.Equal(got, []string{"no-where", "no-where"}) {
		t.Errorf("an UPDATE and a DELETE of all rows: %v", got)
	}
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for change, want := range map[[2]string]string{
		{`"max_rows": 1000,`, ``}:                                     "rows",
		{`"@aggregates"`, `"@packing"`}:                               "packing",
		{`"default": 2`, `"default": 3`}:                              "pop",
		{`"functions":`, `"mask": ["public.log.line"], "functions":`}: "mask",
	} {
		changed := strings.ReplaceAll(string(b), change[0], change[1]) // in the note too
		if changed == string(b) {
			t.Fatalf("%q is not in it", change[0])
		}
		if err := os.WriteFile(name, []byte(changed), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := codes(t, name); !slices.Contains(got, want) {
			t.Errorf("%q: %v, want %s", change, got, want)
		}
	}
}

// A bound that is missing is warned of once for an operation, however many tables it
// reads; a mask on a column that is read is not warned of.
func TestWarnsOnce(t *testing.T) {
	t.Parallel()
	name, err := database(t, "--allow", "SELECT public.orders *", "--allow", "SELECT public.customers id,email", "--allow", "SELECT public.log *")
	if err != nil {
		t.Fatal(err)
	}
	change(t, name, `"max_rows": 1000,`, ``)
	change(t, name, `"functions":`, `"mask": ["public.orders.card", "public.customers.email"], "functions":`)
	if got := codes(t, name); !slices.Equal(got, []string{"rows"}) {
		t.Errorf("warnings %v", got)
	}
}

// change puts one text in place of another in a file.
func change(t *testing.T, name, from, to string) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.ReplaceAll(string(b), from, to)
	if changed == string(b) {
		t.Fatalf("%q is not in it", from)
	}
	if err := os.WriteFile(name, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
}

// What a declaration lets statements touch is shown, and a masked column does not make
// its table look as if it could not be read.
func TestShowsTouches(t *testing.T) {
	t.Parallel()
	name, err := database(t, "--allow", "SELECT public.customers id,email", "--allow", "UPDATE public.customers email")
	if err != nil {
		t.Fatal(err)
	}
	change(t, name, `"functions":`, `"mask": ["public.customers.email"], "settings": ["search_path"], "types": ["public.mood"], "channels": ["jobs"], "introspection": true, "purpose_comment": true, "functions":`)
	change(t, name, `"examples": []`, `"examples": [{"say": "it is a condition", "sql": {"kinds": ["select"], "read": ["public.customers.email"]}, "expect": "not_declared"},
		{"say": "it is returned", "sql": {"kinds": ["select"], "shown": ["public.customers.email"]}, "purpose": "x", "expect": "permit"}]`)
	for command, want := range map[string][]string{"show": nil, "check": {
		"yes  sql:select read public.customers.id; return public.customers.email for x  (", "no   sql:select read public.customers.email  (not_declared)", "yes  sql:select return public.customers.email for x  (",
	}} {
		text, err := say(t, command, name)
		want = append(want, "\n            public.customers: read id, email; update email\n", "functions @scalar, @aggregates", "mask public.customers.email: returned as NULL",
			"settings search_path", "types public.mood", "channels jobs", "introspection", "purpose_comment")
		for _, w := range want {
			if err != nil || !strings.Contains(text, w) {
				t.Errorf("%s: no %q: %v\n%s", command, w, err, text)
			}
		}
	}
}

// grammar is PostgreSQL's, in this process.
type grammar struct{}

func (grammar) Parse(text string) ([]byte, error) { return parser.ParseToProtobuf(text) }

func (g grammar) Render(tree []byte) (string, []byte, error) {
	text, err := parser.DeparseFromProtobuf(tree)
	if err != nil {
		return "", nil, err
	}
	again, err := g.Parse(text)
	return text, again, err
}

// What the cookbook lists as statements is what the gate makes of them, and touches no
// more than is declared beside them; the role of each recipe can be made.
func TestCookbookOnServer(t *testing.T) {
	t.Parallel()
	s := testpg.Start(t)
	files, err := filepath.Glob("../../../docs/cookbook/postgres-*.jsonc")
	if err != nil || len(files) < 2 {
		t.Fatalf("%d recipes, %v", len(files), err)
	}
	n := 0
	for _, f := range files {
		d, _, err := source.Read(&shell.Shell{}, f)
		if err != nil {
			t.Fatal(err)
		}
		s.Exec(t, testpg.Superuser, "DROP DATABASE IF EXISTS shop")
		s.Exec(t, testpg.Superuser, "CREATE DATABASE shop")
		s.Exec(t, "shop", "CREATE TABLE customers (id int, name text, card text); CREATE TABLE orders (id int, customer_id int, total int, refunded int); CREATE TABLE items (id serial, price int); CREATE VIEW cheap AS SELECT id FROM items")
		roles, err := pgrole.Of(d, "")
		if err != nil || len(roles) != 1 {
			t.Fatal(err)
		}
		s.Exec(t, "shop", strings.Join(append(roles[0].Statements, roles[0].Others...), "\n"))
		c := s.Connect(t, s.Local("shop"))
		cat, err := sqlcatalog.Load(t.Context(), testpg.Rows{PgConn: c})
		c.Close(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		a := &sqlanalyze.Analyzer{Catalog: cat, Path: []string{"pg_catalog", "public"}}
		for _, o := range d.Operations {
			if o.SQL == nil {
				continue
			}
			for _, x := range o.SQL.Statements {
				m, err := a.Map(grammar{}, x.Text)
				if err != nil || len(m) != 1 || m[0].Text != x.Text {
					t.Errorf("%s: %s: %v, %+v", f, x.ID, err, m)
				} else if err := m[0].Declared(&o.Declaration); err != nil {
					t.Errorf("%s: %s: %v", f, x.ID, err)
				}
				n++
			}
		}
	}
	if n < 2 {
		t.Errorf("only %d statements", n)
	}
}
