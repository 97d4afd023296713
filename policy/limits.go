package policy

import "github.com/writhq/writ/policy/law"

// Bounds of policies and roots, which come from outside until their signatures
// are verified, and of rules, which also come in credential blocks.
const (
	// MaxPolicyBytes bounds the payload of a policy or root.
	MaxPolicyBytes = 256 << 10
	// MaxBlockRulesBytes bounds the rules of one credential block.
	MaxBlockRulesBytes = law.MaxBlockBytes
	maxListed          = 256       // entries in any one list of a policy
	maxNameBytes       = 128       // an id, alias, principal, purpose
	maxTextBytes       = 512       // text for people
	maxDepthCap        = 8         // delegations after the grant
	maxRoots           = 1024      // versions in one chain of roots
	kemPublicBytes     = 1216      // public key of X-Wing: no more and no less
	maxStalenessCap    = 7 * 86400 // seconds
)
