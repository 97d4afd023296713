package canon

// Bounds of JSON and CBOR documents, whoever sent them. Callers bound the total
// size first; these bound what a small document can make a decoder do.
const (
	// MaxJSONDepth is how deep objects and arrays may nest.
	MaxJSONDepth = 32
	// MaxJSONNodes is how many values a JSON document may hold in all.
	MaxJSONNodes = 65536
	// maxNumberBytes bounds the lexeme of one number.
	maxNumberBytes = 128
	// minNameSet is from how many members on an object's names are kept in a set.
	minNameSet = 24
	// firstMembers is how many members an object is given room for at first.
	firstMembers = 8
	// MaxSafeInteger is 2^53-1, the largest integer that every JSON reader keeps.
	MaxSafeInteger = 1<<53 - 1
	// maxCBORDepth, maxCBORArray and maxCBORMap bound a CBOR document.
	maxCBORDepth = 8
	maxCBORArray = 4096
	maxCBORMap   = 256
	// maxCBORList bounds an array in a document that lists what a protocol counts in 16
	// bits, such as bind values.
	maxCBORList = 65535
)
