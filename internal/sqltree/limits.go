package sqltree

const (
	// maxDepth bounds how deep a tree of the grammar may be; every node counts twice.
	maxDepth = 1000
	// aroundDepth is how many messages are around a statement's first node, and do not
	// count.
	aroundDepth = 2
	// maxText bounds the bytes of a statement.
	maxText = 256 << 10
	// maxStatements bounds the statements of one text.
	maxStatements = 64
)
