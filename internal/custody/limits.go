package custody

const (
	maxSpent  = 1 << 20 // permits remembered at a time: 100,000 a second for ten seconds
	maxCached = 1024    // opened secrets kept at a time
	// maxKeyringBytes bounds a keyring file.
	maxKeyringBytes = 64 << 10
	// Parameters of argon2id for a passphrase. Source: RFC 9106, section 4, second
	// recommended option.
	argonTime         = 3
	argonMemoryKiB    = 64 << 10
	argonThreads      = 4
	maxArgonMemoryKiB = 1 << 20 // KiB that a keyring file can ask for
	maxArgonTime      = 64      // passes that a keyring file can ask for
)
