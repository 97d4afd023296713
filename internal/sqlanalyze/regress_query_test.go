package sqlanalyze_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	pg "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"

	"github.com/writhq/writ/internal/sqlanalyze"
	"github.com/writhq/writ/internal/sqlcatalog"
	"github.com/writhq/writ/internal/sqlparser"
)

// isDML reports whether a statement is one of those that are counted, and whether it
// leaves the catalog as it was.
func isDML(n *pg.Node) (dml, quiet bool) {
	switch n.GetNode().(type) {
	case *pg.Node_SelectStmt:
		return true, n.GetSelectStmt().IntoClause == nil
	case *pg.Node_InsertStmt, *pg.Node_UpdateStmt, *pg.Node_DeleteStmt, *pg.Node_MergeStmt, *pg.Node_CopyStmt, *pg.Node_PrepareStmt, *pg.Node_ExecuteStmt,
		*pg.Node_DeclareCursorStmt, *pg.Node_FetchStmt:
		return true, true
	case *pg.Node_VariableSetStmt, *pg.Node_VariableShowStmt, *pg.Node_ExplainStmt, *pg.Node_ClosePortalStmt, *pg.Node_VacuumStmt, *pg.Node_DeallocateStmt, *pg.Node_CommentStmt, *pg.Node_GrantStmt:
		return false, true
	case *pg.Node_TransactionStmt:
		k := n.GetTransactionStmt().Kind
		return false, k == pg.TransactionStmtKind_TRANS_STMT_BEGIN || k == pg.TransactionStmtKind_TRANS_STMT_START || k == pg.TransactionStmtKind_TRANS_STMT_COMMIT || k == pg.TransactionStmtKind_TRANS_STMT_SAVEPOINT
	}
	return false, false
}

// looksDML is what a text that the grammar does not take begins with.
var looksDML = regexp.MustCompile(`(?i)^\s*(select|insert|update|delete|merge|values|table|with|copy|prepare|execute|declare|fetch|move)\b`)

// query counts a text of the suite, maps it, and has the server run it as it is.
func (r *regression) query(x *relayed, text string) error {
	dml, quiet, n := 0, true, 1
	var tree pg.ParseResult
	b, err := r.pool.Parse(text)
	if err == nil {
		err = proto.Unmarshal(b, &tree)
	}
	switch {
	case errors.Is(err, sqlparser.ErrEnded):
		r.crashed++
		r.t.Logf("crashed: %s", text)
	case err != nil:
		if looksDML.MatchString(text) {
			dml = 1
		}
	default:
		n = len(tree.Stmts)
		for _, s := range tree.Stmts {
			d, q := isDML(s.Stmt)
			if quiet = quiet && q; d {
				dml++
			}
		}
	}
	r.all += n
	counted := dml > 0 && x.tx != 'E' // in a failed transaction nothing means anything
	var list []sqlanalyze.Mapped
	var mapErr error
	if counted {
		if r.analyzer == nil {
			r.load(x)
		}
		list, mapErr = r.analyzer.Map(r.pool, text)
		if errors.Is(mapErr, sqlparser.ErrEnded) {
			r.crashed++
			r.t.Logf("crashed: %s", text)
		}
	}
	x.up.Send(&pgproto3.Query{String: text})
	code, err := x.answer()
	if err != nil {
		return err
	}
	if counted {
		r.count(dml, mapErr, code, text)
	}
	if counted && mapErr == nil && code == "" && len(list) == 1 && slices.Equal(list[0].Kinds, []string{"select"}) && list[0].Effect.Kind == sqlanalyze.Ordinary && x.tx != 'E' {
		r.probe(x, &list[0], text)
	}
	if !quiet {
		r.analyzer = nil
	}
	return nil
}

func (r *regression) count(n int, refused error, code, text string) {
	r.dml += n
	if code == "" {
		r.valid += n
	}
	if refused == nil {
		r.mapped += n
		if code == "" {
			r.validMapped += n
		}
		return
	}
	why := reason(refused)
	r.why[why] += n
	if code == "" {
		r.whyValid[why] += n
		if logged != nil && logged.MatchString(why) {
			r.t.Logf("%s\n   %s", refused, strings.Join(strings.Fields(text), " "))
		}
	}
}

// load reads the catalog in the session, which may have changed it in its transaction.
func (r *regression) load(x *relayed) {
	cat := &sqlcatalog.Catalog{}
	err := x.apart(func() (err error) {
		got, err := sqlcatalog.Load(context.Background(), x)
		if err == nil {
			cat = got
		}
		return err
	})
	if err != nil {
		r.t.Logf("catalog: %v", err)
	}
	r.analyzer = &sqlanalyze.Analyzer{Catalog: cat, Path: []string{"pg_catalog", "public"}}
	r.oracle.analyzer = r.analyzer
}

// probe runs a SELECT that the server took once more, as a role that may do what it
// was mapped to. What it is refused inside a function says nothing of the mapping, so
// that statements which call such are not judged. One in a few is first run with a
// read withheld: if the server never refused those, the others would show nothing.
func (r *regression) probe(x *relayed, m *sqlanalyze.Mapped, text string) {
	r.probed++
	if r.callsOut(m) {
		return
	}
	if r.judged%10 == 0 && len(m.Relations) > 0 && m.Relations[0].Schema != "pg_catalog" && m.Relations[0].Schema != "information_schema" {
		less := *m
		less.Relations, less.Reads = nil, nil
		r.planted++
		if e := r.refusal(x, &less); e != nil {
			r.noticed++
		}
	}
	r.judged++
	if e := r.refusal(x, m); e != nil {
		r.failed = append(r.failed, fmt.Sprintf("%s\n   %s\n   %s", e.Message, strings.Join(strings.Fields(text), " "), m.Text))
	}
}

// refusal returns what the server refuses to a role that may do what m says, or nil.
func (r *regression) refusal(x *relayed, m *sqlanalyze.Mapped) *pgconn.PgError {
	granted := false
	err := x.apart(func() error {
		if _, err := x.Query(context.Background(), r.grants(m)); err != nil {
			return err
		}
		granted = true
		_, err := x.Query(context.Background(), m.Text)
		return err
	})
	var e *pgconn.PgError
	switch {
	case !granted:
		r.ungranted++
	case err == nil:
		r.clean++
	case errors.As(err, &e) && e.Code == "42501" && ofTheStatement.MatchString(e.Message) && e.Where == "":
		return e
	}
	return nil
}

// ofTheStatement is what is said of what a statement names; of tables only the server
// says more, that one must be a superuser and the like.
var ofTheStatement = regexp.MustCompile(`^permission denied for (table|view|materialized view|foreign table|sequence|column|relation|function|aggregate|procedure) `)

// grants returns the statements that give probe what m says. Row security reads tables
// with the rights of who asks; they are among the underlying.
func (r *regression) grants(m *sqlanalyze.Mapped) string {
	var b strings.Builder
	schemas := make(map[string]bool)
	b.WriteString(r.oracle.grants(&m.Statement))
	for _, x := range m.Relations {
		schemas[x.Schema] = true
	}
	for _, f := range slices.Concat(m.Functions, m.Operators, m.Types) {
		schema, _, _ := strings.Cut(f, ".")
		schemas[schema] = true
	}
	for _, u := range m.Underlying {
		for n := range r.analyzer.Catalog.Relations {
			if n.String() == u {
				schemas[n.Schema] = true
				fmt.Fprintf(&b, "GRANT SELECT ON %s.%s TO probe; ", ident(n.Schema), ident(n.Name))
			}
		}
	}
	for _, s := range slices.Sorted(maps.Keys(schemas)) {
		fmt.Fprintf(&b, "GRANT USAGE ON SCHEMA %s TO probe; ", ident(s))
	}
	b.WriteString("SET LOCAL statement_timeout = '5s'; SET LOCAL ROLE probe")
	return b.String()
}

// callsOut reports whether m calls functions of the suite, or of the server's in SQL:
// what is inside runs with the rights of who calls. The functions behind casts do not
// count: every statement has them, and those of the suite read no tables.
func (r *regression) callsOut(m *sqlanalyze.Mapped) bool {
	for _, f := range slices.Concat(m.Functions, m.Operators, m.Underlying) {
		if strings.Contains(f, "(") && !slices.Contains(r.analyzer.Catalog.Casts, f) && (!strings.HasPrefix(f, "pg_catalog.") || r.inSQL[f]) {
			return true
		}
	}
	return false
}

// logged is which refusals of what is valid are logged one by one.
var logged = func() *regexp.Regexp {
	if s := os.Getenv("WRIT_PG_REGRESS_LOG"); s != "" {
		return regexp.MustCompile(s)
	}
	return nil
}()

// reasons are the sorts of refusals, by how they begin.
var reasons = []string{
	"there is no relation", "there is no column", "there is no function", "there is no type", "there is no operator", "there is no table or column", "there is no constraint",
	"syntax error", "unterminated", "invalid", "a change of",
}

var quotedName = regexp.MustCompile(`"[^"]*"|[a-z_0-9"]+\.[a-zA-Z_0-9" ]+ `)

// reason returns the sort of a refusal, without the names in it.
func reason(err error) string {
	s := strings.TrimPrefix(err.Error(), sqlanalyze.ErrUnmapped.Error()+": ")
	for _, p := range []string{"sql tree: ", "sql parser: ", "write again: ", "sql parser: "} {
		s = strings.TrimPrefix(s, p)
	}
	for _, p := range reasons {
		if strings.HasPrefix(s, p) {
			return p
		}
	}
	return quotedName.ReplaceAllString(s, "… ")
}

func logAll(t *testing.T, what string, counts map[string]int) {
	t.Helper()
	for _, k := range slices.SortedFunc(maps.Keys(counts), func(a, b string) int { return counts[b] - counts[a] }) {
		t.Logf("%s: %d %s", what, counts[k], k)
	}
}
