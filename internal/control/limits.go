package control

import "time"

// Bounds of what callers may send, and how often.
const (
	maxEnvelopeBody   = 512 << 10 // bytes of a signed document: the bound of an envelope
	maxUploadBody     = 256 << 10 // bytes of a sealed secret of 64 KiB and its record, in base64
	maxPassphraseBody = 4 << 10   // bytes of a passphrase
	maxHeadBody       = 64 << 10  // bytes of a signed head: the bound of a checkpoint
	maxHeaderBytes    = 16 << 10  // bytes of a request's header
	pageLimit         = 100       // receipts of one page, so that an answer stays below 4 MiB
	findWindow        = 4096      // receipts that a search reads in one go, on its way back
	maxPageBytes      = 2 << 20   // bytes of receipts and evidence in one page, before base64
	// maxWritesBurst and maxWriteEvery bound signed writes from all callers: each
	// costs a few signature verifications and a line in a log that only grows.
	maxWritesBurst = 200
	maxWriteEvery  = 50 * time.Millisecond
	// maxHolderBurst and maxHolderEvery bound the revocations by holders of one
	// grant; each is an entry of at most 64 KiB for ever.
	maxHolderBurst = 32
	maxHolderEvery = time.Minute
	// maxRemembered bounds the revocations and the grants remembered for that.
	maxRemembered = 1 << 16
	// maxUnsealBurst and maxUnsealEvery bound guesses of the passphrase; each costs
	// 64 MiB for a moment.
	maxUnsealBurst = 5
	maxUnsealEvery = 12 * time.Second
	maxHeaderTime  = 10 * time.Second  // until a request's header is there
	maxReadTime    = 30 * time.Second  // until a request is there
	maxAnswerTime  = 20 * time.Second  // of one answer that is not a stream
	maxStreamTime  = 15 * time.Minute  // of an export or a backup
	maxIdleTime    = 120 * time.Second // of a connection between requests
	maxDrain       = 10 * time.Second  // of the end: what is under way may end
	// maxRequests bounds requests under way on one listener, so that callers cannot
	// take all memory.
	maxRequests = 64
	// maxConnections bounds the connections of one listener: each takes a descriptor
	// that the gate needs too.
	maxConnections = 256
)
