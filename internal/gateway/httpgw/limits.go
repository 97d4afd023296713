package httpgw

import "time"

// Bounds of what comes in before anyone is known, and of what comes back.
const (
	maxHeaderBytes    = 48 << 10  // a credential of 16 KiB in base64, its proof, and the client's own
	maxBodyBytes      = 2 << 20   // a request's body, which is read whole before it is decided
	maxBodies         = 256 << 20 // bytes of request bodies in memory, over all connections of a listener
	maxStreams        = 64        // of one HTTP/2 connection at a time
	streamWindow      = 64 << 10  // bytes of a body that an HTTP/2 client may send ahead
	connWindow        = 1 << 20   // the same over all streams of a connection
	maxHeaderTime     = 5 * time.Second
	maxBodyTime       = 10 * time.Second // 2 MiB at 200 KiB/s
	maxIdleTime       = 90 * time.Second
	maxDrain          = 20 * time.Second // for requests under way when the gate stops
	maxUpstreamWait   = 60 * time.Second // for the first byte of a response
	maxStreamIdle     = 10 * time.Minute // between two pieces of a response
	maxUpstreamHeader = 64 << 10         // a response's header
	maxResponseBytes  = 1 << 30          // a response's body, if the policy says nothing
	maxRedactBytes    = 4 << 20          // a response that members are taken out of
	holdBytes         = 32 << 10         // a response of at most these is scanned whole before its first byte is passed on
	maxClientStall    = 2 * time.Minute  // for the holder to take the next bytes of a long response
	maxInterim        = 8                // responses 1xx before the real one
)
