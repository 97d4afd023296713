// Package people holds the commands on who may do what: key and root.
package people

import (
	"context"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/writhq/writ/internal/cli/shell"
	"github.com/writhq/writ/internal/identity"
	"github.com/writhq/writ/sign"
)

// Commands returns the commands of this package.
func Commands(sh *shell.Shell) []*cobra.Command {
	return []*cobra.Command{
		shell.Group("key", "Keys of people, services and agents", keyNew(sh), keyShow(sh), keyPassphrase(sh), keyTLS(sh)),
		shell.Group("root", "The root: who may do what in a zone", rootNew(sh), rootSign(sh), rootShow(sh), rootPublish(sh)),
	}
}

// roles say which line of a root a key is for.
var roles = map[string]string{
	"policy":   "signs policies: list it with the use policy",
	"sealer":   "vouches for secrets: list it with the use sealer",
	"issuer":   "signs grants: list it with the use issuer",
	"holder":   "uses credentials: name it in writ grant --holder or writ narrow --holder; it is in no root",
	"root":     "signs roots: list it with the use root",
	"revoke":   "revokes: list it with the use revoke",
	"reader":   "reads receipts and listings: list it with the use reader",
	"approver": "approves operations",
}

func keyNew(sh *shell.Shell) *cobra.Command {
	var role, alg string
	var insecure bool
	cmd := shell.Command{
		Use: "new NAME", Short: "Make a key: NAME.key, wrapped by a passphrase, and NAME.pub",
		Example: "  writ key new ana --role policy\n  writ key new agent --role holder --algorithm p256",
		Args:    cobra.ExactArgs(1),
		Run: func(_ context.Context, args []string) error {
			what, ok := roles[role]
			if !ok {
				return shell.Usage("--role: want policy, sealer, issuer, holder, root, revoke, reader or approver")
			}
			k, err := generate(alg)
			if err != nil {
				return err
			}
			file, err := wrapKey(sh, k, args[0], insecure)
			if err != nil {
				return err
			}
			if err := shell.WriteNew(args[0]+".key", file, 0o600); err != nil {
				return err
			}
			if err := shell.WriteNew(args[0]+".pub", []byte(k.Public().String()+"\n"), 0o644); err != nil {
				return err
			}
			return sh.Result(describe(k.Public(), insecure), func() {
				sh.Say("%s.key and %s.pub: %s", args[0], args[0], k.Public())
				sh.Say("it %s", what)
			})
		},
	}.Cobra()
	cmd.Flags().StringVar(&role, "role", "", "what it is for: policy, sealer, issuer, holder, root, revoke, reader, approver")
	cmd.Flags().StringVar(&alg, "algorithm", "ed25519", "ed25519 or p256")
	cmd.Flags().BoolVar(&insecure, "insecure-plaintext", false, "do not wrap it: for trials, and for services that have no one to ask")
	return cmd
}

func generate(alg string) (sign.PrivateKey, error) {
	switch alg {
	case "ed25519":
		return sign.Generate(sign.Ed25519)
	case "p256":
		return sign.Generate(sign.P256)
	}
	return sign.PrivateKey{}, shell.Usage("--algorithm: want ed25519 or p256")
}

func wrapKey(sh *shell.Shell, k sign.PrivateKey, name string, insecure bool) ([]byte, error) {
	if insecure {
		return identity.WrapKeyInsecure(k)
	}
	p, err := sh.KeyPassphrase("new passphrase of "+name+".key", true)
	if err != nil {
		return nil, err
	}
	defer p.Wipe()
	return identity.WrapKey(k, p)
}

// keyInfo is a key as --json shows it.
type keyInfo struct {
	Public     string `json:"public"`
	Thumbprint string `json:"thumbprint"`
	Insecure   bool   `json:"insecure_plaintext"`
}

func describe(k sign.PublicKey, insecure bool) keyInfo {
	return keyInfo{k.String(), k.ID().String(), insecure}
}

func keyShow(sh *shell.Shell) *cobra.Command {
	return shell.Command{
		Use: "show FILE", Short: "Show the public part of a key file",
		Example: "  writ key show ana.pub\n  writ key show ana.key",
		Args:    cobra.ExactArgs(1),
		Run: func(_ context.Context, args []string) error {
			info := keyInfo{}
			if filepath.Ext(args[0]) == ".key" {
				b, err := sh.Read(args[0], shell.PrivateKey)
				if err != nil {
					return err
				}
				info.Insecure = identity.KeyInsecure(b)
				clear(b)
				k, err := sh.Key(args[0])
				if err != nil {
					return err
				}
				info = describe(k.Public(), info.Insecure)
			} else {
				k, err := sh.PublicKey(args[0])
				if err != nil {
					return err
				}
				info = describe(k, false)
			}
			return sh.Result(info, func() {
				sh.Say("key         %s", info.Public)
				sh.Say("thumbprint  %s", info.Thumbprint)
				if info.Insecure {
					sh.Say("WARNING     the file is in the clear")
				}
			})
		},
	}.Cobra()
}

func keyPassphrase(sh *shell.Shell) *cobra.Command {
	var fresh string
	cmd := shell.Command{
		Use: "passphrase FILE", Short: "Change the passphrase of a key file",
		Long:    "Wraps the key under a new passphrase; it stays the same key. One in the clear gets its first\npassphrase. Copies of the file keep the passphrase that they have.",
		Example: "  writ key passphrase ana.key\n  writ key passphrase ana.key --passphrase-file old.txt --new-passphrase-file new.txt", Args: cobra.ExactArgs(1),
		Run: func(_ context.Context, args []string) error {
			k, err := sh.Key(args[0])
			if err != nil {
				return err
			}
			p, err := sh.Passphrase(shell.Ask{What: "new passphrase of " + args[0], File: fresh, Flag: "--new-passphrase-file", Fresh: true})
			if err != nil {
				return err
			}
			defer p.Wipe()
			b, err := identity.WrapKey(k, p)
			if err != nil {
				return err
			}
			if again, err := identity.UnwrapKey(b, p); err != nil || again.Public() != k.Public() { // what does not open must not replace what does
				return shell.Fail("try again; the file is as it was", "the new file would not open")
			}
			if err := shell.WriteOver(args[0], b); err != nil {
				return err
			}
			return sh.Result(describe(k.Public(), false), func() { sh.Say("%s is wrapped by the new passphrase; the key is the same: %s", args[0], k.Public()) })
		},
	}.Cobra()
	cmd.Flags().StringVar(&fresh, "new-passphrase-file", "", "file with the new passphrase; without it, it is asked for")
	return cmd
}

// list splits a list at commas.
func list(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' })
}
