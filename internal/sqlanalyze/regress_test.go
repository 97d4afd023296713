package sqlanalyze_test

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/writhq/writ/internal/sqlanalyze"
	"github.com/writhq/writ/internal/sqlparser"
	"github.com/writhq/writ/internal/testpg"
)

// TestMain makes the test's binary the parser when it is started as one.
func TestMain(m *testing.M) { os.Exit(new(testpg.Lazy).Main(m)) }

// A regression is a run of PostgreSQL's regression suite: psql runs its files through
// a relay that maps each statement before the server gets it.
type regression struct {
	t        *testing.T
	server   *testpg.Server
	db       string
	pool     *sqlparser.Pool
	analyzer *sqlanalyze.Analyzer // nil: the catalog is to be read again
	oracle   *oracle              // whose grants are asked for; it has no connection
	inSQL    map[string]bool      // signatures of the server's functions that are in SQL

	all, dml, valid, mapped, validMapped, crashed int
	probed, judged, clean, ungranted              int // SELECTs that were asked about; judged; run without an error; whose grants failed
	planted, noticed                              int // of those with a read withheld, how many the server refused
	failed                                        []string
	why, whyValid                                 map[string]int // refusals by reason
}

// A relayed is one connection of psql.
type relayed struct {
	client *pgproto3.Backend
	up     *pgproto3.Frontend
	conn   net.Conn // upstream
	tx     byte
}

// TestRegression maps the DML of PostgreSQL's own regression suite, whose folder
// src/test/regress is in WRIT_PG_REGRESS (see tools/pg-regress.sh). Most of it maps; a
// SELECT that runs on the server also runs as a role that may read the tables and
// columns that it was mapped to, and call those of the server's own functions, and no
// others. SPEC SQL-3.
//
// R3/sql, R15/sql
func TestRegression(t *testing.T) {
	folder := os.Getenv("WRIT_PG_REGRESS")
	if folder == "" {
		t.Skip("make pg-regress runs it: the suite is in no package that could be installed")
	}
	r := newRegression(t)
	tests := schedule(t, folder)
	env := r.environment(folder)
	for _, name := range tests {
		r.file(filepath.Join(folder, "sql", name+".sql"), env)
	}
	t.Logf("regression suite: %d files, %d statements, %d of them DML, %d valid; %d mapped (%d %%), %d of the valid (%d %%); %d SELECTs that could be asked about, %d judged, %d runs as mapped without an error, %d not granted; a read withheld from %d, %d of them refused",
		len(tests), r.all, r.dml, r.valid, r.mapped, r.mapped*100/r.dml, r.validMapped, r.validMapped*100/r.valid, r.probed, r.judged, r.clean, r.ungranted, r.planted, r.noticed)
	logAll(t, "refused though valid", r.whyValid)
	logAll(t, "refused", r.why)
	for _, f := range r.failed {
		t.Error(f)
	}
	if r.crashed > 0 {
		t.Errorf("the grammar's process ended over %d statements", r.crashed)
	}
	if len(tests) < 150 || r.dml < 10000 || r.judged < 3000 || r.clean < 3000 || r.planted < 100 {
		t.Errorf("too few statements to say anything")
	}
	if r.noticed*100 < r.planted*80 { // some tables anybody may read
		t.Errorf("a read withheld from %d was noticed %d times: the others show nothing", r.planted, r.noticed)
	}
	if r.mapped*100 < r.dml*60 {
		t.Errorf("less than 60 %% of the DML maps")
	}
}

func newRegression(t *testing.T) *regression {
	t.Helper()
	r := &regression{t: t, server: testpg.Start(t), db: "regression", why: make(map[string]int), whyValid: make(map[string]int), oracle: &oracle{functions: make(map[string]string)}}
	r.server.Exec(t, testpg.Superuser, "CREATE DATABASE regression TEMPLATE template0")
	r.server.Exec(t, testpg.Superuser, "ALTER DATABASE regression SET lc_messages TO 'C'")
	r.server.Exec(t, r.db, `CREATE ROLE probe; GRANT USAGE ON SCHEMA pg_catalog, public TO probe; REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA pg_catalog FROM PUBLIC;
DO $$ DECLARE f regprocedure; BEGIN FOR f IN SELECT oprcode FROM pg_operator WHERE oprcode <> 0 UNION SELECT castfunc FROM pg_cast WHERE castfunc <> 0 UNION SELECT typinput FROM pg_type UNION SELECT typoutput FROM pg_type
 UNION SELECT unnest(ARRAY[typreceive, typsend, typmodin, typmodout, typanalyze, typsubscript]) FROM pg_type UNION SELECT amproc FROM pg_amproc UNION SELECT 'trunc(numeric, int)'::regprocedure UNION SELECT 'polygon(int, circle)'::regprocedure
 LOOP IF f <> 0 THEN EXECUTE 'GRANT EXECUTE ON FUNCTION ' || f || ' TO probe'; END IF; END LOOP; END $$`)
	c := r.server.Connect(t, r.server.Local(r.db))
	defer c.Close(t.Context())
	rows, err := testpg.Rows{PgConn: c}.Query(t.Context(), functionNames+` WHERE n.nspname = 'pg_catalog'`)
	if err != nil {
		t.Fatal(err)
	}
	r.inSQL = make(map[string]bool)
	for _, x := range rows {
		r.oracle.functions[x[1]], r.inSQL[x[1]] = x[0], x[2] == "sql"
	}
	r.pool = sqlparser.New(1, func() *exec.Cmd { return exec.Command(os.Args[0], sqlparser.Command) })
	t.Cleanup(r.pool.Close)
	return r
}

// schedule returns the suite's files in their order.
func schedule(t *testing.T, folder string) (out []string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(folder, "parallel_schedule"))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(b), "\n") {
		if names, ok := strings.CutPrefix(line, "test: "); ok {
			out = append(out, strings.Fields(names)...)
		}
	}
	return out
}

// environment starts the relay and returns psql's environment.
func (r *regression) environment(folder string) []string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			r.serve(c) // psql has one connection at a time
		}
	}()
	host, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		r.t.Fatal(err)
	}
	out := r.t.TempDir()
	for _, d := range []string{out, filepath.Join(out, "results")} {
		if err := os.MkdirAll(d, 0o777); err != nil {
			r.t.Fatal(err)
		}
		if err := os.Chmod(d, 0o777); err != nil { // the server runs as somebody else
			r.t.Fatal(err)
		}
	}
	return []string{"PATH=" + os.Getenv("PATH"), "PGHOST=" + host, "PGPORT=" + port, "PGUSER=" + testpg.Superuser, "PGDATABASE=" + r.db, "PGSSLMODE=disable", "PGGSSENCMODE=disable",
		"PG_ABS_SRCDIR=" + folder, "PG_ABS_BUILDDIR=" + out, "PG_LIBDIR=" + out, "PG_DLSUFFIX=.so", "LC_ALL=C.UTF-8"}
}

// described are psql's commands that ask the catalogs: not of the suite's statements.
var described = regexp.MustCompile(`(?m)^\s*\\(d|sf|sv|ef|ev|z|l|c\b|connect\b|password|!).*$`)

// file runs one file of the suite.
func (r *regression) file(name string, env []string) {
	b, err := os.ReadFile(name)
	if err != nil {
		r.t.Fatal(err)
	}
	started := time.Now()
	c := exec.CommandContext(r.t.Context(), filepath.Join(testpg.Programs(), "psql"), "-X", "-q", "-a", "-f", "-")
	c.Env, c.Dir = env, r.t.TempDir()
	c.Stdin = strings.NewReader(described.ReplaceAllString(string(b), ""))
	out, err := c.CombinedOutput() // it is not compared: what statements return is the server's
	if err != nil {
		r.t.Logf("%s: psql: %v: %s", filepath.Base(name), err, out[max(0, len(out)-300):])
	}
	if logged != nil {
		r.t.Logf("%s: %s, %d DML so far, %d mapped", filepath.Base(name), time.Since(started).Round(time.Millisecond), r.dml, r.mapped)
	}
	r.server.Exec(r.t, r.db, "VACUUM pg_catalog.pg_proc, pg_catalog.pg_class, pg_catalog.pg_attribute")
}

// serve relays one connection of psql until it ends.
func (r *regression) serve(c net.Conn) {
	defer c.Close()
	r.analyzer = nil
	client := pgproto3.NewBackend(c, c)
	for {
		m, err := client.ReceiveStartupMessage()
		if err != nil {
			return
		}
		if _, ok := m.(*pgproto3.StartupMessage); ok {
			break
		}
		if _, ok := m.(*pgproto3.CancelRequest); ok {
			return
		}
		if _, err := c.Write([]byte("N")); err != nil {
			return
		}
	}
	cfg, err := pgconn.ParseConfig(r.server.Local(r.db))
	if err != nil {
		return
	}
	cfg.RuntimeParams = map[string]string{"datestyle": "Postgres, MDY", "timezone": "PST8PDT", "statement_timeout": "20s", "intervalstyle": "postgres_verbose", "application_name": "regress"}
	up, err := pgconn.ConnectConfig(context.Background(), cfg)
	if err != nil {
		return
	}
	h, err := up.Hijack()
	if err != nil {
		return
	}
	defer h.Conn.Close()
	client.Send(&pgproto3.AuthenticationOk{})
	for k, v := range h.ParameterStatuses {
		client.Send(&pgproto3.ParameterStatus{Name: k, Value: v})
	}
	client.Send(&pgproto3.BackendKeyData{ProcessID: h.PID, SecretKey: h.SecretKey})
	client.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	if client.Flush() == nil {
		r.relay(&relayed{client: client, up: h.Frontend, conn: h.Conn, tx: 'I'})
	}
}

// relay passes on what psql sends, and looks at its queries.
func (r *regression) relay(x *relayed) {
	for {
		m, err := x.client.Receive()
		if err != nil {
			return
		}
		switch m := m.(type) {
		case *pgproto3.Query:
			if r.query(x, m.String) != nil {
				return
			}
			continue
		case *pgproto3.CopyData, *pgproto3.CopyDone, *pgproto3.CopyFail: // behind an error
			continue
		case *pgproto3.Terminate:
			return
		}
		x.up.Send(m)
		switch m.(type) {
		case *pgproto3.Sync, *pgproto3.FunctionCall:
			if _, err := x.answer(); err != nil {
				return
			}
		}
	}
}

// answer passes on what the server says until it is ready, and returns the code of
// its error.
func (x *relayed) answer() (code string, err error) {
	if err := x.up.Flush(); err != nil {
		return "", err
	}
	for {
		m, err := x.up.Receive()
		if err != nil {
			return "", err
		}
		x.client.Send(m)
		switch m := m.(type) {
		case *pgproto3.ErrorResponse:
			code = m.Code
		case *pgproto3.CopyInResponse:
			if err := x.copyIn(); err != nil {
				return "", err
			}
		case *pgproto3.ReadyForQuery:
			x.tx = m.TxStatus
			return code, x.client.Flush()
		case *pgproto3.DataRow, *pgproto3.CopyData:
			if err := x.client.Flush(); err != nil {
				return "", err
			}
		}
	}
}

func (x *relayed) copyIn() error {
	if err := x.client.Flush(); err != nil {
		return err
	}
	for {
		m, err := x.client.Receive()
		if err != nil {
			return err
		}
		x.up.Send(m)
		if _, ok := m.(*pgproto3.CopyData); ok {
			if err := x.up.Flush(); err != nil {
				return err
			}
			continue
		}
		return x.up.Flush()
	}
}

// Query runs the test's own query in the session, and returns its rows; it implements
// the Querier of package sqlcatalog.
func (x *relayed) Query(_ context.Context, text string) (rows [][]string, err error) {
	x.up.Send(&pgproto3.Query{String: text})
	if err := x.up.Flush(); err != nil {
		return nil, err
	}
	var refused error
	for {
		m, err := x.up.Receive()
		if err != nil {
			return nil, err
		}
		switch m := m.(type) {
		case *pgproto3.DataRow:
			row := make([]string, len(m.Values))
			for i, v := range m.Values {
				row[i] = string(v)
			}
			rows = append(rows, row)
		case *pgproto3.ErrorResponse:
			refused = pgconn.ErrorResponseToPgError(m)
		case *pgproto3.ReadyForQuery:
			return rows, refused
		}
	}
}

// plainly undoes what the suite makes the server plan by.
const plainly = `SET LOCAL jit = off; SET LOCAL statement_timeout = 0; SET LOCAL max_parallel_workers_per_gather = 0; SET LOCAL work_mem = '64MB';
SET LOCAL enable_seqscan = on; SET LOCAL enable_indexscan = on; SET LOCAL enable_bitmapscan = on; SET LOCAL enable_hashjoin = on; SET LOCAL enable_mergejoin = on;
SET LOCAL enable_nestloop = on; SET LOCAL enable_sort = on; SET LOCAL enable_hashagg = on; SET LOCAL enable_material = on; SET LOCAL enable_memoize = on`

// apart runs f in the session, in a transaction or savepoint that is undone.
func (x *relayed) apart(f func() error) error {
	before, after := "BEGIN", "ROLLBACK"
	if x.tx == 'T' {
		before, after = "SAVEPOINT writ_apart", "ROLLBACK TO writ_apart; RELEASE writ_apart"
	}
	if _, err := x.Query(context.Background(), before+"; SET LOCAL SESSION AUTHORIZATION DEFAULT; SET LOCAL ROLE NONE; SET LOCAL search_path TO pg_catalog, public, pg_temp; "+plainly); err != nil {
		return err
	}
	err := f()
	if _, err := x.Query(context.Background(), after); err != nil {
		return err
	}
	return err
}
