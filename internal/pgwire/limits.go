package pgwire

import "time"

const (
	maxAtOnce       = 64 << 10              // bytes for a server that are written before anything of it is read
	maxConnect      = 15 * time.Second      // for reaching a server and being let in
	patience        = 20 * time.Millisecond // for a server to take what it is sent, or to say something
	maxRounds       = 4                     // requests for encryption before a startup message
	maxParameters   = 64                    // of a startup message
	maxStartupBytes = 10_000                // of a startup message. Source: PostgreSQL, MAX_STARTUP_PACKET_LENGTH
	idleBuffer      = 512                   // bytes that a connection waits with: most messages fit
	buffer          = 16 << 10              // bytes that it reads and writes with: of a record of TLS
)
