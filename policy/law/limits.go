package law

// Bounds of rules, and of what they see.
const (
	// MaxBlockBytes bounds the rules of one credential block.
	MaxBlockBytes = 4 << 10
	maxRules      = 512     // rules in one set
	maxNameBytes  = 128     // a name
	maxSetItems   = 256     // strings in a set that rules see
	maxRuleString = 4 << 10 // bytes of any string that rules see: like is not linear
)
