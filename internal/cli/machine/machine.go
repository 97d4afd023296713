// Package machine holds the commands of whoever runs a server: init, server,
// unseal, status, passphrase, backup, restore, doctor.
package machine

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/writhq/writ/api"
	"github.com/writhq/writ/internal/cli/shell"
	"github.com/writhq/writ/internal/server"
	"github.com/writhq/writ/secret"
)

// Commands returns the commands of this package.
func Commands(sh *shell.Shell) []*cobra.Command {
	return []*cobra.Command{initCommand(sh), serverCommand(sh), unseal(sh), status(sh), passphrase(sh), backup(sh), restore(sh), doctor(sh), sessions(sh)}
}

func initCommand(sh *shell.Shell) *cobra.Command {
	var s server.Setup
	var ringPass string
	cmd := shell.Command{
		Use: "init", Short: "Make the folder of a server: keys, certificate, configuration",
		Long:    "Makes a folder with the gate's keys, wrapped by a passphrase, a TLS certificate and a\nconfiguration, and writes the public facts that the root needs to gate.json.",
		Example: "  writ init --dir writ --gate gate-1 --group prod\n  writ root new --gate writ/gate.json --principal ana=ana.pub:root,policy …",
		Run: func(context.Context, []string) error {
			if err := complete(&s); err != nil {
				return err
			}
			if !s.Insecure {
				p, err := sh.Passphrase(keyringAsk(ringPass, true))
				if err != nil {
					return err
				}
				defer p.Wipe()
				s.Passphrase = p
			}
			info, err := server.Init(s)
			if err != nil {
				return err
			}
			return sh.Result(info, func() { initDone(sh, &s) })
		},
	}.Cobra()
	f := cmd.Flags()
	f.StringVar(&s.Dir, "dir", "writ", "folder to make")
	f.StringVar(&s.Gate, "gate", "gate-1", "id of this gate: letters, digits and -_.@:/")
	f.StringVar(&s.Group, "group", "main", "gate group: secrets are sealed to a group")
	f.StringVar(&s.Domain, "domain", "", "replay domain (default GROUP/GATE)")
	f.StringVar(&s.Region, "region", "", "where this gate runs, for policies that say where")
	f.StringVar(&s.LogOrigin, "log-origin", "", "name of the policy log (default writ/GROUP)")
	f.StringVar(&s.Listen, "listen", "127.0.0.1:8443", "host:port for operations")
	f.StringVar(&s.Origin, "origin", "", "how clients reach it (default https://LISTEN)")
	f.StringVar(&s.Control, "control", "", "host:port of the control API over TLS (default: the Unix socket only)")
	f.StringSliceVar(&s.Hosts, "host", nil, "more names or addresses for the certificate")
	f.StringVar(&ringPass, "keyring-passphrase-file", "", "file with the passphrase; without it, it is asked for")
	f.BoolVar(&s.Insecure, "insecure-plaintext-keys", false, "keys in the clear, for trials only")
	return cmd
}

// keyringAsk asks for the passphrase of a server's keys.
func keyringAsk(file string, fresh bool) shell.Ask {
	return shell.Ask{What: "passphrase of the server's keys", File: file, Flag: "--keyring-passphrase-file", Fresh: fresh}
}

// complete fills in what follows from the rest.
func complete(s *server.Setup) error {
	host, _, err := net.SplitHostPort(s.Listen)
	if err != nil {
		return shell.Usage("--listen: want host:port")
	}
	if s.Domain == "" {
		s.Domain = s.Group + "/" + s.Gate
	}
	if s.LogOrigin == "" {
		s.LogOrigin = "writ/" + s.Group
	}
	if s.Origin == "" {
		s.Origin = "https://" + s.Listen
	}
	u, err := url.Parse(s.Origin)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.Path != "" {
		return shell.Usage("--origin: want https://host:port, and nothing after it")
	}
	for _, h := range []string{host, u.Hostname()} {
		if h != "" && h != "0.0.0.0" && h != "::" {
			s.Hosts = append(s.Hosts, h)
		}
	}
	if err := s.Check(); err != nil { // before a passphrase is asked for
		return shell.Usage("--%s", api.Detail(err))
	}
	return nil
}

func initDone(sh *shell.Shell, s *server.Setup) {
	if s.Insecure {
		sh.Note("WARNING: the keys are in the clear. Anyone who reads %s can open every secret sealed to this gate.", filepath.Join(s.Dir, "data"))
	}
	sh.Say("%s is ready: gate %s of group %s, replay domain %s", s.Dir, s.Gate, s.Group, s.Domain)
	sh.Say("next:")
	sh.Say("  make a root with what is in %s:   writ root new --gate %s --principal NAME=NAME.pub:USES …", server.InfoName, filepath.Join(s.Dir, server.InfoName))
	sh.Say("  first start, which names the root:  writ server --config %s --root sha256:… --root-file root.json", filepath.Join(s.Dir, server.ConfigName))
}

func serverCommand(sh *shell.Shell) *cobra.Command {
	var config string
	cmd := shell.Command{
		Use: "server", Short: "Run the gate, the authority and the log",
		Long: "Runs until it is told to stop. It starts sealed: give it the passphrase of its keys with\nwrit unseal. The first start names the root; the keys are pinned to it from then on.\nRun it as a user of its own; keys that others may read are refused.",
		Example: "  writ server --config writ/writ.json --root sha256:… --root-file root.json    (first start)\n" +
			"  writ server --config writ/writ.json",
		Run: func(ctx context.Context, _ []string) error {
			f, err := readConfig(config)
			if err != nil {
				return err
			}
			server.Tune()
			if err := server.Harden(); err != nil {
				return err
			}
			pin, file, err := sh.RootSetting()
			if err != nil {
				return err
			}
			n, err := server.NewNode(server.NodeConfig{
				File: f, Protocols: sh.Protocols, Now: sh.Now, Log: f.Logger(sh.Err), Build: sh.Build, Pin: pin, RootFile: file,
			})
			if err != nil {
				return err
			}
			return n.Run(ctx)
		},
	}.Cobra()
	cmd.Flags().StringVar(&config, "config", server.ConfigName, "configuration file")
	return cmd
}

func readConfig(name string) (*server.File, error) {
	f, err := server.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) {
		return nil, shell.Server.Missing(name, err)
	}
	if err != nil {
		return nil, shell.Server.Bad(name, err)
	}
	return f, nil
}

func unseal(sh *shell.Shell) *cobra.Command {
	var file string
	cmd := shell.Command{
		Use: "unseal", Short: "Give a sealed server the passphrase of its keys",
		Example: "  writ unseal --server writ/data/control.sock",
		Run: func(ctx context.Context, _ []string) error {
			c, err := sh.Client()
			if err != nil {
				return err
			}
			p, err := sh.Passphrase(keyringAsk(file, false))
			if err != nil {
				return err
			}
			defer p.Wipe()
			state, err := open(ctx, c, p)
			if err != nil {
				return err
			}
			return sh.Result(map[string]string{"state": state}, func() {
				if state == api.StateRestored {
					sh.Say("open, and nothing is decided: the folder was restored from a backup. next: %s", nextConfirm)
					return
				}
				sh.Say("open: operations are decided now")
			})
		},
	}.Cobra()
	cmd.Flags().StringVar(&file, "keyring-passphrase-file", "", "file with the passphrase; without it, it is asked for")
	return cmd
}

func open(ctx context.Context, c *api.Client, p secret.Bytes) (state string, err error) {
	state, err = c.Unseal(ctx, p)
	if pr, ok := errors.AsType[*api.Problem](err); ok {
		return "", shell.Fail(pr.Next, "not unsealed: %s", pr.Detail)
	}
	return state, err
}

func status(sh *shell.Shell) *cobra.Command {
	var wait time.Duration
	cmd := shell.Command{
		Use: "status", Short: "Say how the server is",
		Example: "  writ status --server writ/data/control.sock\n  writ status --wait 30s      waits until the server answers",
		Run: func(ctx context.Context, _ []string) error {
			c, err := sh.Client()
			if err != nil {
				return err
			}
			s, err := waitFor(ctx, c, wait)
			if err != nil {
				return err
			}
			if err := sh.Result(s, func() { showStatus(sh, s) }); err != nil {
				return err
			}
			if s.State == api.StateFailed {
				return shell.Fail("writ doctor", "the server has failed: %s", s.Reason)
			}
			return nil
		},
	}.Cobra()
	cmd.Flags().DurationVar(&wait, "wait", 0, "how long to wait until the server answers, such as 30s")
	return cmd
}

// waitFor asks for the status until there is an answer or the time is over.
func waitFor(ctx context.Context, c *api.Client, wait time.Duration) (*api.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, wait+10*time.Second)
	defer cancel()
	end := time.Now().Add(wait)
	for {
		s, err := c.Status(ctx)
		if err == nil && s.State != api.StateStarting || time.Now().After(end) {
			return s, err
		}
		if _, answered := errors.AsType[*api.Problem](err); answered {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func showStatus(sh *shell.Shell, s *api.Status) {
	if s.Insecure {
		sh.Say("WARNING  the keys are in the clear (--insecure-plaintext-keys): not for real secrets")
	}
	sh.Say("state    %s", s.State)
	if s.Reason != "" {
		sh.Say("because  %s", s.Reason)
	}
	if s.State == api.StateSealed {
		sh.Say("next     writ unseal")
		return
	}
	if s.State == api.StateRestored {
		sh.Say("next     %s", nextConfirm)
	}
	sh.Say("gate     %s of group %s, replay domain %s", s.Gate, s.Group, s.Domain)
	sh.Say("root     %s, version %d, until %s", s.Zone, s.RootVersion, shell.Date(s.RootExpires))
	sh.Say("ledger   %d receipts, epoch %d", s.Receipts, s.Epoch)
	sh.Say("zone     %d policies, %d secrets, %d entries in the policy log", s.Policies, s.Secrets, s.PolicyEntries)
}

func passphrase(sh *shell.Shell) *cobra.Command {
	var data, old, fresh string
	cmd := shell.Command{
		Use: "passphrase", Short: "Change the passphrase of a server's keys, while it is stopped",
		Long: "Wraps the keys in the data folder under a new passphrase; they stay the same. Keys in the\nclear get their first one. Whatever happens meanwhile, the old or the new passphrase opens\n" +
			"them. Backups keep the passphrase that they were made with.",
		Example: "  writ passphrase --data writ/data\n  writ passphrase --data writ/data --keyring-passphrase-file old.txt --new-passphrase-file new.txt",
		Run: func(context.Context, []string) error {
			if data == "" {
				return shell.Usage("name the data folder: --data FOLDER")
			}
			h, err := server.HoldKeyring(data)
			if err != nil {
				return err
			}
			defer h.Release()
			return rewrap(sh, h, old, fresh)
		},
	}.Cobra()
	cmd.Flags().StringVar(&data, "data", "", "data folder of the server")
	cmd.Flags().StringVar(&old, "keyring-passphrase-file", "", "file with the passphrase so far; without it, it is asked for")
	cmd.Flags().StringVar(&fresh, "new-passphrase-file", "", "file with the new passphrase; without it, it is asked for")
	return cmd
}

func rewrap(sh *shell.Shell, h *server.HeldKeyring, old, fresh string) error {
	was, err := secret.Bytes{}, error(nil)
	plain := h.Insecure()
	if !plain {
		if was, err = sh.Passphrase(keyringAsk(old, false)); err != nil {
			return err
		}
		defer was.Wipe()
	}
	p, err := sh.Passphrase(shell.Ask{What: "new passphrase of the server's keys", File: fresh, Flag: "--new-passphrase-file", Fresh: true})
	if err != nil {
		return err
	}
	defer p.Wipe()
	if err := h.Rewrap(was, p); err != nil {
		return err
	}
	if plain {
		sh.Note("note: the keys were in the clear until now: backups and the disk may still hold them so")
	}
	return sh.Result(map[string]bool{"changed": true}, func() {
		sh.Say("changed: writ unseal takes the new passphrase from now on. next: make a backup; those before open with the passphrase before")
	})
}

func backup(sh *shell.Shell) *cobra.Command {
	var out, data string
	cmd := shell.Command{
		Use: "backup", Short: "Copy the data folder into one file, while the server runs or not",
		Long:    "The copy is consistent. The keys in it stay wrapped by their passphrase; with\n--insecure-plaintext-keys they are in the clear there too.",
		Example: "  writ backup --server writ/data/control.sock --out writ-2026-11-24.tar\n  writ backup --data writ/data --out writ.tar      (no server runs)",
		Run: func(ctx context.Context, _ []string) error {
			if out == "" {
				return shell.Usage("name the file: --out FILE")
			}
			f, err := shell.NewFile(out, 0o600)
			if err != nil {
				return err
			}
			n, err := writeBackup(ctx, sh, data, f)
			if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
				os.Remove(out)
				return err
			}
			return sh.Result(map[string]any{"file": out, "bytes": n}, func() {
				sh.Say("%s: %d bytes. Keep it as you keep the server's disk.", out, n)
			})
		},
	}.Cobra()
	cmd.Flags().StringVar(&out, "out", "", "file to write")
	cmd.Flags().StringVar(&data, "data", "", "data folder, if no server runs on it")
	return cmd
}

func writeBackup(ctx context.Context, sh *shell.Shell, data string, f *os.File) (int64, error) {
	defer sh.Waiting("copying")()
	if data != "" {
		if err := server.BackupFolder(ctx, data, f); err != nil {
			return 0, err
		}
		return f.Seek(0, io.SeekCurrent)
	}
	c, err := sh.Client()
	if err != nil {
		return 0, err
	}
	return c.Backup(ctx, f)
}
