package state

// Bounds of what one process remembers.
const (
	// maxReplayIDs bounds the proofs remembered at a time: 10,000 a second for 120 s.
	// Past it, reservations are refused: forgetting one would let it be used again.
	maxReplayIDs = 1_200_000
	// maxCounters bounds the counters that are alive at a time.
	maxCounters = 4_000_000
	// pruneEvery is how many seconds lie between two sweeps of counters.
	pruneEvery = 60
	// keepPast is how many seconds a counter or key outlives its end: more than the
	// clock may be set back before the gate denies, or its window would begin again.
	keepPast = 60
)
