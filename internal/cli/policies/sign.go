// Package policies holds the commands on policies.
package policies

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/writhq/writ/api"
	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/cli/shell"
	"github.com/writhq/writ/internal/cli/source"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/sign"
	"github.com/writhq/writ/zone"
)

// Commands returns the commands of this package.
func Commands(sh *shell.Shell) []*cobra.Command {
	return []*cobra.Command{shell.Group("policy", "Policies: write, check, sign, publish, show, compare",
		newCommand(sh), check(sh), signCommand(sh), publish(sh), show(sh), diff(sh))}
}

// newBundle compiles a source.
func newBundle(sh *shell.Shell, name string) (*source.Bundle, *policy.Document, error) {
	d, _, err := source.Read(sh, name)
	if err != nil {
		return nil, nil, err
	}
	payload, err := compile(sh, d)
	if err != nil {
		return nil, nil, wrong(name, err)
	}
	x := &source.Bundle{Policy: &sign.Envelope{PayloadType: policy.PayloadType, Payload: payload}}
	x.Alias, err = x.Record(d)
	return x, d, err
}

// compile returns the one byte form of d, after it was checked. A zone that the
// source leaves out is the pinned root's.
func compile(sh *shell.Shell, d *policy.Document) ([]byte, error) {
	pin, _, err := sh.RootSetting()
	if err != nil {
		return nil, err
	}
	if d.Zone.IsZero() {
		if d.Zone, err = sh.Pin(); err != nil {
			return nil, err
		}
	}
	if !pin.IsZero() && pin != d.Zone {
		return nil, shell.Fail("correct zone in the source, or --root", "the policy is for another zone than the pinned root")
	}
	payload, err := canon.EncodeJSON(d)
	if err != nil {
		return nil, err
	}
	if _, err := policy.Parse(payload); err != nil {
		return nil, err
	}
	return payload, nil
}

func signCommand(sh *shell.Shell) *cobra.Command {
	var key string
	cmd := shell.Command{
		Use: "sign FILE", Short: "Sign a policy: its source the first time, then the signed file",
		Long:    "The first person signs the source, which makes NAME.signed.json; the next ones sign that\nfile. Each signs both the policy and the record that puts it in force.",
		Example: "  writ policy sign refunds.jsonc --key ana.key\n  writ policy sign refunds.signed.json --key bo.key", Args: cobra.ExactArgs(1),
		Run: func(ctx context.Context, args []string) error {
			out := source.Base(args[0]) + source.BundleExt
			var x *source.Bundle
			var d *policy.Document
			var err error
			if strings.HasSuffix(args[0], source.BundleExt) {
				x, d, err = source.ReadBundle(sh, args[0])
			} else {
				if exists(out) {
					return shell.Fail("writ policy sign "+out+" --key "+key+", or delete it if the source has changed", "%s is there already", out)
				}
				x, d, err = newBundle(sh, args[0])
			}
			if err != nil {
				return err
			}
			k, err := sh.Key(key)
			if err != nil {
				return err
			}
			return signBundle(ctx, sh, x, signing{k, out, d})
		},
	}.Cobra()
	cmd.Flags().StringVar(&key, "key", "", "the person's key file")
	return cmd
}

type signing struct {
	key sign.PrivateKey
	out string
	doc *policy.Document
}

// signBundle signs both papers of x, and writes it.
func signBundle(ctx context.Context, sh *shell.Shell, x *source.Bundle, s signing) error {
	for _, e := range []*sign.Envelope{x.Policy, x.Alias} {
		if err := e.Sign(s.key); err != nil {
			return err
		}
	}
	b, err := canon.EncodeJSON(x)
	if err != nil {
		return err
	}
	if err := shell.WriteOver(s.out, b); err != nil {
		return err
	}
	who, have := "", len(x.Policy.Signatures)
	q := s.doc.Governance.Successor
	if r, err := sh.RootDocument(ctx); err == nil {
		have = counted(r, x.Policy, q)
		who = r.Owner(s.key.Public().ID())
		if !r.HasUse(s.key.Public().ID(), policy.UsePolicy) {
			sh.Note("note: the root does not list this key for policies; the signature will not count")
		}
	}
	return sh.Result(map[string]any{
		"file": s.out, "policy": x.Policy.Digest(), "alias": s.doc.Alias, "version": s.doc.Version,
		"signatures": have, "threshold": q.Threshold, "signed_as": who,
	}, func() {
		sh.Say("%s: %s version %d, %s", s.out, s.doc.Alias, s.doc.Version, x.Policy.Digest())
		if n := q.Threshold - have; n > 0 {
			sh.Say("%d of %d signatures. next: %d more of %s: writ policy sign %s --key NAME.key", have, q.Threshold, n, strings.Join(q.Members, ", "), s.out)
			return
		}
		sh.Say("%d signatures. next: writ policy publish %s", have, s.out)
	})
}

// counted returns how many members of q have signed e, by the root's keys for
// policies.
func counted(r *policy.Root, e *sign.Envelope, q sign.Quorum) int {
	n := 0
	for _, name := range q.Members {
		if _, err := e.Verify(policy.PayloadType, sign.Quorum{Members: []string{name}, Threshold: 1}, r.Keys(policy.UsePolicy)); err == nil {
			n++
		}
	}
	return n
}

func publish(sh *shell.Shell) *cobra.Command {
	return shell.Command{
		Use: "publish FILE", Short: "Hand a signed policy in, and put it in force",
		Example: "  writ policy publish refunds.signed.json --server writ/data/control.sock", Args: cobra.ExactArgs(1),
		Run: func(ctx context.Context, args []string) error {
			x, d, err := source.ReadBundle(sh, args[0])
			if err != nil {
				return err
			}
			c, err := sh.Client()
			if err != nil {
				return err
			}
			_, err = c.Publish(ctx, x.Policy)
			if p, ok := errors.AsType[*api.Problem](err); ok && p.Code == api.CodeTaken { // by an attempt before that ended here
				err = nil
			}
			if err != nil {
				return fmt.Errorf("the policy is not published: %w", err)
			}
			p, err := c.Publish(ctx, x.Alias)
			if err != nil {
				return fmt.Errorf("the policy is published, and not put in force: %w", err)
			}
			return sh.Result(map[string]any{"alias": d.Alias, "version": d.Version, "policy": x.Policy.Digest(), "index": p.Index}, func() {
				sh.Say("%s version %d is in force: %s", d.Alias, d.Version, x.Policy.Digest())
				z, err := sh.Zone(ctx)
				if err != nil {
					z = nil // such as without a pinned root
				}
				for _, s := range d.Secrets {
					sh.Say("%s", sealing(z, d.Alias, s.ID, x.Policy.Digest()))
				}
			})
		},
	}.Cobra()
}

// sealing says what is to do about a secret now that a policy is in force; z is nil where
// nothing is known of it.
func sealing(z *zone.Zone, alias, id string, law canon.Digest) string {
	put := fmt.Sprintf("writ secret put %s %s --key SEALER.key", alias, id)
	if z == nil {
		return "next, if it has no version yet: " + put
	}
	switch s, ok := z.Secret(alias, id); {
	case ok && s.Record.State == zone.Destroyed:
		return fmt.Sprintf("%s is destroyed. next: a successor that lists another id", id)
	case !ok || s.Record.State != zone.Active:
		return "next: " + put
	case s.Record.Policy == law:
		return fmt.Sprintf("%s version %d is sealed under it", id, s.Record.Version)
	default:
		return fmt.Sprintf("%s version %d is sealed under it at its next use", id, s.Record.Version)
	}
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}
