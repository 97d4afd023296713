package policies

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/cli/shell"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/sign"
)

// options are what policy new is told, by flags or a file of answers.
type options struct {
	Alias    string   `json:"alias"`
	Origin   string   `json:"origin"`
	Target   string   `json:"target"`
	Pins     []string `json:"pins,omitempty"`
	Private  bool     `json:"private,omitempty"`
	Region   string   `json:"region,omitempty"`
	Inject   string   `json:"inject"` // see injections
	Secret   string   `json:"secret"`
	Kind     string   `json:"kind,omitempty"`
	Group    string   `json:"group"`
	Signers  string   `json:"signers"` // THRESHOLD:NAME,…
	Sealers  string   `json:"sealers"`
	Issuers  []string `json:"issuers"`  // NAME=PATTERN,…
	Purposes []string `json:"purposes"` // ID=TEXT
	Allow    []string `json:"allow"`
	Quotas   []string `json:"quotas,omitempty"` // ID=LIMIT/WINDOW/PER[/AMOUNT]
	Days     int      `json:"days"`
}

func newCommand(sh *shell.Shell) *cobra.Command {
	o := options{Target: "api", Inject: "header:authorization:Bearer ", Secret: "api-key", Group: "main", Days: 90}
	var file, out, after string
	cmd := shell.Command{
		Use: "new", Short: "Write a policy to start from: NAME.jsonc with comments, and NAME.cedar with its rules",
		Long: "Writes a policy from flags or a file of answers. Each --allow becomes a rule:\n\n  METHOD PATH [MEMBER:TYPE[<=MAX][>=MIN]]… [for PURPOSE]\n\n" +
			"PATH may end in *. Members are of the query for GET and DELETE, else of the JSON body. An\nupper bound brings the lower bound 0 with it. Types: int, decimal, string, bool, set, any.\n\nOf a database it is\n\n" +
			"  SELECT, INSERT or UPDATE TABLE COLUMN,… or *, or DELETE TABLE [for PURPOSE]\n\nwith TABLE as schema.name. UPDATE and DELETE also take a SELECT of the columns in their WHERE.\n\n" + injectHelp(),
		Example: "  writ policy new --alias payments/refunds --origin https://api.example.com --target orders \\\n    --secret orders-key --signers 2:ana,bo --sealers 1:sam --issuer iris=svc/* \\\n" +
			"    --purpose 'refund=Return money' --purpose 'support=Answer a customer' \\\n    --allow 'GET /orders/*' --allow 'POST /refunds order:string amount:int<=5000 for refund' --out refunds\n" +
			"  writ policy new --alias shop/reports --origin postgres://db.example:5432/shop --target shop --secret shop-db \\\n    --inject password:app " +
			"--signers 2:ana,bo --sealers 1:sam --issuer iris=svc/* --allow 'SELECT public.orders id,total' --out reports\n" +
			"  writ policy new --after payments/refunds --out refunds-2      (a successor, to edit)",
		Run: func(ctx context.Context, _ []string) error {
			if out == "" {
				return shell.Usage("name the files: --out NAME")
			}
			if after != "" {
				return successor(ctx, sh, after, out)
			}
			if file != "" {
				b, err := sh.Read(file, shell.Answers)
				if err != nil {
					return err
				}
				if err := shell.DecodeJSON(b, &o); err != nil {
					return shell.Answers.Bad(file, err)
				}
			}
			d, err := o.document(sh.Now())
			if err != nil {
				return err
			}
			return writeSource(sh, out, d)
		},
	}.Cobra()
	f := cmd.Flags()
	f.StringVar(&out, "out", "", "name of the files, without their endings")
	f.StringVar(&after, "after", "", "write the successor of this alias's policy in force instead")
	f.StringVar(&file, "answers", "", "JSON file with the answers: the flags' names, lists in []")
	o.flags(cmd)
	return cmd
}

func (o *options) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.Alias, "alias", "", "name of the line of policies, such as payments/refunds")
	f.StringVar(&o.Origin, "origin", "", "where the API is, https://host[:port], or the database, postgres://host[:port]/name")
	f.StringVar(&o.Target, "target", o.Target, "name of the API in paths of the gate: /t/TARGET/…")
	f.StringSliceVar(&o.Pins, "pin", nil, "sha256:… of the API's TLS key (SubjectPublicKeyInfo), instead of an authority")
	f.BoolVar(&o.Private, "private", false, "the API may be on a private network")
	f.StringVar(&o.Region, "region", "", "where the API is")
	f.StringVar(&o.Inject, "inject", o.Inject, "how the secret is sent: "+forms(""))
	f.StringVar(&o.Secret, "secret", o.Secret, "id of the secret")
	f.StringVar(&o.Kind, "kind", o.Kind, "kind of the secret, a name for people (default: by --inject, such as http-bearer)")
	f.StringVar(&o.Group, "group", o.Group, "gate group that may open it")
	f.StringVar(&o.Signers, "signers", "", "who changes the policy: THRESHOLD:NAME,…")
	f.StringVar(&o.Sealers, "sealers", "", "who vouches for the secret: THRESHOLD:NAME,…")
	f.StringArrayVar(&o.Issuers, "issuer", nil, "who grants to whom: NAME=SUBJECT,… such as iris=svc/*")
	f.StringArrayVar(&o.Purposes, "purpose", nil, "ID=TEXT")
	f.StringArrayVar(&o.Allow, "allow", nil, "METHOD PATH [MEMBER:TYPE[<=MAX]]…, or VERB TABLE [COLUMN,…]; then [for PURPOSE]")
	f.StringArrayVar(&o.Quotas, "quota", nil, "ID=LIMIT/WINDOW/PER[/AMOUNT], such as per-day=100/24h/subject")
	f.IntVar(&o.Days, "days", o.Days, "days until it expires")
}

// An allowance is one --allow.
type allowance struct {
	method, path, purpose string
	members               []bounded
}

type bounded struct {
	op.Member
	bounds []string // such as <= 5000
}

// methods are those of http/1.
var methods = []string{"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"}

var memberForm = regexp.MustCompile(`^([A-Za-z0-9_.\[\]-]+):(int|decimal|string|bool|set|any)((?:[<>]=-?[0-9.]+)*)$`)

var boundForm = regexp.MustCompile(`([<>]=)(-?[0-9.]+)`)

func parseAllow(s string) (*allowance, error) {
	f := strings.Fields(s)
	if len(f) < 2 || !strings.HasPrefix(f[1], "/") {
		return nil, shell.Usage("--allow %q: want METHOD PATH", s)
	}
	a := &allowance{method: strings.ToUpper(f[0]), path: f[1]}
	if !slices.Contains(methods, a.method) {
		return nil, shell.Usage("--allow %q: want a method of %s", s, strings.Join(methods, ", "))
	}
	for i := 2; i < len(f); i++ {
		if f[i] == "for" && i == len(f)-2 {
			a.purpose = f[i+1]
			break
		}
		m := memberForm.FindStringSubmatch(f[i])
		if m == nil {
			return nil, shell.Usage("--allow %q: %q: want MEMBER:TYPE, MEMBER:TYPE<=MAX, or for PURPOSE at the end", s, f[i])
		}
		b := bounded{Member: op.Member{Path: m[1], Type: m[2], Required: true}}
		upper, lower := false, false
		for _, x := range boundForm.FindAllStringSubmatch(m[3], -1) {
			b.bounds = append(b.bounds, x[1]+" "+x[2])
			upper, lower = upper || x[1] == "<=", lower || x[1] == ">="
		}
		if upper && !lower { // A7: else a negative amount refills what it debits
			b.bounds = append([]string{">= 0"}, b.bounds...)
		}
		a.members = append(a.members, b)
	}
	return a, nil
}

// inBody reports whether requests of the method carry their members in a body.
func inBody(method string) bool { return method == "POST" || method == "PUT" || method == "PATCH" }

func quorum(flag, s string) (q sign.Quorum, err error) {
	n, names, ok := strings.Cut(s, ":")
	q.Threshold, err = strconv.Atoi(n)
	q.Members = strings.FieldsFunc(names, func(r rune) bool { return r == ',' })
	if !ok || err != nil || q.Check() != nil {
		return q, shell.Usage("--%s: want THRESHOLD:NAME,… such as 2:ana,bo", flag)
	}
	return q, nil
}

// document returns the policy that the options describe.
func (o *options) document(now time.Time) (*policy.Document, error) {
	if o.Alias == "" || o.Origin == "" || len(o.Allow) == 0 && !o.database() {
		return nil, shell.Usage("--alias, --origin and at least one --allow are needed; see writ policy new --help")
	}
	if strings.HasPrefix(o.Origin, "postgresql:") {
		return nil, shell.Usage("--origin %q: a database is postgres://host[:port]/name", o.Origin)
	}
	signers, err := quorum("signers", o.Signers)
	if err != nil {
		return nil, err
	}
	from := now.UTC().Truncate(time.Hour)
	d := &policy.Document{
		Alias: o.Alias, Version: 1, NotBefore: from.Unix(), Expires: from.AddDate(0, 0, o.Days).Unix(),
		Language:   policy.Language{Cedar: "4", Mappers: map[string]int{"http": 1}},
		Secrets:    []policy.Secret{},
		Pop:        policy.Pop{Default: op.Signed},
		Delegation: policy.Delegation{Threshold: 1, MaxDepth: 2, MaxTTLS: 30 * 86400},
		Receipts:   policy.Receipts{Mode: "durable"}, Freshness: policy.Freshness{MaxStalenessS: 60},
		Governance: policy.Governance{Successor: signers},
	}
	for _, s := range o.Purposes {
		id, text, _ := strings.Cut(s, "=")
		d.Purposes = append(d.Purposes, policy.Purpose{ID: id, Text: text})
	}
	for _, s := range o.Issuers {
		name, subjects, ok := strings.Cut(s, "=")
		if !ok {
			return nil, shell.Usage("--issuer %q: want NAME=SUBJECT,… such as iris=svc/*", s)
		}
		d.Delegation.Issuers = append(d.Delegation.Issuers, policy.Issuer{Principal: name, Subjects: strings.Split(subjects, ",")})
	}
	if len(d.Delegation.Issuers) == 0 {
		return nil, shell.Usage("--issuer is needed: who may issue credentials, and for whom")
	}
	operations := o.operations
	if o.database() {
		d.Language.Mappers, d.Pop.Default = map[string]int{"sql": 1}, op.Channel
		operations = o.statements
	}
	for _, fill := range []func(*policy.Document) error{o.target, operations, o.quotas} {
		if err := fill(d); err != nil {
			return nil, err
		}
	}
	probe := *d
	probe.Zone = canon.Hash([]byte("any")) // the pinned root's, when it is signed
	if err := probe.Check(); err != nil {
		return nil, shell.Advise(err, "give the flag or answer that it names another value: writ policy new --help")
	}
	return d, nil
}

// target adds where the secret goes and who vouches for it.
func (o *options) target(d *policy.Document) error {
	t := policy.Target{ID: o.Target, Kind: "http", Origin: o.Origin, Pins: o.Pins, Private: o.Private, Region: o.Region}
	if o.database() {
		t.Kind = "postgres"
	}
	in, way, err := parseInject(o.Inject, t.Kind)
	if err != nil {
		return err
	}
	t.Inject = in
	if in.How != "none" {
		sealers, err := quorum("sealers", o.Sealers)
		if err != nil {
			return err
		}
		t.Secret = o.Secret
		d.Secrets = []policy.Secret{{ID: o.Secret, Kind: cmp.Or(o.Kind, way.kind), Sealers: sealers, Recipients: policy.Recipients{Group: o.Group, T: 1}}}
	}
	d.Targets = []policy.Target{t}
	return nil
}

// operations adds declarations and rules: one declaration a method.
func (o *options) operations(d *policy.Document) error {
	var all []*allowance
	count := map[string]int{}
	for _, s := range o.Allow {
		a, err := parseAllow(s)
		if err != nil {
			return err
		}
		if a.purpose != "" && !slices.ContainsFunc(d.Purposes, func(p policy.Purpose) bool { return p.ID == a.purpose }) {
			return shell.Usage("--allow %q: no --purpose %s=TEXT lists the purpose, so it would permit nothing", s, a.purpose)
		}
		all = append(all, a)
		count[a.method]++
	}
	for _, a := range all {
		action := "http:" + a.method
		at := slices.IndexFunc(d.Operations, func(x policy.Operation) bool { return x.Actions[0] == action })
		if at < 0 {
			d.Operations = append(d.Operations, policy.Operation{Declaration: op.Declaration{Type: "http", Targets: []string{o.Target}, Actions: []string{action}}})
			at = len(d.Operations) - 1
		}
		declare(&d.Operations[at].Declaration, a, count[a.method] == 1)
	}
	for i, a := range all {
		d.Rules += rule(a, ruleID(a, i, all), foreign(a, all))
	}
	return nil
}

// declare adds a's members to the declaration. Several rules share it: then each
// member is optional, and the rules ask for what they need.
func declare(d *op.Declaration, a *allowance, alone bool) {
	list := &d.Query
	if inBody(a.method) {
		if d.Body == nil {
			d.Body = &op.Body{Types: []string{"application/json"}}
		}
		list = &d.Body.Members
	}
	for _, m := range a.members {
		m.Required = alone
		if !slices.ContainsFunc(*list, func(x op.Member) bool { return x.Path == m.Path }) {
			*list = append(*list, m.Member)
		}
	}
}

func ruleID(a *allowance, i int, all []*allowance) string {
	id := strings.ToLower(a.method) + "-" + strings.Trim(regexp.MustCompile(`[^A-Za-z0-9]+`).ReplaceAllString(a.path, "-"), "-")
	id = strings.TrimSuffix(id, "-")
	for _, other := range all[:i] {
		if other.method == a.method && other.path == a.path {
			return fmt.Sprintf("%s-%d", id, i+1)
		}
	}
	return id
}

// foreign returns the members that other rules of a's method have and a has not;
// nil if a is alone with its method.
func foreign(a *allowance, all []*allowance) []string {
	var out []string
	for _, other := range all {
		if other == a || other.method != a.method {
			continue
		}
		if out == nil {
			out = []string{}
		}
		for _, m := range other.members {
			mine := slices.ContainsFunc(a.members, func(x bounded) bool { return x.Path == m.Path })
			if !mine && m.Type != "any" && !slices.Contains(out, m.Path) {
				out = append(out, m.Path)
			}
		}
	}
	return out
}

// rule returns the Cedar rule of a. Members that only other rules of its method
// speak of may not be there.
func rule(a *allowance, id string, foreign []string) string {
	alone := foreign == nil
	var when []string
	if strings.Contains(a.path, "*") {
		when = append(when, fmt.Sprintf("resource.path like %q", a.path))
	} else {
		when = append(when, fmt.Sprintf("resource.path == %q", a.path))
	}
	if a.purpose != "" {
		when = append(when, fmt.Sprintf("context.purpose == %q", a.purpose))
	}
	where := "context.query"
	if inBody(a.method) {
		where = "context.body"
		if !alone && len(a.members) > 0 {
			when = append(when, "context has body")
		}
	}
	for _, m := range a.members {
		if m.Type == "any" {
			continue // rules do not see it
		}
		if !alone {
			when = append(when, where+" has "+m.Path)
		}
		for _, b := range m.bounds {
			when = append(when, compareRule(where+"."+m.Path, m.Type, b))
		}
	}
	for _, name := range foreign {
		if inBody(a.method) && len(a.members) == 0 {
			when = append(when, fmt.Sprintf("!(context has body && context.body has %s)", name))
		} else {
			when = append(when, fmt.Sprintf("!(%s has %s)", where, name))
		}
	}
	return fmt.Sprintf("// %s %s%s\n@id(%q)\npermit (principal, action == Action::\"http:%s\", resource)\nwhen {\n  %s\n};\n\n",
		a.method, a.path, forPurpose(a.purpose), id, a.method, strings.Join(when, " &&\n  "))
}

func forPurpose(p string) string {
	if p == "" {
		return ""
	}
	return ", for the purpose " + p
}

func compareRule(what, typ, bound string) string {
	cmp, n, _ := strings.Cut(bound, " ")
	if typ != "decimal" {
		return what + " " + bound
	}
	if !strings.Contains(n, ".") {
		n += ".0"
	}
	if cmp == "<=" {
		return fmt.Sprintf("%s.lessThanOrEqual(decimal(%q))", what, n)
	}
	return fmt.Sprintf("%s.greaterThanOrEqual(decimal(%q))", what, n)
}

// quotas adds limits.
func (o *options) quotas(d *policy.Document) error {
	for _, s := range o.Quotas {
		id, rest, _ := strings.Cut(s, "=")
		f := strings.Split(rest, "/")
		if len(f) < 3 || len(f) > 4 {
			return shell.Usage("--quota %q: want ID=LIMIT/WINDOW/PER[/AMOUNT], such as per-day=100/24h/subject", s)
		}
		limit, err := strconv.ParseInt(f[0], 10, 64)
		window, werr := time.ParseDuration(f[1])
		if err != nil || werr != nil {
			return shell.Usage("--quota %q: LIMIT is a number, WINDOW such as 24h, or 0s for ever", s)
		}
		q := policy.Quota{ID: id, Limit: limit, WindowS: int64(window / time.Second), Per: f[2], Unit: "ops"}
		if len(f) == 4 {
			q.Amount, q.Unit = f[3], path.Base(strings.ReplaceAll(f[3], ".", "/"))
		}
		d.Quotas = append(d.Quotas, q)
	}
	return nil
}
