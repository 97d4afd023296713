package policies

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/writhq/writ/internal/cli/shell"
	"github.com/writhq/writ/internal/cli/source"
	"github.com/writhq/writ/policy"
)

// notes explain the fields of a source, by the field they stand before.
var notes = map[string]string{
	"alias":      "The name of this line of policies. Credentials name it, so a successor needs no new ones.",
	"version":    "1 for the first; each successor counts one more, and names the one before in prev.",
	"not_before": "From when until when it decides anything. Dates are UTC.",
	"language":   "The versions that the rules are written in. Leave it.",
	"rules":      "The rules, in Cedar, in a file of their own. What no rule permits is denied.",
	"operations": "All that the rules can speak about. A query or body member that is not listed here is\n  // refused before a rule is asked; a header is dropped. Every bound on an amount needs a lower one beside it.",
	"targets":    "Where the secret may go, and how it is put there (inject): how is header, basic, query, sigv4,\n  // client_certificate or none. pins name the API's TLS key.",
	"secrets":    "Which secrets this policy governs, who vouches for their value, which gates may open them.",
	"purposes":   "The closed list of purposes. Whoever uses a credential names one, and signs it.",
	"quotas":     "Limits that every use takes from. window_s 0 is for ever. per: alias, secret, root, block, subject, actor.",
	"pop":        "How strongly a holder proves its key: 1 presentation, 2 channel, 3 signature, 4 a person.",
	"delegation": "Who issues credentials, for whom, for how long; how often they may be handed on.",
	"receipts":   "durable: no act before its record is on the disk. buffered: before it is written.",
	"freshness":  "How old the knowledge that this policy is in force may be.",
	"governance": "Who replaces this policy. Whoever it names signs this one as well.",
	"examples":   "What writ policy check decides by these rules, and what you expect of it.",
}

// writeSource writes a policy as a source: JSON with comments, and the rules.
func writeSource(sh *shell.Shell, out string, d *policy.Document) error {
	b, err := renderSource(d, filepath.Base(out)+source.RulesExt)
	if err != nil {
		return err
	}
	if err := shell.WriteNew(out+source.Ext, b, 0o644); err != nil {
		return err
	}
	head := fmt.Sprintf("// The rules of %s. See https://docs.cedarpolicy.com for the language, and\n// writ policy check %s%s for what they decide.\n\n", d.Alias, filepath.Base(out), source.Ext)
	rules := strings.TrimRight(d.Rules, "\n") + "\n"
	if !strings.HasPrefix(rules, "// The rules of ") {
		rules = head + rules
	}
	if err := shell.WriteNew(out+source.RulesExt, []byte(rules), 0o644); err != nil {
		return err
	}
	return sh.Result(map[string]string{"source": out + source.Ext, "rules": out + source.RulesExt}, func() {
		sh.Say("%s%s and %s%s: %s version %d, to read and edit", out, source.Ext, out, source.RulesExt, d.Alias, d.Version)
		sh.Say("next: writ policy check %s%s, then writ policy sign %s%s --key NAME.key", out, source.Ext, out, source.Ext)
	})
}

// renderSource returns the source of d, whose rules are in the file.
func renderSource(d *policy.Document, rules string) ([]byte, error) {
	raw, err := json.Marshal(d)
	if err != nil {
		return nil, err
	}
	fields, err := ordered(raw)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.WriteString("{\n")
	for _, f := range fields {
		switch f.name {
		case "zone":
			if d.Zone.IsZero() {
				continue // the pinned root's
			}
		case "prev":
			if d.Prev.IsZero() {
				continue
			}
		case "not_before":
			f.value = quoted(time.Unix(d.NotBefore, 0).UTC().Format(time.RFC3339))
		case "expires":
			f.value = quoted(time.Unix(d.Expires, 0).UTC().Format(time.RFC3339))
		case "rules":
			f.value = quoted(rules)
		}
		f.write(&b)
	}
	field{"examples", []byte("[]")}.write(&b)
	return append(bytes.TrimSuffix(b.Bytes(), []byte(",\n")), "\n}\n"...), nil
}

type field struct {
	name  string
	value []byte
}

func (f field) write(b *bytes.Buffer) {
	if n, ok := notes[f.name]; ok {
		fmt.Fprintf(b, "\n  // %s\n", n)
	}
	var v bytes.Buffer
	json.Indent(&v, f.value, "  ", "  ") // what was marshalled just now
	fmt.Fprintf(b, "  %q: %s,\n", f.name, v.Bytes())
}

func quoted(s string) []byte {
	b, _ := json.Marshal(s) // a string always marshals
	return b
}

// ordered returns the members of an object in their order.
func ordered(raw []byte) ([]field, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	var out []field
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, err
		}
		var v json.RawMessage
		if err := d.Decode(&v); err != nil {
			return nil, err
		}
		out = append(out, field{name.(string), v})
	}
	return out, nil
}

// successor writes the source of the policy that follows the one in force.
func successor(ctx context.Context, sh *shell.Shell, alias, out string) error {
	z, err := sh.Zone(ctx)
	if err != nil {
		return err
	}
	p, ok := z.InForce(alias)
	if !ok {
		return shell.Fail("writ policy show lists the policies that are", "no policy is in force for %s", alias)
	}
	d := *p.Document()
	d.Version, d.Prev = d.Version+1, p.ID()
	life := d.Expires - d.NotBefore
	d.NotBefore = sh.Now().UTC().Truncate(time.Hour).Unix()
	d.Expires = d.NotBefore + life
	return writeSource(sh, out, &d)
}
