package clients

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/lib/pq"
)

func golang(run program) func(testing.TB) program { return func(testing.TB) program { return run } }

// dsn returns the settings as one string of libpq's form.
func (s settings) dsn() string {
	var b strings.Builder
	for env, name := range map[string]string{
		"PGHOST": "host", "PGPORT": "port", "PGDATABASE": "dbname", "PGUSER": "user", "PGPASSWORD": "password", "PGPASSFILE": "passfile", "PGOPTIONS": "options",
		"PGSSLMODE": "sslmode", "PGSSLROOTCERT": "sslrootcert", "PGSSLCERT": "sslcert", "PGSSLKEY": "sslkey",
	} {
		if s[env] != "" {
			fmt.Fprintf(&b, "%s='%s' ", name, s[env])
		}
	}
	return b.String()
}

const (
	selectTotal = "SELECT id, total FROM orders WHERE id = $1"
	setStatus   = "UPDATE orders SET status = $2 WHERE id = $1"
	getStatus   = "SELECT status FROM orders WHERE id = $1"
	selectCard  = "SELECT card FROM customers"
	countBatch  = "SELECT count(*) FROM orders WHERE status = 'batch'"
	giveBack    = "SELECT $1::bytea, $2::text, $3::bigint, $4::float8"
)

var values = []any{[]byte{0, 0xff, 0x5c, 0x27}, `it's \ ü☃`, int64(-9007199254740993), -0.125}

// refusal returns the parts of a denial that each client shows.
func refusal(code, detail, hint string) string {
	if hint != "" {
		hint = ", hint"
	}
	return code + " " + detail + hint
}

// teller prints the parts of a story, and stops at the first error.
type teller struct {
	*talk
	err error
}

func (x *teller) tell(err error, format string, args ...any) {
	if x.err = errors.Join(x.err, err); err == nil {
		fmt.Fprintf(x.out, format+"\n", args...)
	}
}

// back waits for a line, and asks again and again until there is an answer.
func (x *teller) back(ask func(*int) error) {
	fmt.Fprintln(x.out, "ready")
	bufio.NewReader(x.in).ReadString('\n')
	var n int
	var err error
	for range 50 {
		if err = ask(&n); err == nil {
			break
		}
	}
	x.tell(err, "back %d", n)
}

// pgxStory is pgx with its pool.
func pgxStory(k *talk) error {
	ctx := context.Background()
	pool, err := pgxpool.New(ctx, k.dsn())
	if err != nil {
		return err
	}
	defer pool.Close()
	x := &teller{talk: k}
	var id, a, b, n int
	x.tell(pool.QueryRow(ctx, selectTotal, 3).Scan(&id, &a), "select %d %d", id, a)
	err = pool.AcquireFunc(ctx, func(c *pgxpool.Conn) error {
		_, err := c.Conn().Prepare(ctx, "total", selectTotal)
		return errors.Join(err, c.QueryRow(ctx, "total", 1).Scan(&id, &a), c.QueryRow(ctx, "total", 2).Scan(&id, &b))
	})
	x.tell(err, "prepared %d %d", a, b)
	var status string
	err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, setStatus, 5, "paid")
		return err
	})
	x.tell(errors.Join(err, pool.QueryRow(ctx, getStatus, 5).Scan(&status)), "transaction %s", status)
	_, err = pool.Exec(ctx, selectCard)
	x.tell(nil, "denied %s", pgxRefusal(err))
	x.tell(pool.QueryRow(ctx, "SELECT 7").Scan(&n), "after %d", n)
	pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error { //nolint:errcheck // it must fail, and what it did is looked at
		_, changed := tx.Exec(ctx, setStatus, 6, "lost")
		_, denied := tx.Exec(ctx, selectCard)
		_, failed := tx.Exec(ctx, "SELECT 1")
		status = pgxCode(denied) + " " + pgxCode(failed)
		return errors.Join(changed, denied)
	})
	var six string
	x.tell(pool.QueryRow(ctx, getStatus, 6).Scan(&six), "failed %s %s", status, six)
	batch := &pgx.Batch{}
	for i := range 3 {
		batch.Queue(setStatus, 10+i, "batch")
	}
	err = pool.SendBatch(ctx, batch).Close()
	x.tell(errors.Join(err, pool.QueryRow(ctx, countBatch).Scan(&n)), "batch %d", n)
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeExec} { // binary, text
		var raw []byte
		var text string
		var long int64
		var real float64
		err = pool.QueryRow(ctx, giveBack, append([]any{mode}, values...)...).Scan(&raw, &text, &long, &real)
		if mode == pgx.QueryExecModeExec {
			x.tell(err, "values %x %s %d %v", raw, text, long, real)
		}
		x.err = errors.Join(x.err, err)
	}
	x.back(func(n *int) error { return pool.QueryRow(ctx, "SELECT 7").Scan(n) })
	return x.err
}

func pgxCode(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code
	}
	return fmt.Sprint(err)
}

func pgxRefusal(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return refusal(e.Code, e.Detail, e.Hint)
	}
	return fmt.Sprint(err)
}

// libpqStory is lib/pq with the pool of database/sql.
func libpqStory(k *talk) error {
	db, err := sql.Open("postgres", k.dsn())
	if err != nil {
		return err
	}
	defer db.Close()
	x := &teller{talk: k}
	var id, a, b, n int
	x.tell(db.QueryRow(selectTotal, 3).Scan(&id, &a), "select %d %d", id, a)
	st, err := db.Prepare(selectTotal)
	if err != nil {
		return err
	}
	x.tell(errors.Join(st.QueryRow(1).Scan(&id, &a), st.QueryRow(2).Scan(&id, &b), st.Close()), "prepared %d %d", a, b)
	var status string
	err = inTx(db, func(tx *sql.Tx) error {
		_, err := tx.Exec(setStatus, 5, "paid")
		return err
	})
	x.tell(errors.Join(err, db.QueryRow(getStatus, 5).Scan(&status)), "transaction %s", status)
	_, err = db.Exec(selectCard)
	x.tell(nil, "denied %s", pqRefusal(err))
	x.tell(db.QueryRow("SELECT 7").Scan(&n), "after %d", n)
	inTx(db, func(tx *sql.Tx) error { //nolint:errcheck // it must fail, and what it did is looked at
		_, changed := tx.Exec(setStatus, 6, "lost")
		_, denied := tx.Exec(selectCard)
		_, failed := tx.Exec("SELECT 1")
		status = pqCode(denied) + " " + pqCode(failed)
		return errors.Join(changed, denied)
	})
	var six string
	x.tell(db.QueryRow(getStatus, 6).Scan(&six), "failed %s %s", status, six)
	_, err = db.Exec("UPDATE orders SET status = 'batch' WHERE id = 10; UPDATE orders SET status = 'batch' WHERE id = 11; UPDATE orders SET status = 'batch' WHERE id = 12")
	x.tell(errors.Join(err, db.QueryRow(countBatch).Scan(&n)), "batch %d", n)
	var raw []byte
	var text string
	var long int64
	var real float64
	err = db.QueryRow(giveBack, values...).Scan(&raw, &text, &long, &real)
	x.tell(err, "values %x %s %d %v", raw, text, long, real)
	x.back(func(n *int) error { return db.QueryRow("SELECT 7").Scan(n) })
	return x.err
}

// libpqBinary is lib/pq when it sends and takes values in binary.
func libpqBinary(k *talk) error {
	db, err := sql.Open("postgres", k.dsn()+"binary_parameters=yes")
	if err != nil {
		return err
	}
	defer db.Close()
	x := &teller{talk: k}
	var raw []byte
	var text string
	var long int64
	var real float64
	err = db.QueryRow(giveBack, values...).Scan(&raw, &text, &long, &real)
	x.tell(err, "values %x %s %d %v", raw, text, long, real)
	return x.err
}

func inTx(db *sql.DB, fn func(*sql.Tx) error) error {
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	if err := fn(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

func pqCode(err error) string {
	if e, ok := errors.AsType[*pq.Error](err); ok {
		return string(e.Code)
	}
	return fmt.Sprint(err)
}

func pqRefusal(err error) string {
	if e, ok := errors.AsType[*pq.Error](err); ok {
		return refusal(string(e.Code), e.Detail, e.Hint)
	}
	return fmt.Sprint(err)
}
