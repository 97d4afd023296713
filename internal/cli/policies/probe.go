package policies

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/writhq/writ/internal/cli/source"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/op/release"
	"github.com/writhq/writ/policy"
)

var (
	// pathForm finds the paths that rules speak of.
	pathForm = regexp.MustCompile(`resource\.path\s*(?:==|like)\s*"([^"]*)"`)
	// equalForm and lowerForm find what rules want a member of a body or query to be,
	// for an example; upperForm finds upper bounds on it.
	equalForm = regexp.MustCompile(`context\.(?:body|query)\.([A-Za-z0-9_.]+)\s*==\s*(?:"([^"]*)"|(-?[0-9]+))`)
	lowerForm = regexp.MustCompile(`context\.(?:body|query)\.([A-Za-z0-9_.]+)\s*>=?\s*(-?[0-9]+)`)
	upperForm = regexp.MustCompile(`context\.(body|query)\.([A-Za-z0-9_.]+)\s*<=?\s*(-?[0-9]+)`)
	// mintingPaths are paths at which APIs give out credentials.
	mintingPaths = []string{
		"/tokens", "/token", "/v1/tokens", "/oauth/token", "/oauth2/token", "/api-keys", "/api_keys", "/v1/api_keys", "/keys", "/sessions",
		"/login", "/auth/token", "/access_tokens", "/user/tokens", "/sts",
	}
	mintingWord = regexp.MustCompile(`(?i)(token|api[-_]?key|session|login|credential|oauth|secret|password)`)
)

// paths returns the paths that the rules speak of, with an example for each *.
func paths(rules string) []string {
	var out []string
	for _, m := range pathForm.FindAllStringSubmatch(rules, -1) {
		p := strings.ReplaceAll(m[1], "*", "example")
		if !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	if len(out) == 0 {
		out = []string{"/example"}
	}
	return out
}

// wanted returns values that the rules want members to have, by member: the one
// that they compare it with, else its lower bound, else its upper.
func wanted(rules string) map[string]string {
	out := map[string]string{}
	for name, n := range bounds(rules) {
		out[name] = strconv.FormatInt(n, 10)
	}
	for _, m := range lowerForm.FindAllStringSubmatch(rules, -1) {
		out[m[1]] = m[2]
	}
	for _, m := range equalForm.FindAllStringSubmatch(rules, -1) {
		out[m[1]] = m[2] + m[3]
	}
	return out
}

// bounds returns the upper bounds that the rules have on integers, by member.
func bounds(rules string) map[string]int64 {
	out := map[string]int64{}
	for _, m := range upperForm.FindAllStringSubmatch(rules, -1) {
		if n, err := strconv.ParseInt(m[3], 10, 64); err == nil {
			out[m[2]] = max(n, out[m[2]])
		}
	}
	return out
}

// settle moves the trial's time to one at which the policy permits something: a
// policy for working hours says nothing of its borders at night.
func (t *trial) settle() {
	from := t.at
	for at := from; at < min(from+8*86400, t.law.Document().Expires); at += 3 * 3600 {
		t.at = at
		if slices.ContainsFunc(t.probes(), func(x source.Example) bool {
			d, err := t.decide(&x)
			return err == nil && d.Permit
		}) {
			return
		}
	}
	t.at = from
}

// probes returns operations that show where the policy's borders are.
func (t *trial) probes() []source.Example {
	d := t.law.Document()
	var out []source.Example
	for _, o := range d.Operations {
		if o.Type == "sql" {
			out = append(out, t.statements(&o)...)
			continue
		}
		for _, action := range o.Actions {
			method := strings.TrimPrefix(action, "http:")
			for _, p := range paths(d.Rules) {
				out = append(out, t.atPath(&o, method, p)...)
			}
		}
	}
	if !slices.ContainsFunc(d.Operations, func(o policy.Operation) bool { return o.Type != "sql" }) {
		return out[:min(len(out), maxProbes)]
	}
	all := paths(d.Rules)
	other := source.Example{Method: "DELETE", Path: all[0], Purpose: t.purposes()[0]}
	if _, declared := d.Operation("http:DELETE", d.Targets[0].ID); !declared {
		out = append(out, other)
	}
	out = append(out, source.Example{Method: strings.TrimPrefix(d.Operations[0].Actions[0], "http:"), Path: "/somewhere-else", Purpose: t.purposes()[0], Body: body(&d.Operations[0], nil), Form: form(&d.Operations[0], nil)})
	return out[:min(len(out), maxProbes)]
}

// atPath returns the probes of one method at one path: those that some purpose
// permits, at and beyond each bound; or one that none permits.
func (t *trial) atPath(o *policy.Operation, method, p string) []source.Example {
	var out []source.Example
	for _, purpose := range t.purposes() {
		x := source.Example{Method: method, Purpose: purpose}
		t.fillIn(&x, o, p, nil)
		d, err := t.decide(&x)
		if err != nil || !d.Permit {
			continue
		}
		out = append(out, x)
		for _, name := range slices.Sorted(maps.Keys(bounds(t.law.Document().Rules))) {
			n := bounds(t.law.Document().Rules)[name]
			if !hasMember(o, name) {
				continue
			}
			for _, v := range []int64{n, n + 1, -1} {
				y := source.Example{Method: method, Purpose: purpose}
				t.fillIn(&y, o, p, map[string]string{name: strconv.FormatInt(v, 10)})
				out = append(out, y)
			}
		}
	}
	return out
}

func hasMember(o *policy.Operation, name string) bool {
	list := o.Query
	if o.Body != nil {
		list = append(slices.Clone(list), o.Body.Members...)
	}
	return slices.ContainsFunc(list, func(m op.Member) bool { return m.Path == name && m.Type == "int" })
}

// fillIn gives x the path, and members as the rules want them, or of the declared
// types; some override them.
func (t *trial) fillIn(x *source.Example, o *policy.Operation, p string, some map[string]string) {
	x.Path = p
	set := wanted(t.law.Document().Rules)
	maps.Copy(set, some)
	q := url.Values{}
	for _, m := range o.Query {
		q.Set(m.Path, text(&m, set))
	}
	if len(q) > 0 {
		x.Path += "?" + q.Encode()
	}
	x.Body, x.Form = body(o, set), form(o, set)
}

// text returns an example of a member, as text.
func text(m *op.Member, set map[string]string) string {
	if v, ok := set[m.Path]; ok {
		return v
	}
	switch m.Type {
	case "int":
		return "1"
	case "decimal":
		return "1.0"
	case "bool":
		return "true"
	}
	return "example"
}

// body returns an example of a JSON body, nil if there is none.
func body(o *policy.Operation, set map[string]string) json.RawMessage {
	if o.Body == nil || !slices.Contains(o.Body.Types, "application/json") {
		return nil
	}
	tree := map[string]any{}
	for _, m := range o.Body.Members {
		at := tree
		names := strings.Split(m.Path, ".")
		for _, n := range names[:len(names)-1] {
			inner, ok := at[n].(map[string]any)
			if !ok {
				inner = map[string]any{}
				at[n] = inner
			}
			at = inner
		}
		at[names[len(names)-1]] = sample(&m, set)
	}
	b, _ := json.Marshal(tree) // of maps, numbers and strings
	return b
}

func sample(m *op.Member, set map[string]string) any {
	v := text(m, set)
	switch m.Type {
	case "int", "decimal", "bool":
		return json.RawMessage(v)
	case "set":
		return []string{v}
	}
	return v
}

// form returns an example of a form's body, if the operation takes forms alone.
func form(o *policy.Operation, set map[string]string) string {
	if o.Body == nil || slices.Contains(o.Body.Types, "application/json") || !slices.Contains(o.Body.Types, "application/x-www-form-urlencoded") {
		return ""
	}
	q := url.Values{}
	for _, m := range o.Body.Members {
		q.Set(m.Path, text(&m, set))
	}
	return q.Encode()
}

// warnings returns what the policy allows and probably does not mean.
func (t *trial) warnings(probes []verdict) []remark {
	out := []remark{}
	out = append(out, t.lowerBounds()...)
	out = append(out, t.minting(probes)...)
	out = append(out, t.private()...)
	out = append(out, t.wide()...)
	for _, o := range t.law.Document().Operations {
		if slices.Contains(o.Actions, release.Action) {
			out = append(out, remark{"release", "a secret may be given out in the clear: nothing governs it from then on (R61)", "take the operation out, unless it is meant; receipts mark each release"})
		}
		if o.Response == nil {
			continue
		}
		for _, h := range o.Response.Headers {
			if h == "set-cookie" || h == "authentication-info" || h == "proxy-authentication-info" {
				out = append(out, remark{"response-header",
					fmt.Sprintf("%s lets the response header %s through: it can carry a credential that nothing governs (A8)", strings.Join(o.Actions, ", "), h),
					"take it out of response.headers"})
			}
		}
	}
	return out
}

// private warns of an address that is never connected to unless the target says
// that it may be.
func (t *trial) private() []remark {
	var out []remark
	for _, x := range t.law.Document().Targets {
		u, err := url.Parse(x.Origin)
		if err != nil || x.Private {
			continue
		}
		a, err := netip.ParseAddr(u.Hostname())
		if u.Hostname() == "localhost" || err == nil && (a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast()) {
			out = append(out, remark{"private", "target " + x.ID + " has a private address, so no call reaches it", "add \"private\": true to the target, if it is meant"})
		}
	}
	return out
}

// lowerBounds warns of an amount that may be negative: it is asked, not guessed
// (A7).
func (t *trial) lowerBounds() []remark {
	d := t.law.Document()
	var out []remark
	for _, name := range slices.Sorted(maps.Keys(bounds(d.Rules))) {
		for i := range d.Operations {
			o := &d.Operations[i]
			if !hasMember(o, name) || !t.permitsNegative(o, name) {
				continue
			}
			out = append(out, remark{"lower-bound",
				fmt.Sprintf("%s has an upper bound and may be negative: a negative amount can undo what it counts (A7)", name),
				fmt.Sprintf("add a lower bound beside the upper one: %s >= 0", name)})
		}
	}
	return out
}

func (t *trial) permitsNegative(o *policy.Operation, name string) bool {
	for _, action := range o.Actions {
		for _, p := range paths(t.law.Document().Rules) {
			for _, purpose := range t.purposes() {
				x := source.Example{Method: strings.TrimPrefix(action, "http:"), Purpose: purpose}
				t.fillIn(&x, o, p, map[string]string{name: "-1"})
				if d, err := t.decide(&x); err == nil && (d.Permit || d.Denial.Code == op.QuotaExceeded) {
					return true
				}
			}
		}
	}
	return false
}

// minting warns of places that give out credentials (A8).
func (t *trial) minting(probes []verdict) []remark {
	found := map[string]bool{}
	for _, v := range probes {
		if v.Decision == "permit" && v.Action != "http:GET" && mintingWord.MatchString(v.Path) {
			found[strings.TrimPrefix(v.Action, "http:")+" "+v.Path] = true
		}
	}
	d := t.law.Document()
	for i := range d.Operations {
		o := &d.Operations[i]
		for _, action := range o.Actions {
			for _, p := range mintingPaths {
				if action != "http:POST" && action != "http:PUT" {
					continue
				}
				for _, purpose := range t.purposes() {
					x := source.Example{Method: strings.TrimPrefix(action, "http:"), Purpose: purpose}
					t.fillIn(&x, o, p, nil)
					if dec, err := t.decide(&x); err == nil && dec.Permit {
						found[x.Method+" "+p] = true
					}
				}
			}
		}
	}
	var out []remark
	for what := range found {
		out = append(out, remark{"minting", what + " is permitted: such places give out credentials that nothing governs (A8)", "forbid it, or permit the paths that are needed by name"})
	}
	slices.SortFunc(out, func(a, b remark) int { return strings.Compare(a.Text, b.Text) })
	return out
}
