package credentials

import "time"

const (
	maxResponseBytes = 64 << 20        // bytes of a response that use prints
	maxUseTime       = 2 * time.Minute // of one call
)
