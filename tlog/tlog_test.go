package tlog_test

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"testing"

	mod "golang.org/x/mod/sumdb/tlog"

	"github.com/writhq/writ/tlog"
)

// leaf returns the i-th test leaf.
func leaf(i int) tlog.Hash { return tlog.LeafHash(fmt.Appendf(nil, "leaf %d", i)) }

func leaves(n int) []tlog.Hash {
	all := make([]tlog.Hash, n)
	for i := range all {
		all[i] = leaf(i)
	}
	return all
}

// reference returns x/mod's root of the first n test leaves.
func reference(t testing.TB, n int) tlog.Hash {
	t.Helper()
	var stored []mod.Hash
	r := mod.HashReaderFunc(func(indexes []int64) ([]mod.Hash, error) {
		var out []mod.Hash
		for _, i := range indexes {
			out = append(out, stored[i])
		}
		return out, nil
	})
	for i := range n {
		hs, err := mod.StoredHashesForRecordHash(int64(i), leaf(i), r)
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, hs...)
	}
	h, err := mod.TreeHash(int64(n), r)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// Hashes, roots and paths are those of RFC 6962, by another's implementation.
// SPEC TLOG-1, TLOG-2.
func TestBatchAgreesWithReference(t *testing.T) {
	t.Parallel()
	long := make([]byte, 5000)
	if tlog.LeafHash(long) != mod.RecordHash(long) || tlog.LeafHash(nil) != mod.RecordHash(nil) {
		t.Fatal("leaf hash differs")
	}
	for n := 1; n < 70; n++ {
		b, err := tlog.BatchOf(leaves(n))
		if err != nil {
			t.Fatal(err)
		}
		if b.Root() != reference(t, n) {
			t.Fatalf("root of %d leaves differs", n)
		}
		for i := range n {
			p := b.Path(i)
			at := tlog.Leaf{Index: uint64(i), Hash: leaf(i)}
			if err := tlog.CheckInclusion(at, p, uint64(n), b.Root()); err != nil {
				t.Fatalf("%d of %d: %v", i, n, err)
			}
			if err := mod.CheckRecord(p, int64(n), b.Root(), int64(i), leaf(i)); err != nil {
				t.Fatalf("%d of %d: reference: %v", i, n, err)
			}
			if len(p) != tlog.PathLength(uint64(n), uint64(i)) {
				t.Fatalf("%d of %d: path of %d", i, n, len(p))
			}
		}
	}
	if _, err := tlog.BatchOf(nil); !errors.Is(err, tlog.ErrRange) {
		t.Error("empty batch accepted")
	}
	if _, err := tlog.BatchOf(make([]tlog.Hash, tlog.MaxLeaves+1)); !errors.Is(err, tlog.ErrRange) {
		t.Error("too large a batch accepted")
	}
}

// R57
// guard: inclusion-range, inclusion-path-too-long, inclusion-root
// SPEC TLOG-2
func TestInclusionRefusesEveryOtherPlace(t *testing.T) {
	t.Parallel()
	const n = 11
	b, err := tlog.BatchOf(leaves(n))
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	refuse := func(what string, at tlog.Leaf, path []tlog.Hash, size uint64, root tlog.Hash) {
		t.Helper()
		tried++
		if err := tlog.CheckInclusion(at, path, size, root); !errors.Is(err, tlog.ErrProof) {
			t.Errorf("%s: accepted", what)
		}
	}
	for i := range n {
		for j := range n {
			if i != j {
				refuse("other leaf", tlog.Leaf{Index: uint64(i), Hash: leaf(j)}, b.Path(i), n, b.Root())
			}
		}
		p := b.Path(i)
		at := tlog.Leaf{Index: uint64(i), Hash: leaf(i)}
		refuse("short", at, p[1:], n, b.Root())
		refuse("long", at, append(slices.Clone(p), leaf(0)), n, b.Root())
		refuse("root", at, p, n, leaf(0))
	}
	one := tlog.Leaf{Hash: leaf(0)}
	refuse("longer than a tree of one has", one, []tlog.Hash{leaf(1)}, 1, tlog.NodeHash(leaf(1), leaf(0)))
	refuse("outside", tlog.Leaf{Index: 1, Hash: leaf(0)}, nil, 1, leaf(0))
	refuse("empty", one, nil, 0, leaf(0))
	if tried < 100 {
		t.Fatalf("only %d tried", tried)
	}
}

// grown is a tree with all its tiles.
type grown struct {
	tree  tlog.Tree
	tiles map[string][]byte
}

func (g *grown) grow(to int) {
	for i := int(g.tree.Size()); i < to; i++ {
		g.tree.Append(leaf(i))
	}
	for _, tile := range append(g.tree.TakeFull(), g.tree.Partial()...) {
		g.tiles[tile.Path()] = tile.Data
	}
}

func (g *grown) read(t tlog.Tile) ([]byte, error) {
	b, ok := g.tiles[t.Path()]
	if !ok {
		return nil, fmt.Errorf("no tile %s", t.Path())
	}
	return b, nil
}

// R57
// guard: consistency-root
// SPEC TLOG-3, TLOG-4
func TestTilesProve(t *testing.T) {
	t.Parallel()
	g := &grown{tiles: make(map[string][]byte)}
	sizes := []int{1, 2, 7, 255, 256, 257, 512, 700, 1300}
	heads := map[int]tlog.Head{0: {Root: tlog.EmptyRoot()}}
	for _, n := range sizes {
		g.grow(n)
		heads[n] = tlog.Head{Size: uint64(n), Root: g.tree.Root()}
		if g.tree.Root() != reference(t, n) {
			t.Fatalf("root at %d differs", n)
		}
		for i := 0; i < n; i += 1 + n/50 {
			p, err := tlog.Inclusion(uint64(n), uint64(i), g.read)
			if err != nil {
				t.Fatal(err)
			}
			if err := tlog.CheckInclusion(tlog.Leaf{Index: uint64(i), Hash: leaf(i)}, p, uint64(n), g.tree.Root()); err != nil {
				t.Fatal(err)
			}
		}
	}
	for a, older := range heads {
		for b, newer := range heads {
			if a > b {
				if tlog.CheckConsistency(older, newer, nil) == nil {
					t.Error("a tree shrank")
				}
				continue
			}
			p, err := tlog.Consistency(newer.Size, older.Size, g.read)
			if err != nil {
				t.Fatal(err)
			}
			if err := tlog.CheckConsistency(older, newer, p); err != nil {
				t.Errorf("%d to %d: %v", a, b, err)
			}
			forked := older
			forked.Root = leaf(99)
			if err := tlog.CheckConsistency(forked, newer, p); !errors.Is(err, tlog.ErrProof) {
				t.Errorf("%d to %d: another history accepted", a, b)
			}
		}
	}
	if _, err := tlog.Inclusion(5, 5, g.read); !errors.Is(err, tlog.ErrRange) {
		t.Error("leaf outside the tree")
	}
	if _, err := tlog.Consistency(5, 6, g.read); !errors.Is(err, tlog.ErrRange) {
		t.Error("older is newer")
	}
}

// The example of C2SP tlog-tiles: a tree of 70,000. SPEC TLOG-4.
func TestTilesOfSeventyThousand(t *testing.T) {
	t.Parallel()
	var tree tlog.Tree
	for i := range 70_000 {
		tree.Append(leaf(i % 7))
	}
	count := map[int]int{}
	for _, tile := range tree.TakeFull() {
		count[tile.Level]++
	}
	if count[0] != 273 || count[1] != 1 || len(count) != 2 {
		t.Errorf("full tiles: %v", count)
	}
	var widths []int
	for _, p := range tree.Partial() {
		widths = append(widths, p.Width)
	}
	if !slices.Equal(widths, []int{112, 17, 1}) {
		t.Errorf("partial tiles: %v", widths)
	}
}

// SPEC TLOG-4
func TestTilePath(t *testing.T) {
	t.Parallel()
	for _, tile := range []tlog.Tile{{0, 0, 256, nil}, {1, 1234067, 256, nil}, {7, 999, 1, nil}, {0, 1000, 255, nil}} {
		p, err := tlog.ParseTilePath(tile.Path())
		if err != nil || p.Path() != tile.Path() {
			t.Errorf("%s: %v", tile.Path(), err)
		}
	}
	if got := (tlog.Tile{N: 1234067, Width: 256}).Path(); got != "tile/0/x001/x234/067" {
		t.Error(got)
	}
	for _, bad := range []string{"", "tile/0/0", "tile/8/000", "tile/00/000", "tile/0/x000/001", "tile/0/000.p/256", "tile/0/000.p/0", "tile/0/001/001"} {
		if _, err := tlog.ParseTilePath(bad); !errors.Is(err, tlog.ErrForm) {
			t.Errorf("%q accepted", bad)
		}
	}
}

// signer signs with an Ed25519 key.
type signer ed25519.PrivateKey

func (s signer) Sign(msg []byte) ([]byte, error) {
	return ed25519.Sign(ed25519.PrivateKey(s), msg), nil
}

func key(seed byte) (signer, []byte) {
	k := ed25519.NewKeyFromSeed([]byte{31: seed})
	return signer(k), k.Public().(ed25519.PublicKey)
}
