package policy

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/op/http"
	"github.com/writhq/writ/sign"
)

const (
	cedarVersion = "4"
	modeBuffered = "buffered"
	modeDurable  = "durable"
)

func contains(list []string, s string) bool { return slices.Contains(list, s) }

// mapper returns the mapper of an operation type. A new type is one line here.
func mapper(typ string) (op.Mapper, bool) {
	switch typ {
	case "http":
		return http.Mapper{}, true
	}
	return nil, false
}

// Parse returns the policy document in payload, which must be its own JCS form
// and at most [MaxPolicyBytes]. It trusts nothing and verifies no signature.
// Errors wrap [ErrDocument], [ErrRules] or [ErrUnsupported], and name the field.
// SPEC POLICY-1.
func Parse(payload []byte) (*Document, error) {
	if len(payload) > MaxPolicyBytes {
		return nil, fmt.Errorf("%w: %d bytes; at most %d", ErrDocument, len(payload), MaxPolicyBytes)
	}
	var d Document
	if err := canon.DecodeJSON(payload, &d); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDocument, err)
	}
	if err := d.Check(); err != nil {
		return nil, err
	}
	return &d, nil
}

// Check returns an error that names the first field of d that is wrong in
// itself, without regard to any root or predecessor.
func (d *Document) Check() error {
	for _, c := range []struct {
		field string
		check func() error
	}{
		{"alias", func() error { return checkAlias(d.Alias) }},
		{"version", d.checkLine},
		{"expires", d.checkTimes},
		{"language", d.checkLanguage},
		{"targets", d.checkTargets},
		{"secrets", d.checkSecrets},
		{"operations", d.checkOperations},
		{"purposes", d.checkPurposes},
		{"quotas", d.checkQuotas},
		{"pop", d.checkPop},
		{"delegation", d.checkDelegation},
		{"receipts", d.checkReceipts},
		{"governance", d.checkGovernance},
		{"crit", d.checkSupported},
		{"rules", func() error { _, err := d.compile(); return err }},
	} {
		if err := c.check(); err != nil {
			return fmt.Errorf("%w: %s: %w", ErrDocument, c.field, err)
		}
	}
	return nil
}

func checkName(s string) error {
	if s == "" || len(s) > maxNameBytes {
		return fmt.Errorf("want 1 to %d bytes, have %d", maxNameBytes, len(s))
	}
	for _, c := range []byte(s) {
		ok := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-_.@+:/", c) >= 0
		if !ok {
			return fmt.Errorf("%q is not a name: letters, digits and -_.@+:/ only", s)
		}
	}
	return nil
}

func checkAlias(a string) error {
	if err := checkName(a); err != nil {
		return err
	}
	for part := range strings.SplitSeq(a, "/") {
		if part == "" || part == "." || part == ".." {
			return fmt.Errorf("%q: a part is empty or dots", a)
		}
	}
	return nil
}

// uniqueNames checks the ids of a list.
func uniqueNames[T any](list []T, id func(*T) string) error {
	if len(list) > maxListed {
		return fmt.Errorf("%d entries; at most %d", len(list), maxListed)
	}
	seen := make(map[string]bool)
	for i := range list {
		n := id(&list[i])
		if err := checkName(n); err != nil {
			return fmt.Errorf("entry %d: %w", i, err)
		}
		if seen[n] {
			return fmt.Errorf("%q stands twice", n)
		}
		seen[n] = true
	}
	return nil
}

func (d *Document) checkLine() error {
	switch {
	case d.Version < 1:
		return fmt.Errorf("want 1 or more")
	case (d.Version == 1) != d.Prev.IsZero():
		return fmt.Errorf("prev must name the predecessor from version 2 on, and nothing before")
	case d.Zone.IsZero():
		return fmt.Errorf("zone is missing: the digest of the genesis root (writ root show)")
	}
	return nil
}

func (d *Document) checkTimes() error {
	if d.NotBefore < 0 || d.Expires <= d.NotBefore {
		return fmt.Errorf("must be after not_before, in Unix seconds")
	}
	return nil
}

func (d *Document) checkLanguage() error {
	if d.Language.Cedar != cedarVersion {
		return fmt.Errorf("cedar: want %q", cedarVersion)
	}
	for typ, v := range d.Language.Mappers {
		m, ok := mapper(typ)
		if !ok || m.Version() != v { //guard:A40 mapper-version
			return fmt.Errorf("%w: mappers: %s version %d", ErrUnsupported, typ, v)
		}
	}
	return nil
}

func (d *Document) checkTargets() error {
	if err := uniqueNames(d.Targets, func(t *Target) string { return t.ID }); err != nil {
		return err
	}
	for i := range d.Targets {
		if err := d.checkTarget(&d.Targets[i]); err != nil {
			return fmt.Errorf("%s: %w", d.Targets[i].ID, err)
		}
	}
	return nil
}

func (d *Document) checkTarget(t *Target) error {
	if t.Kind != "http" {
		return fmt.Errorf("%w: kind %q", ErrUnsupported, t.Kind)
	}
	if err := checkOrigin(t.Origin); err != nil {
		return fmt.Errorf("origin: %w", err)
	}
	for _, p := range t.Pins {
		if _, err := canon.ParseDigest(p); err != nil {
			return fmt.Errorf("pins: %w", err)
		}
	}
	secret := t.Inject.How != "none"
	if err := t.Inject.check(); err != nil {
		return fmt.Errorf("inject: %w", err)
	}
	if _, ok := d.Secret(t.Secret); ok != secret {
		return fmt.Errorf("secret: must be the id of a listed secret, or absent with inject none")
	}
	if secret && strings.HasPrefix(t.Origin, "http:") { //guard:R2 inject-cleartext
		return fmt.Errorf("origin: a secret is never sent without TLS; use https")
	}
	return nil
}

func (in *Inject) check() error {
	for _, c := range []byte(in.Name + in.Prefix) {
		if c < ' ' || c >= 0x7f {
			return fmt.Errorf("name and prefix are printable ASCII")
		}
	}
	region, service, two := strings.Cut(in.Name, "/")
	switch in.How {
	case "header", "query", "basic":
		if in.Name == "" || in.How == "header" && strings.ContainsAny(in.Name, " :\t") {
			return fmt.Errorf("name is missing, or not a header's")
		}
	case "sigv4":
		if !two || checkName(region) != nil || checkName(service) != nil || strings.Contains(service, "/") {
			return fmt.Errorf("name: want region/service, such as eu-central-1/s3")
		}
	case "none", "client_certificate":
		if in.Name != "" {
			return fmt.Errorf("name: %s has none", in.How)
		}
	default:
		return fmt.Errorf("%w: %q; want none, header, basic, query, sigv4 or client_certificate", ErrUnsupported, in.How)
	}
	return nil
}

func checkOrigin(o string) error {
	u, err := url.Parse(o)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.Scheme+"://"+u.Host != o || strings.ToLower(o) != o {
		return fmt.Errorf("want https://host or https://host:port in lower case, and nothing after it")
	}
	return nil
}

func (d *Document) checkSecrets() error {
	if err := uniqueNames(d.Secrets, func(s *Secret) string { return s.ID }); err != nil {
		return err
	}
	for i := range d.Secrets {
		s := &d.Secrets[i]
		if err := s.Sealers.Check(); err != nil {
			return fmt.Errorf("%s: sealers: %w", s.ID, err)
		}
		if checkName(s.Recipients.Group) != nil || checkName(s.Kind) != nil {
			return fmt.Errorf("%s: kind or recipients.group is missing", s.ID)
		}
		if s.Recipients.T != 1 {
			return fmt.Errorf("%w: %s: recipients.t: only 1", ErrUnsupported, s.ID)
		}
	}
	return nil
}

func (d *Document) checkOperations() error {
	if len(d.Operations) == 0 || len(d.Operations) > maxListed {
		return fmt.Errorf("want 1 to %d entries", maxListed)
	}
	seen := make(map[string]bool)
	for i := range d.Operations {
		o := &d.Operations[i]
		m, ok := mapper(o.Type)
		if !ok || d.Language.Mappers[o.Type] != m.Version() {
			return fmt.Errorf("entry %d: %w: type %q, or language.mappers does not list it", i, ErrUnsupported, o.Type)
		}
		if err := m.Check(&o.Declaration); err != nil {
			return fmt.Errorf("entry %d: %w", i, err)
		}
		for _, t := range o.Targets {
			if _, ok := d.Target(t); !ok {
				return fmt.Errorf("entry %d: target %q is not listed in targets", i, t)
			}
		}
		for _, a := range o.Actions {
			if seen[a] {
				return fmt.Errorf("entry %d: action %q is in another entry already", i, a)
			}
			seen[a] = true
		}
	}
	return nil
}

func (d *Document) checkPurposes() error {
	for _, p := range d.Purposes {
		if len(p.Text) > maxTextBytes {
			return fmt.Errorf("%s: text of %d bytes; at most %d", p.ID, len(p.Text), maxTextBytes)
		}
	}
	return uniqueNames(d.Purposes, func(p *Purpose) string { return p.ID })
}

func (d *Document) checkQuotas() error {
	if err := uniqueNames(d.Quotas, func(q *Quota) string { return q.ID }); err != nil {
		return err
	}
	for _, q := range d.Quotas {
		switch {
		case !contains([]string{"alias", "secret", "root", "block", "subject", "actor"}, q.Per):
			return fmt.Errorf("%s: per: want alias, secret, root, block, subject or actor", q.ID)
		case q.Limit < 0 || q.WindowS < 0 || q.Unit == "":
			return fmt.Errorf("%s: limit and window_s must be 0 or more, and unit be given", q.ID)
		case q.ID == UsesID:
			return fmt.Errorf("%s: the name is reserved for the limit that credentials carry", q.ID)
		}
		if err := d.checkQuota(&q); err != nil {
			return fmt.Errorf("%s: %w", q.ID, err)
		}
	}
	return nil
}

func (d *Document) checkPop() error {
	for a, l := range d.Pop.Actions {
		if l < op.Bearer || l > op.Person {
			return fmt.Errorf("%s: want 0 to 4", a)
		}
	}
	if d.Pop.Default < op.Presentation || d.Pop.Default > op.Person {
		return fmt.Errorf("default: want 1 to 4; a bearer is allowed only for an action by name")
	}
	return nil
}

func (d *Document) checkDelegation() error {
	g := &d.Delegation
	q := sign.Quorum{Threshold: g.Threshold}
	for _, i := range g.Issuers {
		q.Members = append(q.Members, i.Principal)
		if len(i.Subjects) == 0 {
			return fmt.Errorf("issuers: %s: subjects: list at least one pattern", i.Principal)
		}
	}
	if err := q.Check(); err != nil {
		return fmt.Errorf("issuers: %w", err)
	}
	if g.MaxDepth < 0 || g.MaxDepth > maxDepthCap || g.MaxTTLS < 1 {
		return fmt.Errorf("max_depth: want 0 to %d; max_ttl_s: want 1 or more", maxDepthCap)
	}
	return nil
}

func (d *Document) checkReceipts() error {
	if m := d.Receipts.Mode; m != modeBuffered && m != modeDurable {
		return fmt.Errorf("mode: want buffered or durable (witnessed: %w)", ErrUnsupported)
	}
	if s := d.Freshness.MaxStalenessS; s < 1 || s > maxStalenessCap {
		return fmt.Errorf("freshness.max_staleness_s: want 1 to %d", maxStalenessCap)
	}
	return nil
}

func (d *Document) checkGovernance() error {
	if err := d.Governance.Successor.Check(); err != nil {
		return fmt.Errorf("successor: %w", err)
	}
	if d.Governance.DelayS < 0 {
		return fmt.Errorf("delay_s: want 0 or more")
	}
	return nil
}

// checkSupported refuses what the format has and this version cannot enforce: a
// policy that says more than its gate can hold would be a false promise.
func (d *Document) checkSupported() error {
	for _, f := range []struct {
		name string
		used bool
	}{
		{"crit", len(d.Crit) > 0},
		{"approvals", len(d.Approvals) > 0},
		{"lineage", len(d.Lineage) > 0},
		{"labels", len(d.Labels) > 0},
		{"requires", len(d.Requires) > 0},
		{"governance.override", d.Governance.Override != nil},
		{"governance.delay_s", d.Governance.DelayS > 0},
	} {
		if f.used { //guard:R11 unsupported-feature
			return fmt.Errorf("%w: %s", ErrUnsupported, f.name)
		}
	}
	return nil
}
