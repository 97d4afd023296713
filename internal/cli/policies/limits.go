package policies

const (
	maxProbes    = 400  // questions of one policy check that nobody asked for: a second's work
	maxDiffLines = 4000 // lines of either side of a diff, which costs their product
)
