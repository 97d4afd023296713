package credentials

import (
	"context"
	"slices"

	"github.com/spf13/cobra"

	"github.com/writhq/writ/api"
	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/cli/shell"
	"github.com/writhq/writ/sign"
	"github.com/writhq/writ/zone"
)

// revocation is what revoke is told.
type revocation struct {
	credential, block, key, alias, gate, reason string
	policy, asHolder                            bool
	signers                                     []string
}

func revoke(sh *shell.Shell) *cobra.Command {
	var r revocation
	cmd := shell.Command{
		Use: "revoke", Short: "Revoke a credential, a block, a key, a policy or a gate",
		Long: "Takes one signature of whom the namespace names, or, with --as-holder, of the holder of a\nblock before the revoked one. It cannot be taken back.",
		Example: "  writ revoke --credential service.writ --key ana.key --reason 'the service is retired'\n" +
			"  writ revoke --credential agent.writ --as-holder --key service.key      (its own agent)\n" +
			"  writ revoke --revoke-key agent.pub --alias payments/refunds --key ana.key\n" +
			"  writ revoke --policy --alias payments/refunds --key ana.key",
		Run: func(ctx context.Context, _ []string) error {
			rec, err := r.record(ctx, sh)
			if err != nil {
				return err
			}
			e, err := zone.NewEnvelope(zone.RevokeType, rec)
			if err != nil {
				return err
			}
			signers, err := signersOf(sh, r.signers, "who revokes")
			if err != nil {
				return err
			}
			return r.publish(ctx, sh, e, signers)
		},
	}.Cobra()
	f := cmd.Flags()
	f.StringVar(&r.credential, "credential", "", "credential file: its last block, and what was made from it")
	f.StringVar(&r.block, "block", "", "one block of --credential, sha256:…, and what was made from it")
	f.StringVar(&r.key, "revoke-key", "", "public key file: every credential that names it")
	f.BoolVar(&r.policy, "policy", false, "the policy in force of --alias")
	f.StringVar(&r.gate, "gate", "", "id of a gate")
	f.StringVar(&r.alias, "alias", "", "alias whose namespace has the authority (default: the credential's)")
	f.StringVar(&r.reason, "reason", "", "why, for people to read")
	f.BoolVar(&r.asHolder, "as-holder", false, "by the key of a holder before the revoked block")
	f.StringArrayVar(&r.signers, "key", nil, "key file of who revokes")
	return cmd
}

func (r *revocation) record(ctx context.Context, sh *shell.Shell) (*zone.RevokeRecord, error) {
	rec := &zone.RevokeRecord{Alias: r.alias, Reason: r.reason}
	var err error
	switch {
	case r.credential != "":
		err = r.ofCredential(sh, rec)
	case r.key != "":
		var k sign.PublicKey
		if k, err = sh.PublicKey(r.key); err == nil {
			rec.Kind, rec.ID = zone.RevokeKey, canon.Digest(k.ID())
		}
	case r.gate != "":
		rec.Kind, rec.ID = zone.RevokeGate, canon.Hash([]byte(r.gate))
	case r.policy:
		err = r.ofPolicy(ctx, sh, rec)
	default:
		return nil, shell.Usage("%s", errNothing)
	}
	if err != nil {
		return nil, err
	}
	if rec.Alias == "" {
		return nil, shell.Usage("name the alias whose namespace revokes: --alias payments/refunds")
	}
	if rec.Zone.IsZero() {
		rec.Zone, err = sh.Pin()
	}
	return rec, err
}

func (r *revocation) ofCredential(sh *shell.Shell, rec *zone.RevokeRecord) error {
	c, err := sh.Credential(r.credential)
	if err != nil {
		return err
	}
	blocks := c.Blocks()
	rec.Kind, rec.ID, rec.Zone = zone.RevokeBlock, blocks[len(blocks)-1], c.Grant.Zone
	if r.block != "" {
		if rec.ID, err = canon.ParseDigest(r.block); err != nil {
			return shell.Usage("--block: %s; writ show %s lists the blocks", api.Detail(err), r.credential)
		}
		if !slices.Contains(blocks, rec.ID) {
			return shell.Fail("writ show "+r.credential+" lists them", "the credential has no such block")
		}
	}
	if rec.Alias == "" {
		rec.Alias = c.Grant.Alias
	}
	if r.asHolder {
		rec.Credential = c.Text()
	}
	return nil
}

func (r *revocation) ofPolicy(ctx context.Context, sh *shell.Shell, rec *zone.RevokeRecord) error {
	z, err := sh.Zone(ctx)
	if err != nil {
		return err
	}
	if r.alias == "" {
		return shell.Usage("--policy: name the alias whose policy in force is revoked: --alias payments/refunds")
	}
	p, ok := z.InForce(r.alias)
	if !ok {
		return shell.Fail("writ policy show lists the policies that are", "no policy is in force for %s", r.alias)
	}
	rec.Kind, rec.ID, rec.Zone = zone.RevokePolicy, p.ID(), p.Zone()
	return nil
}

func (r *revocation) publish(ctx context.Context, sh *shell.Shell, e *sign.Envelope, signers []sign.Signer) error {
	for _, k := range signers {
		if err := e.Sign(k); err != nil {
			return err
		}
	}
	c, err := sh.Client()
	if err != nil {
		return err
	}
	p, err := c.Publish(ctx, e)
	if err != nil {
		return err
	}
	return sh.Result(p, func() { sh.Say("revoked, at %d in the policy log: the next use is denied", p.Index) })
}
