package sqlmeaning

import "time"

const (
	maxTurn       = 250 * time.Millisecond // that one session waits for what another reads
	maxPaths      = 16                     // search paths by which statements of a server are kept
	maxMapped     = 16 << 20               // bytes, about, of statements that are kept with what they do, of one path
	maxMappedText = 16 << 10               // bytes of a text that is kept

	maxShaped   = 4 << 10  // bytes of a text that is looked for by its shape
	maxOutlines = 1024     // texts without integers that are kept
	maxFixed    = 64       // of each, by integers that cannot be any
	maxShapes   = 16 << 20 // bytes, about, of all of them
	maxIntegers = 64       // in a text
	// maxDigits bounds those of an integer: so many are of type int4, whichever they are.
	maxDigits = 9

	// What stands in for integers: nine digits too, and none is also the other.
	firstMark  = 716_200_000
	secondMark = 938_500_000
)
