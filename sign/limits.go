package sign

// Bounds of keys, envelopes and blocks from outside.
const (
	maxKeyText        = 64        // characters of base64url in a key
	p256SignatureSize = 64        // bytes, r ‖ s
	maxSignatures     = 64        // signatures in one envelope
	maxEnvelopeBytes  = 512 << 10 // an envelope: 256 KiB of policy in base64, and its signatures
	maxBlockBytes     = 64 << 10  // a COSE_Sign1 block
)
