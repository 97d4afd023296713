package gateway

import "time"

// Bounds of what comes in before anyone is known, and of what one act may take.
const (
	maxConnections   = 8192             // accepted at a time, over all listeners of a hall
	maxOneAddress    = 2048             // of these, from one address: many clients may stand behind one
	maxDial          = 10 * time.Second // for reaching a target, TLS included
	maxIdleUpstream  = 30 * time.Second // an unused upstream connection is closed after it
	maxIdlePerKey    = 64               // unused upstream connections of one credential to one target
	maxIdle          = 1024             // the same of all: a holder makes as many credentials as it likes
	maxKnownChains   = 8192             // parsed credentials kept by digest
	maxKnownBytes    = 32 << 20         // bytes of them, as they were sent
	maxFinish        = 5 * time.Second  // for recording the outcome when the client has gone
	upstreamBuffer   = 16 << 10         // bytes read from a target at a time
	nonceKeySize     = 32               // bytes
	minScannedSecret = 6                // bytes: shorter secrets would be found everywhere
)
