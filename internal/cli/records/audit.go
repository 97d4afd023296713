package records

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/writhq/writ/api"
	"github.com/writhq/writ/audit"
	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/cli/shell"
	"github.com/writhq/writ/op"
	ophttp "github.com/writhq/writ/op/http"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/receipt"
	"github.com/writhq/writ/tlog"
	"github.com/writhq/writ/zone"
)

// The parts of a bundle: all that an auditor without a connection needs.
const (
	partRoots    = "roots.json"      // chain of envelopes
	partHead     = "head.txt"        // signed head of the policy log
	partEntries  = "entries.jsonl"   // the policy log
	partExport   = "receipts.export" // the ledger
	partEvidence = "evidence.jsonl"  // receipts with their evidence, a line each
)

var parts = []string{partRoots, partHead, partEntries, partExport, partEvidence}

// operationText returns an operation as people read it.
func operationText(o *op.Operation) string {
	a, err := ophttp.Parse(o.Asked)
	if err != nil {
		return o.Type
	}
	r, err := a.Request(nil)
	if err != nil {
		return a.Method + " " + a.Origin + a.Path
	}
	s := r.Method + " " + r.URL
	if len(r.Body) > 0 {
		s += " " + string(r.Body)
	}
	return s
}

func auditBundle(sh *shell.Shell) *cobra.Command {
	var out string
	cmd := shell.Command{
		Use: "bundle", Short: "Write all that an audit needs into one file: roots, policy log, ledger, evidence",
		Long:    "The evidence holds the operations themselves, with what was in them. It takes the Unix\nsocket or a reader's key.",
		Example: "  writ audit bundle --out audit.tar\n  writ audit replay audit.tar --root sha256:…",
		Run: func(ctx context.Context, _ []string) error {
			if out == "" {
				return shell.Usage("name the file: --out FILE")
			}
			dir, err := os.MkdirTemp("", "writ-audit-*")
			if err != nil {
				return fmt.Errorf("%w: %w", shell.ErrShell, err)
			}
			defer os.RemoveAll(dir)
			if err := fetch(ctx, sh, dir); err != nil {
				return err
			}
			if err := pack(dir, out); err != nil {
				return err
			}
			return sh.Result(map[string]string{"file": out}, func() { sh.Say("%s is written. next: writ audit replay %s", out, out) })
		},
	}.Cobra()
	cmd.Flags().StringVar(&out, "out", "", "file to write")
	return cmd
}

// fetch gets the parts of a bundle from the server. The ledger comes before the
// policy log, so that what it was decided on is there.
func fetch(ctx context.Context, sh *shell.Shell, dir string) error {
	c, err := sh.Client()
	if err != nil {
		return err
	}
	defer sh.Waiting("fetching receipts and evidence")()
	for _, p := range []struct {
		name string
		get  func(io.Writer) error
	}{
		{partExport, func(w io.Writer) error { _, err := c.Export(ctx, w); return err }},
		{partEvidence, func(w io.Writer) error { return fetchEvidence(ctx, c, w) }},
		{partHead, func(w io.Writer) error {
			h, err := c.Head(ctx)
			if err == nil {
				_, err = w.Write(h.Encode())
			}
			return err
		}},
		{partEntries, func(w io.Writer) error {
			return c.Entries(ctx, func(b []byte) error {
				_, err := w.Write(append(bytes.Clone(b), '\n'))
				return err
			})
		}},
		{partRoots, func(w io.Writer) error {
			chain, err := c.Roots(ctx)
			if err != nil {
				return err
			}
			return json.NewEncoder(w).Encode(chain)
		}},
	} {
		if err := writePart(filepath.Join(dir, p.name), p.get); err != nil {
			return err
		}
	}
	return nil
}

func writePart(name string, get func(io.Writer) error) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("%w: %w", shell.ErrShell, err)
	}
	w := bufio.NewWriter(f)
	return errors.Join(get(w), w.Flush(), f.Close())
}

func fetchEvidence(ctx context.Context, c *api.Client, w io.Writer) error {
	e := json.NewEncoder(w)
	for after := ""; ; {
		p, err := c.Receipts(ctx, after, true)
		if err != nil {
			return err
		}
		for _, item := range p.Receipts {
			if err := e.Encode(item); err != nil {
				return err
			}
		}
		if after = p.Next; after == "" {
			return nil
		}
	}
}

func pack(dir, out string) (err error) {
	f, err := shell.NewFile(out, 0o600)
	if err != nil {
		return err
	}
	t := tar.NewWriter(f)
	for _, name := range parts {
		if err == nil {
			err = packOne(t, dir, name)
		}
	}
	return errors.Join(err, t.Close(), f.Close())
}

func packOne(t *tar.Writer, dir, name string) error {
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return fmt.Errorf("%w: %w", shell.ErrShell, err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return fmt.Errorf("%w: %w", shell.ErrShell, err)
	}
	if err := t.WriteHeader(&tar.Header{Name: name, Size: st.Size(), Mode: 0o600, Typeflag: tar.TypeReg}); err != nil {
		return fmt.Errorf("%w: %w", shell.ErrShell, err)
	}
	_, err = io.Copy(t, f)
	return err
}

// sparse reports whether the entry has holes: bytes of zero that are not in the
// archive. A few bytes would fill the disk; no bundle has such an entry.
func sparse(h *tar.Header) bool {
	for k := range h.PAXRecords {
		if strings.HasPrefix(k, "GNU.sparse.") {
			return true
		}
	}
	return false
}

// unpack writes the parts of a bundle, and nothing else, into dir. SPEC AUDIT-4.
func unpack(file, dir string) error {
	f, err := shell.Bundle.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	t, seen := tar.NewReader(f), 0
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil && (seen >= len(parts) || h.Name != parts[seen] || h.Typeflag != tar.TypeReg || h.Size > maxBundleFile || sparse(h)) { //guard:R11 bundle-parts
			err = errors.New("it has other parts")
		}
		if err != nil {
			return shell.Bundle.Bad(file, err)
		}
		seen++
		if err := writePart(filepath.Join(dir, h.Name), func(w io.Writer) error { _, err := io.Copy(w, t); return err }); err != nil {
			return shell.Bundle.Bad(file, fmt.Errorf("%s: %w", h.Name, err))
		}
	}
	if seen < len(parts) {
		return shell.Bundle.Bad(file, fmt.Errorf("%s is missing", parts[seen]))
	}
	return nil
}

func auditReplay(sh *shell.Shell) *cobra.Command {
	var gate string
	cmd := shell.Command{
		Use: "replay [BUNDLE]", Short: "Recompute every decision from its evidence, and compare",
		Long: "Verifies the ledger and the policy log from the pinned root, then asks each question again.\nTrusts nobody but the pinned root. Without a file, it fetches from the server.\n" +
			"Exit code 1: something does not verify, or a decision comes out otherwise.",
		Example: "  writ audit replay audit.tar --root sha256:…\n  writ audit replay --server writ/data/control.sock", Args: cobra.MaximumNArgs(1),
		Run: func(ctx context.Context, args []string) error {
			dir, err := os.MkdirTemp("", "writ-audit-*")
			if err != nil {
				return fmt.Errorf("%w: %w", shell.ErrShell, err)
			}
			defer os.RemoveAll(dir)
			if len(args) == 1 {
				err = unpack(args[0], dir)
			} else {
				err = fetch(ctx, sh, dir)
			}
			if err != nil {
				return err
			}
			pin, err := sh.Pin()
			if err != nil {
				return err
			}
			defer sh.Waiting("recomputing")()
			r := &replay{pin: pin, gate: gate, dir: dir}
			if err := r.run(); err != nil {
				return shell.Advise(fmt.Errorf("the audit stops: %w", err), "keep the bundle; if it came whole from the server, it shows that the server's word does not hold")
			}
			return r.result(sh)
		},
	}.Cobra()
	cmd.Flags().StringVar(&gate, "gate", "", "id of the gate (default: the only one in the root)")
	return cmd
}

// A replay is one audit.
type replay struct {
	pin  canon.Digest
	gate string
	dir  string

	zone    *zone.Zone
	roots   []*policy.Root // by how many entries the policy log had
	known   map[canon.Digest]bool
	Receipt *receipt.Report `json:"ledger"`

	Decisions    int      `json:"decisions"`
	Recomputed   int      `json:"recomputed"` // with the same answer
	Counted      int      `json:"counted"`    // denials by a limit, whose counter is in the evidence
	GateWord     int      `json:"gates_word"` // they hang on what only the gate saw
	HolderSigned int      `json:"holder_signed"`
	Missing      int      `json:"missing"` // no evidence: erased, or lost
	Differ       []string `json:"differ"`
}

func (r *replay) run() error {
	if err := r.history(); err != nil {
		return err
	}
	f, err := os.Open(filepath.Join(r.dir, partExport))
	if err != nil {
		return fmt.Errorf("%w: %w", shell.ErrShell, err)
	}
	defer f.Close()
	r.known, r.Differ = map[canon.Digest]bool{}, []string{}
	r.Receipt, err = verifyExport(shell.ThatLists(r.roots, r.gate), r.gate, f, func(x *receipt.Receipt) error {
		if x.Kind != receipt.Intent && x.Kind != receipt.Denial {
			return nil
		}
		b, err := x.Encode()
		if err != nil {
			return err
		}
		r.known[receipt.ID(b)] = false
		r.Decisions++
		return nil
	})
	if err != nil {
		return fmt.Errorf("%s: %w", partExport, err)
	}
	if err := r.evidence(); err != nil {
		return fmt.Errorf("%s: %w", partEvidence, err)
	}
	for _, seen := range r.known {
		if !seen {
			r.Missing++
		}
	}
	return nil
}

// history replays the policy log, and notes which root was in force when.
func (r *replay) history() error {
	var h api.History
	b, err := os.ReadFile(filepath.Join(r.dir, partRoots))
	if err == nil {
		err = json.Unmarshal(b, &h.Roots)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", partRoots, err)
	}
	if b, err = os.ReadFile(filepath.Join(r.dir, partHead)); err != nil {
		return fmt.Errorf("%w: %w", shell.ErrShell, err)
	}
	if h.Head, err = tlog.ParseCheckpoint(b); err != nil {
		return fmt.Errorf("%s: %w", partHead, err)
	}
	if b, err = os.ReadFile(filepath.Join(r.dir, partEntries)); err != nil {
		return fmt.Errorf("%w: %w", shell.ErrShell, err)
	}
	for line := range bytes.Lines(b) {
		h.Entries = append(h.Entries, bytes.TrimSuffix(line, []byte("\n")))
	}
	if r.zone, err = api.Replay(h, r.pin, 0); err != nil {
		return shell.NotPinned(err, "what the bundle says of its zone")
	}
	z, err := zone.New(r.pin, h.Roots[:1], 0)
	if err != nil {
		return err
	}
	r.roots = append(r.roots, z.Root())
	for _, e := range h.Entries {
		if _, err := z.Apply(e); err != nil && !errors.Is(err, zone.ErrRefused) {
			return err
		}
		r.roots = append(r.roots, z.Root())
	}
	return nil
}

// evidence recomputes each decision that the verified ledger has.
func (r *replay) evidence() error {
	f, err := os.Open(filepath.Join(r.dir, partEvidence))
	if err != nil {
		return fmt.Errorf("%w: %w", shell.ErrShell, err)
	}
	defer f.Close()
	d := json.NewDecoder(f)
	for n := 1; ; n++ {
		var item api.ReceiptItem
		err := d.Decode(&item)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		s, err := receipt.ParseSigned(item.Signed)
		if err != nil {
			return err
		}
		seen, ok := r.known[s.ID()]
		if !ok || seen { //guard:R58 evidence-of-verified-receipts
			continue // no decision, or none of this ledger
		}
		if err := r.one(s, &item); err != nil {
			return err
		}
	}
}

func (r *replay) one(s *receipt.Signed, item *api.ReceiptItem) error {
	x, err := receipt.Parse(s.Payload)
	if err != nil || item.Evidence == nil {
		return err
	}
	ev, err := receipt.ParseEvidence(item.Evidence)
	if err != nil {
		return err
	}
	r.known[s.ID()] = true
	p, ok := r.zone.Policy(x.Policy)
	if !ok || x.PolicyLog == nil || x.PolicyLog.Size >= uint64(len(r.roots)) {
		r.GateWord++ // no policy was found for it, so it was denied
		return nil
	}
	res, err := audit.Replay(x, ev, p, r.roots[x.PolicyLog.Size])
	switch {
	case errors.Is(err, audit.ErrDiffers):
		r.Differ = append(r.Differ, fmt.Sprintf("%s: %s", item.Place(), err))
	case err != nil:
		r.Differ = append(r.Differ, fmt.Sprintf("%s: cannot be recomputed: %s", item.Place(), err))
	case res.Grade == audit.Recomputed:
		r.Recomputed++
	case res.Grade == audit.Counted:
		r.Counted++
	default:
		r.GateWord++
	}
	if res.HolderSigned {
		r.HolderSigned++
	}
	return nil
}

func (r *replay) result(sh *shell.Shell) error {
	err := sh.Result(r, func() {
		sh.Say("%d receipts verified, %d entries in the policy log", r.Receipt.Receipts, r.zone.Size())
		sh.Say("%d decisions: %d recomputed with the same answer, %d by counters in the evidence, %d on the gate's word", r.Decisions, r.Recomputed, r.Counted, r.GateWord)
		sh.Say("in %d the holder signed what was asked", r.HolderSigned)
		if r.Missing > 0 {
			sh.Say("FINDING  %d decisions have no evidence: it was erased, or lost", r.Missing)
		}
		for _, d := range r.Differ {
			sh.Say("FAULT    %s", d)
		}
		sh.Say("it does not prove: %s", strings.Join(provesNot, "; "))
	})
	if err == nil && len(r.Differ) > 0 {
		err = shell.Fail("keep the bundle: it shows what the gate did", "%d decisions come out otherwise", len(r.Differ))
	}
	return err
}
