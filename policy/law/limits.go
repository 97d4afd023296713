package law

// Bounds of rules, and of what they see.
const (
	// MaxBlockBytes bounds the rules of one credential block.
	MaxBlockBytes = 4 << 10
	maxRules      = 512 // rules in one set
	maxNameBytes  = 128 // a name
	// maxSetItems bounds the strings in a set that rules see: a statement may read all
	// columns of a table. Source: PostgreSQL, "PostgreSQL Limits", columns per table: 1,600.
	maxSetItems   = 2048
	maxRuleString = 4 << 10 // bytes of any string that rules see: like is not linear
)
