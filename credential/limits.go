package credential

// Bounds of credentials, which come from holders.
const (
	// MaxBytes bounds a credential.
	MaxBytes = 16 << 10
	// MaxBlocks bounds a chain: the grant and eight delegations.
	MaxBlocks    = 9
	maxListed    = 64  // entries of one list
	maxNameBytes = 128 // one entry
	maxTaskBytes = 512
	maxLimits    = 16
	maxCosigners = 8
)
