package permit

const (
	// MaxLifetime is how many seconds a permit may wait to be used.
	MaxLifetime = 10
	// MaxContextBytes bounds a recorded context: a credential of 16 KiB and names.
	MaxContextBytes = 64 << 10
)
