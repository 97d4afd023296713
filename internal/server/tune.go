package server

import (
	"os"
	"runtime/debug"
)

// gcPercent lets the heap grow to five times what is live between collections: a
// gate's live heap is a few megabytes, and collecting it every few megabytes of
// requests costs a tenth of the throughput.
const gcPercent = 400

// Tune sets the garbage collector for a process that is a gate, unless GOGC says
// otherwise.
func Tune() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}
