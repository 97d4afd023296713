package server

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/store"
)

// Buckets of the store.
const (
	bucketLog    = "policy-log"
	bucketSealed = "sealed"
	bucketRoots  = "roots"
)

// rows is the server's use of its store: the policy log's entries and the sealed
// bytes.
type rows struct{ s store.Store }

func indexKey(i uint64) []byte { return binary.BigEndian.AppendUint64(nil, i) }

// Entries implements polog.Entries.
func (r rows) Entries(ctx context.Context, fn func(index uint64, entry []byte) error) error {
	return r.s.View(ctx, func(tx store.Tx) error {
		next := uint64(0)
		return tx.Scan(bucketLog, nil, func(k, v []byte) (bool, error) {
			if string(k) != string(indexKey(next)) {
				return false, fmt.Errorf("%w: policy log: entry %d is missing", ErrServer, next)
			}
			next++
			return true, fn(next-1, v)
		})
	})
}

// AppendEntry implements polog.Entries.
func (r rows) AppendEntry(ctx context.Context, index uint64, entry []byte) error {
	return r.s.Update(ctx, func(tx store.Tx) error { return tx.Insert(bucketLog, indexKey(index), entry) })
}

// Sealed implements custody.Blobs.
func (r rows) Sealed(ctx context.Context, d canon.Digest) (b []byte, err error) {
	err = r.s.View(ctx, func(tx store.Tx) error {
		v, ok, err := tx.Get(bucketSealed, d[:])
		if err == nil && !ok {
			err = fmt.Errorf("%w: no sealed bytes %s", ErrServer, d.Short())
		}
		b = v
		return err
	})
	return b, err
}

// PutSealed stores sealed bytes under their digest.
func (r rows) PutSealed(ctx context.Context, b []byte) error {
	d := canon.Hash(b)
	return r.s.Update(ctx, func(tx store.Tx) error { return tx.Put(bucketSealed, d[:], b) })
}
