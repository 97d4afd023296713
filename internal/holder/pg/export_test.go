package pg

// Of makes r that of another user.
func (r *Relay) Of(uid uint32) { r.uid = uid }

// Bound sets how many sessions r has at most.
func (r *Relay) Bound(n int64) { r.max = n }

// The bounds that tests go past.
const (
	MaxStartupBytes = maxStartupBytes
	MaxAnswerBytes  = maxAnswerBytes
	MaxCallers      = maxCallers
	MaxStartup      = maxStartup
)
