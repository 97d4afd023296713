package passphrase

// Parameters of argon2id in new files. Source: RFC 9106, section 4, second
// recommended option.
const (
	usualPasses    = 3
	usualMemoryKiB = 64 << 10
	usualLanes     = 4
)

// Bounds of what a file can ask for before anybody knows whose it is.
const (
	maxPasses    = 64      // passes over the memory: with the most memory, about a minute
	maxMemoryKiB = 1 << 20 // KiB of memory: 1 GiB
	minMemoryKiB = 8       // KiB of memory for each lane. Source: RFC 9106, section 3.1
	maxLanes     = 64      // lanes: each is a goroutine
	saltBytes    = 16      // bytes of salt, no more and no less
	tagBytes     = 16      // bytes of text at least: AES-GCM's tag
)
