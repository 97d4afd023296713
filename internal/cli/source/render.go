package source

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

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

// sqlNotes stand in place of those where the policy is for a database.
var sqlNotes = map[string]string{
	"operations": "All that statements may touch, such as\n" +
		`  //   {"type": "sql", "targets": ["shop"], "actions": ["sql:select", "sql:update", "sql:transaction"],` + "\n" +
		`  //    "sql": {"relations": [{"name": "public.orders", "read": ["*"], "update": ["status"]}], "functions": ["@scalar", "@aggregates"]},` + "\n" +
		`  //    "response": {"max_rows": 1000, "max_seconds": 30}}` + "\n" +
		"  // A statement that touches what is not listed is refused before a rule is asked. See docs/postgres.md.",
	"targets": "Where the secret may go, and how (inject): password, md5 or client_certificate, with the user's\n  // name. pins name the server's TLS key.",
	"pop":     "How strongly a holder proves its key: 2 is the channel, by the client's certificate.",
}

// Render returns the source of d, whose rules are in the file.
func Render(d *policy.Document, rules string) ([]byte, error) {
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
		f.write(&b, d)
	}
	field{"examples", []byte("[]")}.write(&b, d)
	return append(bytes.TrimSuffix(b.Bytes(), []byte(",\n")), "\n}\n"...), nil
}

type field struct {
	name  string
	value []byte
}

func (f field) write(b *bytes.Buffer, d *policy.Document) {
	n := notes[f.name]
	if s, ok := sqlNotes[f.name]; ok && d.Language.Mappers["sql"] > 0 {
		n = s
	}
	if n != "" {
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
