package control

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/writhq/writ/api"
	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/ledger"
	"github.com/writhq/writ/receipt"
)

// find returns the receipt that s names, by its id or place.
func (x *Authority) find(ctx context.Context, s string) (ledger.Ref, error) {
	if id, err := canon.ParseDigest(s); err == nil {
		return x.byID(ctx, id)
	}
	epoch, seq, err := parsePlace(s)
	if err != nil {
		return ledger.Ref{}, malformed("ref", fmt.Errorf("%w, or an id: sha256: and 64 digits", err))
	}
	if epoch == 0 || seq == 0 { // for the ledger that is no place, but an open end
		return ledger.Ref{}, ledger.ErrUnknown
	}
	at := ledger.Ref{Epoch: epoch, Seq: seq}
	return x.first(ctx, at, at, func(ledger.Ref) bool { return true })
}

// first returns the first receipt from one place to another that matches. The error
// wraps [ledger.ErrUnknown] if there is none.
func (x *Authority) first(ctx context.Context, from, to ledger.Ref, matches func(ledger.Ref) bool) (found ledger.Ref, err error) {
	err = x.Ledger.Receipts(ctx, from, to, func(ref ledger.Ref, _ *receipt.Receipt) error {
		if !matches(ref) {
			return nil
		}
		found = ref
		return errFound
	})
	switch {
	case errors.Is(err, errFound):
		return found, nil
	case err == nil:
		err = ledger.ErrUnknown
	}
	return found, err
}

// byID returns the receipt with the id. The ledger has no index of ids, so it is
// read, the newest receipts first: whoever has an id mostly got it a moment ago.
func (x *Authority) byID(ctx context.Context, id canon.Digest) (ledger.Ref, error) {
	is := func(r ledger.Ref) bool { return r.Digest == id }
	for e := x.Ledger.Epoch(); e > 0; e-- {
		last, err := x.last(ctx, e)
		if err != nil {
			return ledger.Ref{}, tooOld(err)
		}
		for to := last; to > 0; {
			from := to - min(to, findWindow) + 1
			found, err := x.first(ctx, ledger.Ref{Epoch: e, Seq: from}, ledger.Ref{Epoch: e, Seq: to}, is)
			if !errors.Is(err, ledger.ErrUnknown) {
				return found, tooOld(err)
			}
			to = from - 1
		}
	}
	return ledger.Ref{}, ledger.ErrUnknown
}

// last returns the last sequence number of an epoch. It looks for it, since
// sequences have no gaps.
func (x *Authority) last(ctx context.Context, epoch uint64) (uint64, error) {
	there := func(seq uint64) (bool, error) {
		at := ledger.Ref{Epoch: epoch, Seq: seq}
		_, err := x.first(ctx, at, at, func(ledger.Ref) bool { return true })
		if errors.Is(err, ledger.ErrUnknown) {
			return false, nil
		}
		return err == nil, err
	}
	yes, no := uint64(0), uint64(1) // the last that is known to be there, the first known not to be
	for {
		ok, err := there(no)
		if err != nil {
			return 0, err
		}
		if !ok {
			break
		}
		yes, no = no, 2*no
	}
	for no-yes > 1 {
		ok, err := there(yes + (no-yes)/2)
		if err != nil {
			return 0, err
		}
		if ok {
			yes += (no - yes) / 2
		} else {
			no = yes + (no-yes)/2
		}
	}
	return yes, nil
}

// tooOld returns err, of a search that came to the end of its time, with what helps.
func tooOld(err error) error {
	if !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return &refusal{http.StatusServiceUnavailable, api.CodeUnavailable, "the receipt is not among the newest, and there are too many to look through", "ref",
		"ask by its place, which is found at once: writ receipt show EPOCH.SEQUENCE; writ log export --out FILE has them all"}
}
