// Package records holds the commands on what happened: receipt, log, audit.
package records

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/writhq/writ/api"
	"github.com/writhq/writ/internal/cli/shell"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/receipt"
	"github.com/writhq/writ/tlog"
	"github.com/writhq/writ/zone"
)

// Commands returns the commands of this package.
func Commands(sh *shell.Shell) []*cobra.Command {
	return []*cobra.Command{
		shell.Group("receipt", "Receipts: the signed record of each decision", receiptShow(sh), receiptVerify(sh)),
		shell.Group("log", "The ledger, and the policy log", logExport(sh), logVerify(sh), logEntries(sh), logHead(sh)),
		shell.Group("audit", "Decisions recomputed, by whoever does not trust the operator", auditBundle(sh), auditReplay(sh)),
	}
}

// receiptText is a receipt as --json shows it.
type receiptText struct {
	ID        string   `json:"id"`
	Place     string   `json:"place"`
	Kind      string   `json:"kind"`
	Gate      string   `json:"gate"`
	At        string   `json:"at"`
	Decision  string   `json:"decision,omitempty"`
	Action    string   `json:"action,omitempty"`
	Target    string   `json:"target,omitempty"`
	Purpose   string   `json:"purpose,omitempty"`
	Subject   string   `json:"subject,omitempty"`
	Alias     string   `json:"alias,omitempty"`
	Version   uint64   `json:"version,omitempty"`
	Policy    string   `json:"policy,omitempty"`
	Rules     []string `json:"rules,omitempty"`
	Level     op.Level `json:"level,omitempty"`
	Mode      string   `json:"mode"`
	Outcome   string   `json:"outcome,omitempty"`
	Status    int      `json:"status,omitempty"`
	Intent    string   `json:"intent,omitempty"`
	Note      string   `json:"note,omitempty"`
	Verified  bool     `json:"verified"`
	Evidence  []byte   `json:"evidence,omitempty"`
	Operation string   `json:"operation,omitempty"`
}

func describe(r *receipt.Receipt, id string) receiptText {
	t := receiptText{
		ID: id, Place: fmt.Sprintf("%d.%d", r.Epoch, r.Seq), Kind: string(r.Kind), Gate: r.Gate, At: r.At().Format("2006-01-02T15:04:05.000Z"),
		Decision: r.Decision, Action: r.Action, Target: r.Target, Purpose: r.Purpose, Subject: string(r.Subject), Alias: r.Alias,
		Version: r.Version, Level: r.Level, Mode: string(r.Mode), Note: r.Note,
	}
	if !r.Policy.IsZero() {
		t.Policy = r.Policy.String()
	}
	for _, l := range r.Rules {
		t.Rules = append(t.Rules, l...)
	}
	if r.Outcome != nil {
		t.Outcome, t.Status = string(r.Outcome.Class), int(r.Outcome.Status)
	}
	if r.Intent != nil {
		t.Intent = fmt.Sprintf("%d.%d", r.Intent.Epoch, r.Intent.Seq)
	}
	return t
}

// line returns a receipt on one line.
func (t *receiptText) line() string {
	what := t.Decision
	if t.Outcome != "" {
		what = t.Outcome
		if t.Status > 0 {
			what += fmt.Sprintf(" (%d)", t.Status)
		}
		what += " of " + t.Intent
	}
	return strings.TrimRight(fmt.Sprintf("%-8s %s  %-8s %-28s %s %s %s %s", t.Place, t.At, t.Kind, what, t.Action, t.Target, t.Purpose, t.Note), " ")
}

func (t *receiptText) show(sh *shell.Shell) {
	for _, l := range [][2]string{
		{"receipt", t.ID}, {"place", t.Place + " of gate " + t.Gate}, {"kind", t.Kind}, {"at", t.At}, {"decision", t.Decision},
		{"action", strings.TrimSpace(t.Action + " " + t.Target)}, {"purpose", t.Purpose}, {"subject", t.Subject},
		{"policy", t.Policy}, {"rules", strings.Join(t.Rules, ", ")}, {"outcome", t.Outcome}, {"intent", t.Intent}, {"mode", t.Mode}, {"note", t.Note},
	} {
		if l[1] != "" {
			sh.Say("%-9s %s", l[0], l[1])
		}
	}
	if t.Operation != "" {
		sh.Say("%-9s %s", "operation", t.Operation)
	}
}

func receiptShow(sh *shell.Shell) *cobra.Command {
	var evidence bool
	var out string
	cmd := shell.Command{
		Use: "show [ID or PLACE]", Short: "Show one receipt, verified from the pinned root; or list the newest",
		Long:    "A place, such as 1.7, is found at once. An id is looked for from the newest receipt on, which\ntakes some seconds for one that a million came after.",
		Example: "  writ receipt show\n  writ receipt show 1.7 --evidence\n  writ receipt show sha256:… --out refund.receipt",
		Args:    cobra.MaximumNArgs(1),
		Run: func(ctx context.Context, args []string) error {
			c, err := sh.Client()
			if err != nil {
				return err
			}
			if len(args) == 0 {
				return listReceipts(ctx, sh, c)
			}
			roots, err := sh.Roots(ctx)
			if err != nil {
				return err
			}
			item, err := c.Receipt(ctx, args[0], evidence)
			if err != nil {
				return err
			}
			r, err := verifySigned(roots, item.Signed)
			if err != nil {
				return err
			}
			if out != "" {
				text := base64.StdEncoding.EncodeToString(item.Signed) + "\n"
				if err := shell.WriteNew(out, []byte(text), 0o644); err != nil {
					return err
				}
			}
			t := describe(r, item.ID.String())
			t.Verified = true
			if err := addEvidence(&t, r, item); err != nil {
				return err
			}
			return sh.Result(t, func() {
				t.show(sh)
				sh.Say("%-9s the gate's signature and the root that lists its key", "verified")
			})
		},
	}.Cobra()
	cmd.Flags().BoolVar(&evidence, "evidence", false, "show the operation too: it may hold personal data")
	cmd.Flags().StringVar(&out, "out", "", "write the signed receipt to a file, for writ receipt verify")
	return cmd
}

// addEvidence adds what the receipt commits to, after it was compared.
func addEvidence(t *receiptText, r *receipt.Receipt, item *api.ReceiptItem) error {
	if item.Evidence == nil {
		return nil
	}
	ev, err := receipt.ParseEvidence(item.Evidence)
	if err != nil {
		return err
	}
	if err := ev.Check(r); err != nil { //guard:A32 shown-evidence-committed
		return err
	}
	t.Evidence = item.Evidence
	if o := ev.TheOperation(); o != nil {
		t.Operation = operationText(o)
	}
	return nil
}

func listReceipts(ctx context.Context, sh *shell.Shell, c *api.Client) error {
	var all []receiptText
	for after := ""; ; {
		p, err := c.Receipts(ctx, after, false)
		if err != nil {
			return err
		}
		for _, item := range p.Receipts {
			s, err := receipt.ParseSigned(item.Signed)
			if err != nil {
				return err
			}
			r, err := receipt.Parse(s.Payload)
			if err != nil {
				return err
			}
			all = append(all, describe(r, item.ID.String()))
		}
		if len(all) > maxListed {
			all = all[len(all)-maxListed:]
		}
		if after = p.Next; after == "" {
			break
		}
	}
	return sh.Result(all, func() {
		for i := range all {
			sh.Say("%s", all[i].line())
		}
	})
}

// verifySigned returns the receipt in b, if the gate that it names signed it with
// the key that the newest root with that gate lists. That root may have expired, or
// been followed by one without the gate: what is past stays signed.
func verifySigned(roots *shell.Roots, b []byte) (*receipt.Receipt, error) {
	s, err := receipt.ParseSigned(b)
	if err != nil {
		return nil, err
	}
	unverified, err := receipt.Parse(s.Payload)
	if err != nil {
		return nil, err
	}
	root := roots.ThatLists(unverified.Gate)
	g, ok := root.Gate(unverified.Gate)
	if !ok || unverified.Zone != root.Zone() { //guard:R58 receipt-gate-in-root
		return nil, shell.Fail("name the root that was in force when it was made: --root, and --root-file with all roots up to it, which writ root show --chain --out FILE writes",
			"the receipt is of gate %q in zone %s, which the pinned root does not list", unverified.Gate, unverified.Zone)
	}
	return s.Verify(g.SignKey)
}

// proves and provesNot are what a verified receipt shows, and what it does not
// (A34).
var (
	proves    = []string{"the gate's key, which the pinned root or one that follows lists, signed exactly this", "which policy, credential and rules the decision names"}
	provesNot = []string{"that the gate has no second history", "that nothing was left out", "the time, beyond the gate's word", "that the gate's key was not stolen, or the gate revoked, by then", "what the API received"}
)

func receiptVerify(sh *shell.Shell) *cobra.Command {
	return shell.Command{
		Use: "verify FILE", Short: "Verify a signed receipt offline, from the pinned root",
		Example: "  writ receipt verify refund.receipt --root sha256:… --root-file root.json", Args: cobra.ExactArgs(1),
		Run: func(ctx context.Context, args []string) error {
			roots, err := sh.Roots(ctx)
			if err != nil {
				return err
			}
			b, err := sh.Read(args[0], shell.Receipt)
			if err != nil {
				return err
			}
			var s *receipt.Signed
			raw, err := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(b)))
			if err == nil {
				s, err = receipt.ParseSigned(raw)
			}
			if err != nil {
				return shell.Receipt.Bad(args[0], err)
			}
			r, err := verifySigned(roots, raw)
			if err != nil {
				return shell.Advise(err, "ask for it anew: writ receipt show PLACE --out FILE; this one proves nothing")
			}
			t := describe(r, s.ID().String())
			t.Verified = true
			shows := proves
			if r.Level >= op.Signed {
				shows = append([]string{"the holder signed what was asked, if the evidence is at hand (level 3)"}, proves...)
			}
			return sh.Result(map[string]any{"receipt": t, "proves": shows, "proves_not": provesNot}, func() {
				t.show(sh)
				sh.Say("\nit proves: %s", strings.Join(shows, "; "))
				sh.Say("it does not prove: %s", strings.Join(provesNot, "; "))
			})
		},
	}.Cobra()
}

func logExport(sh *shell.Shell) *cobra.Command {
	var out string
	cmd := shell.Command{
		Use: "export", Short: "Write the ledger's receipts for an auditor; without evidence",
		Example: "  writ log export --out receipts.export",
		Run: func(ctx context.Context, _ []string) error {
			if out == "" {
				return shell.Usage("name the file: --out FILE")
			}
			c, err := sh.Client()
			if err != nil {
				return err
			}
			f, err := shell.NewFile(out, 0o600)
			if err != nil {
				return err
			}
			defer sh.Waiting("writing %s", out)()
			n, err := c.Export(ctx, f)
			if err = errors.Join(err, f.Close()); err != nil {
				os.Remove(out)
				return err
			}
			return sh.Result(map[string]any{"file": out, "bytes": n}, func() { sh.Say("%s: %d bytes. next: writ log verify %s", out, n, out) })
		},
	}.Cobra()
	cmd.Flags().StringVar(&out, "out", "", "file to write")
	return cmd
}

func logVerify(sh *shell.Shell) *cobra.Command {
	var gate string
	cmd := shell.Command{
		Use: "verify FILE", Short: "Verify a whole export: signatures, order, pairing, the tree",
		Example: "  writ log verify receipts.export --root sha256:… --root-file root.json", Args: cobra.ExactArgs(1),
		Run: func(ctx context.Context, args []string) error {
			roots, err := sh.Roots(ctx)
			if err != nil {
				return err
			}
			f, err := shell.Export.Open(args[0])
			if err != nil {
				return err
			}
			defer f.Close()
			defer sh.Waiting("verifying")()
			rep, err := verifyExport(roots.ThatLists(gate), gate, f, nil)
			if errors.Is(err, receipt.ErrExport) {
				return shell.Export.Bad(args[0], err)
			}
			if err != nil {
				return shell.Advise(err, "keep "+args[0]+", and ask for another export: this one is not what the gate signed")
			}
			return sh.Result(rep, func() { showReport(sh, rep) })
		},
	}.Cobra()
	cmd.Flags().StringVar(&gate, "gate", "", "id of the gate (default: the only one in the root)")
	return cmd
}

func showReport(sh *shell.Shell, rep *receipt.Report) {
	sh.Say("sound: %d receipts in %d batches, %d epochs", rep.Receipts, rep.Batches, rep.Epochs)
	sh.Say("%d permitted, %d of them with their outcome (%d unknown), %d denied", rep.Intents, rep.Outcomes, rep.Unknown, rep.Denials)
	if rep.Open > 0 {
		sh.Say("%d acts under way when it was written", rep.Open)
	}
	if rep.Unclean > 0 {
		sh.Say("%d epochs did not end cleanly: what came after their last receipt, if anything, is lost", rep.Unclean)
	}
	sh.Say("it does not prove: %s", strings.Join(provesNot[:2], "; "))
}

// theGate returns the gate with the id, or the only one.
func theGate(root *policy.Root, id string) (policy.Gate, error) {
	gates := root.Document().Gates
	if id == "" && len(gates) == 1 {
		return gates[0], nil
	}
	g, ok := root.Gate(id)
	if !ok && id != "" {
		return g, shell.Usage("--gate: the root lists no gate %q; writ root show says which", id)
	}
	if !ok {
		return g, shell.Usage("name the gate whose ledger it is: --gate ID")
	}
	return g, nil
}

// verifyExport audits an export against the root's key of the gate.
func verifyExport(root *policy.Root, id string, f *os.File, visit func(*receipt.Receipt) error) (*receipt.Report, error) {
	g, err := theGate(root, id)
	if err != nil {
		return nil, err
	}
	key, err := receipt.LogKey(g.ID, g.SignKey)
	if err != nil {
		return nil, err
	}
	return receipt.AuditExport(f, receipt.AuditConfig{Gate: g.ID, Zone: root.Zone(), Key: g.SignKey}, key, visit)
}

// entryText is an entry of the policy log as --json shows it.
type entryText struct {
	Index    int    `json:"index"`
	LoggedAt int64  `json:"logged_at"`
	Type     string `json:"type"`
	Document string `json:"document"`
	Signers  int    `json:"signatures"`
}

func logEntries(sh *shell.Shell) *cobra.Command {
	return shell.Command{
		Use: "entries", Short: "List the policy log: what was published when",
		Example: "  writ log entries",
		Run: func(ctx context.Context, _ []string) error {
			c, err := sh.Client()
			if err != nil {
				return err
			}
			if _, err := sh.Zone(ctx); err != nil { // so that what is listed was verified
				return err
			}
			var all []entryText
			err = c.Entries(ctx, func(b []byte) error {
				e, err := zone.ParseEntry(b)
				if err != nil {
					return err
				}
				kind := strings.TrimSuffix(strings.TrimPrefix(e.Envelope.PayloadType, "application/vnd.writ."), ".v1+json")
				all = append(all, entryText{len(all), e.LoggedAt, kind, e.Envelope.Digest().String(), len(e.Envelope.Signatures)})
				return nil
			})
			if err != nil {
				return err
			}
			return sh.Result(all, func() {
				for _, e := range all {
					sh.Say("%-4d %s  %-8s %s  %d signature(s)", e.Index, shell.Date(e.LoggedAt), e.Type, e.Document, e.Signers)
				}
			})
		},
	}.Cobra()
}

func logHead(sh *shell.Shell) *cobra.Command {
	var out string
	cmd := shell.Command{
		Use: "head", Short: "Write the signed head of the policy log, to be kept elsewhere",
		Long:    "Whoever keeps a head can show later that the log has lost or changed nothing that it was\nsigned for: writ restore --confirm --head FILE.",
		Example: "  writ log head --out head.txt",
		Run: func(ctx context.Context, _ []string) error {
			if out == "" {
				return shell.Usage("name the file: --out FILE")
			}
			c, err := sh.Client()
			if err != nil {
				return err
			}
			z, err := sh.Zone(ctx)
			if err != nil {
				return err
			}
			note, err := c.Head(ctx)
			if err != nil {
				return err
			}
			pl := z.Root().Document().PolicyLog
			key, err := tlog.NewKey(pl.Origin, pl.Key.Bytes())
			if err != nil {
				return err
			}
			head, err := note.Verify(key)
			if err != nil {
				return shell.Advise(err, "ask another server: this head is not signed by the log's key that the root lists")
			}
			if err := shell.WriteNew(out, note.Encode(), 0o644); err != nil {
				return err
			}
			return sh.Result(map[string]any{"file": out, "entries": head.Size, "time": head.Time}, func() {
				sh.Say("%s: %d entries, signed %s. Keep it elsewhere: writ restore --confirm --head %s", out, head.Size, shell.Date(head.Time), out)
			})
		},
	}.Cobra()
	cmd.Flags().StringVar(&out, "out", "", "file to write")
	return cmd
}
