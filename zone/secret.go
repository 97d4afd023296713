package zone

import (
	"fmt"
	"slices"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/credential"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/seal"
	"github.com/writhq/writ/sign"
)

// applySecret takes a new version, a re-seal of the current one, or its end.
// SPEC ZONE-5.
func (z *Zone) applySecret(e *Entry) error {
	var rec SecretRecord
	if err := parseRecord(e.Envelope, &rec); err != nil {
		return err
	}
	p, ok := z.InForce(rec.Alias)
	if !ok || rec.Zone != z.root.Zone() {
		return fmt.Errorf("%w: secret: %s has no policy in force here", ErrRefused, rec.Alias)
	}
	if rec.Policy != p.ID() { //guard:A5 secret-under-policy-in-force
		return fmt.Errorf("%w: secret %s: not sealed under the policy in force", ErrRefused, rec.ID)
	}
	d, ok := p.Document().Secret(rec.ID)
	if !ok {
		return fmt.Errorf("%w: secret %s: not listed by the policy", ErrRefused, rec.ID)
	}
	if err := z.checkStatement(&rec, p); err != nil {
		return err
	}
	key := secretKey{rec.Alias, rec.ID}
	cur := z.secrets[key]
	if cur != nil && rec.State == Active && rec.Version == cur.Record.Version {
		if err := z.checkReseal(e.Envelope, &rec, cur, d.Recipients.Group); err != nil {
			return err
		}
	} else if err := z.checkSealers(e.Envelope, &rec, cur, d.Sealers); err != nil {
		return err
	}
	z.secrets[key] = &Secret{rec}
	return nil
}

func (z *Zone) checkStatement(rec *SecretRecord, p *policy.Verified) error {
	if rec.Statement == nil {
		return fmt.Errorf("%w: secret %s: statement is missing", ErrRefused, rec.ID)
	}
	st, err := seal.ParseStatement(rec.Statement)
	if err == nil {
		err = st.Verify(z.root, p)
	}
	if err != nil { //guard:A4 record-statement
		return fmt.Errorf("%w: secret %s: %w", ErrRefused, rec.ID, err)
	}
	if s := st.Statement; s.Alias != rec.Alias || s.ID != rec.ID || s.Version != rec.Version { //guard:A4 record-statement-identity
		return fmt.Errorf("%w: secret %s: the statement is another's", ErrRefused, rec.ID)
	}
	return nil
}

// checkReseal admits the same value under the policy in force, by a gate of the
// group: a gate can change neither the value nor the version.
func (z *Zone) checkReseal(e *sign.Envelope, rec *SecretRecord, cur *Secret, group string) error {
	if rec.Statement.Digest() != cur.Record.Statement.Digest() || cur.Record.State != Active { //guard:A5 reseal-statement
		return fmt.Errorf("%w: secret %s: a re-seal keeps the statement of an active version", ErrRefused, rec.ID)
	}
	q := sign.Quorum{Threshold: 1}
	for _, g := range z.root.Document().Gates {
		if g.Group == group && !z.Revoked(RevokeGate, canon.Hash([]byte(g.ID))) {
			q.Members = append(q.Members, g.ID)
		}
	}
	keys := func(id string) []sign.PublicKey {
		g, _ := z.root.Gate(id)
		return []sign.PublicKey{g.SignKey}
	}
	if _, err := e.Verify(SecretType, q, keys); err != nil { //guard:R44 reseal-by-gate
		return fmt.Errorf("%w: secret %s: re-seal: %w", ErrRefused, rec.ID, err)
	}
	return nil
}

func (z *Zone) checkSealers(e *sign.Envelope, rec *SecretRecord, cur *Secret, sealers sign.Quorum) error {
	last := int64(0)
	if cur != nil {
		last = cur.Record.Version
	}
	switch rec.State {
	case Active:
		if rec.Version <= last { //guard:R29 secret-version
			return fmt.Errorf("%w: secret %s: version %d is not after %d", ErrRefused, rec.ID, rec.Version, last)
		}
	case Retired, Destroyed:
		if rec.Version != last {
			return fmt.Errorf("%w: secret %s: version %d is not the current one", ErrRefused, rec.ID, rec.Version)
		}
	default:
		return fmt.Errorf("%w: secret %s: unknown state", ErrRefused, rec.ID)
	}
	if _, err := e.Verify(SecretType, sealers, z.root.Keys(policy.UseSealer)); err != nil { //guard:R44 secret-by-sealers
		return fmt.Errorf("%w: secret %s: %w", ErrRefused, rec.ID, err)
	}
	return nil
}

// Secret returns the current version of a secret of alias.
func (z *Zone) Secret(alias, id string) (*Secret, bool) {
	s, ok := z.secrets[secretKey{alias, id}]
	return s, ok
}

// Secrets returns the records of all secrets, by alias and id.
func (z *Zone) Secrets() []SecretRecord {
	var out []SecretRecord
	for _, s := range z.secrets {
		out = append(out, s.Record)
	}
	slices.SortFunc(out, func(a, b SecretRecord) int {
		return slices.Compare([]string{a.Alias, a.ID}, []string{b.Alias, b.ID})
	})
	return out
}

// applyRevoke takes a revocation. SPEC ZONE-6.
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
	if rec.Zone != z.root.Zone() || rec.ID.IsZero() || len(rec.Reason) > maxReasonBytes {
		return fmt.Errorf("%w: revocation: of another zone, without id, or its reason too long", ErrRefused)
	}
	q, keys, err := z.revokers(&rec)
	if err != nil {
		return err
	}
	if _, err := e.Envelope.Verify(RevokeType, q, keys); err != nil { //guard:R44 revoke-authority
		return fmt.Errorf("%w: revocation: %w", ErrRefused, err)
	}
	z.revoked[revocation{rec.Kind, rec.ID}] = &rec
	return nil
}

// revokers returns who may make the revocation: the namespace, or the holder of
// a block before the revoked one.
func (z *Zone) revokers(rec *RevokeRecord) (sign.Quorum, sign.Keys, error) {
	if rec.Credential == "" {
		ns, ok := z.root.Namespace(rec.Alias)
		if !ok {
			return sign.Quorum{}, nil, fmt.Errorf("%w: revocation: no namespace covers %q", ErrRefused, rec.Alias)
		}
		return ns.Revoke, z.root.Keys(policy.UseRevoke), nil
	}
	c, err := credential.ParseText(rec.Credential)
	if err != nil || rec.Kind != RevokeBlock {
		return sign.Quorum{}, nil, fmt.Errorf("%w: revocation: by a holder: not a block of a credential", ErrRefused)
	}
	i := slices.Index(c.Blocks(), rec.ID)
	if i < 1 { //guard:R44 revoke-own-subtree
		return sign.Quorum{}, nil, fmt.Errorf("%w: revocation: the block has no holder before it", ErrRefused)
	}
	keys := func(string) []sign.PublicKey { return c.Holders()[:i] }
	return sign.Quorum{Members: []string{"holder"}, Threshold: 1}, keys, nil
}

// Revoked reports whether the thing is revoked.
func (z *Zone) Revoked(kind RevokeKind, id canon.Digest) bool {
	_, ok := z.revoked[revocation{kind, id}]
	return ok
}

// CredentialRevoked reports whether any block or holder key of the credential is
// revoked: what one ancestor loses, its descendants lose. SPEC ZONE-7.
func (z *Zone) CredentialRevoked(c *credential.Verified) bool {
	if len(z.revoked) == 0 {
		return false
	}
	blocks, keys := c.Revocable()
	for _, b := range blocks {
		if z.Revoked(RevokeBlock, b) || z.Revoked(RevokeCredential, b) { //guard:R43 ancestor-block-revoked
			return true
		}
	}
	for _, k := range keys {
		if z.Revoked(RevokeKey, canon.Digest(k)) { //guard:R43 ancestor-key-revoked
			return true
		}
	}
	return false
}
