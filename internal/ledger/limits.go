package ledger

import "time"

// Bounds and delays.
const (
	defaultSegmentBytes = 64 << 20             // a log file is closed at this size: ~80,000 receipts
	maxGroupBytes       = 8 << 20              // one write: what waits beyond it makes its writers wait
	maxFrameBytes       = 64 << 10             // payload of one frame of the log: a receipt, a batch, a header
	maxDelay            = 5 * time.Millisecond // from a receipt to the beginning of its signing and fsync; 10 ms are promised
	maxCachedReceipts   = 8192                 // receipts kept with their trees for Signed: ~8 MiB
	maxUnsealed         = 8 * 4096             // receipts waiting for a signature; above it Append waits: a slow signer must slow the gate
	maxGateBytes        = 128                  // a gate's id
	maxCloseWait        = 10 * time.Second     // for Close to sign what is unsigned
	markEvery           = 256                  // receipts between two entries of the index
)
