package tlog

// Bounds of what comes from outside.
const (
	maxNoteBytes      = 64 << 10 // a checkpoint with all its cosignatures
	maxNoteSignatures = 64       // signature lines of one checkpoint; each costs one verification at most
	maxNoteExtensions = 16       // extension lines of one checkpoint
	maxNameBytes      = 255      // an origin or key name; C2SP gives it one length byte elsewhere
	maxPath           = 63       // hashes in an inclusion proof: the tree's size fits an int64
	maxConsistency    = 2 * 63   // hashes in a consistency proof
	maxExtraBytes     = 16 << 10 // extra data of a tlog-proof
	maxSize           = 1<<62 - 1
)

// MaxLeaves is the most leaves that [BatchOf] takes: a path of 12 hashes.
const MaxLeaves = 4096

// Levels is the number of levels of tiles that a tree can have.
const Levels = 8

// TileWidth is the number of hashes in a full tile. Source: C2SP tlog-tiles,
// "Merkle Tree".
const TileWidth = 256
