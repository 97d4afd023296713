package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	_ "modernc.org/sqlite" // registers the driver
)

// schemaVersion is what this program writes. A store with a higher one is not
// opened.
const schemaVersion = 1

const schema = `CREATE TABLE IF NOT EXISTS rows (bucket TEXT NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL, PRIMARY KEY (bucket, key)) STRICT, WITHOUT ROWID`

// sqlite is a Store in one file.
type sqlite struct {
	read, write *sql.DB
}

// OpenFile returns the store in the file, which is made if it is not there.
// Every committed update is on the disk when it returns. Errors wrap [ErrStore],
// or [ErrNewer].
func OpenFile(ctx context.Context, file string) (Store, error) {
	if strings.ContainsAny(file, "?#%") {
		return nil, fmt.Errorf("%w: open: the file's name has one of ?#%%", ErrStore)
	}
	dsn := fmt.Sprintf("file:%s?_pragma=busy_timeout(%d)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=trusted_schema(OFF)", file, busyTimeoutMS)
	w, err := sql.Open("sqlite", dsn+"&_txlock=immediate")
	if err != nil {
		return nil, fmt.Errorf("%w: open: %w", ErrStore, err)
	}
	w.SetMaxOpenConns(1) // updates happen one after the other
	if err := migrate(ctx, w); err != nil {
		w.Close()
		return nil, err
	}
	r, err := sql.Open("sqlite", dsn+"&_pragma=query_only(ON)")
	if err != nil {
		w.Close()
		return nil, fmt.Errorf("%w: open: %w", ErrStore, err)
	}
	r.SetMaxOpenConns(4)
	return &sqlite{r, w}, nil
}

// migrate brings the schema up to date in one transaction.
func migrate(ctx context.Context, db *sql.DB) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("%w: open: %w", ErrStore, err)
	}
	defer tx.Rollback()
	var v int
	if err := tx.QueryRowContext(ctx, "PRAGMA user_version").Scan(&v); err != nil {
		return fmt.Errorf("%w: open: %w", ErrStore, err)
	}
	if v > schemaVersion { //guard:R29 store-newer
		return fmt.Errorf("%w: schema %d; this program knows %d. Use the newer program", ErrNewer, v, schemaVersion)
	}
	if _, err := tx.ExecContext(ctx, schema); err != nil {
		return fmt.Errorf("%w: open: %w", ErrStore, err)
	}
	if _, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", schemaVersion)); err != nil {
		return fmt.Errorf("%w: open: %w", ErrStore, err)
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("%w: open: %w", ErrStore, err)
	}
	return nil
}

// View implements [Store].
func (s *sqlite) View(ctx context.Context, fn func(Tx) error) error {
	tx, err := s.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrStore, err)
	}
	defer tx.Rollback()
	return fn(&sqliteTx{ctx, tx, true})
}

// Update implements [Store].
func (s *sqlite) Update(ctx context.Context, fn func(Tx) error) error {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrStore, err)
	}
	defer tx.Rollback()
	if err := fn(&sqliteTx{ctx, tx, false}); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("%w: commit: %w", ErrStore, err)
	}
	return nil
}

// Close implements [Store].
func (s *sqlite) Close() error { return errors.Join(s.read.Close(), s.write.Close()) }

type sqliteTx struct {
	ctx      context.Context
	tx       *sql.Tx
	readOnly bool
}

// Get implements [Tx].
func (t *sqliteTx) Get(bucket string, key []byte) ([]byte, bool, error) {
	var v []byte
	err := t.tx.QueryRowContext(t.ctx, "SELECT value FROM rows WHERE bucket = ? AND key = ?", bucket, key).Scan(&v)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("%w: get: %w", ErrStore, err)
	}
	return v, true, nil
}

// Put implements [Tx].
func (t *sqliteTx) Put(bucket string, key, value []byte) error {
	if value == nil {
		value = []byte{} // SQL would take it for NULL
	}
	return t.exec(key, value, "INSERT INTO rows (bucket, key, value) VALUES (?, ?, ?) ON CONFLICT (bucket, key) DO UPDATE SET value = excluded.value", bucket, key, value)
}

// Insert implements [Tx].
func (t *sqliteTx) Insert(bucket string, key, value []byte) error {
	if _, ok, err := t.Get(bucket, key); err != nil || ok {
		return errors.Join(err, fmt.Errorf("%w: %s", ErrExists, bucket))
	}
	return t.Put(bucket, key, value)
}

// Delete implements [Tx].
func (t *sqliteTx) Delete(bucket string, key []byte) error {
	return t.exec(key, nil, "DELETE FROM rows WHERE bucket = ? AND key = ?", bucket, key)
}

func (t *sqliteTx) exec(key, value []byte, query string, args ...any) error {
	if t.readOnly {
		return ErrReadOnly
	}
	if err := checkRow(key, value); err != nil {
		return err
	}
	if _, err := t.tx.ExecContext(t.ctx, query, args...); err != nil {
		return fmt.Errorf("%w: write: %w", ErrStore, err)
	}
	return nil
}

// Scan implements [Tx].
func (t *sqliteTx) Scan(bucket string, start []byte, fn func(key, value []byte) (bool, error)) error {
	if start == nil {
		start = []byte{}
	}
	rows, err := t.tx.QueryContext(t.ctx, "SELECT key, value FROM rows WHERE bucket = ? AND key >= ? ORDER BY key", bucket, start)
	if err != nil {
		return fmt.Errorf("%w: scan: %w", ErrStore, err)
	}
	defer rows.Close()
	for rows.Next() {
		var k, v []byte
		if err := rows.Scan(&k, &v); err != nil {
			return fmt.Errorf("%w: scan: %w", ErrStore, err)
		}
		if more, err := fn(k, v); err != nil || !more {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("%w: scan: %w", ErrStore, err)
	}
	return nil
}
