package sqlparser

import "time"

const (
	stackBytes = 512 << 20       // address space for C's stack; what is not touched costs nothing
	maxFrame   = 64 << 20        // bytes: a tree is larger than its text
	maxAnswer  = 5 * time.Second // for one statement; then the process is ended
	maxQuick   = 4 << 10         // bytes of a text whose tree is encoded in any case
	maxDepth   = 4000            // braces and brackets around each other in JSON: about 1,300 nodes
	maxUses    = 100_000         // answers of one process before a new one takes its place
)
