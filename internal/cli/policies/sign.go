package policies

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/writhq/writ/api"
	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/cli/shell"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/sign"
	"github.com/writhq/writ/zone"
)

// Commands returns the commands of this package.
func Commands(sh *shell.Shell) []*cobra.Command {
	return []*cobra.Command{shell.Group("policy", "Policies: write, check, sign, publish, show, compare",
		newCommand(sh), check(sh), signCommand(sh), publish(sh), show(sh), diff(sh))}
}

// A bundle is a policy with the record that puts it in force: people sign both.
type bundle struct {
	Policy *sign.Envelope `json:"policy"`
	Alias  *sign.Envelope `json:"alias"`
}

// readBundle returns the bundle in a file, and the document in it. Nothing of it
// is verified but that the two belong together.
func readBundle(sh *shell.Shell, name string) (*bundle, *policy.Document, error) {
	b, err := sh.Read(name, shell.Signed)
	if err != nil {
		return nil, nil, err
	}
	var x bundle
	if err := canon.DecodeJSON(bytes.TrimSpace(b), &x); err != nil {
		return nil, nil, shell.Signed.Bad(name, err)
	}
	if x.Policy == nil || x.Alias == nil || x.Policy.PayloadType != policy.PayloadType || x.Alias.PayloadType != zone.AliasType {
		return nil, nil, shell.Signed.Bad(name, errors.New("a policy and its alias record are needed"))
	}
	d, err := policy.Parse(x.Policy.Payload)
	if err != nil {
		return nil, nil, shell.Signed.Bad(name, err)
	}
	want, err := x.record(d)
	if err != nil {
		return nil, nil, err
	}
	if !bytes.Equal(want.Payload, x.Alias.Payload) { //guard:R21 bundle-belongs-together
		return nil, nil, shell.Fail("sign the policy's source anew", "%s: the alias record is for another policy", name)
	}
	return &x, d, nil
}

// record returns the unsigned record that puts the bundle's policy in force.
func (x *bundle) record(d *policy.Document) (*sign.Envelope, error) {
	return zone.NewEnvelope(zone.AliasType, zone.AliasRecord{Zone: d.Zone, Alias: d.Alias, Version: d.Version, Policy: x.Policy.Digest()})
}

// newBundle compiles a source.
func newBundle(sh *shell.Shell, name string) (*bundle, *policy.Document, error) {
	d, _, err := readSource(sh, name)
	if err != nil {
		return nil, nil, err
	}
	payload, err := compile(sh, d)
	if err != nil {
		return nil, nil, wrong(name, err)
	}
	x := &bundle{Policy: &sign.Envelope{PayloadType: policy.PayloadType, Payload: payload}}
	x.Alias, err = x.record(d)
	return x, d, err
}

func signCommand(sh *shell.Shell) *cobra.Command {
	var key string
	cmd := shell.Command{
		Use: "sign FILE", Short: "Sign a policy: its source the first time, then the signed file",
		Long:    "The first person signs the source, which makes NAME.signed.json; the next ones sign that\nfile. Each signs both the policy and the record that puts it in force.",
		Example: "  writ policy sign refunds.jsonc --key ana.key\n  writ policy sign refunds.signed.json --key bo.key", Args: cobra.ExactArgs(1),
		Run: func(ctx context.Context, args []string) error {
			out := base(args[0]) + bundleExt
			var x *bundle
			var d *policy.Document
			var err error
			if strings.HasSuffix(args[0], bundleExt) {
				x, d, err = readBundle(sh, args[0])
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
			return x.sign(ctx, sh, signing{k, out, d})
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

func (x *bundle) sign(ctx context.Context, sh *shell.Shell, s signing) error {
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
			x, d, err := readBundle(sh, args[0])
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
				for _, s := range d.Secrets {
					sh.Say("next: writ secret put %s %s --key SEALER.key", d.Alias, s.ID)
				}
			})
		},
	}.Cobra()
}
