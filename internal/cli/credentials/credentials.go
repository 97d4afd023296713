// Package credentials holds the commands on credentials: grant, narrow, show,
// revoke, use, connect.
package credentials

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/writhq/writ/api"
	"github.com/writhq/writ/credential"
	"github.com/writhq/writ/internal/cli/shell"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/sign"
)

// Commands returns the commands of this package.
func Commands(sh *shell.Shell) []*cobra.Command {
	return []*cobra.Command{grant(sh), narrow(sh), show(sh), revoke(sh), use(sh), connect(sh)}
}

// outOfRange says which flags have bounds.
const outOfRange = "--depth is 0 to 8, --pop 1 to 4, --valid more than 0; see --help"

// terms are the flags that grant and narrow share.
type terms struct {
	holder   string
	valid    time.Duration
	depth    int
	purposes []string
	audience []string
	secrets  []string
	limits   []string
	pop      int
	rules    string
	task     string
	out      string
}

func (t *terms) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&t.holder, "holder", "", "public key file of who will use it")
	f.DurationVar(&t.valid, "valid", 24*time.Hour, "how long it is valid from now")
	f.IntVar(&t.depth, "depth", -1, "how often it may be handed on (grant: 0; narrow: as before, less one)")
	f.StringSliceVar(&t.purposes, "purpose", nil, "only for these purposes")
	f.StringSliceVar(&t.audience, "audience-group", nil, "only at gates of these groups")
	f.StringSliceVar(&t.secrets, "secret", nil, "only with these secrets")
	f.StringArrayVar(&t.limits, "limit", nil, "ID=N: at most N of a quota's id, or uses=N")
	f.IntVar(&t.pop, "pop", 0, "least level of proof, 1 to 4")
	f.StringVar(&t.rules, "rules", "", "file with Cedar rules that narrow it further")
	f.StringVar(&t.task, "task", "", "what it is for, for people to read")
	f.StringVar(&t.out, "out", "", "file to write, such as NAME.writ")
}

// apply puts the flags into c, which has what was there before.
func (t *terms) apply(sh *shell.Shell, c *credential.Terms) error {
	if t.out == "" || t.holder == "" {
		return shell.Usage("name the holder's public key and the file to write: --holder NAME.pub --out NAME.writ")
	}
	k, err := sh.PublicKey(t.holder)
	if err != nil {
		return err
	}
	c.Holder = credential.NewHolderKey(k)
	if t.depth >= 0 {
		c.Depth = t.depth
	}
	for _, l := range []struct {
		from []string
		to   **[]string
	}{{t.purposes, &c.Purposes}, {t.audience, &c.Audience}, {t.secrets, &c.Secrets}} {
		if l.from != nil {
			from := slices.Clone(l.from)
			*l.to = &from
		}
	}
	for _, l := range t.limits {
		id, n, _ := strings.Cut(l, "=")
		v, err := strconv.ParseInt(n, 10, 64)
		if err != nil || v < 0 {
			return shell.Usage("--limit %q: want ID=N with N of 0 or more", l)
		}
		if c.Limits == nil {
			c.Limits = map[string]int64{}
		}
		c.Limits[id] = v
	}
	if t.pop > 0 {
		c.Pop = op.Level(t.pop)
	}
	if t.task != "" {
		c.Task = t.task
	}
	return t.addRules(sh, c)
}

func (t *terms) addRules(sh *shell.Shell, c *credential.Terms) error {
	if t.rules == "" {
		return nil
	}
	b, err := sh.Read(t.rules, shell.Rules)
	if err != nil {
		return err
	}
	if _, err := policy.ParseRules(string(b)); err != nil {
		return shell.Rules.Bad(t.rules, err)
	}
	c.Rules = string(b)
	c.Language = &policy.Language{Cedar: "4", Mappers: map[string]int{"http": 1}}
	return nil
}

func (t *terms) write(sh *shell.Shell, c *credential.Chain) error {
	if err := shell.WriteNew(t.out, []byte(c.Text()+"\n"), 0o600); err != nil {
		return err
	}
	return sh.Result(describe(c), func() {
		sh.Say("%s: %d bytes with no secret in them", t.out, len(c.Bytes()))
		text(sh, c)
	})
}

func grant(sh *shell.Shell) *cobra.Command {
	var t terms
	var keys []string
	var subject string
	var pinned bool
	cmd := shell.Command{
		Use: "grant ALIAS", Short: "Issue a credential for a service or person",
		Example: "  writ grant payments/refunds --subject svc/refunds --holder service.pub --key iris.key --out service.writ", Args: cobra.ExactArgs(1),
		Run: func(ctx context.Context, args []string) error {
			z, err := sh.Zone(ctx)
			if err != nil {
				return err
			}
			p, ok := z.InForce(args[0])
			if !ok {
				return shell.Fail("writ policy show lists the policies that are", "no policy is in force for %s", args[0])
			}
			if subject == "" {
				return shell.Usage("name who it is for: --subject svc/NAME")
			}
			now := sh.Now()
			g := credential.Grant{
				Zone: z.Root().Zone(), Alias: args[0], MinVersion: p.Document().Version, Subject: op.Subject(subject),
				Terms: credential.Terms{NotBefore: now.Add(-30 * time.Second).Unix(), Expires: now.Add(t.valid).Unix()},
			}
			if pinned {
				id := p.ID()
				g.Pinned = &id
			}
			if err := t.apply(sh, &g.Terms); err != nil {
				return err
			}
			if err := listed(p.Document(), &g.Terms); err != nil {
				return err
			}
			signers, err := signersOf(sh, keys, "an issuer")
			if err != nil {
				return err
			}
			c, err := credential.Issue(g, signers...)
			if err != nil {
				return shell.Advise(err, outOfRange)
			}
			if _, err := c.Verify(p, z.Root()); err != nil { // what the gate will say
				return shell.Fail("writ policy show "+args[0]+" says who may issue what, for whom and for how long", "the gate would refuse it: %s", api.Detail(err))
			}
			return t.write(sh, c)
		},
	}.Cobra()
	t.flags(cmd)
	cmd.Flags().StringVar(&subject, "subject", "", "who it is for, such as svc/refunds")
	cmd.Flags().StringArrayVar(&keys, "key", nil, "issuer's key file; as many as the policy demands")
	cmd.Flags().BoolVar(&pinned, "pinned", false, "for this very policy only: it ends with it")
	return cmd
}

// listed refuses purposes and secrets that the policy does not list: the credential
// would permit nothing with them, now or ever.
func listed(d *policy.Document, t *credential.Terms) error {
	purpose := func(id string) bool {
		return slices.ContainsFunc(d.Purposes, func(p policy.Purpose) bool { return p.ID == id })
	}
	secret := func(id string) bool { _, ok := d.Secret(id); return ok }
	for _, l := range []struct {
		flag string
		list *[]string
		ok   func(string) bool
	}{{"--purpose", t.Purposes, purpose}, {"--secret", t.Secrets, secret}} {
		if l.list == nil {
			continue
		}
		for _, id := range *l.list {
			if !l.ok(id) {
				return shell.Fail("writ policy show "+d.Alias+" says what it lists", "%s %s: the policy in force does not list it", l.flag, id)
			}
		}
	}
	return nil
}

func signersOf(sh *shell.Shell, files []string, whose string) ([]sign.Signer, error) {
	if len(files) == 0 {
		return nil, shell.Usage("name the key of %s: --key NAME.key", whose)
	}
	var out []sign.Signer
	for _, f := range files {
		k, err := sh.Key(f)
		if err != nil {
			return nil, err
		}
		out = append(out, k)
	}
	return out, nil
}

func narrow(sh *shell.Shell) *cobra.Command {
	var t terms
	var from, key, label string
	cmd := shell.Command{
		Use: "narrow", Short: "Make a narrower credential for another holder, offline",
		Long:    "Adds a block, signed by the holder of the credential. It can only take away; nobody needs\nto be asked.",
		Example: "  writ narrow --credential service.writ --key service.key --holder agent.pub --limit uses=5 \\\n    --rules at-most-20.cedar --task 'Refund order 8831' --out agent.writ",
		Run: func(context.Context, []string) error {
			c, err := sh.Credential(from)
			if err != nil {
				return err
			}
			last := c.Last()
			if last.Depth < 0 {
				return shell.Fail("have a new one issued with --depth", "this credential may not be handed on")
			}
			last.Expires = min(last.Expires, sh.Now().Add(t.valid).Unix())
			if err := t.apply(sh, &last); err != nil {
				return err
			}
			k, err := sh.Key(key)
			if err != nil {
				return err
			}
			if k.Public() != c.Holder() {
				return shell.Fail("writ show "+from+" says whose it is", "%s is not the key of the credential's holder", key)
			}
			n, err := c.Narrow(k, label, last)
			if err != nil {
				return shell.Advise(err, "a block only takes away; writ show "+from+" says what there is. "+outOfRange)
			}
			return t.write(sh, n)
		},
	}.Cobra()
	t.flags(cmd)
	cmd.Flags().StringVar(&from, "credential", "", "the credential to narrow")
	cmd.Flags().StringVar(&key, "key", "", "key file of its holder")
	cmd.Flags().StringVar(&label, "label", "", "name of the new holder, for people")
	return cmd
}

// info is a credential as --json shows it.
type info struct {
	Digest  string    `json:"digest"`
	Alias   string    `json:"alias"`
	Subject string    `json:"subject"`
	Zone    string    `json:"zone"`
	Bytes   int       `json:"bytes"`
	Blocks  []blockOf `json:"blocks"`
}

type blockOf struct {
	ID        string           `json:"id"`
	Label     string           `json:"label,omitempty"`
	Holder    string           `json:"holder"`
	NotBefore int64            `json:"not_before"`
	Expires   int64            `json:"expires"`
	Depth     int              `json:"depth"`
	Purposes  *[]string        `json:"purposes,omitempty"`
	Audience  *[]string        `json:"audience,omitempty"`
	Secrets   *[]string        `json:"secrets,omitempty"`
	Limits    map[string]int64 `json:"limits,omitempty"`
	Pop       op.Level         `json:"pop,omitempty"`
	Rules     string           `json:"rules,omitempty"`
	Task      string           `json:"task,omitempty"`
}

func describe(c *credential.Chain) info {
	x := info{Digest: c.Digest().String(), Alias: c.Grant.Alias, Subject: string(c.Grant.Subject), Zone: c.Grant.Zone.String(), Bytes: len(c.Bytes())}
	add := func(label string, t *credential.Terms) {
		i := len(x.Blocks)
		x.Blocks = append(x.Blocks, blockOf{
			ID: c.Blocks()[i].String(), Label: label, Holder: c.Holders()[i].String(), NotBefore: t.NotBefore, Expires: t.Expires,
			Depth: t.Depth, Purposes: t.Purposes, Audience: t.Audience, Secrets: t.Secrets, Limits: t.Limits, Pop: t.Pop, Rules: t.Rules, Task: t.Task,
		})
	}
	add("", &c.Grant.Terms)
	for i := range c.Delegations {
		add(c.Delegations[i].Label, &c.Delegations[i].Terms)
	}
	return x
}

func text(sh *shell.Shell, c *credential.Chain) {
	x := describe(c)
	sh.Say("credential  %s", x.Digest)
	sh.Say("policy      %s, for %s", x.Alias, x.Subject)
	for i, b := range x.Blocks {
		kind := "grant"
		if i > 0 {
			kind = "block " + strconv.Itoa(i)
		}
		sh.Say("%-11s %s", kind, b.ID)
		sh.Say("            holder %s %s", b.Holder, b.Label)
		sh.Say("            until %s, may be handed on %d times", shell.Date(b.Expires), b.Depth)
		for _, l := range []struct {
			what string
			list *[]string
		}{{"purposes", b.Purposes}, {"gate groups", b.Audience}, {"secrets", b.Secrets}} {
			if l.list != nil {
				sh.Say("            %s: %s", l.what, strings.Join(*l.list, ", "))
			}
		}
		for id, n := range b.Limits {
			sh.Say("            at most %d of %s", n, id)
		}
		if b.Task != "" {
			sh.Say("            task: %s", b.Task)
		}
		if b.Rules != "" {
			sh.Say("            rules: %s", strings.TrimSpace(b.Rules))
		}
	}
}

func show(sh *shell.Shell) *cobra.Command {
	return shell.Command{
		Use: "show FILE", Short: "Show what is in a credential",
		Long:    "Checks every signature but the issuer's, which takes the policy: see writ grant and the gate.",
		Example: "  writ show agent.writ", Args: cobra.ExactArgs(1),
		Run: func(_ context.Context, args []string) error {
			c, err := sh.Credential(args[0])
			if err != nil {
				return err
			}
			return sh.Result(describe(c), func() { text(sh, c) })
		},
	}.Cobra()
}

// errNothing is returned when a flag that names the thing is missing.
var errNothing = errors.New("name what to revoke: --credential FILE, --block sha256:…, --revoke-key NAME.pub, --policy with --alias ALIAS, or --gate ID")
