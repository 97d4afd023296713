package proof_test

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/proof"
	"github.com/writhq/writ/sign"
)

// TestHTTP signs requests and verifies them, as sent and with what a hop may do
// to them.
//
// SPEC PROOF-5
func TestHTTP(t *testing.T) {
	t.Parallel()
	for _, k := range []sign.PrivateKey{world.Key("holder"), world.KeyP256("holder")} {
		m := signedPost(t, k)
		v, base, err := proof.VerifyHTTP(m, k.Public(), covered, testkit.Now)
		if err != nil {
			t.Fatal(err)
		}
		want := usual()
		want.Typ, want.Credential = "writ-invoke/1", canon.Hash(chain)
		if !reflect.DeepEqual(v, want) {
			t.Errorf("%+v, want %+v", v, want)
		}
		if b, ref, err := m.Credential(); err != nil || !bytes.Equal(b, chain) || !ref.IsZero() {
			t.Errorf("credential: %v", err)
		}
		if !bytes.HasPrefix(base, []byte("\"@method\": POST\n\"@target-uri\": "+targetURI+"\n")) {
			t.Errorf("base %q", base)
		}
		add(m, "x-forwarded-for", "10.0.0.1") // not covered, and not part of the operation
		*field(m, "host") = "elsewhere.example"
		*field(m, "x-reason") += " \t"
		*field(m, proof.FieldContext) = "  " + *field(m, proof.FieldContext)
		if _, _, err := proof.VerifyHTTP(m, k.Public(), covered, testkit.Now); err != nil {
			t.Errorf("white space around a value: %v", err)
		}
	}
	k := world.Key("holder")
	d := canon.Hash(chain)
	m := &proof.Message{Method: "GET", TargetURI: targetURI, Fields: [][2]string{{proof.FieldCredentialRef, proof.ByteSequence(d[:])}}}
	if err := proof.SignHTTP(m, &proof.Invocation{JTI: jti, IssuedAt: testkit.Now, Expires: testkit.Now + 1, Audience: "a"}, k, nil); err != nil {
		t.Fatal(err)
	}
	v, _, err := proof.VerifyHTTP(m, k.Public(), nil, testkit.Now)
	if err != nil || v.Credential != d || v.Purpose != "" || v.Lineage != nil || v.Policy != nil {
		t.Errorf("by reference: %+v, %v", v, err)
	}
	if b, ref, err := m.Credential(); err != nil || b != nil || ref != d {
		t.Errorf("reference: %v", err)
	}
}

// TestHTTPAltered changes a signed request on its way, part by part: a hop that
// ends TLS alters a value, adds a body, or adds and doubles fields.
//
// SPEC PROOF-5
// A10
// R1
// guard: covered-all, covered-once, http-signature, signed-body-digest, one-credential
func TestHTTPAltered(t *testing.T) {
	t.Parallel()
	k := world.Key("holder")
	for name, change := range map[string]func(*proof.Message){
		"method":               func(m *proof.Message) { m.Method = "PUT" },
		"method in lower case": func(m *proof.Message) { m.Method = "post" },
		"path":                 func(m *proof.Message) { m.TargetURI = strings.Replace(m.TargetURI, "refunds", "payouts", 1) },
		"query":                func(m *proof.Message) { m.TargetURI = strings.Replace(m.TargetURI, "dry=0", "dry=1", 1) },
		"query added":          func(m *proof.Message) { m.TargetURI += "&x" },
		"host":                 func(m *proof.Message) { m.TargetURI = strings.Replace(m.TargetURI, "gate", "gate2", 1) },
		"body":                 func(m *proof.Message) { m.Body[len(m.Body)-2] = '9' },
		"body cut":             func(m *proof.Message) { m.Body = nil },
		"body and its digest": func(m *proof.Message) {
			m.Body = []byte("{}")
			*field(m, "content-digest") = proof.ContentDigest(m.Body)
		},
		"second digest": func(m *proof.Message) {
			m.Fields = append([][2]string{{"content-digest", proof.ContentDigest([]byte("{}"))}}, m.Fields...)
		},
		"digest of another kind":     func(m *proof.Message) { *field(m, "content-digest") = "md5=:AAAA:" },
		"no digest":                  func(m *proof.Message) { remove(m, "content-digest") },
		"content type":               func(m *proof.Message) { *field(m, "content-type") = "text/plain" },
		"second content type":        func(m *proof.Message) { add(m, "content-type", "application/json") },
		"listed header":              func(m *proof.Message) { *field(m, "x-reason") = "another" },
		"listed header twice, last":  func(m *proof.Message) { add(m, "x-reason", "another") },
		"listed header twice, first": func(m *proof.Message) { m.Fields = append([][2]string{{"x-reason", "another"}}, m.Fields...) },
		"listed header removed":      func(m *proof.Message) { remove(m, "x-reason") },
		"white space of Unicode":     func(m *proof.Message) { *field(m, "x-reason") += "\u00a0" },
		"vertical tab":               func(m *proof.Message) { *field(m, "x-reason") += "\v" },
		"line break in a value":      func(m *proof.Message) { *field(m, "x-reason") += "\n\"x\": y" },
		"context": func(m *proof.Message) {
			*field(m, "writ-context") = strings.Replace(*field(m, "writ-context"), "refund", "lookup", 1)
		},
		"context twice": func(m *proof.Message) { m.Fields = append([][2]string{{"writ-context", `aud="x"`}}, m.Fields...) },
		"no context":    func(m *proof.Message) { remove(m, "writ-context") },
		"credential":    func(m *proof.Message) { *field(m, "writ-credential") = proof.ByteSequence([]byte("a wider chain")) },
		"credential twice": func(m *proof.Message) {
			m.Fields = append([][2]string{{"writ-credential", proof.ByteSequence([]byte("wider"))}}, m.Fields...)
		},
		"no credential":       func(m *proof.Message) { remove(m, "writ-credential") },
		"reference beside it": func(m *proof.Message) { add(m, "writ-credential-ref", proof.ByteSequence(make([]byte, 32))) },
		"reference in its place": func(m *proof.Message) {
			remove(m, "writ-credential")
			add(m, "writ-credential-ref", proof.ByteSequence(make([]byte, 32)))
		},
		"no input":        func(m *proof.Message) { remove(m, "signature-input") },
		"input twice":     func(m *proof.Message) { add(m, "signature-input", *field(m, "signature-input")) },
		"no signature":    func(m *proof.Message) { remove(m, "signature") },
		"signature twice": func(m *proof.Message) { add(m, "signature", *field(m, "signature")) },
		"signature relabelled": func(m *proof.Message) {
			*field(m, "signature") = "sig1" + strings.TrimPrefix(*field(m, "signature"), "writ")
		},
		"signature with a break": func(m *proof.Message) { s := field(m, "signature"); *s = (*s)[:20] + "\n" + (*s)[20:] },
		"component taken out": func(m *proof.Message) {
			*field(m, "signature-input") = strings.Replace(*field(m, "signature-input"), ` "x-reason"`, "", 1)
		},
		"created": func(m *proof.Message) {
			s := field(m, "signature-input")
			*s = strings.Replace(*s, "created=1", "created=2", 1)
		},
		"expires later": func(m *proof.Message) {
			s := field(m, "signature-input")
			*s = strings.Replace(*s, fmt.Sprint(testkit.Now+60), fmt.Sprint(testkit.Now+59), 1)
		},
	} {
		m := signedPost(t, k)
		if _, _, err := proof.VerifyHTTP(m, k.Public(), covered, testkit.Now); err != nil {
			t.Fatal(err)
		}
		change(m)
		v, _, err := proof.VerifyHTTP(m, k.Public(), covered, testkit.Now)
		refused(t, name, v, err)
		if v != nil {
			t.Errorf("%s: gives an invocation: %v", name, err)
		}
	}
	m := signedPost(t, k)
	v, _, err := proof.VerifyHTTP(m, world.Key("other").Public(), covered, testkit.Now)
	refused(t, "another key", v, err)
	v, _, err = proof.VerifyHTTP(m, sign.PublicKey{}, covered, testkit.Now)
	refused(t, "the zero key", v, err)
}

// TestWiderChain swaps the reference that was signed for a wider chain of the
// same holder key, or puts the chain beside it.
//
// SPEC PROOF-5
// A10
// guard: one-credential, http-signature
func TestWiderChain(t *testing.T) {
	t.Parallel()
	k := world.Key("holder")
	narrow, wide := canon.Digest{1}, canon.Digest{2}
	request := func() *proof.Message {
		m := &proof.Message{Method: "GET", TargetURI: targetURI, Fields: [][2]string{{proof.FieldCredentialRef, proof.ByteSequence(narrow[:])}}}
		if err := proof.SignHTTP(m, usual(), k, nil); err != nil {
			t.Fatal(err)
		}
		return m
	}
	for name, change := range map[string]func(*proof.Message){
		"swapped":      func(m *proof.Message) { *field(m, proof.FieldCredentialRef) = proof.ByteSequence(wide[:]) },
		"beside it":    func(m *proof.Message) { add(m, proof.FieldCredential, proof.ByteSequence(chain)) },
		"in its place": func(m *proof.Message) { m.Fields[0] = [2]string{proof.FieldCredential, proof.ByteSequence(chain)} },
		"before it": func(m *proof.Message) {
			m.Fields = append([][2]string{{proof.FieldCredentialRef, proof.ByteSequence(wide[:])}}, m.Fields...)
		},
		"body added": func(m *proof.Message) { m.HasBody, m.Body = true, []byte("{}") },
		"with a digest": func(m *proof.Message) {
			m.HasBody, m.Body = true, []byte("{}")
			add(m, "content-digest", proof.ContentDigest(m.Body))
			add(m, "content-type", "application/json")
		},
		"empty body": func(m *proof.Message) { m.HasBody = true },
	} {
		m := request()
		if _, _, err := proof.VerifyHTTP(m, k.Public(), nil, testkit.Now); err != nil {
			t.Fatal(err)
		}
		change(m)
		v, _, err := proof.VerifyHTTP(m, k.Public(), nil, testkit.Now)
		refused(t, name, v, err)
	}
	// A holder who signs a reference that is no digest gets nowhere either.
	m := &proof.Message{Method: "GET", TargetURI: targetURI, Fields: [][2]string{{proof.FieldCredentialRef, proof.ByteSequence(narrow[:31])}}}
	if err := proof.SignHTTP(m, usual(), k, nil); err != nil {
		t.Fatal(err)
	}
	v, _, err := proof.VerifyHTTP(m, k.Public(), nil, testkit.Now)
	refused(t, "short reference", v, err)
	if _, _, err := m.Credential(); !errors.Is(err, proof.ErrProof) {
		t.Errorf("short reference: %v", err)
	}
	if _, _, err := (&proof.Message{}).Credential(); !errors.Is(err, proof.ErrProof) {
		t.Errorf("no credential: %v", err)
	}
}

// TestCoverDemanded signs correctly, but not all that the operation has.
//
// SPEC PROOF-5
// A10: every header in the operation is covered, or the request is refused
// guard: covered-all
func TestCoverDemanded(t *testing.T) {
	t.Parallel()
	s := usualSignature()
	m := s.by(t, unsigned())
	if _, _, err := proof.VerifyHTTP(m, s.key.Public(), covered, testkit.Now); err != nil {
		t.Fatal(err)
	}
	for i, left := range s.names {
		less := s
		less.names = append(append([]string(nil), s.names[:i]...), s.names[i+1:]...)
		v, _, err := proof.VerifyHTTP(less.by(t, unsigned()), s.key.Public(), covered, testkit.Now)
		if !errors.Is(err, proof.ErrCovered) || v != nil {
			t.Errorf("%s is not covered: %v", left, err)
		}
	}
	v, _, err := proof.VerifyHTTP(m, s.key.Public(), append(covered, "x-other"), testkit.Now)
	if !errors.Is(err, proof.ErrCovered) || v != nil {
		t.Errorf("x-other: %v", err)
	}
	if err := proof.SignHTTP(post(), usual(), s.key, []string{"x-other"}); !errors.Is(err, proof.ErrCovered) {
		t.Errorf("signed a field that is not there: %v", err)
	}
}

// TestSignatureInput signs correctly under other spellings of the parameters:
// their order is free, all else is closed.
//
// SPEC PROOF-6
// A12: another tag, a proof made for something else
// R63: no algorithm is taken from the message
// guard: signature-tag
func TestSignatureInput(t *testing.T) {
	t.Parallel()
	s := usualSignature()
	parts := strings.Split(strings.TrimPrefix(s.params, ";"), ";")
	for _, order := range [][]int{{4, 3, 2, 1, 0}, {2, 0, 4, 1, 3}} {
		o := s
		o.params = ""
		for _, i := range order {
			o.params += ";" + parts[i]
		}
		if _, _, err := proof.VerifyHTTP(o.by(t, unsigned()), s.key.Public(), covered, testkit.Now); err != nil {
			t.Errorf("%s: %v", o.params, err)
		}
	}
	other := world.Key("other").Public().ID().String()
	for name, params := range map[string]string{
		"alg":              s.params + `;alg="ed25519"`,
		"unknown":          s.params + `;x=1`,
		"flag":             s.params + `;x`,
		"created twice":    s.params + ";" + parts[0],
		"no created":       strings.Replace(s.params, ";"+parts[0], "", 1),
		"no expires":       strings.Replace(s.params, ";"+parts[1], "", 1),
		"no nonce":         strings.Replace(s.params, ";"+parts[2], "", 1),
		"no keyid":         strings.Replace(s.params, ";"+parts[3], "", 1),
		"no tag":           strings.Replace(s.params, ";"+parts[4], "", 1),
		"nothing":          "",
		"space":            strings.Replace(s.params, ";", "; ", 1),
		"semicolon":        s.params + ";",
		"leading zero":     strings.Replace(s.params, "created=", "created=0", 1),
		"plus":             strings.Replace(s.params, "created=", "created=+", 1),
		"negative":         strings.Replace(s.params, "created=", "created=-", 1),
		"decimal":          strings.Replace(s.params, ";expires", ".0;expires", 1),
		"quoted":           strings.Replace(s.params, parts[0], fmt.Sprintf("created=%q", fmt.Sprint(testkit.Now)), 1),
		"short nonce":      strings.Replace(s.params, parts[2], `nonce="MDEyMw"`, 1),
		"nonce in base64":  strings.Replace(s.params, parts[2], `nonce="MDEyMzQ1Njc4OWFiY2RlZg=="`, 1),
		"tag of another":   strings.Replace(s.params, "writ-invoke-1", "writ-present-1", 1),
		"tag of a sibling": strings.Replace(s.params, "writ-invoke-1", "writ-invoke-2", 1),
		"keyid of another": strings.Replace(s.params, s.key.Public().ID().String(), other, 1),
		"escape":           strings.Replace(s.params, "writ-invoke", `writ\-invoke`, 1),
		"token as tag":     strings.Replace(s.params, `"writ-invoke-1"`, "writ-invoke-1", 1),
		"second member":    s.params + `, other=("@method")`,
		"second list":      s.params + `("@method")`,
	} {
		o := s
		o.params = params
		v, _, err := proof.VerifyHTTP(o.by(t, unsigned()), s.key.Public(), covered, testkit.Now)
		refused(t, name, v, err)
	}
	for name, names := range map[string][]string{
		"twice":       append(append([]string(nil), s.names...), "x-reason"),
		"derived":     append(append([]string(nil), s.names...), "@authority"),
		"query param": append(append([]string(nil), s.names...), "@query-param"),
		"upper case":  append(append([]string(nil), s.names...), "X-Reason"),
		"absent":      append(append([]string(nil), s.names...), "x-other"),
	} {
		o := s
		o.names = names
		m := o.by(t, unsigned())
		remove(m, "x-other")
		remove(m, "X-Reason")
		v, _, err := proof.VerifyHTTP(m, s.key.Public(), covered, testkit.Now)
		refused(t, name, v, err)
	}
	for name, input := range map[string]string{
		"another label":         strings.Replace("writ=()", "writ", "sig1", 1),
		"no list":               "writ=",
		"open list":             `writ=("@method"`,
		"empty list":            "writ=()" + s.params,
		"name without quotes":   "writ=(@method)" + s.params,
		"component parameter":   `writ=("@method";req)` + s.params,
		"two spaces":            `writ=("@method"  "@target-uri")` + s.params,
		"65 components":         `writ=("` + strings.Join(strings.Fields(strings.Repeat("a ", 65)), `" "`) + `")` + s.params,
		"oversized":             "writ=(" + strings.Repeat(" ", 4<<10) + ")",
		"quote inside the name": `writ=("a\"b")` + s.params,
	} {
		m := unsigned()
		add(m, proof.FieldInput, input)
		add(m, proof.FieldSignature, "writ="+proof.ByteSequence(make([]byte, 64)))
		v, _, err := proof.VerifyHTTP(m, s.key.Public(), nil, testkit.Now)
		refused(t, name, v, err)
	}
}

// TestContext offers what a holder may sign as context: one form of it is read,
// so a purpose has one source.
//
// SPEC PROOF-7
// guard: context-one-form
func TestContext(t *testing.T) {
	t.Parallel()
	s := usualSignature()
	good := proof.Context(usual())
	parts := strings.Split(good, ", ")
	for name, c := range map[string]string{
		"two purposes":       strings.Replace(good, `pur="refund"`, `pur="lookup", pur="refund"`, 1),
		"purpose at the end": strings.Join([]string{parts[0], parts[2], parts[3], parts[4], parts[1]}, ", "),
		"another order":      strings.Join([]string{parts[1], parts[0], parts[2], parts[3], parts[4]}, ", "),
		"two audiences":      `aud="other", ` + good,
		"no audience":        strings.Join(parts[1:], ", "),
		"no space":           strings.Replace(good, ", ", ",", 1),
		"two spaces":         strings.Replace(good, ", ", ",  ", 1),
		"unknown member":     good + `, apr=("x")`,
		"parameter":          strings.Replace(good, `"refund"`, `"refund";x`, 1),
		"empty purpose":      strings.Replace(good, `"refund"`, `""`, 1),
		"token":              strings.Replace(good, `"refund"`, `refund`, 1),
		"escape":             strings.Replace(good, `"refund"`, `"ref\"und"`, 1),
		"not ASCII":          strings.Replace(good, `"refund"`, `"réfund"`, 1),
		"control":            strings.Replace(good, `"refund"`, "\"refund\t\"", 1),
		"short policy":       strings.Replace(good, parts[3], "pol=:AAAA:", 1),
		"policy as text":     strings.Replace(good, parts[3], `pol="AAAA"`, 1),
		"empty lineage":      strings.Replace(good, parts[4], "lin=()", 1),
		"open lineage":       strings.TrimSuffix(good, ")"),
		"short lineage":      strings.Replace(good, parts[4], "lin=(:AAAA:)", 1),
		"17 receipts":        strings.Replace(good, parts[4], "lin=("+strings.TrimSpace(strings.Repeat(proof.ByteSequence(make([]byte, 32))+" ", 17))+")", 1),
		"long purpose":       strings.Replace(good, `"refund"`, `"`+strings.Repeat("x", 129)+`"`, 1),
		"long audience":      strings.Replace(good, `prod/1`, strings.Repeat("x", 129), 1),
		"long key":           strings.Replace(good, `ord-8831-refund-1`, strings.Repeat("x", 129), 1),
		"oversized":          good + strings.Repeat(" ", 2<<10),
		"empty":              "",
	} {
		m := unsigned()
		*field(m, proof.FieldContext) = c
		v, _, err := proof.VerifyHTTP(s.by(t, m), s.key.Public(), covered, testkit.Now)
		refused(t, name, v, err)
	}
	for _, purpose := range []string{"a\"b", "réfund", "a\\b", "a\nb"} {
		v := usual()
		v.Purpose = purpose
		if err := proof.SignHTTP(post(), v, s.key, nil); !errors.Is(err, proof.ErrProof) {
			t.Errorf("signed the purpose %q: %v", purpose, err)
		}
	}
}

// TestHTTPTime verifies at the edges of a proof's time.
//
// SPEC PROOF-3
// guard: proof-time, proof-lifetime
func TestHTTPTime(t *testing.T) {
	t.Parallel()
	k := world.Key("holder")
	m := signedPost(t, k)
	for at, ok := range map[int64]bool{-31: false, -30: true, 0: true, 89: true, 90: false, 1 << 40: false, -1 << 40: false} {
		_, _, err := proof.VerifyHTTP(m, k.Public(), covered, testkit.Now+at)
		if (err == nil) != ok || err != nil && !errors.Is(err, proof.ErrTime) {
			t.Errorf("at %d: %v", at, err)
		}
	}
	for _, c := range [][2]int64{{0, 61}, {0, 0}, {0, -1}, {-3600, 1}, {-testkit.Now, 60}, {0, 1<<63 - 1 - testkit.Now}} {
		v := usual()
		v.IssuedAt, v.Expires = testkit.Now+c[0], testkit.Now+c[1]
		m := post()
		if err := proof.SignHTTP(m, v, k, covered); err != nil {
			t.Fatal(err)
		}
		if _, _, err := proof.VerifyHTTP(m, k.Public(), covered, testkit.Now); !errors.Is(err, proof.ErrTime) {
			t.Errorf("from %d to %d: %v", c[0], c[1], err)
		}
	}
}

// FuzzSignatureInput: what parses names each component once, without quotes, and
// is taken into the signature base as it came.
func FuzzSignatureInput(f *testing.F) {
	s := usualSignature()
	f.Add(*field(s.by(f, unsigned()), proof.FieldInput))
	f.Add(`writ=("@method");tag="a";keyid="b";nonce="AAAA";expires=2;created=1`)
	f.Add(`writ=("a" "b");created=1;expires=2;nonce="";keyid="";tag=""`)
	f.Add(`writ=("a;b");created=01`)
	f.Fuzz(func(t *testing.T, raw string) {
		names, params, err := proof.ParseInput(raw)
		if err != nil {
			return
		}
		if "writ="+params != raw {
			t.Errorf("%q is taken as %q", raw, params)
		}
		seen := map[string]bool{}
		for _, n := range names {
			if n == "" || seen[n] || strings.ContainsAny(n, "\"\\ \r\n)") && n != strings.Trim(n, " ") {
				t.Errorf("%q has the component %q", raw, n)
			}
			seen[n] = true
		}
		if want := `("` + strings.Join(names, `" "`) + `")`; !strings.HasPrefix(params, want) {
			t.Errorf("%q: components %q", raw, names)
		}
	})
}

// FuzzContext: what parses is written again as it came.
func FuzzContext(f *testing.F) {
	f.Add(proof.Context(usual()))
	f.Add(`aud=""`)
	f.Add(`aud="a", pur="b", pur="c"`)
	f.Add(`aud="a", lin=(:AAAA:)`)
	f.Fuzz(func(t *testing.T, s string) {
		v, err := proof.ParseContext(s)
		if err != nil {
			return
		}
		if again := proof.Context(v); again != s {
			t.Errorf("%q is written as %q", s, again)
		}
	})
}
