// Package secrets holds the commands on secrets: they are sealed here, on the
// author's machine, and the server never sees them.
package secrets

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/writhq/writ/api"
	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/cli/shell"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/seal"
	"github.com/writhq/writ/secret"
	"github.com/writhq/writ/sign"
	"github.com/writhq/writ/zone"
)

// Commands returns the commands of this package.
func Commands(sh *shell.Shell) []*cobra.Command {
	return []*cobra.Command{shell.Group("secret", "Secrets: seal, list, rotate, destroy",
		put(sh, "put", "Seal a value under the policy in force, and hand it in"),
		put(sh, "rotate", "Seal a new value of a secret as its next version"),
		list(sh), show(sh), destroy(sh))}
}

func put(sh *shell.Shell, use, short string) *cobra.Command {
	var file string
	var keys []string
	cmd := shell.Command{
		Use: use + " ALIAS SECRET", Short: short,
		Long:    "Reads the value from a file, from standard input (--from -) or from the terminal without\necho; never from an argument. It is sealed here, to the keys of the gates that the pinned\nroot lists for the policy's group, and to no other key. The server gets sealed bytes.",
		Example: "  writ secret " + use + " payments/refunds orders-key --key sam.key\n  writ secret " + use + " payments/refunds orders-key --key sam.key --from value.txt",
		Args:    cobra.ExactArgs(2),
		Run: func(ctx context.Context, args []string) error {
			t, err := find(ctx, sh, args[0], args[1])
			if err != nil {
				return err
			}
			if use == "rotate" && t.current == nil {
				return shell.Fail("writ secret put "+args[0]+" "+args[1], "there is no version to rotate")
			}
			signers, err := signersOf(sh, keys, t)
			if err != nil {
				return err
			}
			value, err := sh.SecretValue("value of "+args[1], file)
			if err != nil {
				return err
			}
			defer value.Wipe()
			return t.put(ctx, sh, value, signers)
		},
	}.Cobra()
	cmd.Flags().StringVar(&file, "from", "", "file with the value, - for standard input; without it, it is asked for")
	cmd.Flags().StringArrayVar(&keys, "key", nil, "key file of a sealer; as many as the policy's quorum takes")
	return cmd
}

// A target is a secret as the verified zone has it.
type target struct {
	root    *policy.Root
	policy  *policy.Verified
	secret  policy.Secret
	current *zone.SecretRecord // nil: none yet
}

// find returns the secret of the policy in force, verified from the pinned root.
func find(ctx context.Context, sh *shell.Shell, alias, id string) (*target, error) {
	z, err := sh.Zone(ctx)
	if err != nil {
		return nil, err
	}
	p, ok := z.InForce(alias)
	if !ok {
		return nil, shell.Fail("writ policy show lists the policies that are; writ policy publish NAME.signed.json puts one in force", "no policy is in force for %s", alias)
	}
	if z.Revoked(zone.RevokePolicy, p.ID()) {
		return nil, shell.Fail("writ policy new --after "+alias+" --out NAME writes a successor", "the policy in force for %s is revoked", alias)
	}
	d, ok := p.Document().Secret(id)
	if !ok {
		return nil, shell.Fail("writ policy show "+alias+" says which it lists", "%s does not list a secret %q", alias, id)
	}
	t := &target{root: z.Root(), policy: p, secret: *d}
	if s, ok := z.Secret(alias, id); ok {
		t.current = &s.Record
	}
	return t, nil
}

// signersOf reads the sealers' keys, and checks that they meet the quorum.
func signersOf(sh *shell.Shell, files []string, t *target) ([]sign.PrivateKey, error) {
	if len(files) == 0 {
		return nil, shell.Usage("name a sealer's key: --key NAME.key (%d of %v)", t.secret.Sealers.Threshold, t.secret.Sealers.Members)
	}
	var out []sign.PrivateKey
	var who []string
	for _, f := range files {
		k, err := sh.Key(f)
		if err != nil {
			return nil, err
		}
		owner := t.root.Owner(k.Public().ID())
		if !slices.Contains(t.secret.Sealers.Members, owner) || !t.root.HasUse(k.Public().ID(), policy.UseSealer) {
			return nil, shell.Fail(fmt.Sprintf("use a key of %v that the root lists with the use sealer", t.secret.Sealers.Members), "%s is not a sealer of %s", f, t.secret.ID)
		}
		if !slices.Contains(who, owner) {
			who = append(who, owner)
		}
		out = append(out, k)
	}
	if len(who) < t.secret.Sealers.Threshold {
		return nil, shell.Usage("%d of %v must vouch for it: name as many keys", t.secret.Sealers.Threshold, t.secret.Sealers.Members)
	}
	return out, nil
}

// put seals the value and hands it in. Recipients come from the pinned root, and
// from nowhere else (A2).
func (t *target) put(ctx context.Context, sh *shell.Shell, value secret.Bytes, signers []sign.PrivateKey) error {
	keys := t.root.Group(t.secret.Recipients.Group)
	fresh, err := t.nameNewKeys(sh, keys)
	if err != nil {
		return err
	}
	version := int64(1)
	if t.current != nil {
		version = t.current.Version + 1
	}
	v := seal.NewValue(value)
	st, err := seal.NewStatement(t.policy, seal.Name{ID: t.secret.ID, Version: version, IssuedAt: sh.Now().Unix()}, v)
	if err != nil {
		return err
	}
	if err := signAll(st.Envelope(), signers); err != nil {
		return err
	}
	sealed, err := seal.Seal(t.policy, st, keys, v)
	if err != nil {
		return err
	}
	rec, err := t.record(zone.SecretRecord{Version: version, Sealed: canon.Hash(sealed), Statement: st.Envelope(), State: zone.Active}, signers)
	if err != nil {
		return err
	}
	c, err := sh.Client()
	if err != nil {
		return err
	}
	p, err := c.PutSecret(ctx, api.SecretUpload{Record: rec, Sealed: sealed})
	if err != nil {
		return err
	}
	if err := t.remember(sh, fresh); err != nil {
		sh.Note("note: %s", err)
	}
	return sh.Result(map[string]any{"alias": t.policy.Document().Alias, "secret": t.secret.ID, "version": version, "recipients": ids(keys), "new_recipients": ids(fresh), "index": p.Index}, func() {
		sh.Say("%s version %d is sealed to exactly the policy %s", t.secret.ID, version, t.policy.ID())
		sh.Say("gates that can open it: %v", ids(keys))
	})
}

func ids(keys []policy.KEMKey) []string {
	out := []string{}
	for _, k := range keys {
		out = append(out, k.ID)
	}
	return out
}

func signAll(e *sign.Envelope, signers []sign.PrivateKey) error {
	for _, k := range signers {
		if err := e.Sign(k); err != nil {
			return err
		}
	}
	return nil
}

// record returns rec, of t's secret under the policy in force, signed.
func (t *target) record(rec zone.SecretRecord, signers []sign.PrivateKey) (*sign.Envelope, error) {
	rec.Zone, rec.Alias, rec.ID, rec.Policy = t.root.Zone(), t.policy.Document().Alias, t.secret.ID, t.policy.ID()
	e, err := zone.NewEnvelope(zone.SecretType, rec)
	if err != nil {
		return nil, err
	}
	return e, signAll(e, signers)
}

// known is the file of the gate keys that this person has sealed to before.
func (t *target) known(sh *shell.Shell) (string, error) {
	dir, err := sh.ConfigDir()
	return filepath.Join(dir, "known-gates-"+t.root.Zone().Short()+".json"), err
}

// fingerprint names a gate key by all of it.
func fingerprint(k policy.KEMKey) string { return k.ID + " " + canon.Hash(k.Public).String() }

// nameNewKeys says which gate keys have not been sealed to before from here.
func (t *target) nameNewKeys(sh *shell.Shell, keys []policy.KEMKey) (fresh []policy.KEMKey, err error) {
	seen, err := t.seen(sh)
	if err != nil {
		return nil, err
	}
	for _, k := range keys {
		if !slices.Contains(seen, fingerprint(k)) {
			fresh = append(fresh, k)
			sh.Note("new gate key, listed by the root you pinned: %s", k.ID)
		}
	}
	return fresh, nil
}

func (t *target) seen(sh *shell.Shell) (seen []string, err error) {
	name, err := t.known(sh)
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &seen)
	}
	if err != nil {
		return nil, shell.Advise(fmt.Errorf("%s: %w", name, err), "move it away: the gate keys are then named once more")
	}
	return seen, nil
}

func (t *target) remember(sh *shell.Shell, fresh []policy.KEMKey) error {
	if len(fresh) == 0 {
		return nil
	}
	seen, err := t.seen(sh)
	if err != nil {
		return err
	}
	for _, k := range fresh {
		seen = append(seen, fingerprint(k))
	}
	b, err := json.MarshalIndent(seen, "", "  ")
	if err != nil {
		return err
	}
	name, err := t.known(sh)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return fmt.Errorf("%w: %w", shell.ErrShell, err)
	}
	return shell.WriteOver(name, b)
}

func list(sh *shell.Shell) *cobra.Command {
	return shell.Command{
		Use: "ls", Short: "List the secrets: their names and states, never their values",
		Example: "  writ secret ls",
		Run: func(ctx context.Context, _ []string) error {
			c, err := sh.Client()
			if err != nil {
				return err
			}
			all, err := c.Secrets(ctx)
			if err != nil {
				return err
			}
			return sh.Result(all, func() {
				for _, s := range all {
					note := ""
					if !s.InForce {
						note = "  (sealed again at its next use)"
					}
					sh.Say("%-28s %-20s version %-3d %s%s", s.Alias, s.ID, s.Version, s.State, note)
				}
				if len(all) == 0 {
					sh.Say("no secret is sealed here. next: writ secret put --help")
				}
			})
		},
	}.Cobra()
}

func show(sh *shell.Shell) *cobra.Command {
	return shell.Command{
		Use: "show ALIAS SECRET", Short: "Show what is known of a secret; its value cannot be shown",
		Example: "  writ secret show payments/refunds orders-key", Args: cobra.ExactArgs(2),
		Run: func(ctx context.Context, args []string) error {
			t, err := find(ctx, sh, args[0], args[1])
			if err != nil {
				return err
			}
			if t.current == nil {
				return shell.Fail("writ secret put "+args[0]+" "+args[1]+" --key SEALER.key", "%s has no version yet", args[1])
			}
			st, err := seal.ParseStatement(t.current.Statement)
			if err != nil {
				return err
			}
			r := t.current
			return sh.Result(map[string]any{
				"alias": r.Alias, "secret": r.ID, "version": r.Version, "state": r.State, "policy": r.Policy, "sealed": r.Sealed,
				"kind": st.Statement.Kind, "issued_at": st.Statement.IssuedAt, "recipients": ids(t.root.Group(t.secret.Recipients.Group)),
			}, func() {
				sh.Say("secret     %s of %s, version %d, %s", r.ID, r.Alias, r.Version, r.State)
				sh.Say("kind       %s", st.Statement.Kind)
				sh.Say("given      %s", shell.Date(st.Statement.IssuedAt))
				sh.Say("sealed to  policy %s", r.Policy)
				sh.Say("bytes      %s", r.Sealed)
			})
		},
	}.Cobra()
}

func destroy(sh *shell.Shell) *cobra.Command {
	var keys []string
	var yes bool
	cmd := shell.Command{
		Use: "destroy ALIAS SECRET", Short: "End the current version of a secret: no gate opens it again",
		Long:    "The sealed bytes mean nothing from then on. Revoke the value at the API too: whoever has\nseen it still knows it.",
		Example: "  writ secret destroy payments/refunds orders-key --key sam.key --yes", Args: cobra.ExactArgs(2),
		Run: func(ctx context.Context, args []string) error {
			if !yes {
				return shell.Usage("this cannot be taken back: say --yes")
			}
			t, err := find(ctx, sh, args[0], args[1])
			if err != nil {
				return err
			}
			if t.current == nil || t.current.State == zone.Destroyed {
				return shell.Fail("writ secret ls", "there is no version to destroy")
			}
			signers, err := signersOf(sh, keys, t)
			if err != nil {
				return err
			}
			rec := *t.current
			rec.State = zone.Destroyed
			e, err := t.record(rec, signers)
			if err != nil {
				return err
			}
			c, err := sh.Client()
			if err != nil {
				return err
			}
			p, err := c.Publish(ctx, e)
			if err != nil {
				return err
			}
			return sh.Result(p, func() {
				sh.Say("%s version %d is destroyed. next: revoke the value at the API", rec.ID, rec.Version)
			})
		},
	}.Cobra()
	cmd.Flags().StringArrayVar(&keys, "key", nil, "key file of a sealer; as many as the policy's quorum takes")
	cmd.Flags().BoolVar(&yes, "yes", false, "really")
	return cmd
}
