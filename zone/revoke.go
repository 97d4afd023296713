package zone

import (
	"fmt"
	"slices"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/credential"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/sign"
)

// applyRevoke takes a revocation. It only adds. SPEC ZONE-6.
func (z *Zone) applyRevoke(e *Entry) error {
	var rec RevokeRecord
	if err := parseRecord(e.Envelope, &rec); err != nil {
		return err
	}
	switch rec.Kind {
	case RevokePolicy, RevokeBlock, RevokeKey, RevokeGate, RevokeCredential:
	default:
		return fmt.Errorf("%w: revocation: unknown kind", ErrRefused)
	}
	if rec.Zone != z.Root().Zone() { //guard:A1 R45 revoke-zone
		return fmt.Errorf("%w: revocation: of another zone", ErrRefused)
	}
	if rec.ID.IsZero() || len(rec.Reason) > maxReasonBytes {
		return fmt.Errorf("%w: revocation: without id, or its reason too long", ErrRefused)
	}
	q, keys, err := z.revokers(&rec)
	if err != nil {
		return err
	}
	if _, err := e.Envelope.Verify(RevokeType, q, keys); err != nil { //guard:R44 revoke-authority
		return fmt.Errorf("%w: revocation: %w", ErrRefused, err)
	}
	key := revocation{rec.Kind, rec.ID}
	for _, r := range z.revoked[key] {
		if r.Alias == rec.Alias && (r.Credential == "") == (rec.Credential == "") { //guard:R56 revoke-once-logged
			return fmt.Errorf("%w: revocation: it is in the log already", ErrRefused)
		}
	}
	z.revoked[key] = append(z.revoked[key], &rec)
	if rec.Kind == RevokeKey {
		z.setRoot(z.Root().Without(sign.KeyID(rec.ID)), e.LoggedAt)
	}
	return nil
}

// revokers returns who may make the revocation: the namespace, or the holder of
// a block before the revoked one.
func (z *Zone) revokers(rec *RevokeRecord) (sign.Quorum, sign.Keys, error) {
	if rec.Credential == "" {
		ns, ok := z.Root().Namespace(rec.Alias)
		if !ok {
			return sign.Quorum{}, nil, fmt.Errorf("%w: revocation: no namespace covers %q", ErrRefused, rec.Alias)
		}
		return ns.Revoke, z.Root().Keys(policy.UseRevoke), nil
	}
	c, err := credential.ParseText(rec.Credential)
	if err != nil || rec.Kind != RevokeBlock || rec.Alias != c.Grant.Alias {
		return sign.Quorum{}, nil, fmt.Errorf("%w: revocation: by a holder: not a block of a credential of the alias", ErrRefused)
	}
	i := slices.Index(c.Blocks(), rec.ID)
	if i < 1 { //guard:R44 revoke-own-subtree
		return sign.Quorum{}, nil, fmt.Errorf("%w: revocation: the block has no holder before it", ErrRefused)
	}
	keys := func(string) []sign.PublicKey { return c.Holders()[:i] }
	return sign.Quorum{Members: []string{"holder"}, Threshold: 1}, keys, nil
}

// Revoked reports whether the thing is revoked. A policy, block or credential is
// revoked by the namespace that it is in; keys and gates belong to the zone, and
// any namespace revokes them.
func (z *Zone) Revoked(kind RevokeKind, id canon.Digest) bool {
	if kind == RevokePolicy {
		p, ok := z.byID[id]
		return ok && z.policyRevoked(p)
	}
	return len(z.revoked[revocation{kind, id}]) > 0
}

func (z *Zone) policyRevoked(p *policy.Verified) bool {
	return z.revokedFor(p.Document().Alias, revocation{RevokePolicy, p.ID()})
}

// revokedFor reports whether a revocation is by the namespace of the alias, or by
// a holder.
func (z *Zone) revokedFor(alias string, r revocation) bool {
	ns, _ := z.Root().Namespace(alias)
	for _, rec := range z.revoked[r] {
		if rec.Credential != "" {
			return true
		}
		if by, _ := z.Root().Namespace(rec.Alias); by.Prefix != ns.Prefix { //guard:R44 revoke-own-namespace
			continue
		}
		return true
	}
	return false
}

// CredentialRevoked reports whether any block, holder key or issuer's key of the
// credential is revoked: what one ancestor loses, its descendants lose.
// SPEC ZONE-7.
func (z *Zone) CredentialRevoked(c *credential.Verified) bool {
	if len(z.revoked) == 0 {
		return false
	}
	blocks, keys := c.Revocable()
	if z.BlocksRevoked(c.Grant.Alias, blocks) { //guard:R43 ancestor-block-revoked
		return true
	}
	for _, k := range keys {
		if z.Revoked(RevokeKey, canon.Digest(k)) { //guard:R43 ancestor-key-revoked
			return true
		}
	}
	return z.issuerRevoked(c)
}

// BlocksRevoked reports whether one of the blocks of a credential of the alias is
// revoked. SPEC ZONE-7.
func (z *Zone) BlocksRevoked(alias string, blocks []canon.Digest) bool {
	return slices.ContainsFunc(blocks, func(b canon.Digest) bool {
		return z.revokedFor(alias, revocation{RevokeBlock, b}) || z.revokedFor(alias, revocation{RevokeCredential, b})
	})
}

// issuerRevoked reports whether c does not hold any more because a key of one of
// its policy's issuers is revoked. It costs a verification, but only while the
// root lists such a key.
func (z *Zone) issuerRevoked(c *credential.Verified) bool {
	p := z.current(c.Grant.Alias)
	if p == nil {
		return false
	}
	for _, i := range p.Document().Delegation.Issuers {
		for _, k := range z.Root().Document().Principals[i.Principal].Keys {
			if !z.Revoked(RevokeKey, canon.Digest(k.Key.ID())) {
				continue
			}
			if _, err := c.Chain.Verify(p, z.Root()); err != nil { //guard:R43 issuer-key-revoked
				return true
			}
		}
	}
	return false
}
