// Package tlog is the Merkle tree of a log and its signed heads: hashing and
// proofs of RFC 6962 in the formats of C2SP (tlog-tiles, tlog-checkpoint,
// tlog-cosignature, tlog-proof).
//
// The package is pure: no I/O and no clock. Functions are safe for concurrent
// use; a [Tree] is not.
package tlog

import (
	"crypto/sha256"
	"errors"
	"fmt"

	mod "golang.org/x/mod/sumdb/tlog"
)

// The errors of this package; all wrap [ErrTlog].
var (
	ErrTlog      = errors.New("tlog")
	ErrForm      = fmt.Errorf("%w: not in its one form", ErrTlog)
	ErrProof     = fmt.Errorf("%w: proof does not hold", ErrTlog)
	ErrSignature = fmt.Errorf("%w: no signature by the key", ErrTlog)
	ErrKey       = fmt.Errorf("%w: bad key", ErrTlog)
	ErrRange     = fmt.Errorf("%w: outside the tree", ErrTlog)
)

// A Hash is a node of the tree: a SHA-256 digest with RFC 6962's prefixes. Its
// String is standard base64.
type Hash = mod.Hash

// A Head says which tree: its log, how many leaves, which root, and when.
// The zero Head is of no log.
type Head struct {
	Origin string // the log's name: at most 255 bytes, without spaces or '+'
	Size   uint64 // leaves
	Root   Hash
	Time   int64 // Unix seconds that a verified cosignature attests; 0 if none does
}

// LeafHash returns SHA-256(0x00 ‖ data).
//
// Source: RFC 6962, section 2.1 "Merkle Hash Trees". SPEC TLOG-1.
func LeafHash(data []byte) Hash {
	var short [1024]byte // keeps the usual leaf off the heap
	if len(data) < len(short) {
		n := copy(short[1:], data)
		return sha256.Sum256(short[:n+1])
	}
	return mod.RecordHash(data)
}

// NodeHash returns SHA-256(0x01 ‖ left ‖ right). SPEC TLOG-1.
func NodeHash(left, right Hash) Hash {
	var b [1 + 2*sha256.Size]byte
	b[0] = 1
	copy(b[1:], left[:])
	copy(b[1+sha256.Size:], right[:])
	return sha256.Sum256(b[:])
}

// EmptyRoot returns the root of the tree without leaves: SHA-256 of nothing.
func EmptyRoot() Hash { return sha256.Sum256(nil) }

// A Batch is a small tree that is kept whole, for its root and every path.
type Batch struct {
	levels [][]Hash // levels[0] are the leaves; a level's odd last hash moves up as it is
}

// BatchOf returns the tree over leaves, which are leaf hashes: 1 to [MaxLeaves].
// It keeps leaves. Errors wrap [ErrRange]. SPEC TLOG-1.
func BatchOf(leaves []Hash) (*Batch, error) {
	if len(leaves) == 0 || len(leaves) > MaxLeaves {
		return nil, fmt.Errorf("%w: batch of %d leaves; 1 to %d", ErrRange, len(leaves), MaxLeaves)
	}
	b := &Batch{levels: [][]Hash{leaves}}
	for below := leaves; len(below) > 1; {
		level := make([]Hash, 0, (len(below)+1)/2)
		for i := 0; i+1 < len(below); i += 2 {
			level = append(level, NodeHash(below[i], below[i+1]))
		}
		if len(below)%2 == 1 {
			level = append(level, below[len(below)-1])
		}
		b.levels = append(b.levels, level)
		below = level
	}
	return b, nil
}

// Size returns the number of leaves.
func (b *Batch) Size() int { return len(b.levels[0]) }

// Root returns the root.
func (b *Batch) Root() Hash { return b.levels[len(b.levels)-1][0] }

// Path returns the inclusion path of leaf i, from the leaf's sibling up; nil if
// there is no such leaf, and for the only leaf.
func (b *Batch) Path(i int) []Hash {
	if i < 0 || i >= b.Size() {
		return nil
	}
	var path []Hash
	for _, level := range b.levels {
		if sibling := i ^ 1; sibling < len(level) {
			path = append(path, level[sibling])
		}
		i /= 2
	}
	return path
}

// CheckInclusion returns nil if path shows that the tree of size leaves under
// root has leaf at index, and otherwise an error that wraps [ErrProof]. A path
// of another length than the one that belongs to index and size is refused.
//
// Source: RFC 6962, section 2.1.1 "Merkle Audit Paths". SPEC TLOG-2.
func CheckInclusion(at Leaf, path []Hash, size uint64, root Hash) error {
	if size > maxSize || at.Index >= size || len(path) > maxPath { //guard:R57 inclusion-range
		return fmt.Errorf("%w: inclusion: leaf %d of %d, path of %d", ErrProof, at.Index, size, len(path))
	}
	h, fn, sn := at.Hash, at.Index, size-1
	for _, p := range path {
		if sn == 0 { //guard:R57 inclusion-path-too-long
			return fmt.Errorf("%w: inclusion: path is too long", ErrProof)
		}
		if fn%2 == 1 || fn == sn {
			h = NodeHash(p, h)
			for fn%2 == 0 && fn != 0 {
				fn, sn = fn/2, sn/2
			}
		} else {
			h = NodeHash(h, p)
		}
		fn, sn = fn/2, sn/2
	}
	if sn != 0 || h != root { //guard:R57 inclusion-root
		return fmt.Errorf("%w: inclusion: does not lead to the root", ErrProof)
	}
	return nil
}

// A Leaf is a leaf's place, from 0, and its hash.
type Leaf struct {
	Index uint64
	Hash  Hash
}

// CheckConsistency returns nil if proof shows that the tree of old is a prefix
// of the tree of new, and otherwise an error that wraps [ErrProof]. Every tree
// follows from the empty one, and each from itself. Origins are not compared.
//
// Source: RFC 6962, section 2.1.2 "Merkle Consistency Proofs". SPEC TLOG-3.
func CheckConsistency(older, newer Head, proof []Hash) error {
	if newer.Size > maxSize || older.Size > newer.Size || len(proof) > maxConsistency {
		return fmt.Errorf("%w: consistency: from size %d to %d", ErrProof, older.Size, newer.Size)
	}
	if older.Size == 0 {
		if len(proof) > 0 || older.Root != EmptyRoot() || newer.Size == 0 && newer.Root != older.Root {
			return fmt.Errorf("%w: consistency: from the empty tree", ErrProof)
		}
		return nil
	}
	if err := mod.CheckTree(proof, int64(newer.Size), newer.Root, int64(older.Size), older.Root); err != nil { //guard:R57 consistency-root
		return fmt.Errorf("%w: consistency: from size %d to %d", ErrProof, older.Size, newer.Size)
	}
	return nil
}
