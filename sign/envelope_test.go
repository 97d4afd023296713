package sign_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/sign"
)

const docType = "application/vnd.writ.test.v1+json"

type envelopeVector struct {
	Name      string   `json:"name"`
	Envelope  string   `json:"envelope"`
	Type      string   `json:"type"` // demanded
	Members   []string `json:"members,omitempty"`
	Threshold int      `json:"threshold"`
	Digest    string   `json:"digest,omitempty"`
	Signers   []string `json:"signers,omitempty"`
	Error     string   `json:"error,omitempty"` // form: does not parse; threshold: does not verify
}

type envelopeFile struct {
	Format     string              `json:"format"`
	Principals map[string][]string `json:"principals"`
	Cases      []envelopeVector    `json:"cases"`
}

// principals are who signs envelopes here; ana has two keys.
func principals() map[string][]string {
	return map[string][]string{
		"ana": {world.Key("ana").Public().String(), world.KeyP256("ana").Public().String()},
		"bo":  {world.Key("bo").Public().String()},
		"cy":  {world.Key("cy").Public().String()},
	}
}

func keysOf(t testing.TB, of map[string][]string) sign.Keys {
	return func(name string) (out []sign.PublicKey) {
		for _, text := range of[name] {
			k, err := sign.ParsePublicKey(text)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, k)
		}
		return out
	}
}

// sealed returns an envelope with a deterministic signature by each key.
func sealed(t testing.TB, typ, payload string, by ...sign.PrivateKey) *sign.Envelope {
	e := &sign.Envelope{PayloadType: typ, Payload: []byte(payload)}
	for _, k := range by {
		if k.Public().Algorithm() == sign.P256 {
			sig := detP256(t, k, canon.PAE(typ, e.Payload))
			e.Signatures = append(e.Signatures, sign.Signature{Key: k.Public().ID(), Sig: sig})
		} else if err := e.Sign(k); err != nil {
			t.Fatal(err)
		}
	}
	return e
}

func envelopeCases(t *testing.T) envelopeFile {
	var cases []envelopeVector
	all := []string{"ana", "bo", "cy"}
	add := func(name, e, failure string, threshold int, signers ...string) {
		v := envelopeVector{Name: name, Envelope: e, Type: docType, Members: all, Threshold: threshold, Signers: signers, Error: failure}
		if failure != "form" {
			p, err := sign.ParseEnvelope([]byte(e))
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			v.Digest = p.Digest().String()
		}
		cases = append(cases, v)
	}
	ana, ana2, bo, cy, eve := world.Key("ana"), world.KeyP256("ana"), world.Key("bo"), world.Key("cy"), world.Key("eve")
	both := sealed(t, docType, "{}", ana, bo)
	add("two of two", testkit.EnvelopeText(t, both), "", 2, "ana", "bo")
	add("three where two are needed", testkit.EnvelopeText(t, sealed(t, docType, "{}", cy, bo, ana2)), "", 2, "ana", "bo", "cy")
	add("p256", testkit.EnvelopeText(t, sealed(t, docType, "{}", ana2)), "", 1, "ana")
	add("one of two", testkit.EnvelopeText(t, sealed(t, docType, "{}", ana)), "threshold", 2)
	add("none", testkit.EnvelopeText(t, sealed(t, docType, "{}")), "threshold", 1)
	add("two keys of one principal", testkit.EnvelopeText(t, sealed(t, docType, "{}", ana, ana2)), "threshold", 2)
	add("one signature twice", testkit.EnvelopeText(t, twice(both, 0, 0)), "threshold", 2)
	add("unknown signer", testkit.EnvelopeText(t, sealed(t, docType, "{}", ana, eve)), "threshold", 2)
	add("unknown signer beside enough", testkit.EnvelopeText(t, sealed(t, docType, "{}", eve, ana, bo)), "", 2, "ana", "bo")
	add("another type", testkit.EnvelopeText(t, sealed(t, "application/vnd.writ.other.v1+json", "{}", ana, bo)), "threshold", 2)
	crossed := sealed(t, docType, "{}", ana, bo)
	crossed.Signatures[0].Key, crossed.Signatures[1].Key = crossed.Signatures[1].Key, crossed.Signatures[0].Key
	add("signatures under each other's key", testkit.EnvelopeText(t, crossed), "threshold", 1)
	other := sealed(t, docType, "{}", ana, bo)
	other.Payload = []byte(`{"a":1}`)
	add("signatures over another payload", testkit.EnvelopeText(t, other), "threshold", 1)
	add("nobody is needed", testkit.EnvelopeText(t, both), "threshold", 0)
	add("more than there are", testkit.EnvelopeText(t, both), "threshold", 4)
	for _, f := range malformed(testkit.EnvelopeText(t, both)) {
		add(f[0], f[1], "form", 2)
	}
	return envelopeFile{"envelopes", principals(), cases}
}

func twice(e *sign.Envelope, which ...int) *sign.Envelope {
	c := *e
	c.Signatures = nil
	for _, i := range which {
		c.Signatures = append(c.Signatures, e.Signatures[i])
	}
	return &c
}

// malformed returns names and texts of envelopes that say the same as e, or
// nearly, in another form.
func malformed(e string) [][2]string {
	swap := func(old, new string) string { return strings.Replace(e, old, new, 1) }
	many := sign.Envelope{PayloadType: docType, Signatures: make([]sign.Signature, 65)}
	crowd, err := many.Encode()
	if err != nil {
		panic(err)
	}
	return [][2]string{
		{"empty", ""},
		{"null", "null"},
		{"array", "[]"},
		{"cut short", e[:len(e)-1]},
		{"something after", e + " "},
		{"space", swap(`":"`, `": "`)},
		{"unknown member", swap(`{"payload"`, `{"a":1,"payload"`)},
		{"member twice", swap(`{"payload":`, `{"payload":"","payload":`)},
		{"member in other case", swap(`"payloadType"`, `"payloadtype"`)},
		{"member missing", swap(`"payloadType":"`+docType+`",`, "")},
		{"null signatures", e[:strings.Index(e, `"signatures"`)] + `"signatures":null}`},
		{"payload with a line break", swap(`"e30="`, `"e3\n0="`)},
		{"payload in base64url", swap(`"e30="`, `"e30"`)},
		{"payload with stray bits", swap(`"e30="`, `"e31="`)},
		{"escape that is not needed", swap(`"e30="`, `"\u006530="`)},
		{"keyid of another length", swap(`"keyid":"`, `"keyid":"AAAA`)},
		{"signature with a line break", swap(`"sig":"`, `"sig":"\n`)},
		{"65 signatures", string(crowd)},
	}
}

// TestEnvelopeVectors counts signers: k distinct members and nothing less, and no
// other form of an envelope than the one.
//
// SPEC SIGN-3, SIGN-4, SIGN-5
// R35
// guard: envelope-type, quorum-possible, quorum-met
func TestEnvelopeVectors(t *testing.T) {
	t.Parallel()
	f := testkit.Vectors(t, *update, "../vectors/sign/envelope.json", envelopeCases(t))
	refused := 0
	for _, v := range f.Cases {
		e, err := sign.ParseEnvelope([]byte(v.Envelope))
		var u sign.Envelope
		if uErr := u.UnmarshalJSON([]byte(v.Envelope)); (uErr == nil) != (err == nil) {
			t.Errorf("%s: UnmarshalJSON: %v, ParseEnvelope: %v", v.Name, uErr, err)
		}
		if v.Error != "" {
			refused++
		}
		if v.Error == "form" {
			if !errors.Is(err, canon.ErrForm) && !errors.Is(err, canon.ErrJSON) {
				t.Errorf("%s: %v", v.Name, err)
			}
			continue
		}
		if err != nil || e.Digest().String() != v.Digest {
			t.Errorf("%s: parse: %v, digest %s", v.Name, err, e.Digest())
			continue
		}
		signers, err := e.Verify(v.Type, sign.Quorum{Members: v.Members, Threshold: v.Threshold}, keysOf(t, f.Principals))
		if v.Error == "" && (err != nil || !slices.Equal(signers, v.Signers)) {
			t.Errorf("%s: %v by %v", v.Name, err, signers)
		}
		if v.Error != "" && (err == nil || signers != nil) {
			t.Errorf("%s: verified by %v", v.Name, signers)
		}
	}
	if refused < 20 {
		t.Errorf("%d envelopes refused", refused)
	}
}

// TestEnvelopeOfAnotherType offers a document, validly signed by the quorum, as a
// document of another type.
//
// R21
// guard: envelope-type
func TestEnvelopeOfAnotherType(t *testing.T) {
	t.Parallel()
	e := sealed(t, docType, "{}", world.Key("ana"), world.Key("bo"))
	q := sign.Quorum{Members: []string{"ana", "bo"}, Threshold: 2}
	if _, err := e.Verify("application/vnd.writ.root.v1+json", q, keysOf(t, principals())); !errors.Is(err, sign.ErrThreshold) {
		t.Errorf("taken for a root: %v", err)
	}
	e.PayloadType = "application/vnd.writ.root.v1+json"
	if _, err := e.Verify(e.PayloadType, q, keysOf(t, principals())); !errors.Is(err, sign.ErrThreshold) {
		t.Errorf("relabelled: %v", err)
	}
}

// TestEnvelopeBits flips every bit of a signed document: none is authoritative.
// The bits of a signature that two others make up for are those of nobody.
//
// R1
// R21: any byte changed, and the signatures fail
// guard: signature, quorum-met
func TestEnvelopeBits(t *testing.T) {
	t.Parallel()
	e := sealed(t, docType, `{"rules":"permit"}`, world.Key("ana"), world.KeyP256("ana"), world.Key("bo"))
	e.Signatures = slices.Delete(e.Signatures, 1, 2) // ana's second key did sign, to show that it may
	q := sign.Quorum{Members: []string{"ana", "bo"}, Threshold: 2}
	text := []byte(testkit.EnvelopeText(t, e))
	if p, err := sign.ParseEnvelope(text); err != nil || len(p.Signatures) != 2 {
		t.Fatalf("the envelope does not parse: %v", err)
	} else if _, err := p.Verify(docType, q, keysOf(t, principals())); err != nil {
		t.Fatal(err)
	}
	keys := keysOf(t, principals())
	n := testkit.Flips(text, func(b []byte, bit int) {
		p, err := sign.ParseEnvelope(b)
		if err != nil {
			return
		}
		if _, err := p.Verify(docType, q, keys); err == nil {
			t.Errorf("bit %d of %q does not matter", bit, b)
		}
	})
	if n < 2000 {
		t.Errorf("%d bits", n)
	}
}

// TestQuorumCheck refuses quorums that nobody or everybody meets.
//
// guard: quorum-possible
func TestQuorumCheck(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		q  sign.Quorum
		ok bool
	}{
		{sign.Quorum{}, false},
		{sign.Quorum{Members: []string{"a"}}, false},
		{sign.Quorum{Members: []string{"a"}, Threshold: -1}, false},
		{sign.Quorum{Members: []string{"a"}, Threshold: 2}, false},
		{sign.Quorum{Members: []string{"a", "a"}, Threshold: 2}, false},
		{sign.Quorum{Members: []string{"a", ""}, Threshold: 1}, false},
		{sign.Quorum{Members: []string{"a"}, Threshold: 1}, true},
	} {
		if err := c.q.Check(); (err == nil) != c.ok || err != nil && !errors.Is(err, canon.ErrForm) {
			t.Errorf("%+v: %v", c.q, err)
		}
	}
}

// TestEnvelopeSignAgain replaces a signature by the same key.
func TestEnvelopeSignAgain(t *testing.T) {
	t.Parallel()
	e := sealed(t, docType, "{}", world.Key("ana"), world.Key("bo"), world.Key("ana"))
	if len(e.Signatures) != 2 {
		t.Errorf("%d signatures", len(e.Signatures))
	}
	if err := e.Sign(sign.PrivateKey{}); !errors.Is(err, sign.ErrKey) || len(e.Signatures) != 2 {
		t.Errorf("signed by the zero key: %v", err)
	}
	big := &sign.Envelope{PayloadType: docType, Payload: make([]byte, 400<<10)}
	if _, err := sign.ParseEnvelope([]byte(testkit.EnvelopeText(t, big))); !errors.Is(err, canon.ErrForm) {
		t.Errorf("oversized: %v", err)
	}
}

// FuzzEnvelope: what parses encodes back to the same bytes, and is signed by
// nobody who did not sign.
func FuzzEnvelope(f *testing.F) {
	var v envelopeFile
	testkit.ReadVectors(f, "../vectors/sign/envelope.json", &v)
	for _, c := range v.Cases {
		f.Add([]byte(c.Envelope))
	}
	f.Add([]byte(fmt.Sprintf(`{"payload":"","payloadType":"","signatures":[{"keyid":"%s","sig":""}]}`, base64.RawURLEncoding.EncodeToString(make([]byte, 32)))))
	nobody := func(string) []sign.PublicKey { return []sign.PublicKey{world.Key("nobody").Public()} }
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := sign.ParseEnvelope(b)
		if err != nil {
			return
		}
		again, err := e.Encode()
		if err != nil || !bytes.Equal(again, b) {
			t.Errorf("%q encodes to %q: %v", b, again, err)
		}
		if s, err := e.Verify(e.PayloadType, sign.Quorum{Members: []string{"nobody"}, Threshold: 1}, nobody); err == nil {
			t.Errorf("signed by %v", s)
		}
	})
}
