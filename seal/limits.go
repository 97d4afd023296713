package seal

// Bounds of sealed secrets, which come from storage that is not trusted.
const (
	// MaxBlobBytes bounds a sealed secret.
	MaxBlobBytes = 64 << 10
	// MaxSecretBytes bounds the secret itself.
	MaxSecretBytes     = 32 << 10
	maxStatementBytes  = 4 << 10 // bytes of a statement's payload
	maxRecipients      = 16      // keys of one group: each costs 1.2 KB
	maxStatementSigned = 16      // signatures on one statement
)
