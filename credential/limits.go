package credential

// Bounds of credentials, which come from holders.
const (
	// MaxBytes bounds a credential.
	MaxBytes = 16 << 10
	// MaxBlocks bounds a chain: the grant and eight delegations.
	MaxBlocks    = 9
	maxListed    = 64  // entries of one list
	maxNameBytes = 128 // bytes of one entry, the subject, a label
	maxTaskBytes = 512 // bytes of text for people
	maxLimits    = 16  // limits of one block: each is a counter to debit
	maxCosigners = 8   // issuers beside the first: each costs a verification
)
