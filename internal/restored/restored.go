// Package restored is the mark of a data folder that was put back from a backup.
// What was published and used after the backup is not in such a folder, so nothing
// is decided on it until someone who knows says that it has caught up.
package restored

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
)

// ErrMark is wrapped by every error of this package.
var ErrMark = errors.New("mark of a restored folder")

// Name is the name of the mark in its folder.
const Name = "restored"

// Why says to people why nothing is decided.
const Why = "this folder was restored from a backup; publish what was published since, then confirm"

// text is what the mark says to whoever reads it.
const text = Why + ": writ restore --confirm --server DATA/control.sock\n"

// Put marks the folder. The mark is on the disk when Put returns.
func Put(dir string) error {
	f, err := os.OpenFile(filepath.Join(dir, Name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrMark, err)
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = syncDir(dir)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrMark, err)
	}
	return nil
}

// A Mark is the mark of one folder, or that there is none. It is safe for
// concurrent use.
type Mark struct {
	dir  string
	held atomic.Bool
	mu   sync.Mutex // one Lift at a time
}

// Open returns the mark of the folder. A folder of which it cannot be known is an
// error.
func Open(dir string) (*Mark, error) {
	m := &Mark{dir: dir}
	m.held.Store(true)
	_, err := os.Lstat(filepath.Join(dir, Name))
	if errors.Is(err, os.ErrNotExist) {
		m.held.Store(false)
	} else if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMark, err)
	}
	return m, nil
}

// Held says why nothing is decided; "" if the folder has no mark.
func (m *Mark) Held() string {
	if m.held.Load() {
		return Why
	}
	return ""
}

// Lift takes the mark away and reports whether there was one. It calls record
// first, which puts that on record durably; on its error the mark stays. The mark
// is gone from the disk before Held says so: whatever ends Lift earlier, the folder
// is held, or what record did is there. SPEC CTRL-21.
func (m *Mark) Lift(record func() error) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.held.Load() {
		return false, nil
	}
	if err := record(); err != nil { //guard:R59 lift-recorded
		return false, err
	}
	err := os.Remove(filepath.Join(m.dir, Name))
	if errors.Is(err, os.ErrNotExist) { // a Lift before this one failed after that
		err = nil
	}
	if err == nil {
		err = syncDir(m.dir)
	}
	if err != nil {
		return false, fmt.Errorf("%w: %w", ErrMark, err)
	}
	m.held.Store(false)
	return true, nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
