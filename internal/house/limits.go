package house

// Sizes of code, from STYLE. Counts are of lines, comments and blanks included.
const (
	maxFunctionLines = 60   // what a reader can hold
	maxFileLines     = 600  // tests too
	maxPackageLines  = 2000 // without tests
	maxParameters    = 4    // names; the receiver is not counted; above it, a struct
)

// Numbers of what there is to show.
const (
	maxRequirement = 63 // R1 to R63, docs/requirements.md
	maxAttack      = 45 // A1 to A45, docs/attacks.md
)
