package proof

// Bounds of proofs, which come from holders before they are known.
const (
	maxInvocationBytes = 4 << 10
	maxSignatureInput  = 4 << 10   // bytes of Signature-Input
	maxComponents      = 64        // covered components
	maxContextBytes    = 2 << 10   // bytes of Writ-Context
	maxLineage         = 16        // receipts cited
	maxTokenBytes      = 128       // a purpose, audience or idempotency key
	maxDPoPBytes       = 4 << 10   // bytes of a DPoP proof
	maxKeptBody        = 256 << 10 // bytes of a body that evidence keeps
	maxSignedBytes     = 512 << 10 // bytes of a proof in evidence
	jtiSize            = 16
	// MaxLifetime is how many seconds a proof may be valid.
	MaxLifetime = 60
	// Skew is how many seconds a holder's clock may be off.
	Skew = 30
	// NonceLifetime is how many seconds a gate's nonce is good for.
	NonceLifetime = 120
)
