// Package credential is what a holder has: a chain of signed blocks that names a
// policy, a holder key, limits and purposes. Each block names the next holder's
// public key; no key and no secret travels inside. A block can only narrow.
//
// The package is pure; its values are safe for concurrent use.
package credential

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/sign"
)

// The errors of this package; all wrap [ErrCredential].
var (
	ErrCredential = errors.New("credential")
	ErrWider      = fmt.Errorf("%w: block is wider than its parent", ErrCredential)
	ErrIssuer     = fmt.Errorf("%w: not from an issuer that the policy names", ErrCredential)
)

const (
	blockType   = "application/writ-block+cbor"
	grantTyp    = "writ-grant/1"
	blockTyp    = "writ-block/1"
	textPrefix  = "writ1."
	idSize      = 16
	formVersion = 1
)

// A HolderKey is a public key inside a block.
type HolderKey struct {
	Algorithm sign.Algorithm `cbor:"1,keyasint"`
	Bytes     []byte         `cbor:"2,keyasint"`
}

// NewHolderKey returns k as a block holds it.
func NewHolderKey(k sign.PublicKey) HolderKey { return HolderKey{k.Algorithm(), k.Bytes()} }

// Terms are what every block has. A list that is absent (nil) is inherited; an
// empty one allows nothing (A20).
type Terms struct {
	Holder    HolderKey        `cbor:"10,keyasint"`
	NotBefore int64            `cbor:"11,keyasint"`           // Unix seconds
	Expires   int64            `cbor:"12,keyasint"`           // exclusive
	Audience  *[]string        `cbor:"13,keyasint,omitempty"` // gate groups
	Depth     int              `cbor:"14,keyasint"`           // delegations that may follow
	Purposes  *[]string        `cbor:"15,keyasint,omitempty"`
	Rules     string           `cbor:"16,keyasint,omitempty"` // Cedar
	Limits    map[string]int64 `cbor:"17,keyasint,omitempty"` // "uses" or a quota's id
	Pop       op.Level         `cbor:"18,keyasint,omitempty"` // least proof
	Secrets   *[]string        `cbor:"19,keyasint,omitempty"`
	Task      string           `cbor:"20,keyasint,omitempty"` // for people
	Language  *policy.Language `cbor:"21,keyasint,omitempty"` // of Rules
}

// A Grant is block 0, signed by an issuer.
type Grant struct {
	Typ        string        `cbor:"1,keyasint"`
	ID         []byte        `cbor:"2,keyasint"` // 16 random bytes: the root id
	Zone       canon.Digest  `cbor:"4,keyasint"`
	Alias      string        `cbor:"5,keyasint"`
	MinVersion int64         `cbor:"6,keyasint"`           // least version of the alias's policy
	Pinned     *canon.Digest `cbor:"7,keyasint,omitempty"` // one policy only; ends with it
	Subject    op.Subject    `cbor:"8,keyasint"`
	Terms
}

// A Delegation is block 1 and on, signed by the holder key of the block before.
type Delegation struct {
	Typ   string       `cbor:"1,keyasint"`
	Prev  canon.Digest `cbor:"3,keyasint"`           // id of the block before
	Label string       `cbor:"9,keyasint,omitempty"` // of the delegate; never an entity in rules
	Terms
}

type wire struct {
	_       struct{} `cbor:",toarray"`
	Version int
	Blocks  [][]byte
	Cosigns [][]byte // over block 0's payload, where the policy takes several issuers
}

// A Chain is a parsed credential whose links hold: every block but the grant is
// signed by the holder key before it and narrows it. Who signed the grant is not
// checked yet; see [Chain.Verify].
type Chain struct {
	Grant       Grant
	Delegations []Delegation

	raw     []byte
	digest  canon.Digest
	blocks  []canon.Digest
	cosigns [][]byte
	first   []byte
	grant   []byte // payload of first
	holders []sign.PublicKey
}

// Digest returns the SHA-256 of the credential's bytes.
func (c *Chain) Digest() canon.Digest { return c.digest }

// Bytes returns the credential's bytes.
func (c *Chain) Bytes() []byte { return slices.Clone(c.raw) }

// Blocks returns the ids of the blocks, the grant's first: the digests of what
// was signed, without the signatures. So a block that is signed again, or a grant
// whose issuers change places, is the same block to limits and revocations.
// SPEC CRED-8.
func (c *Chain) Blocks() []canon.Digest { return c.blocks }

// Holder returns the key that the last block names.
func (c *Chain) Holder() sign.PublicKey { return c.holders[len(c.holders)-1] }

// Holders returns the keys of all blocks, the grant's first.
func (c *Chain) Holders() []sign.PublicKey { return c.holders }

// Text returns the credential as text: "writ1." and base64url.
func (c *Chain) Text() string { return textPrefix + base64.RawURLEncoding.EncodeToString(c.raw) }

// ParseText returns the chain in the text form; white space may stand around it.
func ParseText(s string) (*Chain, error) {
	b, err := DecodeText(s)
	if err != nil {
		return nil, err
	}
	return Parse(b)
}

// DecodeText returns the bytes of which s is the text form; white space may stand
// around it. They are not parsed. Errors wrap [ErrCredential].
func DecodeText(s string) ([]byte, error) {
	b64, ok := strings.CutPrefix(strings.TrimSpace(s), textPrefix)
	if !ok {
		return nil, fmt.Errorf("%w: parse: does not begin with %s", ErrCredential, textPrefix)
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(b64)
	if err != nil || base64.RawURLEncoding.EncodedLen(len(b)) != len(b64) { // the decoder skips line breaks
		return nil, fmt.Errorf("%w: parse: not base64url: cut short or changed", ErrCredential)
	}
	return b, nil
}

// Parse returns the chain in b: at most 16 KiB and nine blocks. It verifies every
// signature but the grant's, and that no block is wider than its parent. Errors
// wrap [ErrCredential] or [ErrWider] and name the block. SPEC CRED-1, CRED-2.
func Parse(b []byte) (*Chain, error) {
	if len(b) > MaxBytes {
		return nil, fmt.Errorf("%w: parse: %d bytes; at most %d", ErrCredential, len(b), MaxBytes)
	}
	var w wire
	if err := canon.DecodeCBOR(b, &w); err != nil {
		return nil, fmt.Errorf("%w: parse: %w", ErrCredential, err)
	}
	if w.Version != formVersion || len(w.Blocks) == 0 || len(w.Blocks) > MaxBlocks || len(w.Cosigns) > maxCosigners {
		return nil, fmt.Errorf("%w: parse: version %d with %d blocks", ErrCredential, w.Version, len(w.Blocks))
	}
	if w.Cosigns == nil { // null, a second form of the empty list
		return nil, fmt.Errorf("%w: parse: cosignatures are null", ErrCredential)
	}
	c := &Chain{raw: slices.Clone(b), digest: canon.Hash(b), cosigns: w.Cosigns, first: w.Blocks[0]}
	for i, block := range w.Blocks {
		if err := c.add(block); err != nil {
			return nil, fmt.Errorf("block %d: %w", i, err)
		}
	}
	return c, nil
}

// add parses a block and joins it to c.
func (c *Chain) add(block []byte) error {
	if len(c.blocks) == 0 {
		payload, err := sign.PayloadUnverified(block) // the issuer's signature is for Verify
		if err != nil {
			return fmt.Errorf("%w: %w", ErrCredential, err)
		}
		if err := canon.DecodeCBOR(payload, &c.Grant); err != nil {
			return fmt.Errorf("%w: %w", ErrCredential, err)
		}
		if c.Grant.Typ != grantTyp || len(c.Grant.ID) != idSize {
			return fmt.Errorf("%w: not %s", ErrCredential, grantTyp)
		}
		if n := len(c.Grant.Subject); n == 0 || n > maxNameBytes {
			return fmt.Errorf("%w: subject of %d bytes; want 1 to %d", ErrCredential, n, maxNameBytes)
		}
		c.grant = payload
		return c.join(payload, &c.Grant.Terms)
	}
	payload, err := sign.Verify1(c.Holder(), blockType, block)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrCredential, err)
	}
	var d Delegation
	if err := canon.DecodeCBOR(payload, &d); err != nil {
		return fmt.Errorf("%w: %w", ErrCredential, err)
	}
	if d.Typ != blockTyp || d.Prev != c.blocks[len(c.blocks)-1] { //guard:R6 R42 block-link
		return fmt.Errorf("%w: not %s, or not of the block before", ErrCredential, blockTyp)
	}
	if len(d.Label) > maxNameBytes {
		return fmt.Errorf("%w: label of %d bytes; at most %d", ErrCredential, len(d.Label), maxNameBytes)
	}
	if err := narrower(c.terms(), &d.Terms); err != nil { //guard:R40 R6 block-narrower
		return err
	}
	c.Delegations = append(c.Delegations, d)
	return c.join(payload, &d.Terms)
}

func (c *Chain) join(payload []byte, t *Terms) error {
	if err := t.check(); err != nil {
		return fmt.Errorf("%w: %w", ErrCredential, err)
	}
	k, err := sign.NewPublicKey(t.Holder.Algorithm, t.Holder.Bytes)
	if err != nil {
		return fmt.Errorf("%w: holder: %w", ErrCredential, err)
	}
	c.holders = append(c.holders, k)
	c.blocks = append(c.blocks, canon.Hash(payload))
	return nil
}

// terms returns the terms of all blocks so far.
func (c *Chain) terms() []*Terms {
	out := []*Terms{&c.Grant.Terms}
	for i := range c.Delegations {
		out = append(out, &c.Delegations[i].Terms)
	}
	return out
}

func (t *Terms) check() error {
	for _, l := range []*[]string{t.Audience, t.Purposes, t.Secrets} {
		if l == nil {
			continue
		}
		if len(*l) > maxListed || slices.ContainsFunc(*l, func(s string) bool { return s == "" || len(s) > maxNameBytes }) {
			return fmt.Errorf("a list has more than %d entries, or one that is empty or too long", maxListed)
		}
	}
	if t.Expires <= t.NotBefore || t.NotBefore < 0 || t.Depth < 0 || t.Depth >= MaxBlocks {
		return fmt.Errorf("validity or depth is out of range")
	}
	if t.Pop < op.Bearer || t.Pop > op.Person || len(t.Task) > maxTaskBytes || len(t.Limits) > maxLimits {
		return fmt.Errorf("pop, task or limits is out of range")
	}
	for _, n := range t.Limits {
		if n < 0 { //guard:A7 limit-negative
			return fmt.Errorf("limits: a limit is negative")
		}
	}
	if (t.Rules == "") != (t.Language == nil) { //guard:A21 block-language
		return fmt.Errorf("rules need a language, and a language rules")
	}
	return nil
}

// narrower returns an error that wraps [ErrWider] if t allows what the blocks
// before do not. Rules and limits need no comparing: all of them bind.
// SPEC CRED-2.
func narrower(before []*Terms, t *Terms) error {
	parent := before[len(before)-1]
	switch {
	case t.NotBefore < parent.NotBefore || t.Expires > parent.Expires: //guard:R40 narrow-validity
		return fmt.Errorf("%w: validity", ErrWider)
	case t.Depth >= parent.Depth: //guard:R40 narrow-depth
		return fmt.Errorf("%w: depth", ErrWider)
	case t.Pop < strictest(before): //guard:R40 narrow-pop
		return fmt.Errorf("%w: pop", ErrWider)
	case !within(t.Audience, intersect(before, (*Terms).audience)): //guard:R40 narrow-audience
		return fmt.Errorf("%w: audience", ErrWider)
	case !within(t.Purposes, intersect(before, (*Terms).purposes)): //guard:R40 narrow-purposes
		return fmt.Errorf("%w: purposes", ErrWider)
	case !within(t.Secrets, intersect(before, (*Terms).secrets)): //guard:R40 narrow-secrets
		return fmt.Errorf("%w: secrets", ErrWider)
	}
	return nil
}

func (t *Terms) audience() *[]string { return t.Audience }
func (t *Terms) purposes() *[]string { return t.Purposes }
func (t *Terms) secrets() *[]string  { return t.Secrets }

func strictest(terms []*Terms) op.Level {
	var l op.Level
	for _, t := range terms {
		l = max(l, t.Pop)
	}
	return l
}

// within reports whether the list allows nothing that bound does not; absent
// lists inherit.
func within(list, bound *[]string) bool {
	if list == nil || bound == nil {
		return true
	}
	return !slices.ContainsFunc(*list, func(s string) bool { return !slices.Contains(*bound, s) })
}

// intersect returns what all the lists allow, or nil if none is present.
func intersect(terms []*Terms, list func(*Terms) *[]string) *[]string {
	var out *[]string
	for _, t := range terms {
		l := list(t)
		switch {
		case l == nil:
		case out == nil:
			c := slices.Clone(*l)
			out = &c
		default:
			c := slices.DeleteFunc(slices.Clone(*out), func(s string) bool { return !slices.Contains(*l, s) })
			out = &c
		}
	}
	return out
}

// NewID returns a fresh root id.
func NewID() []byte {
	id := make([]byte, idSize)
	rand.Read(id)
	return id
}
