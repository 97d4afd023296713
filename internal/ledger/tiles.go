package ledger

import (
	"fmt"

	"github.com/writhq/writ/tlog"
)

const hashSize = len(tlog.Hash{})

// levelName is the file that holds the hashes of all tiles of one level, one
// after another: a tile is a piece of it. (A file for each tile would cost the
// gate more than all the hashing.) It is made from the log and checked against it
// at each start. SPEC LEDG-9.
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
			f, err := l.disk.OpenMirror(levelName(level))
			if err != nil {
				return err
			}
			l.levels = append(l.levels, f)
		}
		if f := l.levels[level]; f.Len() < want {
			if err := f.Put(l.newHashes(level, full)); err != nil {
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

// Tile returns the bytes of a tile that the tree has, full or partial: it is a
// [tlog.TileReader]. Errors wrap [ErrUnknown].
func (l *Ledger) Tile(t tlog.Tile) ([]byte, error) {
	l.smu.Lock()
	defer l.smu.Unlock()
	at, n := int64(t.N)*tlog.TileWidth*int64(hashSize), int64(t.Width*hashSize)
	if t.Level < 0 || t.Level >= len(l.levels) || t.Width < 1 || t.Width > tlog.TileWidth || t.N > l.tree.Size() || at+n > l.levels[t.Level].Len() {
		return nil, fmt.Errorf("%w: tile %s", ErrUnknown, t.Path())
	}
	b := make([]byte, n)
	if _, err := l.levels[t.Level].ReadAt(b, at); err != nil {
		return nil, fmt.Errorf("%w: tile %s: %w", ErrLedger, t.Path(), err)
	}
	return b, nil
}
