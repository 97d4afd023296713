// Package policies holds the commands on policies.
package policies

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/cli/shell"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/policy"
)

const (
	sourceExt = ".jsonc"
	rulesExt  = ".cedar"
	bundleExt = ".signed.json"
)

// A source is a policy as people write it: its fields in JSON, in which a line
// that begins with // is a comment, with dates instead of seconds and the rules
// in a file of their own; and examples that policy check decides.
type source struct {
	policy.Document
	Rules     string    `json:"rules"`      // file, relative to this one
	NotBefore string    `json:"not_before"` // RFC 3339, or a date
	Expires   string    `json:"expires"`    // likewise
	Examples  []example `json:"examples,omitempty"`
}

// An example is one operation with what is expected of it.
type example struct {
	Say         string            `json:"say"`
	Method      string            `json:"method"`
	Path        string            `json:"path"` // with the query
	Target      string            `json:"target,omitempty"`
	Headers     map[string]string `json:"headers,omitempty"`
	Body        json.RawMessage   `json:"body,omitempty"` // JSON
	Form        string            `json:"form,omitempty"` // a form's body, instead
	Purpose     string            `json:"purpose,omitempty"`
	At          string            `json:"at,omitempty"`     // RFC 3339; default: now
	Region      string            `json:"region,omitempty"` // of the gate
	Level       *op.Level         `json:"level,omitempty"`  // of proof; default 3
	Expectation string            `json:"expect"`           // permit, or the code of a denial
}

// readSource returns the policy in a source file, without a zone.
func readSource(sh *shell.Shell, name string) (*policy.Document, []example, error) {
	b, err := sh.Read(name, shell.Source)
	if err != nil {
		return nil, nil, err
	}
	var s source
	if filepath.Ext(name) == rulesExt {
		return nil, nil, shell.Fail("writ policy check "+base(name)+sourceExt, "%s holds rules; the policy is the file that names them", name)
	}
	if err := shell.DecodeJSON(withoutComments(b), &s); err != nil {
		return nil, nil, shell.Source.Bad(name, err)
	}
	doc := s.Document
	if doc.Secrets == nil {
		doc.Secrets = []policy.Secret{} // a policy for a target that takes none
	}
	if s.Rules == "" {
		return nil, nil, shell.Source.Bad(name, errors.New("rules: name the file with the rules, such as NAME"+rulesExt))
	}
	rules, err := sh.Read(filepath.Join(filepath.Dir(name), s.Rules), shell.Rules)
	if err != nil {
		return nil, nil, err
	}
	doc.Rules = string(rules)
	if doc.NotBefore, err = when(s.NotBefore); err != nil {
		return nil, nil, shell.Source.Bad(name, fmt.Errorf("not_before: %w", err))
	}
	if doc.Expires, err = when(s.Expires); err != nil {
		return nil, nil, shell.Source.Bad(name, fmt.Errorf("expires: %w", err))
	}
	return &doc, s.Examples, nil
}

// withoutComments blanks the lines that are comments, so that positions stay.
func withoutComments(b []byte) []byte {
	lines := bytes.Split(b, []byte("\n"))
	for i, l := range lines {
		if bytes.HasPrefix(bytes.TrimSpace(l), []byte("//")) {
			lines[i] = nil
		}
	}
	return bytes.Join(lines, []byte("\n"))
}

// when returns a date, or a date and time, in Unix seconds.
func when(s string) (int64, error) {
	for _, form := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(form, s); err == nil {
			return t.Unix(), nil
		}
	}
	return 0, errors.New("want a date such as 2027-01-31, or with a time 2027-01-31T08:00:00Z")
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

// base returns a file's name without what says its kind.
func base(name string) string {
	for _, ext := range []string{sourceExt, rulesExt, bundleExt} {
		name = strings.TrimSuffix(name, ext)
	}
	return name
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}
