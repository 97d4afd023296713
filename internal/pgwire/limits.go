package pgwire

import "time"

const (
	maxConnect    = 15 * time.Second // for reaching a server and being let in
	frameBuffer   = 4 << 10          // bytes read from a client at a time
	maxRounds     = 4                // requests for encryption before a startup message
	maxParameters = 64               // of a startup message
)
