package gateway

import (
	"slices"
	"strings"
	"time"

	"github.com/writhq/writ/canon"
)

// An Open is a session that is open: an act that lasts as long as its connection.
type Open struct {
	ID      canon.Digest // of the receipt of its intent
	Subject string
	Target  string
	Purpose string
	Remote  string // address of the client
	Since   time.Time
	Until   time.Time // when it ends by itself
}

// Sessions returns the sessions that are open, the oldest first.
func (h *Hall) Sessions() []Open {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []Open
	for a := range h.acts {
		if a.open != nil {
			out = append(out, *a.open)
		}
	}
	slices.SortFunc(out, func(a, b Open) int {
		if c := a.Since.Compare(b.Since); c != 0 {
			return c
		}
		return strings.Compare(a.ID.String(), b.ID.String())
	})
	return out
}

// End ends a session as a revocation does, and reports whether it was open. Its
// holder may connect again.
func (h *Hall) End(id canon.Digest) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for a := range h.acts {
		if a.open != nil && a.open.ID == id {
			a.cancel(errEnded)
			return true
		}
	}
	return false
}
