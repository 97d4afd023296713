package policies

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/spf13/cobra"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/cli/shell"
	"github.com/writhq/writ/internal/cli/source"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/sign"
)

func show(sh *shell.Shell) *cobra.Command {
	return shell.Command{
		Use: "show [ALIAS or FILE]", Short: "Show the policies in force, or one policy",
		Example: "  writ policy show\n  writ policy show payments/refunds\n  writ policy show refunds.signed.json", Args: cobra.MaximumNArgs(1),
		Run: func(ctx context.Context, args []string) error {
			if len(args) == 0 {
				return list(ctx, sh)
			}
			d, id, err := source.Find(ctx, sh, args[0])
			if err != nil {
				return err
			}
			return sh.Result(struct {
				ID       canon.Digest     `json:"id"`
				Document *policy.Document `json:"document"`
			}{id, d}, func() {
				describe(sh, d)
				if !id.IsZero() {
					sh.Say("id          %s", id)
				}
				sh.Say("\n%s", strings.TrimSpace(d.Rules))
			})
		},
	}.Cobra()
}

func list(ctx context.Context, sh *shell.Shell) error {
	c, err := sh.Client()
	if err != nil {
		return err
	}
	all, err := c.Policies(ctx)
	if err != nil {
		return err
	}
	return sh.Result(all, func() {
		for _, p := range all {
			state := ""
			if p.Revoked {
				state = "  REVOKED"
			}
			sh.Say("%-28s version %-3d until %s  signed by %s%s", p.Alias, p.Version, shell.Date(p.Expires), strings.Join(p.Signers, ", "), state)
		}
		if len(all) == 0 {
			sh.Say("no policy is in force. next: writ policy new --help")
		}
	})
}

// describe says what the structured fields mean.
func describe(sh *shell.Shell, d *policy.Document) {
	sh.Say("policy      %s version %d, from %s until %s", d.Alias, d.Version, shell.Date(d.NotBefore), shell.Date(d.Expires))
	for _, t := range d.Targets {
		sh.Say("target      %s: %s, %s", t.ID, t.Origin, sent(&t))
	}
	for _, s := range d.Secrets {
		sh.Say("secret      %s (%s): vouched for by %s, opened by gates of group %s", s.ID, s.Kind, people(s.Sealers), s.Recipients.Group)
	}
	for _, o := range d.Operations {
		sh.Say("operations  %s on %s%s", strings.Join(o.Actions, ", "), strings.Join(o.Targets, ", "), members(&o))
		for _, line := range source.Touches(o.SQL) {
			sh.Say("            %s", line)
		}
	}
	for _, p := range d.Purposes {
		sh.Say("purpose     %s: %s", p.ID, p.Text)
	}
	for _, q := range d.Quotas {
		what := q.Amount
		if what == "" {
			what = "operations"
		}
		window := "in all"
		if q.WindowS > 0 {
			window = shellDuration(q.WindowS)
		}
		sh.Say("limit       %s: at most %d (%s) of %s %s per %s", q.ID, q.Limit, q.Unit, what, window, q.Per)
	}
	for _, i := range d.Delegation.Issuers {
		sh.Say("grants      by %s for %s, at most %d days, handed on %d times", i.Principal, strings.Join(i.Subjects, ", "), d.Delegation.MaxTTLS/86400, d.Delegation.MaxDepth)
	}
	sh.Say("changes     take %s", people(d.Governance.Successor))
}

func people(q sign.Quorum) string {
	n, _ := json.Marshal(q.Threshold)
	return string(n) + " of " + strings.Join(q.Members, ", ")
}

func shellDuration(s int64) string {
	switch {
	case s%86400 == 0:
		return "in " + itoa(s/86400) + " day(s)"
	case s%3600 == 0:
		return "in " + itoa(s/3600) + " hour(s)"
	}
	return "in " + itoa(s) + " s"
}

func itoa(n int64) string {
	b, _ := json.Marshal(n)
	return string(b)
}

func members(o *policy.Operation) string {
	var out []string
	for _, m := range o.Query {
		out = append(out, "query "+m.Path+" ("+m.Type+")")
	}
	if o.Body != nil {
		for _, m := range o.Body.Members {
			out = append(out, "body "+m.Path+" ("+m.Type+")")
		}
	}
	for _, h := range o.Headers {
		out = append(out, "header "+h)
	}
	if len(out) == 0 {
		return ""
	}
	return ": " + strings.Join(out, ", ")
}

func diff(sh *shell.Shell) *cobra.Command {
	return shell.Command{
		Use: "diff A B", Short: "Compare two policies: aliases in force, sources, signed files",
		Example: "  writ policy diff payments/refunds refunds-2.signed.json", Args: cobra.ExactArgs(2),
		Run: func(ctx context.Context, args []string) error {
			var text [2][]string
			for i, name := range args {
				d, _, err := source.Find(ctx, sh, name)
				if err != nil {
					return err
				}
				if text[i], err = lines(d); err != nil {
					return err
				}
			}
			if len(text[0]) > maxDiffLines || len(text[1]) > maxDiffLines {
				return shell.Fail("compare two files with diff: writ policy show NAME --json", "the policies are too long to compare")
			}
			changes := source.Compare(text[0], text[1])
			return sh.Result(changes, func() {
				for _, c := range changes {
					sh.Say("%s", c)
				}
				if len(changes) == 0 {
					sh.Say("no difference")
				}
			})
		},
	}.Cobra()
}

// lines returns a policy as lines: the rules as they are, the rest in JSON.
func lines(d *policy.Document) ([]string, error) {
	c := *d
	c.Rules = ""
	b, err := json.MarshalIndent(&c, "", "  ")
	if err != nil {
		return nil, err
	}
	return append(strings.Split(string(b), "\n"), strings.Split(strings.TrimSpace(d.Rules), "\n")...), nil
}
