package http

// Bounds of one HTTP operation, whoever sent it. Bytes unless the name says
// otherwise. The gateway bounds what it reads from the wire first; these hold
// for every reader of a document.
const (
	// MaxBodyBytes bounds a JSON or form body: it is held in the document, and
	// a rule may read it.
	MaxBodyBytes = 1 << 20
	// MaxOpaqueBytes bounds a body that passes by its digest: it is held in
	// memory until it has been compared with that digest.
	MaxOpaqueBytes = 16 << 20
	// SaltBytes is the size of [op.Facts].Salt: 128 bits cannot be guessed.
	SaltBytes = 16

	// maxTextBytes bounds every string that rules see, since a pattern in a
	// rule is matched against it once for each block of a credential.
	maxTextBytes = 4096
	// maxPathBytes bounds the path, which rules see.
	maxPathBytes = maxTextBytes
	// maxQueryBytes bounds the query as sent.
	maxQueryBytes = 16 << 10
	// maxQueryPairs and maxFormPairs count names in a query and in a form;
	// comparing them with each other is quadratic.
	maxQueryPairs = 64
	maxFormPairs  = 256
	// maxHeaders counts the header lines of a request, listed or not.
	maxHeaders = 128
	// maxNameBytes bounds the name of a header or member.
	maxNameBytes = 128
	// maxSetItems counts the strings in one set.
	maxSetItems = 256
	// maxOriginBytes bounds an origin: a DNS name has at most 253.
	maxOriginBytes = 280
	// maxMediaTypeBytes bounds a media type. RFC 6838, section 4.2.
	maxMediaTypeBytes = 127
	// maxAskedBytes bounds a document: the largest body, query, path and
	// headers, with what their encoding adds.
	maxAskedBytes = MaxBodyBytes + 512<<10

	// maxMembers counts the members of one list in a declaration: which of them
	// were seen is one 64-bit word.
	maxMembers = 64
	// maxMemberDepth counts the names in a member's path.
	maxMemberDepth = 8
	// maxListed counts targets, headers or media types in a declaration.
	maxListed = 64
	// maxIDBytes bounds the id of a target.
	maxIDBytes = 128
)
