package credentials

import (
	"context"
	"errors"
	"path/filepath"
	"sync"

	"github.com/spf13/cobra"

	"github.com/writhq/writ/internal/cli/shell"
	"github.com/writhq/writ/internal/holder/pg"
	"github.com/writhq/writ/internal/server"
)

// connection is what connect is told.
type connection struct {
	gate, credential, key, purpose, socket string
}

func connect(sh *shell.Shell) *cobra.Command {
	var c connection
	cmd := shell.Command{
		Use: "connect", Short: "Let PostgreSQL clients of this machine use a credential",
		Long: "Opens a local socket to which any client of this user connects as to a server, with no password\n" +
			"and no certificate: the proof is added here, and each statement is decided at the gate.\nRuns until it is interrupted.",
		Example: "  writ connect --gate gate:5432 --credential reports.writ --key reports.key --purpose report --socket ./pg\n" +
			"  psql -h ./pg -d shop          (the database is a target of the policy)",
		Run: func(ctx context.Context, _ []string) error { return c.run(ctx, sh) },
	}.Cobra()
	f := cmd.Flags()
	f.StringVar(&c.gate, "gate", "", "host:port of the gate's listener for PostgreSQL")
	f.StringVar(&c.credential, "credential", "", "credential file")
	f.StringVar(&c.key, "key", "", "key file of its holder")
	f.StringVar(&c.purpose, "purpose", "", "what for: one of the policy's purposes; a client's own, -c writ.purpose=NAME, goes before it")
	f.StringVar(&c.socket, "socket", "", "folder for the socket, of this user alone; made if it is not there")
	return cmd
}

func (c *connection) run(ctx context.Context, sh *shell.Shell) error {
	if c.gate == "" || c.socket == "" {
		return shell.Usage("name the gate and a folder: --gate HOST:PORT --socket FOLDER")
	}
	if err := server.Harden(); err != nil { // the key stays in memory for as long as it runs
		return err
	}
	r, err := c.relay(sh)
	if err != nil {
		return err
	}
	if err := c.reach(ctx, sh, r); err != nil {
		return err
	}
	l, err := pg.Listen(ctx, c.socket)
	if err != nil {
		return shell.Advise(err, "name another folder, of this user alone: --socket FOLDER")
	}
	dir, err := filepath.Abs(c.socket)
	if err != nil {
		dir = c.socket
	}
	err = sh.Result(map[string]string{"host": dir}, func() {
		sh.Say("clients connect with: psql -h %s -d TARGET", dir)
		sh.Say("TARGET is one of the policy's; --key and --credential stay here. Interrupt to end.")
	})
	return errors.Join(err, r.Run(ctx, l))
}

// relay returns the relay of the credential's holder.
func (c *connection) relay(sh *shell.Shell) (*pg.Relay, error) {
	chain, err := sh.Credential(c.credential)
	if err != nil {
		return nil, err
	}
	k, err := sh.Key(c.key)
	if err != nil {
		return nil, err
	}
	if k.Public() != chain.Holder() {
		return nil, shell.Fail("writ show "+c.credential+" says whose it is", "%s is not the key of the credential's holder", c.key)
	}
	cas, err := sh.CAs()
	if err != nil {
		return nil, err
	}
	var one sync.Mutex // of the lines about clients, which come at the same time
	r, err := pg.New(pg.Config{Gate: c.gate, Roots: cas, Credential: chain, Key: k, Purpose: c.purpose, Note: func(format string, args ...any) {
		one.Lock()
		defer one.Unlock()
		sh.Note("writ: "+format, args...)
	}})
	if err != nil {
		what, _ := shell.Explain(err)
		return nil, shell.Usage("--%s", what)
	}
	return r, nil
}

// reach looks whether the gate is there, before any client is.
func (c *connection) reach(ctx context.Context, sh *shell.Shell, r *pg.Relay) error {
	defer sh.Waiting("waiting for the gate")()
	if err := r.Reach(ctx); err != nil {
		what, next := pg.Explain(err)
		return shell.Fail(next, "%s", what)
	}
	return nil
}
