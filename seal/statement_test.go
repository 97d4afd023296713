package seal_test

import (
	"errors"
	"testing"

	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/seal"
	"github.com/writhq/writ/sign"
)

// signed returns s signed by the named keys.
func signed(t testing.TB, z *testkit.Zone, s seal.Statement, by ...string) *seal.Signed {
	t.Helper()
	e := &sign.Envelope{PayloadType: seal.StatementType, Payload: encode(t, &s)}
	for _, name := range by {
		if err := e.Sign(z.Key(name)); err != nil {
			t.Fatal(err)
		}
	}
	st, err := seal.ParseStatement(e)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// TestStatementVerify sees that a statement takes the sealers of the policy that
// it names, for a secret that this policy lists.
//
// SPEC SEAL-6, SEAL-7
// A4: another line's secret, version 99
// R1
// guard: statement-declared, statement-quorum
func TestStatementVerify(t *testing.T) {
	t.Parallel()
	z := testkit.NewZone(t)
	good := z.Statement(t, z.Policy, testkit.Value(testkit.Plain)).Statement
	for _, c := range []struct {
		name   string
		change func(*seal.Statement)
		by     []string
		ok     bool
	}{
		{"sam", nil, []string{"sam"}, true},
		{"sue", nil, []string{"sue"}, true},
		{"both", nil, []string{"sam", "sue"}, true},
		{"with a stranger", nil, []string{"eve", "sam"}, true},
		{"nobody", nil, nil, false},
		{"stranger", nil, []string{"eve"}, false},
		{"who signs policies", nil, []string{"ana", "bo"}, false},
		{"issuer", nil, []string{"iris"}, false},
		{"id", func(s *seal.Statement) { s.ID = "other" }, []string{"sam"}, false},
		{"kind", func(s *seal.Statement) { s.Kind = "raw" }, []string{"sam"}, false},
		{"alias", func(s *seal.Statement) { s.Alias = "dev/x" }, []string{"sam"}, false},
		{"policy", func(s *seal.Statement) { s.Policy[0]++ }, []string{"sam"}, false},
	} {
		s := good
		if c.change != nil {
			c.change(&s)
		}
		err := signed(t, z, s, c.by...).Verify(z.Root, z.Policy)
		if (err == nil) != c.ok || err != nil && !errors.Is(err, seal.ErrSeal) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	st := signed(t, z, good, "sam")
	for name, p := range map[string]*policy.Verified{"nil": nil, "zero": {}} {
		if err := st.Verify(z.Root, p); !errors.Is(err, seal.ErrSeal) {
			t.Errorf("%s policy: %v", name, err)
		}
	}
	e := *st.Envelope()
	e.PayloadType = policy.PayloadType
	if other, err := seal.ParseStatement(&e); err == nil && other.Verify(z.Root, z.Policy) == nil {
		t.Error("an envelope of another type holds")
	}
}

// TestStatementThreshold takes two sealers, and one with two signatures is one.
//
// R35
// guard: quorum-met
func TestStatementThreshold(t *testing.T) {
	t.Parallel()
	z := testkit.NewZoneWith(t, testkit.Config{Policy: func(d *policy.Document) { d.Secrets[0].Sealers.Threshold = 2 }})
	s := z.Statement(t, z.Policy, testkit.Value(testkit.Plain)).Statement
	for _, c := range []struct {
		by []string
		ok bool
	}{{[]string{"sam"}, false}, {[]string{"sam", "sam"}, false}, {[]string{"sam", "eve"}, false}, {[]string{"sam", "sue"}, true}} {
		if err := signed(t, z, s, c.by...).Verify(z.Root, z.Policy); (err == nil) != c.ok {
			t.Errorf("%v: %v", c.by, err)
		}
	}
}

// TestStatementOutlivesSuccession removes a sealer: what she vouched for holds on
// under the successor, and she can vouch for nothing new.
//
// SPEC SEAL-7
func TestStatementOutlivesSuccession(t *testing.T) {
	t.Parallel()
	z := testkit.NewZone(t)
	v := testkit.Value(testkit.Plain)
	st := z.Statement(t, z.Policy, v)
	next := z.Successor(t, z.Policy, func(d *policy.Document) {
		d.Secrets = append([]policy.Secret(nil), d.Secrets...)
		d.Secrets[0].Sealers = sign.Quorum{Members: []string{"sue"}, Threshold: 1}
	})
	if err := st.Verify(z.Root, next); err != nil {
		t.Errorf("the old value: %v", err)
	}
	if err := z.Statement(t, next, v).Verify(z.Root, next); !errors.Is(err, seal.ErrSeal) {
		t.Errorf("a new value by a removed sealer: %v", err)
	}
	s := z.Statement(t, next, v).Statement
	if err := signed(t, z, s, "sue").Verify(z.Root, next); err != nil {
		t.Errorf("a new value by a sealer: %v", err)
	}
	if err := signed(t, z, s, "sue").Verify(z.Root, z.Policy); !errors.Is(err, seal.ErrSeal) {
		t.Errorf("a statement under a policy that is not in force yet: %v", err)
	}
}

// TestStatementForm refuses statements in another form.
//
// SPEC SEAL-6
func TestStatementForm(t *testing.T) {
	t.Parallel()
	z := testkit.NewZone(t)
	good := z.Statement(t, z.Policy, testkit.Value(testkit.Plain))
	payload := good.Envelope().Payload
	parse := func(b []byte, n int) error {
		_, err := seal.ParseStatement(&sign.Envelope{PayloadType: seal.StatementType, Payload: b, Signatures: make([]sign.Signature, n)})
		return err
	}
	if err := parse(payload, 16); err != nil {
		t.Fatal(err)
	}
	version, typ := good.Statement, good.Statement
	version.Version = 0
	typ.Typ = "writ-sealer/2"
	for name, err := range map[string]error{
		"empty":           parse(nil, 1),
		"something after": parse(append(append([]byte(nil), payload...), 0), 1),
		"version 0":       parse(encode(t, &version), 1),
		"another type":    parse(encode(t, &typ), 1),
		"unknown field":   parse(encode(t, map[int]any{1: "writ-sealer/1", 99: 1}), 1),
		"too large":       parse(make([]byte, 4<<10+1), 1),
		"17 signatures":   parse(payload, 17),
	} {
		if !errors.Is(err, seal.ErrSeal) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := seal.NewStatement(z.Policy, seal.Name{ID: "other", Version: 1}, testkit.Value("x")); !errors.Is(err, seal.ErrSeal) {
		t.Errorf("a secret that the policy does not list: %v", err)
	}
	if _, err := seal.NewStatement(nil, seal.Name{ID: testkit.SecretID, Version: 1}, testkit.Value("x")); !errors.Is(err, seal.ErrSeal) {
		t.Errorf("without a policy: %v", err)
	}
	if _, err := seal.NewStatement(z.Policy, seal.Name{ID: testkit.SecretID}, testkit.Value("x")); !errors.Is(err, seal.ErrSeal) {
		t.Errorf("version 0: %v", err)
	}
}
