package policies

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/cli/shell"
	"github.com/writhq/writ/internal/cli/source"
	"github.com/writhq/writ/permit"
	"github.com/writhq/writ/policy"
)

// A verdict is one operation with what the policy says of it.
type verdict struct {
	Say      string   `json:"say,omitempty"`
	Action   string   `json:"action"`
	Path     string   `json:"path"`
	Body     string   `json:"body,omitempty"`
	Purpose  string   `json:"purpose,omitempty"`
	Decision string   `json:"decision"` // permit, or the code of the denial
	Rules    []string `json:"rules,omitempty"`
	Reason   string   `json:"reason,omitempty"`
	Debits   []string `json:"debits,omitempty"`
	Expected string   `json:"expected,omitempty"`
	OK       bool     `json:"ok"` // as expected, or nothing was
}

// A remark is something that is allowed, and is probably not meant.
type remark struct {
	Code string `json:"code"` // lower-bound, minting, private, response-header, release, expired, no-where, rows, packing, mask, pop
	Text string `json:"text"`
	Next string `json:"next"`
}

// A report is what policy check found.
type report struct {
	Alias    string    `json:"alias"`
	Version  int64     `json:"version"`
	At       int64     `json:"at"`       // Unix seconds: when the probes take place
	Examples []verdict `json:"examples"` // the source's own
	Probes   []verdict `json:"probes"`   // that nobody asked for
	Warnings []remark  `json:"warnings"`
}

func check(sh *shell.Shell) *cobra.Command {
	var strict bool
	cmd := shell.Command{
		Use: "check FILE", Short: "Check a policy, and explain it by operations that it really decides",
		Long: "Reads a source or a signed file, type-checks its rules, says what its fields mean, decides\nthe source's examples and some of its own, and warns of what is probably not meant.\n" +
			"Exit code 1: the policy is wrong, an example comes out otherwise, or, with --strict, a warning.",
		Example: "  writ policy check refunds.jsonc\n  writ policy check refunds.signed.json --json", Args: cobra.ExactArgs(1),
		Run: func(_ context.Context, args []string) error {
			d, examples, err := load(sh, args[0])
			if err != nil {
				return err
			}
			if d.Zone.IsZero() {
				d.Zone = canon.Hash([]byte("any zone")) // the pinned root's, when it is signed
			}
			if err := d.Check(); err != nil {
				return wrong(args[0], err)
			}
			t, err := newTrial(d, sh.Now().Unix())
			if err != nil {
				return wrong(args[0], err)
			}
			r, err := t.report(examples)
			if err != nil {
				return wrong(args[0], err)
			}
			if d.Expires <= sh.Now().Unix() {
				r.Warnings = append(r.Warnings, remark{"expired", "it has expired: the gate denies every operation", "set a later date in expires"})
			}
			if err := sh.Result(r, func() { describe(sh, d); r.show(sh) }); err != nil {
				return err
			}
			return r.result(strict)
		},
	}.Cobra()
	cmd.Flags().BoolVar(&strict, "strict", false, "a warning is an error")
	return cmd
}

// wrong returns err, about the policy in the file, with what to do.
func wrong(name string, err error) error {
	return shell.Advise(fmt.Errorf("%s: %w", name, err), "correct it, then: writ policy check "+name)
}

func load(sh *shell.Shell, name string) (*policy.Document, []source.Example, error) {
	if strings.HasSuffix(name, source.BundleExt) {
		_, d, err := source.ReadBundle(sh, name)
		return d, nil, err
	}
	return source.Read(sh, name)
}

func (t *trial) report(examples []source.Example) (*report, error) {
	d := t.law.Document()
	r := &report{Alias: d.Alias, Version: d.Version, Examples: []verdict{}, Probes: []verdict{}, Warnings: []remark{}}
	for i := range examples {
		v, err := t.verdict(&examples[i])
		if err != nil {
			return nil, fmt.Errorf("examples[%d]: %w", i, err)
		}
		r.Examples = append(r.Examples, v)
	}
	t.settle()
	r.At = t.at
	for _, x := range t.probes() {
		v, err := t.verdict(&x)
		if err != nil {
			return nil, err
		}
		r.Probes = append(r.Probes, v)
	}
	r.Warnings = t.warnings(r.Probes)
	return r, nil
}

// verdict decides an example and says what came of it.
func (t *trial) verdict(x *source.Example) (verdict, error) {
	d, err := t.decide(x)
	if err != nil {
		return verdict{}, err
	}
	v := verdict{
		Say: x.Say, Action: "http:" + x.Method, Path: x.Path, Body: string(x.Body) + x.Form, Purpose: x.Purpose,
		Decision: outcome(&d), Expected: x.Expectation,
	}
	if x.SQL != nil {
		v.Action, v.Path = x.SQL.Action(), x.SQL.String()
	}
	for _, l := range d.Ruling.Layers {
		v.Rules = append(v.Rules, l.Rules...)
	}
	if d.Denial != nil {
		v.Reason = d.Denial.Reason
	}
	for _, b := range d.Debits {
		v.Debits = append(v.Debits, fmt.Sprintf("%d of %s", b.N, b.ID))
	}
	v.OK = v.Expected == "" || v.Expected == v.Decision
	return v, nil
}

func outcome(d *permit.Decision) string {
	if d.Permit {
		return "permit"
	}
	return string(d.Denial.Code)
}

func (r *report) show(sh *shell.Shell) {
	for _, part := range []struct {
		title string
		list  []verdict
	}{{"examples", r.Examples}, {"what it decides, on " + time.Unix(r.At, 0).UTC().Format("Monday 2006-01-02 15:04 UTC"), r.Probes}} {
		if len(part.list) > 0 {
			sh.Say("\n%s", part.title)
		}
		for i := range part.list {
			sh.Say("%s", part.list[i].line())
		}
	}
	for _, w := range r.Warnings {
		sh.Say("\nWARNING  %s\n         next: %s", w.Text, w.Next)
	}
	if len(r.Warnings) == 0 {
		sh.Say("\nno warnings")
	}
}

func (v *verdict) line() string {
	mark := "no "
	if v.Decision == "permit" {
		mark = "yes"
	}
	what := strings.TrimSpace(strings.TrimPrefix(v.Action, "http:") + " " + v.Path)
	if v.Body != "" {
		what += " " + v.Body
	}
	if v.Purpose != "" {
		what += " for " + v.Purpose
	}
	why := v.Decision
	if len(v.Rules) > 0 {
		why += " by " + strings.Join(v.Rules, ", ")
	}
	if len(v.Debits) > 0 {
		why += "; takes " + strings.Join(v.Debits, ", ")
	}
	s := fmt.Sprintf("  %s  %s  (%s)", mark, what, why)
	if v.Say != "" {
		s += "  " + v.Say
	}
	if !v.OK {
		s += fmt.Sprintf("\n  !!   expected %s", v.Expected)
	}
	return s
}

func (r *report) result(strict bool) error {
	bad := 0
	for _, v := range r.Examples {
		if !v.OK {
			bad++
		}
	}
	switch {
	case bad > 0:
		return shell.Fail("change the rules, or what the examples expect", "%d of %d examples come out otherwise", bad, len(r.Examples))
	case strict && len(r.Warnings) > 0:
		return shell.Fail("see the warnings above", "%d warnings", len(r.Warnings))
	}
	return nil
}

// purposes returns the policy's purposes, or the one that is none.
func (t *trial) purposes() []string {
	var out []string
	for _, p := range t.law.Document().Purposes {
		out = append(out, p.ID)
	}
	if len(out) == 0 {
		out = []string{""}
	}
	return out
}
