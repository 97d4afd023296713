package machine

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/writhq/writ/api"
	"github.com/writhq/writ/internal/cli/shell"
)

func sessions(sh *shell.Shell) *cobra.Command {
	return shell.Group("sessions", "Sessions that are open at the gate, such as those of databases", sessionsLs(sh), sessionsKill(sh))
}

func sessionsLs(sh *shell.Shell) *cobra.Command {
	return shell.Command{
		Use: "ls", Short: "List the sessions that are open", Args: cobra.NoArgs,
		Example: "  writ sessions ls --server writ/data/control.sock",
		Run: func(ctx context.Context, _ []string) error {
			_, list, err := openSessions(ctx, sh)
			if err != nil {
				return err
			}
			return sh.Result(list, func() {
				if len(list) == 0 {
					sh.Say("no session is open")
				}
				for _, s := range list {
					sh.Say("%s  %s on %s for %s, from %s, since %s", short(&s), s.Subject, s.Target, orNone(s.Purpose), s.Remote, time.Unix(s.Since, 0).UTC().Format(time.RFC3339))
				}
			})
		},
	}.Cobra()
}

// openSessions returns the sessions that are open, and the client that asked.
func openSessions(ctx context.Context, sh *shell.Shell) (*api.Client, []api.SessionInfo, error) {
	c, err := sh.Client()
	if err != nil {
		return nil, nil, err
	}
	list, err := c.Sessions(ctx)
	return c, list, err
}

func orNone(purpose string) string {
	if purpose == "" {
		return "no purpose"
	}
	return purpose
}

// short returns as much of a session's id as people copy.
func short(s *api.SessionInfo) string { return s.ID.String()[:len("sha256:")+12] }

func sessionsKill(sh *shell.Shell) *cobra.Command {
	return shell.Command{
		Use: "kill ID…", Short: "End sessions, and what is under way in them", Args: cobra.MinimumNArgs(1),
		Long:    "Ends sessions and what is under way in them. An ID is as writ sessions ls shows it, or the id of the\nreceipt of the session's beginning. Who holds the credential may connect again: to keep them out,\nwrit revoke.",
		Example: "  writ sessions kill sha256:0a1b2c3d4e5f --server writ/data/control.sock",
		Run: func(ctx context.Context, args []string) error {
			c, list, err := openSessions(ctx, sh)
			if err != nil {
				return err
			}
			var found []api.SessionInfo
			for _, a := range args {
				s, err := named(list, a)
				if err != nil {
					return err
				}
				found = append(found, *s)
			}
			for _, s := range found {
				if err := c.EndSession(ctx, s.ID); err != nil {
					return err
				}
			}
			return sh.Result(found, func() {
				for _, s := range found {
					sh.Say("ended %s, of %s on %s", short(&s), s.Subject, s.Target)
				}
			})
		},
	}.Cobra()
}

// named returns the one session whose id begins as a does.
func named(list []api.SessionInfo, a string) (*api.SessionInfo, error) {
	if !strings.HasPrefix(a, "sha256:") {
		a = "sha256:" + a
	}
	var found *api.SessionInfo
	for i := range list {
		if !strings.HasPrefix(list[i].ID.String(), a) {
			continue
		}
		if found != nil {
			return nil, shell.Usage("several sessions begin with %s: give more of it", a)
		}
		found = &list[i]
	}
	if found == nil || len(a) < len("sha256:")+6 {
		return nil, shell.Fail("writ sessions ls", "no open session begins with %s, or it is less than 6 digits", a)
	}
	return found, nil
}
