// Package source reads policies out of files: sources, as people write them, and
// signed files.
package source

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/cli/shell"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/policy"
)

// What the names of files end in.
const (
	Ext       = ".jsonc"
	RulesExt  = ".cedar"
	BundleExt = ".signed.json"
)

// A source is a policy as people write it: its fields in JSON, in which a line
// that begins with // is a comment, with dates instead of seconds and the rules
// in a file of their own; and examples that policy check decides.
type source struct {
	policy.Document
	Rules     string    `json:"rules"`      // file, relative to this one
	NotBefore string    `json:"not_before"` // RFC 3339, or a date
	Expires   string    `json:"expires"`    // likewise
	Examples  []Example `json:"examples,omitempty"`
}

// An Example is one operation with what is expected of it.
type Example struct {
	Say         string            `json:"say"`
	Method      string            `json:"method,omitempty"`
	Path        string            `json:"path,omitempty"` // with the query
	SQL         *SQL              `json:"sql,omitempty"`  // a statement instead of a request
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

// Read returns the policy in a source file, without a zone, and its examples.
func Read(sh *shell.Shell, name string) (*policy.Document, []Example, error) {
	b, err := sh.Read(name, shell.Source)
	if err != nil {
		return nil, nil, err
	}
	var s source
	if filepath.Ext(name) == RulesExt {
		return nil, nil, shell.Fail("writ policy check "+Base(name)+Ext, "%s holds rules; the policy is the file that names them", name)
	}
	if err := shell.DecodeJSON(withoutComments(b), &s); err != nil {
		return nil, nil, shell.Source.Bad(name, err)
	}
	doc := s.Document
	if doc.Secrets == nil {
		doc.Secrets = []policy.Secret{} // a policy for a target that takes none
	}
	if s.Rules == "" {
		return nil, nil, shell.Source.Bad(name, errors.New("rules: name the file with the rules, such as NAME"+RulesExt))
	}
	rules, err := sh.Read(filepath.Join(filepath.Dir(name), s.Rules), shell.Rules)
	if err != nil {
		return nil, nil, err
	}
	doc.Rules = string(rules)
	if doc.NotBefore, err = When(s.NotBefore); err != nil {
		return nil, nil, shell.Source.Bad(name, fmt.Errorf("not_before: %w", err))
	}
	if doc.Expires, err = When(s.Expires); err != nil {
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

// When returns a date, or a date and time, in Unix seconds.
func When(s string) (int64, error) {
	for _, form := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(form, s); err == nil {
			return t.Unix(), nil
		}
	}
	return 0, errors.New("want a date such as 2027-01-31, or with a time 2027-01-31T08:00:00Z")
}

// Base returns a file's name without what says its kind.
func Base(name string) string {
	for _, ext := range []string{Ext, RulesExt, BundleExt} {
		name = strings.TrimSuffix(name, ext)
	}
	return name
}

// Find returns the document that name means: a source, a signed file, or the
// policy in force of an alias.
func Find(ctx context.Context, sh *shell.Shell, name string) (d *policy.Document, id canon.Digest, err error) {
	switch {
	case strings.HasSuffix(name, Ext):
		d, _, err = Read(sh, name)
		return d, id, err
	case strings.HasSuffix(name, BundleExt):
		x, d, err := ReadBundle(sh, name)
		if err != nil {
			return nil, id, err
		}
		return d, x.Policy.Digest(), nil
	}
	z, err := sh.Zone(ctx)
	if err != nil {
		return nil, id, err
	}
	p, ok := z.InForce(name)
	if !ok {
		return nil, id, shell.Fail("writ policy show lists the policies that are", "no policy is in force for %s", name)
	}
	return p.Document(), p.ID(), nil
}
