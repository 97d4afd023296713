package machine

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/writhq/writ/internal/cli/shell"
	"github.com/writhq/writ/internal/server"
	"github.com/writhq/writ/tlog"
)

// nextConfirm is what to do on a server whose folder was restored.
const nextConfirm = "publish again what was published since the backup, then: writ restore --confirm --server DATA/control.sock"

func restore(sh *shell.Shell) *cobra.Command {
	var in, data, head string
	var confirm bool
	cmd := shell.Command{
		Use: "restore", Short: "Make a data folder from a backup, and confirm that it has caught up",
		Long: "The folder must be empty or absent; it is there when all of the backup is, and on a failure\nnothing is left. Restore the newest backup there is.\n\n" +
			"What happened after the backup is not in it: revocations, policies and secrets that were\npublished since, and uses of limits. So a server on a restored folder denies everything, until\n" +
			"someone has published again what was published since and says so on its socket: --confirm.\nWith --head FILE that is refused unless the policy log contains a signed head that was seen\n" +
			"elsewhere: then nothing was published between the backup and that head. Uses of limits since\nthe backup stay forgotten.",
		Example: "  writ restore --in writ.tar --data writ/data\n  writ restore --confirm --server writ/data/control.sock\n  writ restore --confirm --head head.txt",
		Run: func(ctx context.Context, _ []string) error {
			switch {
			case confirm && (in != "" || data != ""):
				return shell.Usage("--confirm asks a server that runs; --in and --data make a folder before that")
			case confirm:
				return confirmRestore(ctx, sh, head)
			case head != "":
				return shell.Usage("--head goes with --confirm")
			case in == "" || data == "":
				return shell.Usage("name the backup and the folder: --in FILE --data FOLDER; or say --confirm")
			}
			return restoreFolder(sh, in, data)
		},
	}.Cobra()
	f := cmd.Flags()
	f.StringVar(&in, "in", "", "the backup")
	f.StringVar(&data, "data", "", "data folder to make")
	f.BoolVar(&confirm, "confirm", false, "say that the running server's restored folder has caught up")
	f.StringVar(&head, "head", "", "signed head of the policy log that it must contain: writ log head --out FILE")
	return cmd
}

func restoreFolder(sh *shell.Shell, in, data string) error {
	f, err := shell.Backup.Open(in)
	if err != nil {
		return err
	}
	defer f.Close()
	defer sh.Waiting("restoring")()
	err = server.Restore(f, data)
	if errors.Is(err, server.ErrBackup) {
		return shell.Backup.Bad(in, err)
	}
	if err != nil {
		return shell.Advise(err, "see to it that the folder above "+data+" can be written to, and has space")
	}
	return sh.Result(map[string]string{"data": data}, func() {
		sh.Say("%s is restored, and a server on it denies everything until it has caught up", data)
		sh.Say("next: writ server --config FILE, then writ unseal; %s", nextConfirm)
	})
}

func confirmRestore(ctx context.Context, sh *shell.Shell, head string) error {
	var b []byte
	if head != "" {
		var err error
		if b, err = sh.Read(head, shell.Head); err != nil {
			return err
		}
		if _, err := tlog.ParseCheckpoint(b); err != nil {
			return shell.Head.Bad(head, err)
		}
	}
	c, err := sh.Client()
	if err != nil {
		return err
	}
	out, err := c.Confirm(ctx, b)
	if err != nil {
		return err
	}
	return sh.Result(out, func() {
		if !out.Confirmed {
			sh.Say("nothing to confirm: the folder was not restored, or that was confirmed before. The server is %s", out.State)
			return
		}
		sh.Say("confirmed, and on record: operations are decided from now on")
		sh.Say("forgotten, and not to be brought back: uses of limits since the backup. Limits count on from there")
		sh.Say("next: writ doctor; then a backup")
	})
}
