package sqlnames

const (
	// MaxName bounds the bytes of a name: the server cuts what is longer. Source:
	// PostgreSQL, NAMEDATALEN.
	MaxName = 63

	maxPrepared = 1024     // statements and portals of a session
	maxHeld     = 64 << 20 // bytes of their texts and values
)
