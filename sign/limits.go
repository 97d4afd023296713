package sign

// Bounds of keys, envelopes and blocks from outside.
const (
	maxKeyText         = 64        // characters of base64url in a key
	p256CoordinateSize = 32        // bytes of x, y, r or s
	p256SignatureSize  = 64        // bytes, r ‖ s
	maxSignatures      = 64        // signatures in one envelope: more would cost a verification each
	maxEnvelopeBytes   = 512 << 10 // bytes of an envelope: 256 KiB of policy in base64, and its signatures
	maxBlockBytes      = 64 << 10  // bytes of a COSE_Sign1 block
)
