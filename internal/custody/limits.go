package custody

const (
	maxSpent  = 1 << 20 // permits remembered at a time: 100,000 a second for ten seconds
	maxCached = 1024    // opened secrets kept at a time
	// maxKeyringBytes bounds a keyring file.
	maxKeyringBytes = 64 << 10
)
