package server

import (
	"context"
	"fmt"
	"time"

	"github.com/writhq/writ/internal/ledger"
	"github.com/writhq/writ/receipt"
	"github.com/writhq/writ/tlog"
)

// Held says why nothing is decided; "" if the folder was not restored.
func (s *Server) Held() string { return s.mark.Held() }

// Confirm says that a folder that was restored has caught up: from then on this
// gate decides. It reports whether there was that to say. The word is in a durable
// receipt with the policy log's position, below which the folder does not go back
// after that. With a head, the policy log must contain it; see
// [polog.Log.Contains]. SPEC CTRL-21.
func (s *Server) Confirm(ctx context.Context, head *tlog.Checkpoint) (bool, error) {
	note := "restored folder confirmed: it has caught up, on the operator's word; uses of limits since the backup are forgotten"
	if head != nil {
		if err := s.log.Contains(ctx, head); err != nil { //guard:R29 A34 confirm-head
			return false, err
		}
		note += fmt.Sprintf("; the policy log contains a head of %d entries", head.HeadUnverified().Size)
	}
	return s.mark.Lift(func() error {
		_, at, err := s.log.Fresh()
		if err != nil {
			return err
		}
		r := &receipt.Receipt{Kind: receipt.Admin, Mode: receipt.Durable, Note: note, Build: s.c.Build}
		if at.Size > 0 {
			r.PolicyLog = &receipt.LogState{Size: at.Size, Root: at.Root}
		}
		_, err = metered{s.ledger, s.c.Observe}.Append(context.WithoutCancel(ctx), ledger.Entry{Mode: receipt.Durable, Build: func(uint64, uint64, time.Time) (*receipt.Receipt, *receipt.Evidence, error) {
			return r, nil, nil
		}})
		return err
	})
}
