package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/writhq/writ/tlog"
)

const hashSize = len(tlog.Hash{})

// A levelFile holds the hashes of all tiles of one level, one after another: a
// tile is a piece of it. (A file for each tile would cost the gate more than all
// the hashing.) It is made from the log, is never synced, and is checked against
// the log at each start. SPEC LEDG-9.
type levelFile struct {
	*file
	size int64 // bytes in the file
	have int64 // bytes that are known to be right
}

func levelName(level int) string { return fmt.Sprintf("tree.%d", level) }

// extend brings the level files up to the tree. The caller holds smu, or is Open.
func (l *Ledger) extend() error {
	full := l.tree.TakeFull()
	for level := 0; level < tlog.Levels; level++ {
		want := int64(l.tree.Size()>>(8*level)) * int64(hashSize)
		if want == 0 {
			return nil
		}
		if level == len(l.levels) {
			f, err := l.disk.openLevel(levelName(level))
			if err != nil {
				return err
			}
			l.levels = append(l.levels, f)
		}
		if f := l.levels[level]; f.have < want {
			if err := f.put(l.newHashes(level, full)); err != nil {
				return err
			}
		}
	}
	return nil
}

// newHashes returns the bytes of a level from some tile on, and where that tile
// begins: at least all that is new.
func (l *Ledger) newHashes(level int, full []tlog.Tile) (data []byte, at int64) {
	at = -1
	for _, t := range append(full, l.tree.Partial()...) {
		if t.Level != level {
			continue
		}
		if at < 0 {
			at = int64(t.N) * tlog.TileWidth * int64(hashSize)
		}
		data = append(data, t.Data...)
	}
	return data, at
}

// put makes data, whose beginning f has already, the end of f.
func (f *levelFile) put(data []byte, at int64) error {
	data, at = data[f.have-at:], f.have
	if n := min(f.size-at, int64(len(data))); n > 0 { // from before this start
		old := make([]byte, n)
		if _, err := f.f.ReadAt(old, at); err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read %s: %w", f.path, err)
		}
		if bytes.Equal(old, data[:n]) {
			data, at = data[n:], at+n
		}
	}
	f.have = at + int64(len(data))
	if len(data) == 0 {
		return nil
	}
	if f.size != at {
		if err := f.disk.do("truncate", f.path, 0, func(int) error { return f.f.Truncate(at) }); err != nil {
			return err
		}
	}
	f.size = f.have
	return f.write(data)
}

// openLevel opens a level's file, which may be there.
func (d disk) openLevel(name string) (*levelFile, error) {
	f, err := d.openAppend(name, os.O_CREATE)
	if err != nil {
		return nil, err
	}
	info, err := f.f.Stat()
	if err != nil {
		f.close()
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	return &levelFile{file: f, size: info.Size()}, nil
}

// Tile returns the bytes of a tile that the tree has, full or partial: it is a
// [tlog.TileReader]. Errors wrap [ErrUnknown].
func (l *Ledger) Tile(t tlog.Tile) ([]byte, error) {
	l.smu.Lock()
	defer l.smu.Unlock()
	at, n := int64(t.N)*tlog.TileWidth*int64(hashSize), int64(t.Width*hashSize)
	if t.Level < 0 || t.Level >= len(l.levels) || t.Width < 1 || t.Width > tlog.TileWidth || t.N > l.tree.Size() || at+n > l.levels[t.Level].have {
		return nil, fmt.Errorf("%w: tile %s", ErrUnknown, t.Path())
	}
	b := make([]byte, n)
	if _, err := l.levels[t.Level].f.ReadAt(b, at); err != nil {
		return nil, fmt.Errorf("%w: tile %s: %w", ErrLedger, t.Path(), err)
	}
	return b, nil
}
