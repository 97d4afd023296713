package pgwire

import "time"

const (
	maxConnect  = 15 * time.Second // for reaching a server and being let in
	frameBuffer = 4 << 10          // bytes read from a client at a time
)
