// Package postgres holds the commands for who runs a PostgreSQL server.
package postgres

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/cli/shell"
	"github.com/writhq/writ/internal/cli/source"
	"github.com/writhq/writ/internal/pgrole"
)

// Commands returns the commands of this package.
func Commands(sh *shell.Shell) []*cobra.Command {
	return []*cobra.Command{shell.Group("pg", "PostgreSQL: what its administrator needs", grants(sh))}
}

func grants(sh *shell.Shell) *cobra.Command {
	var role, target string
	cmd := shell.Command{
		Use: "grants POLICY", Short: "Print the role under which a policy's reach is also the database's own",
		Long: "Reads a source, a signed file or the policy in force of an alias, and prints SQL for psql: a role\n" +
			"with the least that the policy declares, for each of its targets of kind postgres. What the server\ncannot hold stands there as comments, and so does what everyone may do until it is revoked.\n" +
			"It can run again, and for a successor: what the role had on what the policy names ends first.",
		Example: "  writ pg grants reports.jsonc\n  writ pg grants reports.jsonc --target shop | psql -v ON_ERROR_STOP=1 -d shop", Args: cobra.ExactArgs(1),
		Run: func(ctx context.Context, args []string) error {
			all, err := roles(ctx, sh, args[0], role)
			if err != nil {
				return err
			}
			if target != "" {
				all = slices.DeleteFunc(all, func(r *pgrole.Role) bool { return r.Target != target })
			}
			if len(all) == 0 {
				return shell.Fail("writ policy show "+args[0]+" shows its targets", "the policy has no such target of kind postgres")
			}
			return sh.Result(all, func() {
				var text []string
				for _, r := range all {
					text = append(text, r.Text())
				}
				sh.Say("%s", strings.TrimSuffix(strings.Join(text, "\n"), "\n"))
			})
		},
	}.Cobra()
	cmd.Flags().StringVar(&role, "role", "", "name of the role, instead of the user that the policy names")
	cmd.Flags().StringVar(&target, "target", "", "this target of the policy alone")
	return cmd
}

// roles returns the roles that a policy takes; name overrides what it calls them.
func roles(ctx context.Context, sh *shell.Shell, file, name string) ([]*pgrole.Role, error) {
	d, _, err := source.Find(ctx, sh, file)
	if err != nil {
		return nil, err
	}
	c := *d
	if c.Zone.IsZero() {
		c.Zone = canon.Hash([]byte("any zone")) // the pinned root's, when it is signed
	}
	if err = c.Check(); err == nil {
		var all []*pgrole.Role
		if all, err = pgrole.Of(&c, name); err == nil {
			return all, nil
		}
	}
	next := "correct it, then: writ policy check " + file
	if name != "" {
		next = "name another role: --role NAME; writ policy check " + file + " says what else is wrong"
	}
	what, _ := shell.Explain(err)
	return nil, shell.Fail(next, "%s: %s", file, what)
}
