package receipt

// Bounds of receipts from outside.
const (
	// MaxPayloadBytes bounds one receipt: nine blocks, a full list of debits and
	// rules fit four times over.
	MaxPayloadBytes = 16 << 10
	// MaxBatch is the most receipts under one signature: a path of 12 hashes.
	MaxBatch = 4096
	// MaxEvidenceBytes bounds the evidence of one receipt: an operation with its
	// body, and what evaluation read.
	MaxEvidenceBytes = 1 << 20

	usualPayload    = 1 << 10                 // most receipts are not longer: the first room for one
	maxSpareBytes   = 64 << 10                // of a buffer that is kept for the next evidence
	maxSignedBytes  = MaxPayloadBytes + 4<<10 // payload, path of 12 hashes, batch of ~300 bytes
	maxBatchBytes   = 2 << 10                 // a batch's block
	maxText         = 1024                    // bytes of any text in a receipt
	maxList         = 256                     // entries of any list in a receipt
	maxPathHashes   = 12                      // log2 of MaxBatch
	maxPending      = 16 * MaxBatch           // receipts that an auditor holds until a batch covers them: 2 MiB of hashes
	maxOpenIntents  = 1 << 20                 // intents without outcome that an auditor holds: ~100 MiB
	maxExportHeader = 4 << 10                 // bytes of an export's first frame
	maxExportFrame  = 64 << 10                // bytes of any frame of an export: a checkpoint is the largest
)
