package api

import (
	"errors"
	"fmt"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/sign"
	"github.com/writhq/writ/tlog"
	"github.com/writhq/writ/zone"
)

// ErrZone is wrapped by the error for a policy log that is not what its signed
// head says.
var ErrZone = fmt.Errorf("%w: policy log", ErrAPI)

// A History is what a server says of its zone. Nothing of it is trusted.
type History struct {
	Roots   []*sign.Envelope // from the genesis on
	Head    *tlog.Checkpoint
	Entries [][]byte // those that the head counts, at least
}

// Replay returns the state of the zone that h gives: the roots from the pinned
// genesis, every entry by its own signatures, all of them as the log's key
// signed their tree. The newest root must not have expired at the time at, in
// Unix seconds. SPEC CTRL-11.
func Replay(h History, pin canon.Digest, at int64) (*zone.Zone, error) {
	if len(h.Roots) == 0 || h.Head == nil {
		return nil, fmt.Errorf("%w: no root or no head", ErrZone)
	}
	z, err := zone.New(pin, h.Roots[:1], 0) // its successors are in the log
	if err != nil {                         //guard:A1 client-root-pin
		return nil, err
	}
	size := h.Head.HeadUnverified().Size
	if uint64(len(h.Entries)) < size { //guard:R25 client-log-complete
		return nil, fmt.Errorf("%w: %d entries of %d", ErrZone, len(h.Entries), size)
	}
	var tree tlog.Tree
	for _, b := range h.Entries[:size] {
		if _, err := z.Apply(b); err != nil && !errors.Is(err, zone.ErrRefused) {
			return nil, fmt.Errorf("%w: %w", ErrZone, err)
		}
		tree.Append(tlog.LeafHash(b))
	}
	pl := z.Root().Document().PolicyLog
	key, err := tlog.NewKey(pl.Origin, pl.Key.Bytes())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrZone, err)
	}
	head, err := h.Head.Verify(key)
	if err != nil {
		return nil, fmt.Errorf("%w: head: %w", ErrZone, err)
	}
	if head.Root != tree.Root() { //guard:R25 client-head-root
		return nil, fmt.Errorf("%w: the entries are not those that the head was signed for", ErrZone)
	}
	if _, err := policy.VerifyRoots(pin, z.Roots(), at); err != nil {
		return nil, err
	}
	return z, nil
}
