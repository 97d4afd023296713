package credentials

import (
	"context"
	"errors"
	"math"
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
	port                                   int
}

func connect(sh *shell.Shell) *cobra.Command {
	var c connection
	cmd := shell.Command{
		Use: "connect", Short: "Let PostgreSQL clients of this machine use a credential",
		Long: "Opens a local socket to which any client of this user connects as to a server, with no password\n" +
			"and no certificate: the proof is added here, and each statement is decided at the gate.\n" +
			"With --port also a port of this machine, for clients that do not speak to sockets, such as JDBC's: its password is\n" +
			"new each time, and stands in a password file beside the socket.\nRuns until it is interrupted.",
		Example: "  writ connect --gate gate:6432 --credential reports.writ --key reports.key --purpose report --socket ./pg\n" +
			"  psql -h $PWD/pg -d shop       (a folder is an absolute path; the database is a target of the policy)\n" +
			"  writ connect --gate gate:6432 --credential reports.writ --key reports.key --socket ./pg --port 5433\n" +
			"  psql \"host=127.0.0.1 port=5433 dbname=shop passfile=$PWD/pg/pgpass\"",
		Run: func(ctx context.Context, _ []string) error { return c.run(ctx, sh) },
	}.Cobra()
	f := cmd.Flags()
	f.StringVar(&c.gate, "gate", "", "host:port of the gate's listener for PostgreSQL")
	f.StringVar(&c.credential, "credential", "", "credential file")
	f.StringVar(&c.key, "key", "", "key file of its holder")
	f.StringVar(&c.purpose, "purpose", "", "what for: one of the policy's purposes; a client's own, -c writ.purpose=NAME, goes before it")
	f.StringVar(&c.socket, "socket", "", "folder for the socket, of this user alone; made if it is not there")
	f.IntVar(&c.port, "port", noPort, "port of 127.0.0.1 for clients that do not speak to sockets; 0 is any that is free")
	f.Lookup("port").DefValue = "0" // so that help shows none
	return cmd
}

func (c *connection) run(ctx context.Context, sh *shell.Shell) error {
	if c.gate == "" || c.socket == "" {
		return shell.Usage("name the gate and a folder: --gate HOST:PORT --socket FOLDER")
	}
	if c.port < noPort || c.port > math.MaxUint16 {
		return shell.Usage("--port %d: want 1 to 65535, or 0 for any that is free", c.port)
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
	if c.port == noPort {
		return errors.Join(opened(sh, dir, nil), r.Run(ctx, l))
	}
	p, err := pg.ListenPort(ctx, dir, uint16(c.port))
	if err != nil {
		return errors.Join(shell.Advise(err, "name another port, or any that is free: --port 0"), l.Close())
	}
	defer p.Close()
	return errors.Join(opened(sh, dir, p), both(ctx, func(ctx context.Context) error { return r.Run(ctx, l) }, func(ctx context.Context) error { return r.RunPort(ctx, p, p.Token) }))
}

// noPort is the port where none is asked for.
const noPort = -1

// both runs two functions until both have ended; the first to end ends the other.
func both(ctx context.Context, one, two func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error)
	go func() {
		defer cancel()
		ended <- two(ctx)
	}()
	err := one(ctx)
	cancel()
	return errors.Join(err, <-ended)
}

// opened says how clients connect to a socket in dir, and to p if there is one.
func opened(sh *shell.Shell, dir string, p *pg.Port) error {
	what := struct {
		Host     string `json:"host"`
		Port     int    `json:"tcp_port,omitempty"`
		Passfile string `json:"passfile,omitempty"`
	}{Host: dir}
	if p != nil {
		what.Port, what.Passfile = p.Number(), p.File
	}
	return sh.Result(what, func() {
		sh.Say("clients connect with: psql -h %s -d TARGET", dir)
		if p != nil {
			sh.Say("or by TCP with:       psql 'host=127.0.0.1 port=%d dbname=TARGET passfile=%s'", p.Number(), p.File)
		}
		sh.Say("TARGET is one of the policy's; --key and --credential stay here. Interrupt to end.")
	})
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
