package policies

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/writhq/writ/internal/cli/shell"
	"github.com/writhq/writ/internal/cli/source"
	"github.com/writhq/writ/policy"
)

// writeSource writes a policy as a source: JSON with comments, and the rules.
func writeSource(sh *shell.Shell, out string, d *policy.Document) error {
	b, err := source.Render(d, filepath.Base(out)+source.RulesExt)
	if err != nil {
		return err
	}
	if err := shell.WriteNew(out+source.Ext, b, 0o644); err != nil {
		return err
	}
	head := fmt.Sprintf("// The rules of %s. See https://docs.cedarpolicy.com for the language, and\n// writ policy check %s%s for what they decide.\n\n", d.Alias, filepath.Base(out), source.Ext)
	rules := strings.TrimRight(d.Rules, "\n") + "\n"
	if !strings.HasPrefix(rules, "// The rules of ") {
		rules = head + rules
	}
	if err := shell.WriteNew(out+source.RulesExt, []byte(rules), 0o644); err != nil {
		return err
	}
	return sh.Result(map[string]string{"source": out + source.Ext, "rules": out + source.RulesExt}, func() {
		sh.Say("%s%s and %s%s: %s version %d, to read and edit", out, source.Ext, out, source.RulesExt, d.Alias, d.Version)
		sh.Say("next: writ policy check %s%s, then writ policy sign %s%s --key NAME.key", out, source.Ext, out, source.Ext)
	})
}

// successor writes the source of the policy that follows the one in force.
func successor(ctx context.Context, sh *shell.Shell, alias, out string) error {
	z, err := sh.Zone(ctx)
	if err != nil {
		return err
	}
	p, ok := z.InForce(alias)
	if !ok {
		return shell.Fail("writ policy show lists the policies that are", "no policy is in force for %s", alias)
	}
	d := *p.Document()
	d.Version, d.Prev = d.Version+1, p.ID()
	life := d.Expires - d.NotBefore
	d.NotBefore = sh.Now().UTC().Truncate(time.Hour).Unix()
	d.Expires = d.NotBefore + life
	return writeSource(sh, out, &d)
}
