package identity

const (
	// maxKeyFileBytes bounds a key file: a PKCS #8 key is 140 bytes at most.
	maxKeyFileBytes = 4 << 10
	// Parameters of argon2id for a passphrase. Source: RFC 9106, section 4, second
	// recommended option.
	argonTime         = 3
	argonMemoryKiB    = 64 << 10
	argonThreads      = 4
	maxArgonMemoryKiB = 1 << 20 // KiB that a key file can ask for
	maxArgonTime      = 64      // passes that a key file can ask for: about a minute
)
