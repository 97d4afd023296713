package credential

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/sign"
)

// A Verified is a chain whose grant an issuer of the policy signed, and whose
// rules fit the policy's schema. It is valid for that policy and root alone.
type Verified struct {
	*Chain
	rules    []*policy.Rules
	audience *[]string
	purposes *[]string
	secrets  *[]string
	pop      op.Level
	limits   []policy.Debit // of all blocks, with N 0
}

// Verify returns c as verified under p and r: zone, alias and version, the
// issuers' signatures, lifetimes and depth, and the rules of each block. It does
// not look at the clock; see [Verified.Admit]. Errors wrap [ErrCredential] or
// [ErrIssuer]. SPEC CRED-3, CRED-4, CRED-5, CRED-9.
func (c *Chain) Verify(p *policy.Verified, r *policy.Root) (*Verified, error) {
	if p == nil || p.Document() == nil {
		return nil, fmt.Errorf("%w: there is no verified policy", ErrCredential)
	}
	g, d := &c.Grant, p.Document()
	if g.Zone != r.Zone() || g.Zone != p.Zone() { //guard:R45 A1 grant-zone
		return nil, fmt.Errorf("%w: of another zone", ErrCredential)
	}
	if g.Alias != d.Alias || g.MinVersion > d.Version { //guard:R29 grant-version
		return nil, fmt.Errorf("%w: for %s from version %d on, not %s version %d", ErrCredential, g.Alias, g.MinVersion, d.Alias, d.Version)
	}
	if g.Pinned != nil && *g.Pinned != p.ID() { //guard:A5 grant-pinned
		return nil, fmt.Errorf("%w: pinned to a policy that is no longer in force", ErrCredential)
	}
	if err := c.verifyIssuers(d, r); err != nil {
		return nil, err
	}
	if err := c.checkBounds(d, r.Document()); err != nil {
		return nil, err
	}
	all := c.terms()
	v := &Verified{
		Chain:    c,
		audience: intersect(all, (*Terms).audience),
		purposes: intersect(all, (*Terms).purposes),
		secrets:  intersect(all, (*Terms).secrets),
		pop:      strictest(all),
	}
	for i, t := range all {
		if err := v.addRules(p, t); err != nil {
			return nil, fmt.Errorf("%w: block %d: %w", ErrCredential, i, err)
		}
		v.addLimits(i, t)
	}
	return v, nil
}

// addLimits adds the limits of block i, whose counters are its own.
func (v *Verified) addLimits(i int, t *Terms) {
	for _, id := range slices.Sorted(maps.Keys(t.Limits)) {
		key := policy.CounterKey(v.Grant.Alias, "limit\x00"+v.blocks[i].String(), id, 0)
		once := id == policy.UsesID && t.Limits[id] == 1 // what is good for one use must not be good for two after a power loss (A33)
		v.limits = append(v.limits, policy.Debit{Key: key, ID: id, Limit: t.Limits[id], Until: t.Expires, Hard: once})
	}
}

// checkBounds refuses what policy and root let no credential have.
func (c *Chain) checkBounds(d *policy.Document, r *policy.RootDocument) error {
	g := &c.Grant
	if g.Depth > min(d.Delegation.MaxDepth, r.Ceilings.MaxDepth) { //guard:R47 grant-depth
		return fmt.Errorf("%w: depth %d is more than policy or root allow", ErrCredential, g.Depth)
	}
	if g.Expires-g.NotBefore > min(d.Delegation.MaxTTLS, r.Ceilings.MaxTTLS) { //guard:R40 grant-ttl
		return fmt.Errorf("%w: valid for %d s, which is more than policy or root allow", ErrCredential, g.Expires-g.NotBefore)
	}
	for i, k := range c.holders {
		if !slices.Contains(r.Algorithms, k.Algorithm().String()) { //guard:R63 holder-algorithm
			return fmt.Errorf("%w: block %d: the root does not allow %s", ErrCredential, i, k.Algorithm())
		}
	}
	return nil
}

func (v *Verified) addRules(p *policy.Verified, t *Terms) error {
	if t.Rules == "" {
		return nil
	}
	l := p.Document().Language
	if t.Language.Cedar != l.Cedar || !maps.Equal(t.Language.Mappers, l.Mappers) { //guard:A21 block-language-version
		return fmt.Errorf("rules are written for other language or mapper versions than the policy's")
	}
	rules, err := policy.ParseBlockRules(t.Rules)
	if err != nil {
		return err
	}
	if err := p.CheckRules(rules); err != nil { //guard:A21 block-typecheck
		return err
	}
	v.rules = append(v.rules, rules)
	return nil
}

// verifyIssuers counts the distinct issuers of the policy whose subject patterns
// cover the grant's subject and who signed the grant.
func (c *Chain) verifyIssuers(d *policy.Document, r *policy.Root) error {
	signed := make(map[string]bool)
	for i, block := range append([][]byte{c.first}, c.cosigns...) {
		who, err := c.issuerOf(block, d, r)
		if err != nil {
			return fmt.Errorf("signature %d: %w", i, err)
		}
		signed[who] = true
	}
	if len(signed) < d.Delegation.Threshold { //guard:R35 grant-threshold
		return fmt.Errorf("%w: %d of %d issuers", ErrIssuer, len(signed), d.Delegation.Threshold)
	}
	return nil
}

func (c *Chain) issuerOf(block []byte, d *policy.Document, r *policy.Root) (string, error) {
	for _, is := range d.Delegation.Issuers {
		if !covers(is.Subjects, c.Grant.Subject) { //guard:A22 issuer-subjects
			continue
		}
		for _, k := range r.Keys(policy.UseIssuer)(is.Principal) {
			payload, err := sign.Verify1(k, blockType, block)
			if err == nil && string(payload) == string(c.grant) {
				return is.Principal, nil
			}
		}
	}
	return "", ErrIssuer
}

// covers reports whether a pattern, exact or a prefix and *, matches s.
func covers(patterns []string, s op.Subject) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		prefix, wild := strings.CutSuffix(p, "*")
		return wild && strings.HasPrefix(string(s), prefix) || p == string(s)
	})
}

// Rules returns the rules of the blocks that have any, the grant's first.
func (v *Verified) Rules() []*policy.Rules { return v.rules }

// A Use is one use of a credential, as far as the chain has a say.
type Use struct {
	At      int64  // Unix seconds
	Group   string // of the gate
	Purpose string
	Secret  string // id; "" if none is opened
	Level   op.Level
}

// Admit returns nil if every block of the chain admits u. SPEC CRED-6.
func (v *Verified) Admit(u Use) *op.Denial {
	for i, t := range v.terms() {
		if u.At < t.NotBefore || u.At >= t.Expires { //guard:R7 block-validity
			return op.Deny(op.CredentialInvalid, fmt.Sprintf("block %d is not valid at this time; get a new credential", i))
		}
	}
	if !listed(v.audience, u.Group) { //guard:R18 block-audience
		return op.Deny(op.CredentialInvalid, "the credential is for gates of another group")
	}
	if v.purposes != nil && !slices.Contains(*v.purposes, u.Purpose) { //guard:R9 block-purpose
		return op.Deny(op.PurposeInvalid, "the credential does not allow this purpose")
	}
	if u.Secret != "" && !listed(v.secrets, u.Secret) { //guard:R40 block-secret
		return op.Deny(op.NotPermitted, "the credential is not for this secret")
	}
	if u.Level < v.pop { //guard:R40 block-pop
		return op.Deny(op.ProofInsufficient, fmt.Sprintf("the credential takes proof of level %d; this is level %d", v.pop, u.Level))
	}
	return nil
}

// listed reports whether s is in the list, or the list is absent in all blocks.
func listed(l *[]string, s string) bool { return l == nil || slices.Contains(*l, s) }

// Debits returns what one use takes from the limits of the blocks; amounts are
// what the policy's quotas count, by id. A limit on a quota that the policy does
// not have denies. SPEC CRED-7.
func (v *Verified) Debits(amounts map[string]int64) ([]policy.Debit, *op.Denial) {
	out := make([]policy.Debit, 0, len(v.limits))
	for _, d := range v.limits {
		ok := true
		if d.N = 1; d.ID != policy.UsesID {
			d.N, ok = amounts[d.ID]
		}
		if !ok { //guard:A23 limit-known
			return nil, &op.Denial{Code: op.QuotaExceeded, Rule: d.ID, Reason: "the credential limits a quota that the policy does not have"}
		}
		if d.N != 0 { // else the operation takes nothing from that quota
			out = append(out, d)
		}
	}
	return out, nil
}

// Revocable returns everything whose revocation ends v: the blocks and the keys
// of all holders.
func (v *Verified) Revocable() (blocks []canon.Digest, keys []sign.KeyID) {
	for _, k := range v.holders {
		keys = append(keys, k.ID())
	}
	return v.blocks, keys
}
