package gate

import "time"

const (
	// maxChains bounds the verified credentials kept; each is ~8 KiB.
	maxChains = 8192
	// maxClockBack is how many seconds the clock may be before the newest durable
	// receipt.
	maxClockBack = 30
	// idemKeep is how many seconds an idempotency key is remembered.
	idemKeep = 24 * 3600
	// resealRest is how long a re-seal that failed is not tried again.
	resealRest = 10 * time.Second
	// maxFailed bounds the failed re-seals remembered.
	maxFailed = 4096
)
