package tlog

import (
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"

	mod "golang.org/x/mod/sumdb/tlog"
)

const tileHeight = 8 // log2 of TileWidth

// A Tile is a run of hashes of one level of the tree, as it is stored and
// served. Width is 1 to 256; a tile of 256 is full and never changes.
//
// Source: C2SP tlog-tiles, "Merkle Tree". SPEC TLOG-4.
type Tile struct {
	Level int    // 0 to 7
	N     uint64 // index of the tile in its level
	Width int
	Data  []byte // 32 × Width bytes; nil in a Tile that only names one
}

// Path returns where the tile is served, such as "tile/0/x001/234.p/5".
func (t Tile) Path() string {
	n := fmt.Sprintf("%03d", t.N%1000)
	for rest := t.N / 1000; rest > 0; rest /= 1000 {
		n = fmt.Sprintf("x%03d/%s", rest%1000, n)
	}
	p := "tile/" + strconv.Itoa(t.Level) + "/" + n
	if t.Width != TileWidth {
		p += ".p/" + strconv.Itoa(t.Width)
	}
	return p
}

// ParseTilePath returns the tile that Path names as p. Errors wrap [ErrForm].
func ParseTilePath(p string) (Tile, error) {
	bad := fmt.Errorf("%w: tile path of %d bytes", ErrForm, len(p))
	rest, ok := strings.CutPrefix(p, "tile/")
	level, rest, ok2 := strings.Cut(rest, "/")
	if !ok || !ok2 || len(p) > maxNameBytes {
		return Tile{}, bad
	}
	t := Tile{Width: TileWidth}
	var err error
	if t.Level, err = strconv.Atoi(level); err != nil || t.Level < 0 || t.Level >= Levels {
		return Tile{}, bad
	}
	if n, width, partial := strings.Cut(rest, ".p/"); partial {
		rest = n
		if t.Width, err = strconv.Atoi(width); err != nil || t.Width < 1 || t.Width >= TileWidth {
			return Tile{}, bad
		}
	}
	digits := strings.ReplaceAll(strings.ReplaceAll(rest, "x", ""), "/", "")
	if t.N, err = strconv.ParseUint(digits, 10, 62); err != nil || t.Path() != p {
		return Tile{}, bad
	}
	return t, nil
}

// A Tree is the growing right edge of a log: what is needed to append leaves
// and know the root, in memory of at most 8 KiB a level. Its zero value is the
// empty tree. It is not safe for concurrent use.
type Tree struct {
	size  uint64
	peaks []Hash   // roots of the complete subtrees, largest first: one for each bit of size
	edge  [][]Hash // hashes of the partial tile of each level
	full  []Tile   // completed since the last call of TakeFull
}

// Size returns the number of leaves.
func (t *Tree) Size() uint64 { return t.size }

// Append adds a leaf hash at the end.
func (t *Tree) Append(leaf Hash) {
	h := leaf
	t.push(0, h)
	for n, level := t.size, 1; n%2 == 1; n, level = n/2, level+1 {
		last := len(t.peaks) - 1
		h = NodeHash(t.peaks[last], h)
		t.peaks = t.peaks[:last]
		if level%tileHeight == 0 {
			t.push(level/tileHeight, h)
		}
	}
	t.peaks = append(t.peaks, h)
	t.size++
}

// push adds h to the tile at the edge of level, and keeps the tile if that
// fills it.
func (t *Tree) push(level int, h Hash) {
	if level == len(t.edge) {
		t.edge = append(t.edge, make([]Hash, 0, TileWidth))
	}
	e := append(t.edge[level], h)
	if len(e) == TileWidth {
		n := t.size >> (tileHeight * (level + 1))
		t.full = append(t.full, Tile{level, n, TileWidth, tileData(e)})
		e = e[:0]
	}
	t.edge[level] = e
}

func tileData(hashes []Hash) []byte {
	b := make([]byte, 0, len(hashes)*len(Hash{}))
	for _, h := range hashes {
		b = append(b, h[:]...)
	}
	return b
}

// Root returns the root of the tree.
func (t *Tree) Root() Hash {
	if t.size == 0 {
		return EmptyRoot()
	}
	h := t.peaks[len(t.peaks)-1]
	for _, p := range slices.Backward(t.peaks[:len(t.peaks)-1]) {
		h = NodeHash(p, h)
	}
	return h
}

// TakeFull returns the tiles that were filled since the last call, in order of
// their filling, and forgets them.
func (t *Tree) TakeFull() []Tile {
	full := t.full
	t.full = nil
	return full
}

// Partial returns the partial tiles of the tree as it stands, lowest level
// first. With the full ones they are all that a checkpoint of this size needs.
// SPEC TLOG-4.
func (t *Tree) Partial() []Tile {
	var tiles []Tile
	for level, e := range t.edge {
		if len(e) > 0 {
			n := t.size >> (tileHeight * (level + 1))
			tiles = append(tiles, Tile{level, n, len(e), tileData(e)})
		}
	}
	return tiles
}

// A TileReader returns the bytes of one tile. The Tile names it, without Data.
type TileReader func(Tile) ([]byte, error)

// Inclusion returns the path that shows leaf index in the tree of size leaves,
// which the tiles make up. The tiles are not checked: a wrong one gives a proof
// that does not hold. Errors wrap [ErrRange], or are read's.
func Inclusion(size, index uint64, read TileReader) ([]Hash, error) {
	if size > maxSize || index >= size {
		return nil, fmt.Errorf("%w: leaf %d of %d", ErrRange, index, size)
	}
	return mod.ProveRecord(int64(size), int64(index), nodes{size, read})
}

// Consistency returns the proof that the tree of older leaves is a prefix of the
// tree of newer, which the tiles make up. Errors are as with [Inclusion].
func Consistency(newer, older uint64, read TileReader) ([]Hash, error) {
	if newer > maxSize || older > newer {
		return nil, fmt.Errorf("%w: from size %d to %d", ErrRange, older, newer)
	}
	if older == 0 || older == newer {
		return nil, nil
	}
	return mod.ProveTree(int64(newer), int64(older), nodes{newer, read})
}

// nodes reads single nodes out of the tiles of a tree of size leaves.
type nodes struct {
	size uint64
	read TileReader
}

// ReadHashes implements [mod.HashReader].
func (r nodes) ReadHashes(indexes []int64) ([]Hash, error) {
	hashes := make([]Hash, len(indexes))
	for i, x := range indexes {
		want := mod.TileForIndex(tileHeight, x)
		t := Tile{Level: want.L, N: uint64(want.N), Width: r.width(want.L, uint64(want.N))}
		data, err := r.read(t)
		if err != nil {
			return nil, fmt.Errorf("read tile %s: %w", t.Path(), err)
		}
		if len(data) != t.Width*len(Hash{}) {
			return nil, fmt.Errorf("%w: tile %s of %d bytes", ErrForm, t.Path(), len(data))
		}
		want.W = t.Width
		if hashes[i], err = mod.HashFromTile(want, data, x); err != nil {
			return nil, fmt.Errorf("%w: tile %s", ErrForm, t.Path())
		}
	}
	return hashes, nil
}

// width returns how wide tile n of the level is in this tree.
func (r nodes) width(level int, n uint64) int {
	have := r.size >> (tileHeight * level)
	return int(min(have-n*TileWidth, TileWidth))
}

// PathLength returns the length of the inclusion path of leaf index in a tree
// of size leaves.
func PathLength(size, index uint64) int {
	if index >= size {
		return 0
	}
	inner := bits.Len64(index ^ (size - 1))
	return inner + bits.OnesCount64(index>>inner)
}
