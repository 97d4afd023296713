package demo

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/writhq/writ/audit"
	"github.com/writhq/writ/internal/ledger"
	ophttp "github.com/writhq/writ/op/http"
	"github.com/writhq/writ/op/sql"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/receipt"
	"github.com/writhq/writ/seal"
	"github.com/writhq/writ/zone"
)

// binding flips every bit of the policy and tries to open the secret under what
// comes out: below every check of a signature, with the gate's own key.
func (s *story) binding(ctx context.Context) error {
	defer s.begin("binding", "4. Every bit of the policy flipped: does the secret open?")()
	gk, err := s.w.keyring.GateKey()
	if err != nil {
		return err
	}
	var rec zone.SecretRecord
	var payload []byte
	if err := s.w.server.View(func(z *zone.Zone) {
		if x, ok := z.Secret(alias, secretID); ok {
			rec = x.Record
		}
	}); err != nil {
		return err
	}
	payload = s.w.payloads[s.w.law.ID()]
	sealed, err := s.w.server.Sealed(ctx, rec)
	if err != nil {
		return err
	}
	st, err := seal.ParseStatement(rec.Statement)
	if err != nil {
		return err
	}
	v, err := seal.Open(gk, policy.UnverifiedBytes(payload, s.w.root.Zone()), st, sealed)
	if err != nil {
		s.fault("the secret does not open under the very bytes of its policy: %v", err)
		return nil
	}
	v.Secret.Wipe()
	tried, opened := flips(payload, func(p []byte) bool {
		_, err := seal.Open(gk, policy.UnverifiedBytes(p, s.w.root.Zone()), st, sealed)
		return err == nil
	})
	s.r.PolicyBitflipsTried, s.r.PolicyBitflipsOpened = tried, opened
	s.expect(opened == 0 && tried >= 8*len(payload), "%d of %d altered policies opened the secret", opened, tried)
	s.say("  %d policies that differ in one bit: %d of them open it; the signed bytes do", tried, opened)
	return nil
}

// flips calls try with every single-bit change of b, and counts.
func flips(b []byte, try func([]byte) bool) (tried, opened int) {
	var n, yes atomic.Int64
	var wg sync.WaitGroup
	workers := runtime.GOMAXPROCS(0)
	for k := range workers {
		wg.Go(func() {
			c := bytes.Clone(b)
			for bit := k; bit < 8*len(b); bit += workers {
				c[bit/8] ^= 1 << (bit % 8)
				if try(c) {
					yes.Add(1)
				}
				n.Add(1)
				c[bit/8] ^= 1 << (bit % 8)
			}
		})
	}
	wg.Wait()
	return int(n.Load()), int(yes.Load())
}

// exportName is the file of all receipts, for an outsider.
const exportName = "receipts.export"

// audit verifies all receipts from public keys, recomputes decisions, tampers
// with a receipt, and looks for the key.
func (s *story) audit(ctx context.Context) error {
	defer s.begin("audit", "8. An outsider checks: public keys, policies and receipts")()
	file := filepath.Join(s.Dir, exportName)
	if err := s.export(ctx, file); err != nil {
		return err
	}
	if err := s.verify(file); err != nil {
		return err
	}
	if err := s.replay(ctx); err != nil {
		return err
	}
	if err := s.tamper(ctx); err != nil {
		return err
	}
	return s.search()
}

func (s *story) export(ctx context.Context, file string) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(s.w.server.Ledger().Export(ctx, f), f.Close())
}

// verify reads the export as an auditor does: with the root, and nothing of the
// server.
func (s *story) verify(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	g, _ := s.w.root.Gate(gateID)
	key, err := receipt.LogKey(gateID, g.SignKey)
	if err != nil {
		return err
	}
	n := 0
	_, err = receipt.AuditExport(f, receipt.AuditConfig{Gate: gateID, Zone: s.w.root.Zone(), Key: g.SignKey}, key, func(*receipt.Receipt) error {
		n++
		return nil
	})
	s.r.ReceiptsVerified = n
	s.r.Receipts = int(s.w.server.Ledger().Len())
	s.expect(err == nil, "the receipts do not verify: %v", err)
	s.expect(n == s.r.Receipts && n > 0, "%d of %d receipts verified", n, s.r.Receipts)
	s.say("  %d receipts verified: signatures, order, pairing, and the log's tree", n)
	return nil
}

// replay recomputes every decision that follows from its evidence.
func (s *story) replay(ctx context.Context) error {
	l := s.w.server.Ledger()
	type item struct {
		ref ledger.Ref
		r   *receipt.Receipt
	}
	var items []item
	err := l.Receipts(ctx, ledger.Ref{}, ledger.Ref{}, func(ref ledger.Ref, r *receipt.Receipt) error {
		if (r.Kind == receipt.Intent || r.Kind == receipt.Denial) && (r.OpType == ophttp.DocumentType || r.OpType == sql.DocumentType) {
			items = append(items, item{ref, r})
		}
		return nil
	})
	if err != nil {
		return err
	}
	signed := 0
	for _, x := range items {
		ev, err := l.Evidence(ctx, x.ref)
		if err != nil {
			return err
		}
		var p *policy.Verified
		var root *policy.Root
		if err := s.w.server.View(func(z *zone.Zone) {
			p, _ = z.Policy(x.r.Policy)
			root = z.RootAt(x.r.At().Unix())
		}); err != nil {
			return err
		}
		res, err := audit.Replay(x.r, ev, p, root)
		if res.Grade == audit.GateWord && err == nil {
			continue
		}
		s.r.ReplayedDecisions++
		if err != nil {
			s.fault("receipt %d: %v", x.ref.Seq, err)
			continue
		}
		s.r.ReplayedDecisionsEqual++
		if res.HolderSigned {
			signed++
		}
	}
	s.expect(s.r.ReplayedDecisions > 0, "no decision was recomputed")
	s.say("  %d decisions recomputed, %d with the same answer; in %d of them the holder signed what was asked", s.r.ReplayedDecisions, s.r.ReplayedDecisionsEqual, signed)
	return nil
}

// tamper changes one bit of a signed receipt, everywhere in turn.
func (s *story) tamper(ctx context.Context) error {
	signed, err := s.w.server.Ledger().Signed(ctx, s.w.server.Ledger().Epoch(), 2)
	if err != nil {
		return err
	}
	key := s.w.keyring.Sign.Public()
	b, err := signed.Encode()
	if err != nil {
		return err
	}
	if _, err := signed.Verify(key); err != nil {
		s.fault("a good receipt does not verify: %v", err)
	}
	tried, accepted := flips(b, func(c []byte) bool {
		x, err := receipt.ParseSigned(c)
		if err != nil {
			return false
		}
		_, err = x.Verify(key)
		return err == nil
	})
	s.expect(accepted == 0, "%d altered receipts were accepted", accepted)
	s.say("  one receipt altered in each of its %d bits: caught every time", tried)
	return nil
}

// search looks for the real key in everything that is left.
func (s *story) search() error {
	streams := s.streams()
	places, n, where, err := search(s.Dir, streams, s.key)
	if err != nil {
		return err
	}
	if d := s.w.database; d != nil {
		_, m, there, err := search(s.Dir, streams, d.password)
		if err != nil {
			return err
		}
		n, where = n+m, append(where, there...)
	}
	s.r.SecretSightings = n
	if s.r.SightingsControlPlanted, s.r.SightingsControl, err = control(s.Dir, streams, newKey()); err != nil {
		return err
	}
	s.expect(n == 0, "the real key or password was seen %d times, in %v", n, where)
	s.expect(s.r.SightingsControl == s.r.SightingsControlPlanted && s.r.SightingsControl > 0, "the search finds %d of %d planted keys", s.r.SightingsControl, s.r.SightingsControlPlanted)
	s.say("  the real key and password were searched for in %d places and %d forms: %d sightings (a planted one: %d of %d found)",
		places, len(forms(s.key)), n, s.r.SightingsControl, s.r.SightingsControlPlanted)
	return nil
}

func (s *story) summary() {
	s.say("\n%d permitted, %d denied; API and database saw %d, each with a receipt. %d ms.", s.r.Permitted, s.r.Denied, s.r.UpstreamCalls, s.r.ElapsedMS)
	if s.r.OK {
		s.say("Everything came out as told. The folder %s is kept.", s.Dir)
	}
}
