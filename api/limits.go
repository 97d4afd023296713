package api

import "time"

// maxBodyBytes bounds a request body that is signed: it is read whole, since the
// proof covers its digest.
const maxBodyBytes = 2 << 20

// Bounds of what a client takes from a control API, which it does not trust.
const (
	maxAnswerBytes  = 4 << 20          // bytes of one JSON answer: a page of 100 receipts with evidence
	maxEntryLine    = 600 << 10        // bytes of one policy-log entry
	maxProblemBytes = 64 << 10         // bytes of a refusal
	maxWait         = 60 * time.Second // of a request that is not a stream
)
