package sqlparser

import "time"

const (
	stackBytes = 512 << 20       // address space for C's stack; what is not touched costs nothing
	maxFrame   = 64 << 20        // bytes: a tree is larger than its text
	maxAnswer  = 5 * time.Second // for one statement; then the process is ended
	maxUses    = 100_000         // answers of one process before a new one takes its place
)
