package policy

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/op/http"
	"github.com/writhq/writ/op/release"
	"github.com/writhq/writ/op/sql"
	"github.com/writhq/writ/policy/law"
	"github.com/writhq/writ/sign"
)

const (
	cedarVersion = "4"
	modeBuffered = "buffered"
	modeDurable  = "durable"
	kemXWing     = "x-wing"
)

func contains(list []string, s string) bool { return slices.Contains(list, s) }

// mapper returns the mapper of an operation type. A new type is one line here.
func mapper(typ string) (op.Mapper, bool) {
	switch typ {
	case "http":
		return http.Mapper{}, true
	case "release":
		return release.Mapper{}, true
	case "sql":
		return sql.Mapper{}, true
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
// itself, without regard to any root or predecessor, as a [*FieldError].
func (d *Document) Check() error {
	return firstFault([]fieldCheck{
		{"alias", func() error { return checkAlias(d.Alias) }},
		{"version", func() error { return atLeast(d.Version, 1) }},
		{"prev", d.checkPrev},
		{"zone", d.checkZone},
		{"not_before", func() error { return atLeast(d.NotBefore, 0) }},
		{"expires", d.checkTimes},
		{"language", d.checkLanguage},
		{"secrets", d.checkSecrets},
		{"targets", d.checkTargets},
		{"operations", d.checkOperations},
		{"purposes", d.checkPurposes},
		{"quotas", d.checkQuotas},
		{"pop", d.checkPop},
		{"delegation", d.checkDelegation},
		{"receipts", d.checkReceipts},
		{"freshness", d.checkFreshness},
		{"governance", d.checkGovernance},
		{"approvals", func() error { return unsupported(len(d.Approvals) > 0) }},
		{"lineage", func() error { return unsupported(len(d.Lineage) > 0) }},
		{"labels", func() error { return unsupported(len(d.Labels) > 0) }},
		{"requires", func() error { return unsupported(len(d.Requires) > 0) }},
		{"crit", func() error { return unsupported(len(d.Crit) > 0) }},
		{"rules", func() error { _, err := d.compile(); return err }},
	})
}

// A fieldCheck checks one field of a document.
type fieldCheck struct {
	field string
	check func() error
}

// firstFault returns the first check's error as a [*FieldError].
func firstFault(checks []fieldCheck) error {
	for _, c := range checks {
		if err := c.check(); err != nil {
			return fmt.Errorf("%w: %w", ErrDocument, &FieldError{c.field, err})
		}
	}
	return nil
}

// unsupported refuses what the format has and this version cannot enforce: a
// policy that says more than its gate can hold would be a false promise.
func unsupported(used bool) error {
	if used { //guard:R11 unsupported-feature
		return ErrUnsupported
	}
	return nil
}

func atLeast(n, least int64) error {
	if n < least {
		return fmt.Errorf("want %d or more", least)
	}
	return nil
}

func checkAlias(a string) error {
	if err := law.CheckName(a); err != nil {
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
		if err := law.CheckName(n); err != nil {
			return fmt.Errorf("entry %d: %w", i, err)
		}
		if seen[n] {
			return fmt.Errorf("%q stands twice", n)
		}
		seen[n] = true
	}
	return nil
}

func (d *Document) checkPrev() error {
	if (d.Version == 1) != d.Prev.IsZero() {
		return fmt.Errorf("must name the predecessor from version 2 on, and nothing before")
	}
	return nil
}

func (d *Document) checkZone() error {
	if d.Zone.IsZero() { //guard:A1 zone-named
		return fmt.Errorf("it is missing: the digest of the genesis root (writ root show)")
	}
	return nil
}

func (d *Document) checkTimes() error {
	if d.Expires <= d.NotBefore {
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
	kind, ok := targetKinds[t.Kind]
	if !ok {
		return fmt.Errorf("%w: kind %q; want http or postgres", ErrUnsupported, t.Kind)
	}
	if err := kind.origin(t.Origin); err != nil {
		return fmt.Errorf("origin: %w", err)
	}
	if err := checkPins(t.Pins); err != nil {
		return fmt.Errorf("pins: %w", err)
	}
	if t.Region != "" && law.CheckName(t.Region) != nil {
		return fmt.Errorf("region: not a name")
	}
	if !contains(kind.inject, t.Inject.How) {
		return fmt.Errorf("inject: how: %w: %q; a target of kind %s takes %s", ErrUnsupported, t.Inject.How, t.Kind, strings.Join(kind.inject, ", "))
	}
	if err := t.Inject.check(t.Kind); err != nil {
		return fmt.Errorf("inject: %w", err)
	}
	secret := t.Inject.How != "none"
	if _, ok := d.Secret(t.Secret); ok != secret || !secret && t.Secret != "" {
		return fmt.Errorf("secret: must be the id of a listed secret, or absent with inject none")
	}
	if secret && strings.HasPrefix(t.Origin, "http:") { //guard:R2 inject-cleartext
		return fmt.Errorf("origin: a secret is never sent without TLS; use https")
	}
	return nil
}

// targetKinds are the kinds of targets: what their origins look like, and how a
// secret can be put into what is sent.
var targetKinds = map[string]struct {
	origin func(string) error
	inject []string
}{
	"http":     {checkOrigin, []string{"none", "header", "basic", "query", "sigv4", "client_certificate"}},
	"postgres": {checkDatabase, []string{"password", "md5", "client_certificate"}},
}

// checkDatabase refuses what is not postgres://host/database or with a port.
func checkDatabase(o string) error {
	u, err := url.Parse(o)
	if err != nil || u.Scheme != "postgres" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" ||
		len(u.Path) < 2 || len(u.Path) > maxNameBytes || strings.Contains(u.Path[1:], "/") || "postgres://"+u.Host+u.Path != o || strings.ToLower(u.Host) != u.Host {
		return fmt.Errorf("want postgres://host/database or postgres://host:port/database, and nothing after it")
	}
	return nil
}

func checkPins(pins []string) error {
	if len(pins) > maxListed {
		return fmt.Errorf("%d entries; at most %d", len(pins), maxListed)
	}
	for i, p := range pins {
		d, err := canon.ParseDigest(p)
		if err != nil {
			return err
		}
		if d.IsZero() || contains(pins[:i], p) {
			return fmt.Errorf("entry %d is empty or stands twice", i)
		}
	}
	return nil
}

// check refuses a place that a secret cannot be put in as it stands: a line
// break in a prefix would begin another header.
func (i *Inject) check(kind string) error {
	printable := func(s string) bool {
		return !strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c > '~' })
	}
	if len(i.Prefix) > maxNameBytes || !printable(i.Prefix) { //guard:R5 inject-printable
		return fmt.Errorf("prefix: printable ASCII only, at most %d bytes", maxNameBytes)
	}
	if i.Prefix != "" && i.How != "header" {
		return fmt.Errorf("prefix: only with header")
	}
	if kind == "postgres" {
		if i.Name == "" || len(i.Name) > maxNameBytes || !printable(i.Name) {
			return fmt.Errorf("name: want the user, of 1 to %d printable bytes", maxNameBytes)
		}
		return nil
	}
	switch i.How {
	case "none", "client_certificate":
		if i.Name != "" {
			return fmt.Errorf("name: absent with %s", i.How)
		}
	case "sigv4":
		region, service, _ := strings.Cut(i.Name, "/")
		if law.CheckName(region) != nil || law.CheckName(service) != nil || strings.Contains(service, "/") {
			return fmt.Errorf("name: want region/service, such as eu-central-1/s3")
		}
	case "header":
		if !token(i.Name) || contains(framing, i.Name) { //guard:R5 inject-header-name
			return fmt.Errorf("name: want a header in lower case, and none that frames the request")
		}
	case "query", "basic":
		if i.Name == "" || len(i.Name) > maxNameBytes || !printable(i.Name) || i.How == "basic" && strings.Contains(i.Name, ":") {
			return fmt.Errorf("name: want 1 to %d printable bytes, no colon in a user", maxNameBytes)
		}
	}
	return nil
}

// framing lists the headers that say where a request ends or goes.
var framing = []string{"connection", "content-length", "host", "te", "trailer", "transfer-encoding", "upgrade"}

// token reports whether s is a header name in lower case. Source: RFC 9110,
// section 5.6.2 "Tokens".
func token(s string) bool {
	return s != "" && len(s) <= maxNameBytes && !strings.ContainsFunc(s, func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c < 0x80 && strings.ContainsRune("!#$%&'*+-.^_`|~", c))
	})
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
		if err := checkQuorum(s.Sealers); err != nil {
			return fmt.Errorf("%s: sealers: %w", s.ID, err)
		}
		if law.CheckName(s.Recipients.Group) != nil || law.CheckName(s.Kind) != nil {
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
		if err := o.Response.check(o.Type == "sql"); err != nil {
			return fmt.Errorf("entry %d: response: %w", i, err)
		}
	}
	return nil
}

// check refuses bounds that are none, and those that only statements have, or only
// other operations: nothing would hold them.
func (r *Response) check(sql bool) error {
	if r == nil {
		return nil
	}
	if r.MaxRows < 0 || r.MaxSeconds < 0 || !sql && r.MaxRows+r.MaxSeconds > 0 { //guard:R15 response-rows
		return fmt.Errorf("max_rows and max_seconds must be 0 or more, and are for type sql")
	}
	if sql && len(r.Headers)+len(r.Redact) > 0 { //guard:R15 response-sql
		return fmt.Errorf("headers and redact are not for type sql")
	}
	if r.MaxBytes < 0 || len(r.Headers) > maxListed || len(r.Redact) > maxListed {
		return fmt.Errorf("max_bytes must be 0 or more; headers and redact have at most %d entries", maxListed)
	}
	for i, h := range r.Headers {
		if !token(h) || contains(r.Headers[:i], h) || contains(framing, h) { //guard:R15 response-framing
			return fmt.Errorf("headers: entry %d is no header in lower case, frames the response, or stands twice", i)
		}
	}
	for i, p := range r.Redact {
		if p == "" || len(p) > maxNameBytes || contains(r.Redact[:i], p) || contains(strings.Split(p, "."), "") {
			return fmt.Errorf("redact: entry %d is no path, or stands twice", i)
		}
	}
	return nil
}

// declares reports whether some operation lists the action.
func (d *Document) declares(action string) bool {
	return slices.ContainsFunc(d.Operations, func(o Operation) bool { return contains(o.Actions, action) })
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
		case q.Limit < 0 || q.WindowS < 0 || law.CheckName(q.Unit) != nil:
			return fmt.Errorf("%s: limit and window_s must be 0 or more, and unit be a name", q.ID)
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
	for _, a := range sortedKeys(d.Pop.Actions) {
		if l := d.Pop.Actions[a]; l < op.Bearer || l > op.Person {
			return fmt.Errorf("%s: want 0 to 4", a)
		}
		if !d.declares(a) { //guard:R4 pop-action-declared
			return fmt.Errorf("%s: no operation lists the action", a) // misspelt, it would leave the default
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
		if err := checkPatterns(i.Subjects); err != nil {
			return fmt.Errorf("issuers: %s: subjects: %w", i.Principal, err)
		}
	}
	if err := checkQuorum(q); err != nil {
		return fmt.Errorf("issuers: %w", err)
	}
	if g.MaxDepth < 0 || g.MaxDepth > maxDepthCap || g.MaxTTLS < 1 {
		return fmt.Errorf("max_depth: want 0 to %d; max_ttl_s: want 1 or more", maxDepthCap)
	}
	return nil
}

// checkPatterns refuses patterns that match otherwise than they look: only a
// star at the end stands for anything.
func checkPatterns(list []string) error {
	if len(list) == 0 || len(list) > maxListed {
		return fmt.Errorf("want 1 to %d patterns", maxListed)
	}
	for _, s := range list {
		if s == "" || len(s) > maxNameBytes || strings.Contains(strings.TrimSuffix(s, "*"), "*") { //guard:A22 subject-pattern
			return fmt.Errorf("a pattern is empty, too long, or has a star that is not its end")
		}
	}
	return nil
}

// checkQuorum checks a quorum and the names of its members.
func checkQuorum(q sign.Quorum) error {
	if len(q.Members) > maxListed {
		return fmt.Errorf("%d members; at most %d", len(q.Members), maxListed)
	}
	for _, m := range q.Members {
		if err := law.CheckName(m); err != nil {
			return err
		}
	}
	return q.Check()
}

func (d *Document) checkReceipts() error {
	if m := d.Receipts.Mode; m != modeBuffered && m != modeDurable {
		return fmt.Errorf("mode: want buffered or durable (witnessed: %w)", ErrUnsupported)
	}
	if d.Receipts.RetainS < 0 {
		return fmt.Errorf("retain_s: want 0 or more")
	}
	return nil
}

func (d *Document) checkFreshness() error {
	if s := d.Freshness.MaxStalenessS; s < 1 || s > maxStalenessCap {
		return fmt.Errorf("max_staleness_s: want 1 to %d", maxStalenessCap)
	}
	return nil
}

func (d *Document) checkGovernance() error {
	g := &d.Governance
	if err := checkQuorum(g.Successor); err != nil {
		return fmt.Errorf("successor: %w", err)
	}
	if err := atLeast(g.DelayS, 0); err != nil {
		return fmt.Errorf("delay_s: %w", err)
	}
	return unsupported(g.Override != nil || g.DelayS > 0)
}
