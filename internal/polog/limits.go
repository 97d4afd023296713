package polog

const (
	// headEvery is how many seconds a signed head stays the newest while nothing is
	// added: well below the least staleness that policies ask for in practice.
	headEvery = 5
	// maxSkew is how many seconds the clock may be behind the newest entry or
	// receipt before the log counts as stale.
	maxSkew = 30
)
