package server

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"

	"github.com/writhq/writ/internal/restored"
)

// ErrBackup is wrapped by the error for what is no whole backup.
var ErrBackup = fmt.Errorf("%w: no whole backup", ErrServer)

// stagePattern names the folder that a backup is unpacked in, for [os.MkdirTemp].
const stagePattern = ".restore-*"

// staged matches what a restore that was killed leaves behind.
var staged = regexp.MustCompile(`^\.restore-[0-9]+$`)

// Restore makes a data folder from a backup. The folder must be empty or absent;
// what is not part of a backup is refused. It is there when all of the backup is
// on the disk, and not before: whatever ends Restore earlier, no server starts on
// what is left. It is marked: a server on it decides nothing until someone confirms
// that it has caught up. SPEC CTRL-15, CTRL-21.
func Restore(r io.Reader, dir string) error {
	dir = filepath.Clean(dir)
	absent, err := checkEmpty(dir)
	if err != nil {
		return err
	}
	in := dir // the folder that the stage is in: dir, or what there is above it
	for above := absent; above; {
		in = filepath.Dir(in)
		_, err := os.Stat(in)
		above = errors.Is(err, os.ErrNotExist)
	}
	stage, err := os.MkdirTemp(in, stagePattern)
	if err != nil {
		return fmt.Errorf("%w: restore: %w", ErrServer, err)
	}
	defer os.RemoveAll(stage) // gone already if all went well
	if err := unpack(r, stage); err != nil {
		return err
	}
	if absent {
		err = moveTo(stage, dir)
	} else {
		err = moveInto(stage, dir)
	}
	if err != nil {
		return fmt.Errorf("%w: restore: %w", ErrServer, err)
	}
	return nil
}

// moveTo makes stage the folder dir, in one step.
func moveTo(stage, dir string) error {
	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return err
	}
	if err := os.Rename(stage, dir); err != nil {
		return err
	}
	return syncDir(parent)
}

// checkEmpty reports whether the folder is absent. One that has something in it is
// refused, but for what a restore that was killed has left, which goes.
func checkEmpty(dir string) (absent bool, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("%w: restore: %w", ErrServer, err)
	}
	for _, e := range entries {
		if !staged.MatchString(e.Name()) { //guard:R50 restore-empty
			return false, advise("move it away first, or name another folder", "restore: %s is not empty", dir)
		}
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return false, fmt.Errorf("%w: restore: %w", ErrServer, err)
		}
	}
	return false, nil
}

// moveInto moves what is in stage into dir. The mark is first, and the keyring last:
// without it no server starts.
func moveInto(stage, dir string) error {
	for _, name := range []string{restored.Name, ledgerName, rootName, storeName} {
		if err := os.Rename(filepath.Join(stage, name), filepath.Join(dir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	if err := syncDir(dir); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(stage, keyringName), filepath.Join(dir, keyringName)); err != nil {
		return err
	}
	return syncDir(dir)
}

// unpack writes the files of a backup into dir, durably. dir is this process's
// alone.
func unpack(r io.Reader, dir string) error {
	if err := os.Mkdir(filepath.Join(dir, ledgerName), 0o700); err != nil {
		return fmt.Errorf("%w: restore: %w", ErrServer, err)
	}
	if err := restored.Put(dir); err != nil {
		return fmt.Errorf("%w: restore: %w", ErrServer, err)
	}
	t, seen := tar.NewReader(r), map[string]bool{}
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("%w: it is no tar, or damaged, so nothing was restored: %w", ErrBackup, err)
		}
		if h.Typeflag != tar.TypeReg || !inBackup.MatchString(h.Name) || seen[h.Name] || h.Size > maxBackupFile || sparse(h) { //guard:R11 restore-names
			return fmt.Errorf("%w: it holds %q, so nothing was restored", ErrBackup, h.Name)
		}
		seen[h.Name] = true
		if err := extract(t, filepath.Join(dir, filepath.FromSlash(h.Name))); err != nil {
			if errors.Is(err, io.ErrUnexpectedEOF) {
				return fmt.Errorf("%w: it is cut short within %s, so nothing was restored", ErrBackup, h.Name)
			}
			return err
		}
	}
	if !seen[keyringName] || !seen[storeName] {
		return fmt.Errorf("%w: it has no keyring or no store, so nothing was restored", ErrBackup)
	}
	if err := errors.Join(syncDir(filepath.Join(dir, ledgerName)), syncDir(dir)); err != nil {
		return fmt.Errorf("%w: restore: %w", ErrServer, err)
	}
	return nil
}

func extract(r io.Reader, name string) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("%w: restore: %w", ErrServer, err)
	}
	_, err = io.Copy(f, r)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("%w: restore: %w", ErrServer, err)
	}
	return nil
}
