package gate

const (
	// maxChains bounds the verified credentials kept; each is ~8 KiB.
	maxChains = 8192
	// maxClockBack is how many seconds the clock may be before the newest durable
	// receipt.
	maxClockBack = 30
	// idemKeep is how many seconds an idempotency key is remembered.
	idemKeep = 24 * 3600
)
