// Package store keeps durable rows in buckets, in transactions. It sees sealed
// and signed bytes only.
package store

import (
	"context"
	"errors"
	"fmt"
)

// The errors of this package; all wrap [ErrStore].
var (
	ErrStore = errors.New("store")
	// ErrNewer is wrapped by the error for a store that a newer version wrote.
	ErrNewer = fmt.Errorf("%w: written by a newer version", ErrStore)
	// ErrExists is wrapped by the error of [Tx.Insert] for a key that is there.
	ErrExists = fmt.Errorf("%w: the key exists", ErrStore)
	// ErrReadOnly is wrapped by the error of a write in [Store.View].
	ErrReadOnly = fmt.Errorf("%w: read-only transaction", ErrStore)
)

// A Store keeps rows. Implementations are safe for concurrent use, and pass
// storetest.Run.
type Store interface {
	// View calls fn with one consistent state. fn's error is returned.
	View(ctx context.Context, fn func(Tx) error) error
	// Update calls fn and makes all of its writes durable, or none if fn or the
	// commit gives an error. Updates happen one after the other.
	Update(ctx context.Context, fn func(Tx) error) error
	// Close waits for transactions under way.
	Close() error
}

// A Tx is a transaction. It ends when the function it was given to returns.
type Tx interface {
	// Get returns the value of a key, and whether there is one.
	Get(bucket string, key []byte) (value []byte, ok bool, err error)
	// Put sets the value of a key.
	Put(bucket string, key, value []byte) error
	// Insert sets the value of a key that is not there; else it gives [ErrExists].
	Insert(bucket string, key, value []byte) error
	// Delete removes a key, if it is there.
	Delete(bucket string, key []byte) error
	// Scan calls fn with the keys from start on, in the order of their bytes, until
	// fn returns false or an error.
	Scan(bucket string, start []byte, fn func(key, value []byte) (more bool, err error)) error
}

func checkRow(key, value []byte) error {
	if len(key) == 0 || len(key) > maxKeyBytes || len(value) > maxValueBytes {
		return fmt.Errorf("%w: key of %d bytes, value of %d; at most %d and %d", ErrStore, len(key), len(value), maxKeyBytes, maxValueBytes)
	}
	return nil
}
