package seal_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"testing"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/seal"
	"github.com/writhq/writ/secret"
)

var update = flag.Bool("update", false, "write vectors/seal from the cases in this package; sealed secrets that are there stay")

const openFileName = "../vectors/seal/open.json"

// An openVector says what the gate makes of one sealed secret. Policy, Zone and
// Statement are the file's unless it has its own.
type openVector struct {
	Name      string `json:"name"`
	Policy    string `json:"policy,omitempty"`    // signed bytes
	Zone      string `json:"zone,omitempty"`      // hexadecimal
	Statement string `json:"statement,omitempty"` // envelope
	Blob      string `json:"blob"`                // hexadecimal
	Header    bool   `json:"header,omitempty"`    // the header parses
	Secret    string `json:"secret,omitempty"`    // hexadecimal; "" means it does not open
}

type openFile struct {
	Format      string       `json:"format"`
	GateSeed    string       `json:"gate_seed"` // hexadecimal; X-Wing
	GateID      string       `json:"gate_id"`
	GatePublic  string       `json:"gate_public"`
	Root        string       `json:"root"`            // envelope
	PolicySigs  string       `json:"policy_envelope"` // of policy
	Policy      string       `json:"policy"`
	Zone        string       `json:"zone"`
	Statement   string       `json:"statement"`
	PolicyID    string       `json:"pd"`
	Binding     string       `json:"h0"` // of the first case
	StatementOK bool         `json:"statement_holds"`
	Cases       []openVector `json:"cases"`
}

// stored returns the sealed secrets of the file, or new ones where it has none:
// HPKE draws at random, so they are made once.
func stored(t *testing.T, z *testkit.Zone, st *seal.Signed) (one, two []byte) {
	var f openFile
	if b, err := os.ReadFile(openFileName); err == nil && json.Unmarshal(b, &f) == nil && len(f.Cases) > 1 && f.Zone == hex.EncodeToString(zoneOf(z)) {
		return testkit.Unhex(t, f.Cases[0].Blob), testkit.Unhex(t, f.Cases[1].Blob)
	}
	if !*update {
		t.Fatal("the vectors are of another zone: go test -update")
	}
	_, one = z.Sealed(t)
	second := testkit.GateKey(t, "second", "prod/2026-11/2")
	v := testkit.Value(testkit.Plain)
	two, err := seal.Seal(z.Policy, st, []policy.KEMKey{second.Public(), z.Gate.Public()}, v)
	if err != nil {
		t.Fatal(err)
	}
	return one, two
}

func zoneOf(z *testkit.Zone) []byte { d := z.Root.Zone(); return d[:] }

func openCases(t *testing.T) openFile {
	z := testkit.NewZone(t)
	st := z.Statement(t, z.Policy, testkit.Value(testkit.Plain))
	one, two := stored(t, z, st)
	seed := testkit.GateSeed("gate")
	pd := z.Policy.ID()
	a, b := apart(t, one), apart(t, two)
	h0 := seal.Binding(z.Policy, a.Header)
	f := openFile{
		Format: "sealed secrets", GateSeed: hex.EncodeToString(seed[:]), GateID: z.Gate.ID(),
		GatePublic: hex.EncodeToString(z.Gate.Public().Public),
		Root:       testkit.EnvelopeText(t, z.RootEnvelope), PolicySigs: testkit.EnvelopeText(t, z.Envelope), Policy: string(z.Envelope.Payload),
		Zone: hex.EncodeToString(zoneOf(z)), Statement: testkit.EnvelopeText(t, st.Envelope()), PolicyID: pd.String(), Binding: h0.String(), StatementOK: true,
	}
	plain := hex.EncodeToString([]byte(testkit.Plain))
	add := func(v openVector, blob []byte) {
		v.Blob = hex.EncodeToString(blob)
		f.Cases = append(f.Cases, v)
	}
	add(openVector{Name: "one recipient", Header: true, Secret: plain}, one)
	add(openVector{Name: "two recipients, the second", Header: true, Secret: plain}, two)
	add(openVector{Name: "one bit of the policy", Header: true, Policy: string(bytes.Replace(z.Envelope.Payload, []byte("5000"), []byte("5001"), 1))}, one)
	other := bytes.Clone(zoneOf(z))
	other[31] ^= 1
	add(openVector{Name: "one bit of the zone", Header: true, Zone: hex.EncodeToString(other)}, one)
	s := st.Statement
	s.IssuedAt++
	add(openVector{Name: "another statement", Header: true, Statement: testkit.EnvelopeText(t, signed(t, z, s, "sam").Envelope())}, one)
	reencoded := func(p parts) []byte { return encode(t, &p) }
	add(openVector{Name: "wraps in another order", Header: true}, reencoded(parts{b.Header, b.Commit, []wrap{b.Wraps[1], b.Wraps[0]}, b.Text}))
	add(openVector{Name: "header of another", Header: true}, reencoded(parts{changed(t, a.Header, func(h *seal.Header) { h.Version = 2 }), a.Commit, a.Wraps, a.Text}))
	add(openVector{Name: "commitment of another", Header: true}, reencoded(parts{a.Header, b.Commit, a.Wraps, a.Text}))
	add(openVector{Name: "short commitment", Header: true}, reencoded(parts{a.Header, a.Commit[:31], a.Wraps, a.Text}))
	add(openVector{Name: "text of another", Header: true}, reencoded(parts{a.Header, a.Commit, a.Wraps, b.Text}))
	add(openVector{Name: "text cut short", Header: true}, reencoded(parts{a.Header, a.Commit, a.Wraps, a.Text[:len(a.Text)-1]}))
	add(openVector{Name: "no wraps"}, reencoded(parts{a.Header, a.Commit, nil, a.Text}))
	add(openVector{Name: "t of 2"}, reencoded(parts{changed(t, a.Header, func(h *seal.Header) { h.T = 2 }), a.Commit, a.Wraps, a.Text}))
	add(openVector{Name: "another type"}, reencoded(parts{changed(t, a.Header, func(h *seal.Header) { h.Typ = "writ-seal/2" }), a.Commit, a.Wraps, a.Text}))
	add(openVector{Name: "unknown field in the header"}, reencoded(parts{append([]byte{a.Header[0] + 1}, append(bytes.Clone(a.Header[1:]), 0x18, 0x63, 1)...), a.Commit, a.Wraps, a.Text}))
	add(openVector{Name: "something after"}, append(bytes.Clone(one), 0))
	add(openVector{Name: "cut short"}, one[:len(one)-1])
	add(openVector{Name: "nothing"}, nil)
	return f
}

func changed(t *testing.T, header []byte, change func(*seal.Header)) []byte {
	var h seal.Header
	if err := canon.DecodeCBOR(header, &h); err != nil {
		t.Fatal(err)
	}
	change(&h)
	return encode(t, &h)
}

// TestVectors opens what vectors/seal holds.
//
// SPEC SEAL-1, SEAL-4, SEAL-6
func TestVectors(t *testing.T) {
	t.Parallel()
	f := testkit.Vectors(t, *update, openFileName, openCases(t))
	k, err := seal.NewGateKey(f.GateID, secret.Take(testkit.Unhex(t, f.GateSeed)))
	if err != nil || hex.EncodeToString(k.Public().Public) != f.GatePublic {
		t.Fatalf("gate key: %v", err)
	}
	checkStatement(t, &f, statement(t, f.Statement))
	refused := 0
	for _, v := range f.Cases {
		p, zone, st := f.Policy, f.Zone, statement(t, f.Statement)
		if v.Policy != "" {
			p = v.Policy
		}
		if v.Zone != "" {
			zone = v.Zone
		}
		if v.Statement != "" {
			st = statement(t, v.Statement)
		}
		under := policy.UnverifiedBytes([]byte(p), canon.Digest(testkit.Unhex(t, zone)))
		blob := testkit.Unhex(t, v.Blob)
		if _, err := seal.ParseHeader(blob); (err == nil) != v.Header || err != nil && !errors.Is(err, seal.ErrSeal) {
			t.Errorf("%s: header: %v", v.Name, err)
		}
		got, err := seal.Open(k, under, st, blob)
		if v.Secret == "" {
			refused++
			if err != seal.ErrOpen || got != nil {
				t.Errorf("%s: %v", v.Name, err)
			}
		} else if err != nil || !got.Secret.Equal(secret.Take(testkit.Unhex(t, v.Secret))) {
			t.Errorf("%s: %v", v.Name, err)
		}
	}
	if refused < 14 {
		t.Errorf("%d refused", refused)
	}
}

func statement(t testing.TB, s string) *seal.Signed {
	t.Helper()
	st, err := seal.ParseStatement(testkit.EnvelopeOf(t, s))
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// checkStatement verifies the statement of the file from the root on.
func checkStatement(t *testing.T, f *openFile, st *seal.Signed) {
	t.Helper()
	r, p := testkit.VerifyPolicy(t, f.Root, f.PolicySigs)
	if zone := r.Zone(); hex.EncodeToString(zone[:]) != f.Zone || p.ID().String() != f.PolicyID || string(testkit.EnvelopeOf(t, f.PolicySigs).Payload) != f.Policy {
		t.Fatalf("zone %s, policy %s", r.Zone(), p.ID())
	}
	if err := st.Verify(r, p); (err == nil) != f.StatementOK {
		t.Errorf("statement: %v", err)
	}
	header := apart(t, testkit.Unhex(t, f.Cases[0].Blob)).Header
	if got := seal.Binding(p, header); got.String() != f.Binding {
		t.Errorf("h0 is %s", got)
	}
}

func seeds(f *testing.F) openFile {
	var v openFile
	testkit.ReadVectors(f, openFileName, &v)
	for _, c := range v.Cases {
		f.Add(testkit.Unhex(f, c.Blob))
	}
	return v
}

// FuzzOpen: nothing opens but what was sealed, and it opens to that.
func FuzzOpen(f *testing.F) {
	v := seeds(f)
	k, err := seal.NewGateKey(v.GateID, secret.Take(testkit.Unhex(f, v.GateSeed)))
	if err != nil {
		f.Fatal(err)
	}
	st := statement(f, v.Statement)
	p := policy.UnverifiedBytes([]byte(v.Policy), canon.Digest(testkit.Unhex(f, v.Zone)))
	one, two := testkit.Unhex(f, v.Cases[0].Blob), testkit.Unhex(f, v.Cases[1].Blob)
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := seal.Open(k, p, st, b)
		genuine := bytes.Equal(b, one) || bytes.Equal(b, two)
		if (err == nil) != genuine || err != nil && err != seal.ErrOpen {
			t.Fatalf("%x: %v", b, err)
		}
		if err == nil && !got.Secret.Equal(secret.Take([]byte(testkit.Plain))) {
			t.Errorf("%x opens to something else", b)
		}
	})
}

// FuzzParseHeader: a blob and a header that parse encode back to the same bytes.
func FuzzParseHeader(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := seal.ParseHeader(b)
		if err != nil {
			return
		}
		p := apart(t, b)
		if !bytes.Equal(encode(t, &p), b) || !bytes.Equal(encode(t, h), p.Header) {
			t.Errorf("%x has another form", b)
		}
		if len(h.Recipients) != len(p.Wraps) || h.T != 1 {
			t.Errorf("%x: %d recipients, %d wraps, t %d", b, len(h.Recipients), len(p.Wraps), h.T)
		}
	})
}
