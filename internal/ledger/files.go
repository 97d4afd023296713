package ledger

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// A Call is one change that the ledger is about to make in its folder.
type Call struct {
	Op   string // mkdir, create, write, sync, syncdir, rename, remove, truncate
	Path string // relative to the folder
	Size int    // bytes of a write
	Run  func(size int) error
}

// disk makes the changes, each through the hook of a test.
type disk struct {
	dir    string
	faults func(Call) error
}

func (d disk) do(op, path string, size int, run func(int) error) error {
	c := Call{op, path, size, run}
	var err error
	if d.faults != nil {
		err = d.faults(c)
	} else {
		err = run(size)
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", op, path, err)
	}
	return nil
}

// mkdir makes a folder of mode 0700, and those above it, within the folder.
func (d disk) mkdir(path string) error {
	return d.do("mkdir", path, 0, func(int) error { return os.MkdirAll(filepath.Join(d.dir, path), 0o700) })
}

// create makes an empty file of mode 0600, in place of one that is there.
func (d disk) create(path string) (*file, error) {
	return d.openAppend(path, os.O_CREATE|os.O_TRUNC)
}

func (d disk) openAppend(path string, flags int) (*file, error) {
	f := &file{disk: d, path: path}
	err := d.do("create", path, 0, func(int) (err error) {
		f.f, err = os.OpenFile(filepath.Join(d.dir, path), os.O_RDWR|os.O_APPEND|flags, 0o600)
		return err
	})
	if err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

func (d disk) open(path string) (*os.File, error) {
	f, err := os.Open(filepath.Join(d.dir, path))
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	return f, nil
}

func (d disk) read(path string) ([]byte, error) {
	b, err := os.ReadFile(filepath.Join(d.dir, path))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return b, nil
}

// remove removes a file or folder, if it is there.
func (d disk) remove(path string) error {
	return d.do("remove", path, 0, func(int) error {
		return os.RemoveAll(filepath.Join(d.dir, path))
	})
}

// truncate cuts a file to size bytes, and waits until that is on the disk.
func (d disk) truncate(path string, size int64) error {
	f, err := os.OpenFile(filepath.Join(d.dir, path), os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("truncate %s: %w", path, err)
	}
	defer f.Close()
	if err := d.do("truncate", path, 0, func(int) error { return f.Truncate(size) }); err != nil {
		return err
	}
	return d.do("sync", path, 0, func(int) error { return f.Sync() })
}

// syncDir waits until the names in a folder are on the disk.
func (d disk) syncDir(path string) error {
	return d.do("syncdir", path, 0, func(int) error {
		f, err := os.Open(filepath.Join(d.dir, path))
		if err != nil {
			return err
		}
		defer f.Close()
		return f.Sync()
	})
}

// replace puts b in the place of a file. If sync is not set, a power cut may
// leave anything there.
func (d disk) replace(path string, b []byte, sync bool) error {
	tmp := path + ".tmp"
	f, err := d.create(tmp)
	if err != nil {
		return err
	}
	defer f.close()
	if err := f.write(b); err != nil {
		return err
	}
	if sync {
		if err := f.sync(); err != nil {
			return err
		}
	}
	return d.do("rename", path, 0, func(int) error {
		return os.Rename(filepath.Join(d.dir, tmp), filepath.Join(d.dir, path))
	})
}

// A file is open for appending.
type file struct {
	disk disk
	path string
	f    *os.File
}

func (f *file) write(b []byte) error {
	return f.disk.do("write", f.path, len(b), func(n int) error {
		_, err := f.f.Write(b[:n])
		return err
	})
}

// sync waits until what was written is on the disk. After an error nothing is
// known of any byte since the last success, and a second sync would report
// success for bytes that the kernel has thrown away: so there is no second.
func (f *file) sync() error {
	return f.disk.do("sync", f.path, 0, func(int) error { return unix.Fdatasync(int(f.f.Fd())) })
}

func (f *file) close() {
	if f != nil && f.f != nil {
		f.f.Close()
	}
}

// lock takes the folder for this process until the file is closed.
func (d disk) lock() (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(d.dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock ledger: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil { //guard:R57 folder-lock
		f.Close()
		return nil, fmt.Errorf("%w: another process has it open", ErrLocked)
	}
	return f, nil
}
