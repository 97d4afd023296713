package store

const (
	maxKeyBytes   = 512     // of a row
	maxValueBytes = 1 << 20 // of a row: a policy-log entry is the largest
	// busyTimeoutMS is how long a writer waits for another process to end its
	// transaction.
	busyTimeoutMS = 5000
)
