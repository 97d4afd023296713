// Package disk makes the changes in a ledger's folder: each one passes a hook,
// so that a test can let it fail, and nothing outside the folder is touched.
package disk

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// The errors of this package; all wrap [ErrDisk].
var (
	ErrDisk   = errors.New("disk")
	ErrLocked = fmt.Errorf("%w: locked by another process", ErrDisk)
)

// A Call is one change that the ledger is about to make in its folder.
type Call struct {
	Op   string // mkdir, create, write, sync, syncdir, rename, remove, truncate
	Path string // relative to the folder
	Size int    // bytes of a write
	Run  func(size int) error
}

// A Disk is one folder. Its paths are relative to it. It is safe for concurrent
// use.
type Disk struct {
	Dir    string
	Faults func(Call) error // makes each change or fails it; nil: makes it
}

func (d Disk) do(op, path string, size int, run func(int) error) error {
	c := Call{op, path, size, run}
	var err error
	if d.Faults != nil {
		err = d.Faults(c)
	} else {
		err = run(size)
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", op, path, err)
	}
	return nil
}

// Mkdir makes a folder of mode 0700, and those above it, within the folder.
func (d Disk) Mkdir(path string) error {
	return d.do("mkdir", path, 0, func(int) error { return os.MkdirAll(filepath.Join(d.Dir, path), 0o700) })
}

// Create makes an empty file of mode 0600, in place of one that is there.
func (d Disk) Create(path string) (*File, error) {
	return d.openAppend(path, os.O_CREATE|os.O_TRUNC)
}

// CreateWith makes a file with b in it, on the disk but for its name.
func (d Disk) CreateWith(path string, b []byte) (*File, error) {
	f, err := d.Create(path)
	if err != nil {
		return nil, err
	}
	if len(b) > 0 {
		err = f.Write(b)
	}
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func (d Disk) openAppend(path string, flags int) (*File, error) {
	f := &File{disk: d, path: path}
	err := d.do("create", path, 0, func(int) (err error) {
		f.f, err = os.OpenFile(filepath.Join(d.Dir, path), os.O_RDWR|os.O_APPEND|flags, 0o600)
		return err
	})
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// Open opens a file for reading.
func (d Disk) Open(path string) (*os.File, error) {
	f, err := os.Open(filepath.Join(d.Dir, path))
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	return f, nil
}

// Numbered returns the name of the file with number n and an extension.
func Numbered(n uint64, ext string) string { return fmt.Sprintf("%08d.%s", n, ext) }

// Numbers returns the numbers of the files with an extension that [Numbered]
// names, ascending.
func (d Disk) Numbers(ext string) ([]uint64, error) {
	entries, err := os.ReadDir(d.Dir)
	if err != nil {
		return nil, err
	}
	var all []uint64
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), "."+ext)
		if n, err := strconv.ParseUint(name, 10, 63); ok && err == nil && Numbered(n, ext) == e.Name() {
			all = append(all, n)
		}
	}
	slices.Sort(all)
	return all, nil
}

// Read returns what is in a file.
func (d Disk) Read(path string) ([]byte, error) {
	b, err := os.ReadFile(filepath.Join(d.Dir, path))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return b, nil
}

// Remove removes a file or folder, if it is there.
func (d Disk) Remove(path string) error {
	return d.do("remove", path, 0, func(int) error {
		return os.RemoveAll(filepath.Join(d.Dir, path))
	})
}

// Truncate cuts a file to size bytes, and waits until that is on the disk.
func (d Disk) Truncate(path string, size int64) error {
	f, err := os.OpenFile(filepath.Join(d.Dir, path), os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("truncate %s: %w", path, err)
	}
	defer f.Close()
	if err := d.do("truncate", path, 0, func(int) error { return f.Truncate(size) }); err != nil {
		return err
	}
	return d.do("sync", path, 0, func(int) error { return f.Sync() })
}

// SyncDir waits until the names in a folder are on the disk.
func (d Disk) SyncDir(path string) error {
	return d.do("syncdir", path, 0, func(int) error {
		f, err := os.Open(filepath.Join(d.Dir, path))
		if err != nil {
			return err
		}
		defer f.Close()
		return f.Sync()
	})
}

// Replace puts b in the place of a file. If sync is not set, a power cut may
// leave anything there.
func (d Disk) Replace(path string, b []byte, sync bool) error {
	tmp := path + ".tmp"
	f, err := d.Create(tmp)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Write(b); err != nil {
		return err
	}
	if sync {
		if err := f.Sync(); err != nil {
			return err
		}
	}
	return d.do("rename", path, 0, func(int) error {
		return os.Rename(filepath.Join(d.Dir, tmp), filepath.Join(d.Dir, path))
	})
}

// A File is open for appending. Its methods are not for concurrent use, but for
// Sync beside Write. A nil File can be closed.
type File struct {
	disk Disk
	path string
	f    *os.File
}

// Write appends b, without a buffer.
func (f *File) Write(b []byte) error {
	if f.disk.Faults == nil { // as below, without a closure for each write
		if _, err := f.f.Write(b); err != nil {
			return fmt.Errorf("write %s: %w", f.path, err)
		}
		return nil
	}
	return f.disk.do("write", f.path, len(b), func(n int) error {
		_, err := f.f.Write(b[:n])
		return err
	})
}

// Sync waits until what was written is on the disk. After an error nothing is
// known of any byte since the last success, and a second sync would report
// success for bytes that the kernel has thrown away: so there is no second.
func (f *File) Sync() error {
	return f.disk.do("sync", f.path, 0, func(int) error { return unix.Fdatasync(int(f.f.Fd())) })
}

// Close closes the file. What was not synced may be lost.
func (f *File) Close() {
	if f != nil && f.f != nil {
		f.f.Close()
	}
}

// A Pair is the files of the segment that is written.
type Pair struct{ Log, Evidence *File }

// Sync syncs the log, and the evidence if it is asked for: both at once, since one
// alone would take as long.
func (p *Pair) Sync(evidence bool) error {
	if !evidence {
		return p.Log.Sync()
	}
	done := make(chan error, 1)
	go func() { done <- p.Evidence.Sync() }()
	err := p.Log.Sync()
	if evErr := <-done; err == nil {
		err = evErr
	}
	return err
}

// Close closes both.
func (p *Pair) Close() {
	p.Log.Close()
	p.Evidence.Close()
}

// Lock takes the folder for this process until [Unlock]. Errors wrap
// [ErrLocked] if another process has it.
func (d Disk) Lock() (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(d.Dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock ledger: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil { //guard:R57 folder-lock
		f.Close()
		return nil, ErrLocked
	}
	return f, nil
}

// Unlock gives up the folder. A child that is being started has a copy of the
// file for a moment, so closing ours would not be enough.
func Unlock(f *os.File) {
	_ = unix.Flock(int(f.Fd()), unix.LOCK_UN) // could only say that it is closed
	f.Close()
}

// A Mirror is a file that is made from something else and checked against it: its
// beginning may be there from an earlier time, right or wrong. It is never synced.
type Mirror struct {
	*File
	size int64 // bytes in the file
	have int64 // bytes that are known to be right
}

// OpenMirror opens a mirror, which may be there.
func (d Disk) OpenMirror(name string) (*Mirror, error) {
	f, err := d.openAppend(name, os.O_CREATE)
	if err != nil {
		return nil, err
	}
	info, err := f.f.Stat()
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	return &Mirror{File: f, size: info.Size()}, nil
}

// Len returns the number of bytes that are known to be right.
func (m *Mirror) Len() int64 { return m.have }

// ReadAt implements [io.ReaderAt].
func (m *Mirror) ReadAt(b []byte, at int64) (int, error) { return m.f.ReadAt(b, at) }

// Put makes data, which begins at or before m's end, the end of m. What the file
// has there already is compared, and cut off where it is wrong.
func (m *Mirror) Put(data []byte, at int64) error {
	data, at = data[m.have-at:], m.have
	if n := min(m.size-at, int64(len(data))); n > 0 { // from before this start
		old := make([]byte, n)
		if _, err := m.f.ReadAt(old, at); err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read %s: %w", m.path, err)
		}
		if bytes.Equal(old, data[:n]) {
			data, at = data[n:], at+n
		}
	}
	m.have = at + int64(len(data))
	if len(data) == 0 {
		return nil
	}
	if m.size != at {
		if err := m.disk.do("truncate", m.path, 0, func(int) error { return m.f.Truncate(at) }); err != nil {
			return err
		}
	}
	m.size = m.have
	return m.Write(data)
}
