package store

const (
	// maxKeyBytes and maxValueBytes bound one row: a value is at most a policy-log
	// entry.
	maxKeyBytes   = 512
	maxValueBytes = 1 << 20
	// busyTimeoutMS is how long a writer waits for another process to end its
	// transaction.
	busyTimeoutMS = 5000
)
