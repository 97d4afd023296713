package server

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"github.com/writhq/writ/internal/store"
)

// inBackup matches the files of a data folder that a backup holds: no locks, no
// sockets, and nothing that is made from the rest again.
var inBackup = regexp.MustCompile(`^(?:keyring|root\.json|writ\.db|ledger/(?:checkpoint|[0-9]+\.(?:wal|evd|key)))$`)

// Backup writes a consistent copy of the data folder as a tar while the server
// runs. The receipts come first and the policy log after them, so that a copy
// never has receipts of a policy log that it lacks; of the receipts the log
// comes before its evidence. Keys stay wrapped. SPEC CTRL-15.
func (s *Server) Backup(ctx context.Context, w io.Writer) error {
	return backup(ctx, s.c.Dir, s.rows.s, w)
}

// BackupFolder is [Server.Backup] for a folder on which no server runs.
func BackupFolder(ctx context.Context, dir string, w io.Writer) error {
	if _, err := os.Stat(filepath.Join(dir, keyringName)); err != nil { // before a store is made there
		return advise("name the server's data folder: data in its configuration", "backup: %s is no data folder: it has no keyring", dir)
	}
	for _, lock := range []func(string) (func(), error){lockData, lockLedger} {
		unlock, err := lock(dir)
		if err != nil {
			return err
		}
		defer unlock()
	}
	db, err := store.OpenFile(ctx, filepath.Join(dir, storeName))
	if err != nil {
		return fmt.Errorf("%w: backup: %w", ErrServer, err)
	}
	defer db.Close()
	return backup(ctx, dir, db, w)
}

// lockLedger takes the ledger's lock, so that no ledger is opened meanwhile.
func lockLedger(dir string) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(dir, ledgerName, "lock"), os.O_RDWR, 0o600)
	if errors.Is(err, os.ErrNotExist) {
		return func() {}, nil // never started
	}
	if err == nil {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	}
	if err != nil {
		return nil, &advice{fmt.Errorf("%w: a server runs on this folder already: %s", ErrServer, dir), "stop that server", err}
	}
	return func() { f.Close() }, nil
}

func backup(ctx context.Context, dir string, db store.Store, w io.Writer) error {
	t := tar.NewWriter(w)
	names, err := ledgerFiles(dir)
	if err != nil {
		return err
	}
	for _, name := range append(names, keyringName, rootName) {
		if err := addFile(t, dir, name); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("%w: backup: %w", ErrServer, err)
		}
	}
	if err := addStore(ctx, t, dir, db); err != nil {
		return err
	}
	if err := t.Close(); err != nil {
		return fmt.Errorf("%w: backup: %w", ErrServer, err)
	}
	return nil
}

// ledgerFiles returns the ledger's files in the order in which they are copied:
// the checkpoint, which must not be newer than the log, then each segment's key,
// log and evidence.
func ledgerFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(dir, ledgerName))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: backup: %w", ErrServer, err)
	}
	var names []string
	for _, e := range entries {
		if name := path.Join(ledgerName, e.Name()); inBackup.MatchString(name) {
			names = append(names, name)
		}
	}
	rank := func(name string) string {
		base := path.Base(name)
		segment, ext, _ := strings.Cut(base, ".")
		order := slices.Index([]string{"", "key", "wal", "evd"}, ext)
		if base == "checkpoint" {
			segment = ""
		}
		return fmt.Sprintf("%s.%d", segment, order)
	}
	slices.SortFunc(names, func(a, b string) int { return strings.Compare(rank(a), rank(b)) })
	return names, nil
}

// addFile adds the file as long as it is now: it may grow meanwhile.
func addFile(t *tar.Writer, dir, name string) error {
	f, err := os.Open(filepath.Join(dir, filepath.FromSlash(name)))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w: backup: %w", ErrServer, err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return fmt.Errorf("%w: backup: %w", ErrServer, err)
	}
	return addReader(t, name, st.Size(), f)
}

func addReader(t *tar.Writer, name string, size int64, r io.Reader) error {
	err := t.WriteHeader(&tar.Header{Name: name, Size: size, Mode: 0o600, Typeflag: tar.TypeReg, Format: tar.FormatPAX})
	if err == nil {
		_, err = io.CopyN(t, r, size)
	}
	if err != nil {
		return fmt.Errorf("%w: backup: %s: %w", ErrServer, name, err)
	}
	return nil
}

// addStore adds a copy of the store in one transaction's state.
func addStore(ctx context.Context, t *tar.Writer, dir string, db store.Store) error {
	tmp, err := os.MkdirTemp(dir, ".backup-*")
	if err != nil {
		return fmt.Errorf("%w: backup: %w", ErrServer, err)
	}
	defer os.RemoveAll(tmp)
	to, err := store.OpenFile(ctx, filepath.Join(tmp, storeName))
	if err != nil {
		return fmt.Errorf("%w: backup: %w", ErrServer, err)
	}
	err = db.View(ctx, func(from store.Tx) error {
		return to.Update(ctx, func(into store.Tx) error { return copyRows(from, into) })
	})
	if err = errors.Join(err, to.Close()); err != nil {
		return fmt.Errorf("%w: backup: %w", ErrServer, err)
	}
	return addFile(t, tmp, storeName)
}

func copyRows(from, into store.Tx) error {
	for _, bucket := range []string{bucketLog, bucketSealed, bucketRoots} {
		err := from.Scan(bucket, nil, func(k, v []byte) (bool, error) { return true, into.Put(bucket, k, v) })
		if err != nil {
			return err
		}
	}
	return nil
}
