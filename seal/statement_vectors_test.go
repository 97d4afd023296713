package seal_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/seal"
	"github.com/writhq/writ/sign"
)

const statementFileName = "../vectors/seal/statement.json"

type statementVector struct {
	Name     string `json:"name"`
	Envelope string `json:"envelope"`
	ID       string `json:"id,omitempty"`
	Error    string `json:"error,omitempty"` // form: does not parse; authority: does not hold
}

type statementFile struct {
	Format string            `json:"format"`
	Root   string            `json:"root"`   // envelope; its digest is the zone
	Policy string            `json:"policy"` // envelope
	Cases  []statementVector `json:"cases"`
}

func statementCases(t *testing.T) statementFile {
	z := testkit.NewZone(t)
	f := statementFile{Format: "sealers' statements", Root: testkit.EnvelopeText(t, z.RootEnvelope), Policy: testkit.EnvelopeText(t, z.Envelope)}
	good := z.Statement(t, z.Policy, testkit.Value(testkit.Plain)).Statement
	put := func(name, failure string, payload []byte, by ...string) {
		e := &sign.Envelope{PayloadType: seal.StatementType, Payload: payload}
		if name == "another type" {
			e.PayloadType = policy.PayloadType
		}
		for _, n := range by {
			if err := e.Sign(z.Key(n)); err != nil {
				t.Fatal(err)
			}
		}
		v := statementVector{Name: name, Envelope: testkit.EnvelopeText(t, e), Error: failure}
		if failure == "" {
			v.ID = e.Digest().String()
		}
		f.Cases = append(f.Cases, v)
	}
	other := func(change func(*seal.Statement)) []byte {
		s := good
		change(&s)
		return encode(t, &s)
	}
	put("sam", "", encode(t, &good), "sam")
	put("sam and sue", "", encode(t, &good), "sam", "sue")
	put("nobody", "authority", encode(t, &good))
	put("a stranger", "authority", encode(t, &good), "eve")
	put("a policy signer", "authority", encode(t, &good), "ana")
	put("another type", "authority", encode(t, &good), "sam")
	put("zone", "authority", other(func(s *seal.Statement) { s.Zone[0] ^= 1 }), "sam")
	put("alias", "authority", other(func(s *seal.Statement) { s.Alias = "dev/x" }), "sam")
	put("id", "authority", other(func(s *seal.Statement) { s.ID = "other" }), "sam")
	put("kind", "authority", other(func(s *seal.Statement) { s.Kind = "raw" }), "sam")
	put("policy", "authority", other(func(s *seal.Statement) { s.Policy[0] ^= 1 }), "sam")
	put("version 0", "form", other(func(s *seal.Statement) { s.Version = 0 }), "sam")
	put("typ", "form", other(func(s *seal.Statement) { s.Typ = "writ-sealer/2" }), "sam")
	put("something after", "form", append(encode(t, &good), 0), "sam")
	put("unknown field", "form", encode(t, map[int]any{1: "writ-sealer/1", 99: 1}), "sam")
	put("empty", "form", nil, "sam")
	return f
}

// TestStatementVectors verifies what vectors/seal/statement.json holds.
//
// SPEC SEAL-6, SEAL-7
// guard: statement-zone, statement-declared, statement-quorum
func TestStatementVectors(t *testing.T) {
	t.Parallel()
	f := testkit.Vectors(t, *update, statementFileName, statementCases(t))
	r, p := testkit.VerifyPolicy(t, f.Root, f.Policy)
	refused := 0
	for _, v := range f.Cases {
		st, err := seal.ParseStatement(testkit.EnvelopeOf(t, v.Envelope))
		if (err != nil) != (v.Error == "form") {
			t.Errorf("%s: parse: %v", v.Name, err)
		}
		if err == nil {
			err = st.Verify(r, p)
		}
		if v.Error == "" {
			if err != nil || st.Digest().String() != v.ID {
				t.Errorf("%s: %v", v.Name, err)
			}
			continue
		}
		refused++
		if !errors.Is(err, seal.ErrSeal) {
			t.Errorf("%s: %v", v.Name, err)
		}
	}
	if refused < 14 {
		t.Errorf("%d refused", refused)
	}
}

// FuzzStatement: a statement that parses encodes back to the bytes that were signed,
// and nobody's counts.
func FuzzStatement(f *testing.F) {
	var v statementFile
	testkit.ReadVectors(f, statementFileName, &v)
	for _, c := range v.Cases {
		f.Add(testkit.EnvelopeOf(f, c.Envelope).Payload)
	}
	r, p := testkit.VerifyPolicy(f, v.Root, v.Policy)
	f.Fuzz(func(t *testing.T, payload []byte) {
		st, err := seal.ParseStatement(&sign.Envelope{PayloadType: seal.StatementType, Payload: payload})
		if err != nil {
			if !errors.Is(err, seal.ErrSeal) {
				t.Errorf("an error of another package: %v", err)
			}
			return
		}
		if again := encode(t, &st.Statement); !bytes.Equal(again, payload) {
			t.Errorf("%x encodes to %x", payload, again)
		}
		if st.Verify(r, p) == nil {
			t.Errorf("%x holds, and nobody signed it", payload)
		}
	})
}
