package sqlanalyze

const (
	// maxColumns bounds the columns of a query. Source: PostgreSQL, MaxTupleAttributeNumber.
	maxColumns = 1664
	// maxEffort bounds how often a column of what FROM has is looked at, or counts heavy
	// times, put into a list: texts of a few bytes can name many.
	maxEffort = 8_000_000
	heavy     = 8
)
