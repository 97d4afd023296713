package proof_test

import (
	"encoding/hex"
	"errors"
	"flag"
	"slices"
	"strings"
	"testing"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/proof"
	"github.com/writhq/writ/sign"
)

var update = flag.Bool("update", false, "write vectors/proof from the cases in this package")

// A result is what a proof comes down to.
type result struct {
	Credential string   `json:"credential"`
	Operation  string   `json:"operation,omitempty"`
	Purpose    string   `json:"purpose,omitempty"`
	Lineage    []string `json:"lineage,omitempty"`
	JTI        string   `json:"jti"`
	IssuedAt   int64    `json:"issued_at"`
	Expires    int64    `json:"expires"`
	Audience   string   `json:"audience"`
	Idem       string   `json:"idem,omitempty"`
	Policy     string   `json:"policy,omitempty"`
	ReplayID   string   `json:"replay_id"`
}

func resultOf(v *proof.Invocation, k sign.PublicKey) *result {
	r := &result{Credential: v.Credential.String(), Purpose: v.Purpose, JTI: hex.EncodeToString(v.JTI), IssuedAt: v.IssuedAt,
		Expires: v.Expires, Audience: v.Audience, Idem: v.Idem, ReplayID: v.ReplayID(k).String()}
	if !v.Operation.IsZero() {
		r.Operation = v.Operation.String()
	}
	for _, l := range v.Lineage {
		r.Lineage = append(r.Lineage, l.String())
	}
	if v.Policy != nil {
		r.Policy = v.Policy.String()
	}
	return r
}

func (r *result) equal(o *result) bool {
	a, b := *r, *o
	lineage := slices.Equal(a.Lineage, b.Lineage)
	a.Lineage, b.Lineage = nil, nil
	return lineage && a.Credential == b.Credential && a.Operation == b.Operation && a.Purpose == b.Purpose && a.JTI == b.JTI &&
		a.IssuedAt == b.IssuedAt && a.Expires == b.Expires && a.Audience == b.Audience && a.Idem == b.Idem && a.Policy == b.Policy && a.ReplayID == b.ReplayID
}

type httpVector struct {
	Name      string      `json:"name"`
	Key       string      `json:"key"`
	At        int64       `json:"at"`
	Cover     []string    `json:"cover,omitempty"` // demanded beyond the profile
	Method    string      `json:"method"`
	TargetURI string      `json:"target_uri"`
	Fields    [][2]string `json:"fields"`
	HasBody   bool        `json:"has_body,omitempty"`
	Body      string      `json:"body,omitempty"` // hexadecimal
	Base      string      `json:"base,omitempty"` // signature base
	Result    *result     `json:"result,omitempty"`
	Error     string      `json:"error,omitempty"` // covered, time, or proof for all else
}

type httpFile struct {
	Format string       `json:"format"`
	Cases  []httpVector `json:"cases"`
}

// failure returns the name of an error in the vectors.
func failure(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, proof.ErrCovered):
		return "covered"
	case errors.Is(err, proof.ErrTime):
		return "time"
	case errors.Is(err, proof.ErrProof):
		return "proof"
	}
	return "of another package"
}

func httpCases(t *testing.T) httpFile {
	f := httpFile{Format: "HTTP message signatures"}
	k := testkit.Fixed(world.Key("holder"))
	p256 := testkit.Fixed(world.KeyP256("holder"))
	put := func(name, want string, key sign.Signer, m *proof.Message) {
		v := httpVector{Name: name, Key: key.Public().String(), At: testkit.Now, Cover: []string{"x-reason"},
			Method: m.Method, TargetURI: m.TargetURI, Fields: m.Fields, HasBody: m.HasBody, Body: hex.EncodeToString(m.Body), Error: want}
		if !m.HasBody {
			v.Cover = nil
		}
		if got, base, err := proof.VerifyHTTP(m, key.Public(), v.Cover, v.At); err == nil {
			v.Result, v.Base = resultOf(got, key.Public()), string(base)
		}
		f.Cases = append(f.Cases, v)
	}
	put("post", "", k, signedPost(t, k))
	put("post, p256", "", p256, signedPost(t, p256))
	d := canon.Hash(chain)
	get := &proof.Message{Method: "GET", TargetURI: "https://gate.example/t/shop/v1/orders/8831", Fields: [][2]string{{proof.FieldCredentialRef, proof.ByteSequence(d[:])}}}
	if err := proof.SignHTTP(get, &proof.Invocation{JTI: jti, IssuedAt: testkit.Now, Expires: testkit.Now + 60, Audience: testkit.Domain}, k, nil); err != nil {
		t.Fatal(err)
	}
	put("get by reference", "", k, get)
	s := usualSignature()
	parts := strings.Split(s.params, ";")
	slices.Reverse(parts[1:])
	s.params = strings.Join(parts, ";")
	put("parameters in another order", "", k, s.by(t, unsigned()))
	for _, c := range []struct {
		name, want string
		change     func(*proof.Message)
	}{
		{"method", "proof", func(m *proof.Message) { m.Method = "PUT" }},
		{"target URI", "proof", func(m *proof.Message) { m.TargetURI += "1" }},
		{"body", "proof", func(m *proof.Message) { m.Body = []byte("{}") }},
		{"listed header", "proof", func(m *proof.Message) { *field(m, "x-reason") = "another" }},
		{"listed header twice", "covered", func(m *proof.Message) { add(m, "x-reason", "another") }},
		{"another credential", "proof", func(m *proof.Message) { *field(m, proof.FieldCredential) = proof.ByteSequence([]byte("wider")) }},
		{"both credential fields", "proof", func(m *proof.Message) { add(m, proof.FieldCredentialRef, proof.ByteSequence(make([]byte, 32))) }},
		{"no credential field", "proof", func(m *proof.Message) { remove(m, proof.FieldCredential) }},
		{"no signature", "proof", func(m *proof.Message) { remove(m, proof.FieldSignature) }},
		{"two inputs", "proof", func(m *proof.Message) { add(m, proof.FieldInput, *field(m, proof.FieldInput)) }},
	} {
		m := signedPost(t, k)
		c.change(m)
		put(c.name, c.want, k, m)
	}
	signed := func(name, want string, change func(*signature, *proof.Message)) {
		s, m := usualSignature(), unsigned()
		change(&s, m)
		put(name, want, k, s.by(t, m))
	}
	signed("header not covered", "covered", func(s *signature, _ *proof.Message) { s.names = s.names[:6] })
	signed("digest not covered", "covered", func(s *signature, _ *proof.Message) { s.names = slices.Delete(s.names, 4, 5) })
	signed("alg", "proof", func(s *signature, _ *proof.Message) { s.params += `;alg="ed25519"` })
	signed("another tag", "proof", func(s *signature, _ *proof.Message) { s.params = strings.Replace(s.params, "invoke-1", "invoke-2", 1) })
	signed("valid too long", "time", func(s *signature, _ *proof.Message) {
		s.params = strings.Replace(s.params, ";created=1795", ";created=1794", 1)
	})
	signed("context in another order", "proof", func(_ *signature, m *proof.Message) {
		*field(m, proof.FieldContext) = `pur="refund", aud="prod/1"`
	})
	signed("two purposes", "proof", func(_ *signature, m *proof.Message) {
		*field(m, proof.FieldContext) = `aud="prod/1", pur="lookup", pur="refund"`
	})
	return f
}

// TestHTTPVectors verifies what vectors/proof/http.json holds.
//
// SPEC PROOF-5, PROOF-6, PROOF-7
func TestHTTPVectors(t *testing.T) {
	t.Parallel()
	f := testkit.Vectors(t, *update, "../vectors/proof/http.json", httpCases(t))
	refused := 0
	for _, v := range f.Cases {
		k, err := sign.ParsePublicKey(v.Key)
		if err != nil {
			t.Fatal(err)
		}
		m := &proof.Message{Method: v.Method, TargetURI: v.TargetURI, Fields: v.Fields, HasBody: v.HasBody, Body: testkit.Unhex(t, v.Body)}
		got, base, err := proof.VerifyHTTP(m, k, v.Cover, v.At)
		if failure(err) != v.Error {
			t.Errorf("%s: %v, want %q", v.Name, err, v.Error)
		}
		if v.Error != "" {
			refused++
		} else if err == nil && (!resultOf(got, k).equal(v.Result) || string(base) != v.Base) {
			t.Errorf("%s: %+v", v.Name, got)
		}
	}
	if refused < 15 {
		t.Errorf("%d refused", refused)
	}
}

type invocationVector struct {
	Name   string  `json:"name"`
	Key    string  `json:"key"`
	At     int64   `json:"at"`
	Type   string  `json:"operation_type"`
	Asked  string  `json:"asked"` // hexadecimal
	Block  string  `json:"block"` // hexadecimal
	Result *result `json:"result,omitempty"`
	Error  string  `json:"error,omitempty"`
}

type invocationFile struct {
	Format string             `json:"format"`
	Cases  []invocationVector `json:"cases"`
}

func invocationCases(t *testing.T) invocationFile {
	f := invocationFile{Format: "invocations"}
	k := testkit.Fixed(world.Key("holder"))
	put := func(name, want string, key sign.Signer, block []byte) {
		v := invocationVector{Name: name, Key: key.Public().String(), At: testkit.Now, Type: operation.Type,
			Asked: hex.EncodeToString(operation.Asked), Block: hex.EncodeToString(block), Error: want}
		if got, err := proof.VerifyInvocation(key.Public(), block, operation, v.At); err == nil {
			v.Result = resultOf(got, key.Public())
		}
		f.Cases = append(f.Cases, v)
	}
	good := invoke(t, k, nil)
	p256 := testkit.Fixed(world.KeyP256("holder"))
	put("all fields", "", k, good)
	put("p256", "", p256, invoke(t, p256, nil))
	put("fewest fields", "", k, invoke(t, k, func(v *proof.Invocation) { v.Lineage, v.Policy, v.Purpose, v.Idem = nil, nil, "", "" }))
	put("by another key", "proof", k, invoke(t, world.Key("other"), nil))
	put("for another operation", "proof", k, invoke(t, k, func(v *proof.Invocation) { v.Operation[0] ^= 1 }))
	put("for no operation", "proof", k, invoke(t, k, func(v *proof.Invocation) { v.Operation = canon.Digest{} }))
	put("valid too long", "time", k, invoke(t, k, func(v *proof.Invocation) { v.Expires++ }))
	put("expired", "time", k, invoke(t, k, func(v *proof.Invocation) { v.IssuedAt, v.Expires = v.IssuedAt-90, v.Expires-90 }))
	put("not yet valid", "time", k, invoke(t, k, func(v *proof.Invocation) { v.IssuedAt += 31 }))
	put("sums that overflow", "time", k, invoke(t, k, func(v *proof.Invocation) { v.IssuedAt, v.Expires = -1<<63+30, v.Expires+1_000_000 }))
	put("short jti", "proof", k, invoke(t, k, func(v *proof.Invocation) { v.JTI = v.JTI[:15] }))
	put("no audience", "proof", k, invoke(t, k, func(v *proof.Invocation) { v.Audience = "" }))
	put("17 receipts", "proof", k, invoke(t, k, func(v *proof.Invocation) { v.Lineage = make([]canon.Digest, 17) }))
	payload, err := sign.PayloadUnverified(good)
	if err != nil {
		t.Fatal(err)
	}
	other, err := sign.Sign1(k, "application/writ-present+cbor", payload)
	if err != nil {
		t.Fatal(err)
	}
	put("block of another type", "proof", k, other)
	put("cut short", "proof", k, good[:len(good)-1])
	put("nothing", "proof", k, nil)
	return f
}

// TestInvocationVectors verifies what vectors/proof/invocation.json holds.
//
// SPEC PROOF-2, PROOF-3, PROOF-4
func TestInvocationVectors(t *testing.T) {
	t.Parallel()
	f := testkit.Vectors(t, *update, "../vectors/proof/invocation.json", invocationCases(t))
	refused := 0
	for _, v := range f.Cases {
		k, err := sign.ParsePublicKey(v.Key)
		if err != nil {
			t.Fatal(err)
		}
		o := &op.Operation{Type: v.Type, Asked: testkit.Unhex(t, v.Asked)}
		got, err := proof.VerifyInvocation(k, testkit.Unhex(t, v.Block), o, v.At)
		if failure(err) != v.Error {
			t.Errorf("%s: %v, want %q", v.Name, err, v.Error)
		}
		if v.Error != "" {
			refused++
		} else if err == nil && !resultOf(got, k).equal(v.Result) {
			t.Errorf("%s: %+v", v.Name, got)
		}
	}
	if refused < 12 {
		t.Errorf("%d refused", refused)
	}
}
