package zone

// Bounds of policy-log entries.
const (
	// MaxEntryBytes bounds one entry: an envelope of 512 KiB and its time.
	MaxEntryBytes  = 600 << 10
	maxRecordBytes = 64 << 10 // the payload of a record
	maxReasonBytes = 512
)
