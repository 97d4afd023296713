package people

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/cli/shell"
	"github.com/writhq/writ/internal/server"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/sign"
)

// answers say what a root says, with keys by their files.
type answers struct {
	Gates      []string             `json:"gates"`      // files that writ init wrote
	Principals map[string]person    `json:"principals"` // by name
	Quorum     sign.Quorum          `json:"quorum"`     // who signs roots
	Namespaces []policy.Namespace   `json:"namespaces"`
	Days       int                  `json:"days"` // until it expires
	Ceilings   policy.Ceilings      `json:"ceilings"`
	prev       *policy.RootDocument // that it follows; nil for the first
	prevID     canon.Digest
}

type person struct {
	Keys     []string     `json:"keys"` // public key files
	Use      []policy.Use `json:"use"`
	Subjects []string     `json:"subjects,omitempty"`
}

var namespaceForm = regexp.MustCompile(`^(\S+/)=genesis (\d+):(\S+) revoke (\d+):(\S+)$`)

func rootNew(sh *shell.Shell) *cobra.Command {
	a := answers{Principals: map[string]person{}}
	var principals, namespaces []string
	var quorum, file, after, out string
	cmd := shell.Command{
		Use: "new", Short: "Write a root, for people to sign",
		Long: "Writes an unsigned root from flags or from a file of answers, and prints the digest that\nservers and clients pin. A principal is NAME=KEYFILE,…:USE,…; a quorum is\nTHRESHOLD:NAME,…; uses are root, policy, sealer, issuer, revoke, reader.",
		Example: "  writ root new --gate writ/gate.json --quorum 2:ana,bo \\\n    --principal ana=ana.pub:root,policy,revoke,reader --principal bo=bo.pub:root,policy \\\n" +
			"    --principal sam=sam.pub:sealer --principal iris=iris.pub:issuer \\\n    --namespace 'payments/=genesis 2:ana,bo revoke 1:ana'\n  writ root sign root.json --key ana.key",
		Run: func(context.Context, []string) error {
			if err := a.fill(sh, file, principals, namespaces); err != nil {
				return err
			}
			if err := a.follow(sh, quorum, after); err != nil {
				return err
			}
			return a.write(sh, out)
		},
	}.Cobra()
	f := cmd.Flags()
	f.StringVar(&file, "answers", "", "JSON file with the answers, instead of flags: see docs/cli.md")
	f.StringSliceVar(&a.Gates, "gate", nil, "what writ init wrote to gate.json")
	f.StringArrayVar(&principals, "principal", nil, "NAME=KEYFILE,…:USE,…")
	f.StringArrayVar(&namespaces, "namespace", nil, "PREFIX/=genesis QUORUM revoke QUORUM")
	f.StringVar(&quorum, "quorum", "", "who signs roots")
	f.IntVar(&a.Days, "days", 365, "days until it expires")
	f.StringVar(&after, "after", "", "the root that this one follows")
	f.StringVar(&out, "out", "root.json", "file to write")
	return cmd
}

// fill reads the answers' file and the flags.
func (a *answers) fill(sh *shell.Shell, file string, principals, namespaces []string) error {
	if file != "" {
		b, err := sh.Read(file, shell.Answers)
		if err != nil {
			return err
		}
		if err := shell.DecodeJSON(b, a); err != nil {
			return shell.Answers.Bad(file, err)
		}
	}
	for _, s := range principals {
		name, rest, ok := strings.Cut(s, "=")
		at := strings.LastIndexByte(rest, ':')
		if !ok || at < 0 {
			return shell.Usage("--principal %s: want NAME=KEYFILE,…:USE,…", name)
		}
		p := person{Keys: list(rest[:at])}
		for _, u := range list(rest[at+1:]) {
			p.Use = append(p.Use, policy.Use(u))
		}
		a.Principals[name] = p
	}
	for _, s := range namespaces {
		m := namespaceForm.FindStringSubmatch(s)
		if m == nil {
			return shell.Usage("--namespace: want PREFIX/=genesis THRESHOLD:NAME,… revoke THRESHOLD:NAME,…")
		}
		a.Namespaces = append(a.Namespaces, policy.Namespace{Prefix: m[1], Genesis: Quorum(m[2], m[3]), Revoke: Quorum(m[4], m[5])})
	}
	return nil
}

// Quorum returns the quorum of n out of the names.
func Quorum(n, names string) sign.Quorum {
	t, _ := strconv.Atoi(n) // a threshold of 0 is refused by Check
	return sign.Quorum{Members: list(names), Threshold: t}
}

// follow sets the quorum, and reads the root that this one follows.
func (a *answers) follow(sh *shell.Shell, quorum, after string) error {
	if quorum != "" {
		n, names, _ := strings.Cut(quorum, ":")
		a.Quorum = Quorum(n, names)
	}
	if a.Ceilings == (policy.Ceilings{}) {
		a.Ceilings = policy.Ceilings{MaxStalenessS: 300, MaxTTLS: 90 * 86400, MaxDepth: 4, MinSigners: 1}
	}
	if after == "" {
		return nil
	}
	e, d, err := sh.Root(after)
	if err != nil {
		return err
	}
	a.prevID, a.prev = e.Digest(), d
	return nil
}

func (a *answers) document(sh *shell.Shell) (*policy.RootDocument, error) {
	d := &policy.RootDocument{
		Version: 1, Expires: sh.Now().AddDate(0, 0, a.Days).Unix(), Root: a.Quorum, Principals: map[string]policy.Principal{},
		Namespaces: a.Namespaces, Ceilings: a.Ceilings, Algorithms: []string{"ed25519", "p256", "x-wing"},
	}
	if d.Namespaces == nil {
		d.Namespaces = []policy.Namespace{}
	}
	if a.prev != nil {
		d.Version, d.Prev = a.prev.Version+1, a.prevID
	}
	for name, p := range a.Principals {
		var keys []policy.RootKey
		for _, file := range p.Keys {
			k, err := sh.PublicKey(file)
			if err != nil {
				return nil, fmt.Errorf("--principal %s: %w", name, err)
			}
			keys = append(keys, policy.RootKey{Key: k, Use: p.Use})
		}
		d.Principals[name] = policy.Principal{Keys: keys, Subjects: p.Subjects}
	}
	for _, file := range a.Gates {
		b, err := sh.Read(file, shell.GateFile)
		if err != nil {
			return nil, err
		}
		var info server.Info
		if err = json.Unmarshal(b, &info); err == nil && info.Gate.ID == "" {
			err = errors.New("it names no gate")
		}
		if err != nil {
			return nil, shell.GateFile.Bad(file, err)
		}
		d.Gates = append(d.Gates, info.Gate)
		if d.PolicyLog.Origin == "" {
			d.PolicyLog = info.PolicyLog // the first gate keeps the log
		}
	}
	return d, nil
}

func (a *answers) write(sh *shell.Shell, out string) error {
	switch {
	case len(a.Gates) == 0:
		return shell.Usage("name the gate: --gate DIR/gate.json, which writ init wrote")
	case a.Quorum.Check() != nil:
		return shell.Usage("--quorum: want THRESHOLD:NAME,… with a threshold that the names can reach, such as 2:ana,bo")
	case a.Days < 1:
		return shell.Usage("--days: want 1 or more")
	}
	d, err := a.document(sh)
	if err != nil {
		return err
	}
	payload, err := canon.EncodeJSON(d)
	if err != nil {
		return err
	}
	if _, err := policy.ParseRoot(payload); err != nil {
		return shell.Advise(err, "correct what it names, in the flags or answers; see writ root new --help")
	}
	if err := reachable(d); err != nil {
		return err
	}
	e := &sign.Envelope{PayloadType: policy.RootType, Payload: payload}
	b, err := e.Encode()
	if err != nil {
		return err
	}
	if err := shell.WriteNew(out, b, 0o644); err != nil {
		return err
	}
	return sh.Result(map[string]string{"file": out, "digest": e.Digest().String()}, func() {
		sh.Say("%s: root version %d, until %s", out, d.Version, shell.Date(d.Expires))
		sh.Say("digest  %s", e.Digest())
		sh.Say("next:   %d of %s sign it: writ root sign %s --key NAME.key", d.Root.Threshold, strings.Join(d.Root.Members, ", "), out)
	})
}

// reachable refuses a quorum that nobody could ever fill: it names people whom
// the root does not list for that.
func reachable(d *policy.RootDocument) error {
	able := func(name string, u policy.Use) bool {
		return slices.ContainsFunc(d.Principals[name].Keys, func(k policy.RootKey) bool { return slices.Contains(k.Use, u) })
	}
	for _, name := range d.Root.Members {
		if !able(name, policy.UseRoot) {
			return shell.Usage("--quorum: %s is in it, and is no --principal with the use root", name)
		}
	}
	for _, n := range d.Namespaces {
		for _, q := range []struct {
			what string
			sign.Quorum
			use policy.Use
		}{{"genesis", n.Genesis, policy.UsePolicy}, {"revoke", n.Revoke, policy.UseRevoke}} {
			have := 0
			for _, name := range q.Members {
				if len(d.Principals[name].Keys) == 0 {
					return shell.Usage("--namespace %s: %s is in a quorum, and is no --principal", n.Prefix, name)
				}
				if able(name, q.use) {
					have++
				}
			}
			if have < q.Threshold {
				return shell.Usage("--namespace %s: %s takes %d of %s, and %d of them have the use %s", n.Prefix, q.what, q.Threshold, strings.Join(q.Members, ", "), have, q.use)
			}
		}
	}
	return nil
}

func rootSign(sh *shell.Shell) *cobra.Command {
	var key string
	cmd := shell.Command{
		Use: "sign FILE", Short: "Add a person's signature to a root",
		Example: "  writ root sign root.json --key ana.key", Args: cobra.ExactArgs(1),
		Run: func(_ context.Context, args []string) error {
			e, d, err := sh.Root(args[0])
			if err != nil {
				return err
			}
			k, err := sh.Key(key)
			if err != nil {
				return err
			}
			if d.Version == 1 && !signsRoots(d, k.Public()) { // a later one takes those before it too
				return shell.Fail("use a key of "+strings.Join(d.Root.Members, ", ")+": writ root show "+args[0], "%s does not count for this root, so it was not signed", key)
			}
			if err := e.Sign(k); err != nil {
				return err
			}
			b, err := e.Encode()
			if err != nil {
				return err
			}
			if err := shell.WriteOver(args[0], b); err != nil {
				return err
			}
			by := signers(d, e)
			complete := len(by) >= d.Root.Threshold
			return sh.Result(map[string]any{"digest": e.Digest(), "complete": complete}, func() {
				sh.Say("signed: %s", e.Digest())
				if !complete {
					sh.Say("still missing: signed by %s. next: another of %s: writ root sign %s --key NAME.key", signedBy(d, by), strings.Join(d.Root.Members, ", "), args[0])
					return
				}
				if d.Version > 1 {
					sh.Say("it has its own quorum; that of the root before it signs too. next: writ root publish %s", args[0])
					return
				}
				sh.Say("it has its quorum. next: writ server --root %s --root-file %s", e.Digest(), args[0])
			})
		},
	}.Cobra()
	cmd.Flags().StringVar(&key, "key", "", "the person's key file")
	return cmd
}

// keysOf looks up the keys that may sign roots.
func keysOf(d *policy.RootDocument) sign.Keys {
	return func(name string) []sign.PublicKey {
		var out []sign.PublicKey
		for _, k := range d.Principals[name].Keys {
			if slices.Contains(k.Use, policy.UseRoot) {
				out = append(out, k.Key)
			}
		}
		return out
	}
}

func rootShow(sh *shell.Shell) *cobra.Command {
	var out string
	var chain bool
	cmd := shell.Command{
		Use: "show [FILE]", Short: "Show a root: of a file, or the one in force",
		Long:    "Without FILE it shows the root in force, verified from the pinned one, also after its end.\nWith --out it writes that root to a file, for writ root new --after on any machine; with --chain\nall roots from the genesis on, for --root-file.",
		Example: "  writ root show root.json\n  writ root show --server writ/data/control.sock --root sha256:…\n  writ root show --out root-in-force.json\n  writ root show --chain --out roots.json", Args: cobra.MaximumNArgs(1),
		Run: func(ctx context.Context, args []string) error {
			if (out != "" || chain) && (len(args) == 1 || out == "") {
				return shell.Usage("--out FILE, and --chain with it, write the root in force: no other file goes with them")
			}
			if len(args) == 1 {
				e, d, err := sh.Root(args[0])
				if err != nil {
					return err
				}
				return show(sh, d, e.Digest(), signedBy(d, signers(d, e)))
			}
			roots, err := sh.Roots(ctx)
			if err != nil {
				return err
			}
			r := roots.InForce()
			if out != "" {
				return writeRoot(sh, roots, out, chain)
			}
			if r.CheckTime(sh.Now().Unix()) != nil {
				sh.Note("WARNING: it has expired: nothing is decided. next: writ root show --out FILE, then writ root new --after FILE …")
			}
			return show(sh, r.Document(), r.ID(), "the quorum")
		},
	}.Cobra()
	cmd.Flags().StringVar(&out, "out", "", "write the root in force to a file")
	cmd.Flags().BoolVar(&chain, "chain", false, "with --out: all roots, from the genesis on")
	return cmd
}

// writeRoot writes the root in force, or all, to a file.
func writeRoot(sh *shell.Shell, roots *shell.Roots, out string, chain bool) error {
	e := roots.Chain[len(roots.Chain)-1]
	b, err := e.Encode()
	if chain {
		b, err = json.Marshal(roots.Chain)
	}
	if err != nil {
		return err
	}
	if err := shell.WriteNew(out, b, 0o644); err != nil {
		return err
	}
	d := roots.InForce().Document()
	return sh.Result(map[string]any{"file": out, "digest": e.Digest(), "version": d.Version, "roots": len(roots.Chain)}, func() {
		if chain {
			sh.Say("%s: %d roots, up to version %d. next: name it with --root-file to verify without a server", out, len(roots.Chain), d.Version)
			return
		}
		sh.Say("%s: root version %d, until %s", out, d.Version, shell.Date(d.Expires))
		sh.Say("digest  %s", e.Digest())
		sh.Say("next:   the root that follows: writ root new --after %s … --out root-%d.json", out, d.Version+1)
	})
}

// signers returns the members of the quorum that have signed e.
func signers(d *policy.RootDocument, e *sign.Envelope) []string {
	var out []string
	for _, name := range d.Root.Members {
		if _, err := e.Verify(policy.RootType, sign.Quorum{Members: []string{name}, Threshold: 1}, keysOf(d)); err == nil {
			out = append(out, name)
		}
	}
	return out
}

// signedBy says who has signed, of how many.
func signedBy(d *policy.RootDocument, by []string) string {
	s := "nobody"
	if len(by) > 0 {
		s = strings.Join(by, ", ")
	}
	return fmt.Sprintf("%s: %d of %d signatures", s, len(by), d.Root.Threshold)
}

// signsRoots reports whether k is a key of a member of the quorum.
func signsRoots(d *policy.RootDocument, k sign.PublicKey) bool {
	return slices.ContainsFunc(d.Root.Members, func(name string) bool { return slices.Contains(keysOf(d)(name), k) })
}

func show(sh *shell.Shell, d *policy.RootDocument, id canon.Digest, by string) error {
	return sh.Result(struct {
		Digest canon.Digest         `json:"digest"`
		Root   *policy.RootDocument `json:"root"`
	}{id, d}, func() {
		sh.Say("root      version %d, until %s", d.Version, shell.Date(d.Expires))
		sh.Say("digest    %s", id)
		sh.Say("quorum    %d of %s", d.Root.Threshold, strings.Join(d.Root.Members, ", "))
		sh.Say("signed by %s", by)
		var names []string
		for n := range d.Principals {
			names = append(names, n)
		}
		sort.Strings(names)
		for _, n := range names {
			for _, k := range d.Principals[n].Keys {
				sh.Say("person    %s: %v, key %s", n, k.Use, k.Key.ID())
			}
		}
		for _, n := range d.Namespaces {
			sh.Say("prefix    %s: begun by %d of %v, revoked by %d of %v", n.Prefix, n.Genesis.Threshold, n.Genesis.Members, n.Revoke.Threshold, n.Revoke.Members)
		}
		for _, g := range d.Gates {
			sh.Say("gate      %s of group %s, replay domain %s", g.ID, g.Group, g.Domain)
		}
	})
}

func rootPublish(sh *shell.Shell) *cobra.Command {
	return shell.Command{
		Use: "publish FILE", Short: "Hand in a root that follows the one in force",
		Example: "  writ root new --after root.json --answers answers.json --out root-2.json\n  writ root sign root-2.json --key ana.key\n  writ root publish " + filepath.Base("root-2.json"),
		Args:    cobra.ExactArgs(1),
		Run: func(ctx context.Context, args []string) error {
			e, _, err := sh.Root(args[0])
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
			return sh.Result(p, func() { sh.Say("published at %d: %s", p.Index, p.Document) })
		},
	}.Cobra()
}
