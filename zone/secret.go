package zone

import (
	"fmt"
	"slices"

	"github.com/writhq/writ/canon"
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
	p := z.current(rec.Alias)
	if p == nil || rec.Zone != z.Root().Zone() { //guard:A1 secret-zone
		return fmt.Errorf("%w: secret: %s has no policy in force here", ErrRefused, rec.Alias)
	}
	if rec.Policy != p.ID() { //guard:A5 secret-under-policy-in-force
		return fmt.Errorf("%w: secret %s: not sealed under the policy in force", ErrRefused, rec.ID)
	}
	d, ok := p.Document().Secret(rec.ID)
	if !ok {
		return fmt.Errorf("%w: secret %s: not listed by the policy", ErrRefused, rec.ID)
	}
	if rec.Statement == nil {
		return fmt.Errorf("%w: secret %s: statement is missing", ErrRefused, rec.ID)
	}
	key := secretKey{rec.Alias, rec.ID}
	cur := z.secrets[key]
	if err := checkState(&rec, cur); err != nil {
		return err
	}
	// A version that is here has a statement that was verified when it came, under
	// the root of that time: a sealer who has left since still vouches for it.
	if cur == nil || rec.Version > cur.Record.Version {
		if err := z.checkStatement(&rec, p); err != nil {
			return err
		}
	}
	if cur != nil && rec.State == Active && rec.Version == cur.Record.Version {
		if err := z.checkReseal(e.Envelope, &rec, d.Recipients.Group); err != nil {
			return err
		}
	} else if _, err := e.Envelope.Verify(SecretType, d.Sealers, z.Root().Keys(policy.UseSealer)); err != nil { //guard:R44 secret-by-sealers
		return fmt.Errorf("%w: secret %s: %w", ErrRefused, rec.ID, err)
	}
	z.secrets[key] = &Secret{rec}
	return nil
}

func (z *Zone) checkStatement(rec *SecretRecord, p *policy.Verified) error {
	st, err := seal.ParseStatement(rec.Statement)
	if err == nil {
		err = st.Verify(z.Root(), p)
	}
	if err != nil { //guard:A4 record-statement
		return fmt.Errorf("%w: secret %s: %w", ErrRefused, rec.ID, err)
	}
	if s := st.Statement; s.Alias != rec.Alias || s.ID != rec.ID || s.Version != rec.Version { //guard:A4 record-statement-identity
		return fmt.Errorf("%w: secret %s: the statement is another's", ErrRefused, rec.ID)
	}
	return nil
}

// checkState says which record may follow cur, whoever signs it: a version is
// used once, keeps its statement, and ends for good.
func checkState(rec *SecretRecord, cur *Secret) error {
	if rec.State != Active && rec.State != Retired && rec.State != Destroyed {
		return fmt.Errorf("%w: secret %s: unknown state", ErrRefused, rec.ID)
	}
	if cur == nil {
		if rec.State != Active { //guard:R29 secret-begins-active
			return fmt.Errorf("%w: secret %s: there is no version to end", ErrRefused, rec.ID)
		}
		return nil
	}
	c := &cur.Record
	if c.State == Destroyed { //guard:R29 secret-destroyed
		return fmt.Errorf("%w: secret %s: it is destroyed; a policy can list another id", ErrRefused, rec.ID)
	}
	if rec.Version > c.Version && rec.State == Active {
		return nil
	}
	if rec.Version != c.Version {
		return fmt.Errorf("%w: secret %s: version %d is not the current one or an active one after it", ErrRefused, rec.ID, rec.Version)
	}
	if rec.Statement.Digest() != c.Statement.Digest() { //guard:A5 R29 reseal-statement
		return fmt.Errorf("%w: secret %s: a version keeps its statement", ErrRefused, rec.ID)
	}
	if rec.State == c.State && rec.Sealed == c.Sealed && rec.Policy == c.Policy { //guard:R56 secret-record-once
		return fmt.Errorf("%w: secret %s: it is in the log already", ErrRefused, rec.ID)
	}
	if rec.State == Active && c.State != Active { //guard:R29 secret-retired
		return fmt.Errorf("%w: secret %s: version %d has ended", ErrRefused, rec.ID, rec.Version)
	}
	return nil
}

// checkReseal admits the same version under the policy in force by one gate of
// the group: with the same statement it can change neither value nor kind.
func (z *Zone) checkReseal(e *sign.Envelope, rec *SecretRecord, group string) error {
	q := sign.Quorum{Threshold: 1}
	for _, g := range z.Root().Document().Gates {
		if g.Group != group { //guard:R44 reseal-group
			continue
		}
		if z.Revoked(RevokeGate, canon.Hash([]byte(g.ID))) || z.Revoked(RevokeKey, canon.Digest(g.SignKey.ID())) { //guard:R28 reseal-gate-revoked
			continue
		}
		q.Members = append(q.Members, g.ID)
	}
	keys := func(id string) []sign.PublicKey {
		g, _ := z.Root().Gate(id)
		return []sign.PublicKey{g.SignKey}
	}
	if _, err := e.Verify(SecretType, q, keys); err != nil { //guard:R44 reseal-by-gate
		return fmt.Errorf("%w: secret %s: re-seal: %w", ErrRefused, rec.ID, err)
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
