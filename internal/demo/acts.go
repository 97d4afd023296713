package demo

import (
	"context"
	"fmt"
	"time"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/credential"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/sign"
	"github.com/writhq/writ/zone"
)

// tell tells the story, act by act.
func (s *story) tell(ctx context.Context) error {
	var err error
	if s.w, err = newWorld(ctx, s.Config); err != nil {
		return err
	}
	for _, act := range []func(context.Context) error{s.prepare, s.grant, s.calls, s.binding, s.succession, s.revocation, s.postgres, s.audit} {
		if err := act(ctx); err != nil {
			return err
		}
	}
	return nil
}

// prepare starts the API, publishes the policy and seals the key to it.
func (s *story) prepare(ctx context.Context) (err error) {
	if s.w.upstream, err = newUpstream(s.key); err != nil {
		return err
	}
	defer s.begin("policy", "1. A policy, signed by two people, and a key sealed to it")()
	s.say("  an API at %s takes only the real key", s.w.upstream.origin)
	if s.w.law, err = s.w.publish(ctx, s.w.document(1, 5000, canon.Digest{})); err != nil {
		return err
	}
	s.say("  %s version 1 is in force: %s", alias, s.w.law.ID())
	s.say("    read orders; refunds up to 50.00 for the purpose refund; everything else no")
	s.say("    signed by %v", s.w.law.Signers())
	if err := s.w.sealSecret(ctx, sealing{s.w.law, secretID, s.key}); err != nil {
		return err
	}
	s.say("  sam sealed the real key to exactly this policy; the server got bytes that it cannot read")
	return nil
}

// grant issues a credential to a service, which narrows it for an agent.
func (s *story) grant(context.Context) error {
	defer s.begin("grant", "2. A credential for a service, narrowed offline for an agent")()
	service, err := sign.Generate(sign.Ed25519)
	if err != nil {
		return err
	}
	agent, err := sign.Generate(sign.P256)
	if err != nil {
		return err
	}
	now := time.Now().Unix()
	g, err := credential.Issue(credential.Grant{
		Zone: s.w.root.Zone(), Alias: alias, MinVersion: 1, Subject: "svc/refunds",
		Terms: credential.Terms{Holder: credential.NewHolderKey(service.Public()), NotBefore: now - 30, Expires: now + 86400, Depth: 1},
	}, s.w.people["iris"])
	if err != nil {
		return err
	}
	t := g.Last()
	t.Holder = credential.NewHolderKey(agent.Public())
	t.Limits = map[string]int64{policy.UsesID: 5}
	t.Rules = `@id("at-most-20") forbid(principal, action == Action::"http:POST", resource) when { context.body.amount > 2000 };`
	t.Language = &s.w.law.Document().Language
	t.Task = "Refund order 8831, at most 20.00"
	t.Pop = op.Signed
	n, err := g.Narrow(service, "refund-agent", t)
	if err != nil {
		return err
	}
	s.holders = []*holder{{g, service, s.w, s.w.newRecorder()}, {n, agent, s.w, s.w.newRecorder()}}
	s.say("  the service got %d bytes with no secret in them: %.44s…", len(g.Bytes()), g.Text())
	s.say("  without asking anyone, it made a narrower one for its agent: 5 uses, at most 20.00")
	return nil
}

func refund(amount int) string { return fmt.Sprintf(`{"order":"8831","amount":%d}`, amount) }

// calls makes calls through the gate.
func (s *story) calls(ctx context.Context) error {
	defer s.begin("calls", "3. Calls through the gate: each one decided by itself")()
	service, agent := s.holders[0], s.holders[1]
	thief, err := sign.Generate(sign.P256)
	if err != nil {
		return err
	}
	stolen := &holder{agent.chain, thief, s.w, s.w.newRecorder()}
	s.holders = append(s.holders, stolen)
	steps := []struct {
		h *holder
		c call
	}{
		{service, call{"the service reads an order", "GET", "/orders/8831", "", "support", ""}},
		{service, call{"the service refunds 49.00", "POST", "/refunds", refund(4900), "refund", ""}},
		{service, call{"the service refunds 60.00", "POST", "/refunds", refund(6000), "refund", "not_permitted"}},
		{service, call{"the service refunds, to support", "POST", "/refunds", refund(1000), "support", "not_permitted"}},
		{service, call{"the service refunds, for no listed purpose", "POST", "/refunds", refund(1000), "gift", "purpose_invalid"}},
		{service, call{"the service reads customers", "GET", "/customers", "", "support", "not_permitted"}},
		{service, call{"the service climbs: /orders/../customers", "GET", "/orders/../customers", "", "support", "operation_invalid"}},
		{service, call{"the service deletes an order", "DELETE", "/orders/8831", "", "support", "not_declared"}},
		{service, call{"the service says amount twice", "POST", "/refunds", `{"order":"8831","amount":1,"amount":99999}`, "refund", "operation_invalid"}},
		{agent, call{"the agent refunds 15.00", "POST", "/refunds", refund(1500), "refund", ""}},
		{agent, call{"the agent refunds 25.00", "POST", "/refunds", refund(2500), "refund", "forbidden"}},
		{stolen, call{"a thief with the agent's credential", "GET", "/orders/8831", "", "support", "pop_invalid"}},
	}
	for _, x := range steps {
		if err := s.make(ctx, x.h, x.c); err != nil {
			return err
		}
	}
	before := s.w.upstream.calls.Load()
	if err := s.make(ctx, agent, call{"the agent reads an order", "GET", "/orders/8831", "", "support", ""}); err != nil {
		return err
	}
	a, err := agent.again(ctx)
	if err != nil {
		return err
	}
	s.judge(call{what: "the same request once more, byte for byte", want: "replayed"}, a, s.w.upstream.calls.Load()-before-1)
	for i := range 3 {
		if err := s.make(ctx, agent, call{fmt.Sprintf("the agent's use %d of 5", i+3), "GET", "/orders/8831", "", "support", ""}); err != nil {
			return err
		}
	}
	return s.make(ctx, agent, call{"the agent's sixth use", "GET", "/orders/8831", "", "support", "quota_exceeded"})
}

// succession puts a stricter policy in force; the credential stays as it is.
func (s *story) succession(ctx context.Context) error {
	defer s.begin("succession", "5. The policy changes: a signed successor lowers the limit to 30.00")()
	service := s.holders[0]
	digest := service.chain.Digest()
	var err error
	if s.w.law, err = s.w.publish(ctx, s.w.document(2, 3000, s.w.law.ID())); err != nil {
		return err
	}
	var rec zone.SecretRecord
	if err := s.w.server.View(func(z *zone.Zone) {
		if x, ok := z.Secret(alias, secretID); ok {
			rec = x.Record
		}
	}); err != nil {
		return err
	}
	s.expect(rec.Policy == s.w.law.ID(), "the secret is not sealed under version 2")
	s.say("  version 2 is in force, and the secret was sealed again under it, by its own receipted act")
	for _, c := range []call{
		{"the service refunds 49.00 again", "POST", "/refunds", refund(4900), "refund", "not_permitted"},
		{"the service refunds 29.00", "POST", "/refunds", refund(2900), "refund", ""},
	} {
		if err := s.make(ctx, service, c); err != nil {
			return err
		}
	}
	s.expect(service.chain.Digest() == digest, "the credential's bytes changed")
	s.say("  the credential's bytes did not change: %s", digest)
	return nil
}

// revocation revokes the service's credential.
func (s *story) revocation(ctx context.Context) error {
	defer s.begin("revocation", "6. The credential is revoked")()
	service := s.holders[0]
	e, err := zone.NewEnvelope(zone.RevokeType, zone.RevokeRecord{
		Zone: s.w.root.Zone(), Alias: alias, Kind: zone.RevokeCredential, ID: service.chain.Blocks()[0], Reason: "the service is retired",
	})
	if err != nil {
		return err
	}
	if err := s.w.signAs(e, "ana"); err != nil {
		return err
	}
	if _, err := s.w.server.Publish(ctx, e); err != nil {
		return err
	}
	if err := s.make(ctx, service, call{"the service reads an order", "GET", "/orders/8831", "", "support", "revoked"}); err != nil {
		return err
	}
	return s.make(ctx, s.holders[1], call{"its agent, whose credential came from it", "GET", "/orders/8831", "", "support", "revoked"})
}
