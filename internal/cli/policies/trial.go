package policies

import (
	"crypto/rand"
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/credential"
	"github.com/writhq/writ/internal/cli/source"
	"github.com/writhq/writ/op"
	ophttp "github.com/writhq/writ/op/http"
	"github.com/writhq/writ/op/sql"
	"github.com/writhq/writ/permit"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/sign"
)

// A trial is a policy in a zone of its own, made for one check: people with the
// names that the policy has and keys that nobody keeps, and a credential for one
// of its subjects. What it decides, a gate would decide.
type trial struct {
	law   *policy.Verified
	root  *policy.Root
	keys  map[string]sign.PrivateKey
	chain *credential.Verified // good for a while from since on
	since int64                // Unix seconds
	at    int64                // Unix seconds: when it is
}

// newTrial returns a trial of d at a time.
func newTrial(d *policy.Document, at int64) (*trial, error) {
	prefix := path.Dir(d.Alias)
	if prefix == "." {
		return nil, fmt.Errorf("alias %q: a line of policies has a namespace before it, such as payments/%s", d.Alias, d.Alias)
	}
	keys, err := trialKeys(d)
	if err != nil {
		return nil, err
	}
	root, err := trialRoot(d, prefix+"/", keys)
	if err != nil {
		return nil, err
	}
	c := *d
	c.Zone, c.Version, c.Prev = root.Zone(), 1, canon.Digest{}
	e, err := signed(policy.PayloadType, &c, keys, c.Governance.Successor.Members)
	if err != nil {
		return nil, err
	}
	t := &trial{root: root, keys: keys, at: max(d.NotBefore, min(at, d.Expires-1))}
	if t.law, err = policy.Verify(e, root, nil); err != nil {
		return nil, err
	}
	return t, t.issue(t.at)
}

// trialKeys makes a key for everyone whom the policy names.
func trialKeys(d *policy.Document) (map[string]sign.PrivateKey, error) {
	names := append([]string{"trial-root"}, d.Governance.Successor.Members...)
	for _, s := range d.Secrets {
		names = append(names, s.Sealers.Members...)
	}
	for _, i := range d.Delegation.Issuers {
		names = append(names, i.Principal)
	}
	keys := make(map[string]sign.PrivateKey)
	for _, n := range names {
		k, err := sign.Generate(sign.Ed25519)
		if err != nil {
			return nil, err
		}
		keys[n] = k
	}
	return keys, nil
}

func trialRoot(d *policy.Document, prefix string, keys map[string]sign.PrivateKey) (*policy.Root, error) {
	q := sign.Quorum{Members: []string{"trial-root"}, Threshold: 1}
	doc := &policy.RootDocument{
		Version: 1, Expires: d.Expires + 1, Root: q, Principals: map[string]policy.Principal{},
		Namespaces: []policy.Namespace{{Prefix: prefix, Genesis: d.Governance.Successor, Revoke: q}},
		Gates:      []policy.Gate{},
		PolicyLog:  policy.Log{Origin: "trial", Key: keys["trial-root"].Public()},
		Ceilings: policy.Ceilings{
			MaxStalenessS: d.Freshness.MaxStalenessS, MaxTTLS: d.Delegation.MaxTTLS, MaxDepth: d.Delegation.MaxDepth,
			MinSigners: d.Governance.Successor.Threshold,
		},
		Algorithms: []string{"ed25519"},
	}
	for name, k := range keys {
		doc.Principals[name] = policy.Principal{Keys: []policy.RootKey{{Key: k.Public(), Use: []policy.Use{policy.UseRoot, policy.UsePolicy, policy.UseSealer, policy.UseIssuer}}}}
	}
	e, err := signed(policy.RootType, doc, keys, q.Members)
	if err != nil {
		return nil, err
	}
	return policy.VerifyRoots(e.Digest(), []*sign.Envelope{e}, d.NotBefore)
}

func signed(payloadType string, doc any, keys map[string]sign.PrivateKey, names []string) (*sign.Envelope, error) {
	payload, err := canon.EncodeJSON(doc)
	if err != nil {
		return nil, err
	}
	e := &sign.Envelope{PayloadType: payloadType, Payload: payload}
	for _, n := range names {
		if err := e.Sign(keys[n]); err != nil {
			return nil, err
		}
	}
	return e, nil
}

// issue makes the trial's credential, for the first issuer's first subject, good
// from the time at on.
func (t *trial) issue(at int64) error {
	if t.chain != nil && t.since <= at && at < t.chain.Grant.Expires {
		return nil
	}
	d := t.law.Document()
	subject := strings.Replace(d.Delegation.Issuers[0].Subjects[0], "*", "example", 1)
	var issuers []sign.Signer
	for _, i := range d.Delegation.Issuers[:d.Delegation.Threshold] {
		issuers = append(issuers, t.keys[i.Principal])
	}
	c, err := credential.Issue(credential.Grant{
		Zone: t.root.Zone(), Alias: d.Alias, MinVersion: 1, Subject: op.Subject(subject),
		Terms: credential.Terms{
			Holder:    credential.NewHolderKey(t.keys["trial-root"].Public()),
			NotBefore: at, Expires: at + min(d.Delegation.MaxTTLS, 86400),
		},
	}, issuers...)
	if err != nil {
		return err
	}
	t.since = at
	t.chain, err = c.Verify(t.law, t.root)
	return err
}

// decide decides an example, as a gate would: the mapper, then the policy. Limits
// are reckoned, not counted.
func (t *trial) decide(x *source.Example) (_ permit.Decision, err error) {
	d := t.law.Document()
	target := x.Target
	if target == "" && len(d.Targets) > 0 {
		target = d.Targets[0].ID
	}
	q := policy.Question{
		Subject: t.chain.Grant.Subject, Actor: t.chain.Holder().ID().String(), Action: "http:" + x.Method, Target: target,
		Purpose: x.Purpose, Level: op.Signed, Region: x.Region, Group: group(d), At: t.at,
	}
	if x.SQL != nil {
		q.Action, q.Level = x.SQL.Action(), op.Channel // a client's certificate
	}
	if x.Level != nil {
		q.Level = *x.Level
	}
	if x.At != "" {
		at, err := source.When(x.At)
		if err != nil {
			return permit.Decision{}, fmt.Errorf("at: %w", err)
		}
		q.At = at
	}
	if err := t.issue(q.At); err != nil {
		return permit.Decision{}, err
	}
	decl, ok := d.Operation(q.Action, target)
	if !ok {
		return permit.Decision{Denial: op.Deny(op.NotDeclared, "the action on this target is not among the policy's operations")}, nil
	}
	to, ok := d.Target(target)
	if !ok {
		return permit.Decision{}, errors.New("target: the policy has none of that name")
	}
	if x.Region == "" {
		q.Region = to.Region
	}
	if x.SQL != nil {
		if q.Operation, err = x.SQL.Operation(target); err != nil {
			return permit.Decision{}, fmt.Errorf("sql: %w", err)
		}
		if _, err := (sql.Mapper{}).View(q.Operation, &decl.Declaration); err != nil {
			return permit.Decision{Denial: op.Deny(op.NotDeclared, err.Error())}, nil
		}
	} else if q.Operation, err = operation(x, to, &decl.Declaration); err != nil {
		return permit.Decision{Denial: ophttp.Deny(err)}, nil
	}
	return permit.Decide(t.law, t.chain, &q), nil
}

// group returns the gate group that may open the policy's secrets.
func group(d *policy.Document) string {
	if len(d.Secrets) > 0 {
		return d.Secrets[0].Recipients.Group
	}
	return "main"
}

// operation maps the example as the gateway would map its bytes.
func operation(x *source.Example, to *policy.Target, decl *op.Declaration) (*op.Operation, error) {
	w := ophttp.Wire{Method: x.Method, Target: to.ID, Origin: to.Origin}
	w.RawPath, w.RawQuery, _ = strings.Cut(x.Path, "?")
	switch {
	case x.Form != "":
		w.Body, w.HasBody = []byte(x.Form), true
		w.Header = append(w.Header, [2]string{"content-type", "application/x-www-form-urlencoded"})
	case len(x.Body) > 0:
		w.Body, w.HasBody = x.Body, true
		w.Header = append(w.Header, [2]string{"content-type", "application/json"})
	}
	for name, v := range x.Headers {
		w.Header = append(w.Header, [2]string{strings.ToLower(name), v})
	}
	var salt [ophttp.SaltBytes]byte
	rand.Read(salt[:])
	return ophttp.NewOperation(w, decl, salt)
}
