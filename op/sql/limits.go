package sql

const (
	maxListed = 1024      // entries of a list in a declaration
	maxText   = 256 << 10 // bytes of a statement
	maxParams = 65535     // bind values. Source: the protocol counts them in 16 bits
	maxNames  = 8192      // names of one sort in a statement
	// maxChannel bounds the bytes of a channel's name. Source: PostgreSQL, NAMEDATALEN.
	maxChannel = 63
	saltBytes  = 16

	maxStatements = 256 // statements that a declaration lists
	maxValues     = 64  // named values of one of those
	maxName       = 64  // bytes of an id, or of a value's name
)

// NoLimit is the Limit, in rows, of a statement that may return any number of them:
// LIMIT takes no negative number, so that it cannot be one that was written.
const NoLimit = -1
