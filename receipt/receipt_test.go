package receipt_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"strings"
	"testing"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/receipt"
	"github.com/writhq/writ/sign"
	"github.com/writhq/writ/tlog"
)

var (
	update = flag.Bool("update", false, "write vectors/receipt from the cases in this package")
	zone   = canon.Hash([]byte("zone"))
)

const (
	gate  = "gate-1"
	start = int64(1_760_000_000_000)
)

func testKey(t testing.TB, n byte) sign.PrivateKey {
	t.Helper()
	k, err := sign.FromSeed([]byte{31: n})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// base returns a receipt with what all have.
func base(k receipt.Kind, seq uint64) *receipt.Receipt {
	return &receipt.Receipt{
		Typ: receipt.Type, Kind: k, Gate: gate, Epoch: 1, Seq: seq, TimeMS: start + int64(seq), Zone: zone, Mode: receipt.Durable,
	}
}

// full returns an intent with every field that one can have.
func full(seq uint64) *receipt.Receipt {
	r := base(receipt.Intent, seq)
	d := func(s string) canon.Digest { return canon.Hash([]byte(s)) }
	r.Policy, r.Alias, r.Version = d("policy"), "payments/refunds", 3
	r.Root = receipt.RootID{1, 2, 3}
	r.Blocks, r.Lineage, r.Approvals = []canon.Digest{d("b0"), d("b1")}, []canon.Digest{d("l")}, []canon.Digest{d("a")}
	r.Operation, r.OpType, r.Action, r.Purpose = d("op"), "http/1", "http:POST", "refund"
	r.Decision, r.Rules, r.Level = receipt.Permit, [][]string{{"refund-small"}, {}}, op.Signed
	r.Replay, r.ReplayEnd = d("jti"), 1_760_000_100
	r.Debits = []receipt.Debit{{Key: d("q"), ID: "uses", Amount: 1}, {Key: d("m"), Amount: 0}}
	r.Prev = d("prev")
	r.PolicyLog = &receipt.LogState{Size: 9, Root: d("root")}
	r.Labels, r.Controls = []string{"pii"}, []string{"dora-9"}
	r.Secret = &receipt.SecretRef{Blob: d("blob"), ID: "api-key", Version: 2}
	r.Context, r.Proof = d("context"), d("proof")
	r.Build, r.Target, r.Subject = "writ 0.1", "orders", "agent-7"
	r.Idem = &receipt.IdempotencyHold{Scope: d("scope"), End: 1_760_086_400}
	return r
}

func encode(t testing.TB, r *receipt.Receipt) []byte {
	t.Helper()
	b, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// signedBatch returns a block over payloads and their signed receipts.
func signedBatch(t testing.TB, k sign.Signer, b receipt.Batch, payloads [][]byte) ([]*receipt.Signed, canon.Digest) {
	t.Helper()
	leaves := make([]tlog.Hash, len(payloads))
	for i, p := range payloads {
		leaves[i] = tlog.LeafHash(p)
	}
	tree, err := tlog.BatchOf(leaves)
	if err != nil {
		t.Fatal(err)
	}
	b.Count, b.Root = uint64(len(payloads)), tree.Root()
	block, id, err := b.Sign(k)
	if err != nil {
		t.Fatal(err)
	}
	all := make([]*receipt.Signed, len(payloads))
	for i, p := range payloads {
		all[i] = &receipt.Signed{Payload: p, Index: uint64(i), Path: tree.Path(i), Batch: block}
	}
	return all, id
}

// five returns five signed intents.
func five(t testing.TB, k sign.Signer) []*receipt.Signed {
	t.Helper()
	var payloads [][]byte
	for seq := uint64(1); seq <= 5; seq++ {
		payloads = append(payloads, encode(t, full(seq)))
	}
	all, _ := signedBatch(t, k, receipt.Batch{Gate: gate, Epoch: 1, First: 1, TimeMS: start + 10}, payloads)
	return all
}

// SPEC RCPT-1, RCPT-2, RCPT-3, RCPT-4, RCPT-5, RCPT-6
func TestReceiptRoundTrip(t *testing.T) {
	t.Parallel()
	r := full(1)
	b := encode(t, r)
	again, err := receipt.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(encode(t, again), b) {
		t.Error("encodes otherwise")
	}
	if ref := again.Ref(b); ref.Digest != canon.Sum(receipt.Type, b) || ref.Seq != 1 {
		t.Errorf("%+v", ref)
	}
	if len(b) > 1200 {
		t.Errorf("a full receipt has %d bytes", len(b))
	}
}

// Each receipt that nobody may write, by what is wrong with it. What Encode
// refuses, Parse refuses too.
// R14 R56
// A33
// guard: receipt-type, receipt-zone, receipt-mode, outcome-names-intent, intent-complete, denial-has-code
// SPEC RCPT-2, RCPT-3, RCPT-4, RCPT-6
func TestReceiptCheck(t *testing.T) {
	t.Parallel()
	out := func(f func(*receipt.Receipt)) func(*receipt.Receipt) {
		return func(r *receipt.Receipt) {
			*r = *base(receipt.Outcome, 2)
			r.Intent = &receipt.Ref{Epoch: 1, Seq: 1, Digest: zone}
			r.Outcome = &receipt.Result{Class: receipt.OK}
			f(r)
		}
	}
	denial := func(code string) func(*receipt.Receipt) {
		return func(r *receipt.Receipt) { *r = *base(receipt.Denial, 2); r.Decision = code }
	}
	cases := map[string]func(*receipt.Receipt){
		"typ":               func(r *receipt.Receipt) { r.Typ = "writ-receipt/2" },
		"kind zero":         func(r *receipt.Receipt) { r.Kind = "" },
		"kind unknown":      func(r *receipt.Receipt) { r.Kind = "permit" },
		"gate":              func(r *receipt.Receipt) { r.Gate = "" },
		"epoch":             func(r *receipt.Receipt) { r.Epoch = 0 },
		"sequence":          func(r *receipt.Receipt) { r.Seq = 0 },
		"time":              func(r *receipt.Receipt) { r.TimeMS = 0 },
		"zone":              func(r *receipt.Receipt) { r.Zone = canon.Digest{} },
		"mode zero":         func(r *receipt.Receipt) { r.Mode = "" },
		"mode unknown":      func(r *receipt.Receipt) { r.Mode = "fast" },
		"level":             func(r *receipt.Receipt) { r.Level = 9 },
		"level negative":    func(r *receipt.Receipt) { r.Level = -1 },
		"no policy":         func(r *receipt.Receipt) { r.Policy = canon.Digest{} },
		"no operation":      func(r *receipt.Receipt) { r.Operation = canon.Digest{} },
		"intent denied":     func(r *receipt.Receipt) { r.Decision = string(op.Forbidden) },
		"intent undecided":  func(r *receipt.Receipt) { r.Decision = "" },
		"intent ended":      func(r *receipt.Receipt) { r.Outcome = &receipt.Result{Class: receipt.OK} },
		"intent of intent":  func(r *receipt.Receipt) { r.Intent = &receipt.Ref{Epoch: 1, Seq: 1, Digest: zone} },
		"denial undecided":  denial(""),
		"denial permits":    denial(receipt.Permit),
		"outcome alone":     out(func(r *receipt.Receipt) { r.Intent = nil }),
		"outcome of zero":   out(func(r *receipt.Receipt) { r.Intent = &receipt.Ref{} }),
		"outcome no class":  out(func(r *receipt.Receipt) { r.Outcome.Class = "" }),
		"outcome no result": out(func(r *receipt.Receipt) { r.Outcome = nil }),
		"boot in intent":    func(r *receipt.Receipt) { r.Boot = &receipt.BootState{Clean: true} },
		"admin no note":     func(r *receipt.Receipt) { *r = *base(receipt.Admin, 1) },
		"tally of none":     func(r *receipt.Receipt) { *r = *base(receipt.Tally, 1) },
		"count":             func(r *receipt.Receipt) { r.Count = 1 },
		"block zero":        func(r *receipt.Receipt) { r.Blocks[0] = canon.Digest{} },
		"long text":         func(r *receipt.Receipt) { r.Purpose = strings.Repeat("x", 2000) },
		"many labels":       func(r *receipt.Receipt) { r.Labels = make([]string, 300) },
		"empty label":       func(r *receipt.Receipt) { r.Labels = []string{""} },
		"no layer":          func(r *receipt.Receipt) { r.Rules = [][]string{nil} },
		"debit of nothing":  func(r *receipt.Receipt) { r.Debits[0].Key = canon.Digest{} },
		"secret unnamed":    func(r *receipt.Receipt) { r.Secret.ID = "" },
	}
	for name, change := range cases {
		r := full(1)
		change(r)
		if _, err := r.Encode(); !errors.Is(err, receipt.ErrForm) {
			t.Errorf("%s: encoded (%v)", name, err)
		}
		raw, err := canon.EncodeCBOR(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := receipt.Parse(raw); !errors.Is(err, receipt.ErrForm) {
			t.Errorf("%s: parsed (%v)", name, err)
		}
	}
}

// guard: receipt-check
// SPEC RCPT-6
// R56
func TestParseChecks(t *testing.T) {
	t.Parallel()
	r := full(1)
	r.Mode = "fast"
	raw, err := canon.EncodeCBOR(r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := receipt.Parse(raw); !errors.Is(err, receipt.ErrForm) {
		t.Error("an unknown mode parses")
	}
	if _, err := receipt.Parse(make([]byte, receipt.MaxPayloadBytes+1)); !errors.Is(err, receipt.ErrForm) {
		t.Error("a huge receipt parses")
	}
}

// Every bit of a signed receipt matters.
// R1
// SPEC RCPT-7, RCPT-8
func TestSignedBitFlips(t *testing.T) {
	t.Parallel()
	k := testKey(t, 1)
	for i, s := range five(t, k) {
		b, err := s.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if i != 2 && i != 4 { // the longest path and the shortest
			continue
		}
		for bit := range 8 * len(b) {
			m := bytes.Clone(b)
			m[bit/8] ^= 1 << (bit % 8)
			p, err := receipt.ParseSigned(m)
			if err != nil {
				continue
			}
			if _, err := p.Verify(k.Public()); err == nil {
				t.Errorf("receipt %d, bit %d: accepted", i, bit)
			}
		}
	}
}

// R1 R57
// guard: receipt-inclusion, receipt-in-its-batch, batch-signature
// SPEC RCPT-7, RCPT-8
func TestSignedRefuses(t *testing.T) {
	t.Parallel()
	k := testKey(t, 1)
	all := five(t, k)
	for _, s := range all {
		b, err := s.Encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := receipt.ParseSigned(b)
		if err != nil {
			t.Fatal(err)
		}
		if r, err := again.Verify(k.Public()); err != nil || s.ID() != receipt.ID(encode(t, r)) {
			t.Fatal(err)
		}
	}
	refuse := func(what string, s receipt.Signed, key sign.PublicKey) {
		t.Helper()
		if _, err := s.Verify(key); !errors.Is(err, receipt.ErrVerify) {
			t.Errorf("%s: accepted (%v)", what, err)
		}
	}
	refuse("another key", *all[0], testKey(t, 2).Public())
	refuse("no key", *all[0], sign.PublicKey{})
	moved := *all[0]
	moved.Payload = all[1].Payload
	refuse("another receipt", moved, k.Public())
	changed := full(1)
	changed.Purpose = "other"
	moved.Payload = encode(t, changed)
	refuse("the same place with another purpose", moved, k.Public())
	moved = *all[0]
	moved.Index = 1
	refuse("another place", moved, k.Public())
	// A gate that signs what is not in its place.
	for what, b := range map[string]receipt.Batch{
		"another gate":     {Gate: "gate-2", Epoch: 1, First: 1, TimeMS: start + 10},
		"another epoch":    {Gate: gate, Epoch: 2, First: 1, TimeMS: start + 10},
		"another sequence": {Gate: gate, Epoch: 1, First: 2, TimeMS: start + 10},
		"before its time":  {Gate: gate, Epoch: 1, First: 1, TimeMS: start},
	} {
		s, _ := signedBatch(t, k, b, [][]byte{all[0].Payload})
		refuse(what, *s[0], k.Public())
	}
	// What the key signed as something else is no batch.
	payload, err := sign.PayloadUnverified(all[0].Batch)
	if err != nil {
		t.Fatal(err)
	}
	block, err := sign.Sign1(k, "application/writ-other+cbor", payload)
	if err != nil {
		t.Fatal(err)
	}
	other := *all[0]
	other.Batch = block
	refuse("another type", other, k.Public())
}

// sample returns evidence with all parts.
func sample() *receipt.Evidence {
	e := &receipt.Evidence{Key: [32]byte{1, 2, 3}, Context: []byte("context"), Proof: []byte("proof")}
	e.SetOperation(&op.Operation{Type: "http/1", Asked: []byte("asked"), Found: []byte("found")})
	return e
}

// A32
// guard: disclosure-matches, evidence-complete, evidence-matches
// SPEC RCPT-9
func TestEvidence(t *testing.T) {
	t.Parallel()
	r, e := full(1), sample()
	if err := e.Commit(r); err != nil {
		t.Fatal(err)
	}
	b, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	again, err := receipt.ParseEvidence(b)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Check(r); err != nil {
		t.Fatal(err)
	}
	d, err := again.Disclose(receipt.FieldContext)
	if err != nil || d.Check(r) != nil {
		t.Fatal(err, d.Check(r))
	}
	d.Value[0] ^= 1
	if !errors.Is(d.Check(r), receipt.ErrEvidence) {
		t.Error("another value opens the commitment")
	}
	for what, change := range map[string]func(*receipt.Evidence){
		"key":       func(e *receipt.Evidence) { e.Key[31] ^= 1 },
		"operation": func(e *receipt.Evidence) { e.Operation.Found[0] ^= 1 },
		"type":      func(e *receipt.Evidence) { e.Operation.Type = "sql/1" },
		"context":   func(e *receipt.Evidence) { e.Context[0] ^= 1 },
		"proof":     func(e *receipt.Evidence) { e.Proof[0] ^= 1 },
		"missing":   func(e *receipt.Evidence) { e.Proof = nil },
		"too much":  func(e *receipt.Evidence) { e.Response = []canon.Digest{zone} },
	} {
		m := sample()
		change(m)
		if !errors.Is(m.Check(r), receipt.ErrEvidence) {
			t.Errorf("%s: matches", what)
		}
	}
}

// The same operation twice gives two commitments, and its digest is not in the
// receipt; evidence does not print.
// A37
// SPEC RCPT-9
func TestCommitmentsAreSalted(t *testing.T) {
	t.Parallel()
	a, b := full(1), full(1)
	for _, r := range []*receipt.Receipt{a, b} {
		e := receipt.NewEvidence()
		e.Operation = sample().Operation
		if err := e.Commit(r); err != nil {
			t.Fatal(err)
		}
	}
	if a.Operation == b.Operation {
		t.Error("commitments to the same operation are equal")
	}
	d := sample().TheOperation().Digest()
	if bytes.Contains(encode(t, a), d[:]) {
		t.Error("the operation's digest is in the clear")
	}
	for _, s := range []string{fmt.Sprintf("%v %+v %s", *sample(), sample(), sample())} {
		if strings.Contains(s, "asked") || strings.Contains(s, "97 115") {
			t.Error("evidence prints")
		}
	}
	if j, err := json.Marshal(sample()); err != nil || string(j) != `"[evidence]"` {
		t.Error("evidence marshals")
	}
}

// A vector is one signed receipt and whether it verifies under the key.
type vector struct {
	Name   string `json:"name"`
	Signed string `json:"signed"` // base64
	Key    string `json:"key"`
	ID     string `json:"id,omitempty"`
	Valid  bool   `json:"valid"`
	Why    string `json:"why,omitempty"`
}

func makeVectors(t testing.TB) []vector {
	k := testKey(t, 1)
	all := five(t, k)
	enc := func(s receipt.Signed) []byte {
		b, err := s.Encode()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	good := func(name string, s *receipt.Signed) vector {
		return vector{name, base64.StdEncoding.EncodeToString(enc(*s)), k.Public().String(), s.ID().String(), true, ""}
	}
	bad := func(name, why string, b []byte) vector {
		return vector{name, base64.StdEncoding.EncodeToString(b), k.Public().String(), "", false, why}
	}
	with := func(f func(*receipt.Signed)) []byte {
		s := *all[0]
		f(&s)
		return enc(s)
	}
	wrong := func(f func(*receipt.Receipt), b receipt.Batch) []byte {
		r := full(1)
		f(r)
		raw, err := canon.EncodeCBOR(r)
		if err != nil {
			t.Fatal(err)
		}
		s, _ := signedBatch(t, k, b, [][]byte{raw})
		return enc(*s[0])
	}
	one := receipt.Batch{Gate: gate, Epoch: 1, First: 1, TimeMS: start + 10}
	foreign := vector{"another-key", base64.StdEncoding.EncodeToString(enc(*all[0])), testKey(t, 2).Public().String(), "", false, "the batch is not signed by this key"}
	return []vector{
		good("first-of-five", all[0]), good("last-of-five", all[4]),
		foreign,
		bad("other-index", "the path is another place's", with(func(s *receipt.Signed) { s.Index = 1 })),
		bad("other-payload", "the path is another receipt's", with(func(s *receipt.Signed) { s.Payload = all[1].Payload })),
		bad("short-path", "the path does not reach the root", with(func(s *receipt.Signed) { s.Path = s.Path[1:] })),
		bad("long-path", "the path is too long", with(func(s *receipt.Signed) { s.Path = append(s.Path[:3:3], s.Path[0]) })),
		bad("empty-path-written", "an empty list is left out", append([]byte{0xa4}, bytes.Replace(wrong(func(*receipt.Receipt) {}, one)[1:], []byte{0x02, 0x00, 0x04}, []byte{0x02, 0x00, 0x03, 0x80, 0x04}, 1)...)),
		bad("trailing-byte", "bytes after the end", append(enc(*all[0]), 0)),
		bad("not-in-its-batch", "sequence 1 in a batch from 2 on", wrong(func(*receipt.Receipt) {}, receipt.Batch{Gate: gate, Epoch: 1, First: 2, TimeMS: start + 10})),
		bad("batch-before-receipt", "the batch is older than its receipt", wrong(func(*receipt.Receipt) {}, receipt.Batch{Gate: gate, Epoch: 1, First: 1, TimeMS: start})),
		bad("other-gate", "a batch of another gate", wrong(func(*receipt.Receipt) {}, receipt.Batch{Gate: "gate-2", Epoch: 1, First: 1, TimeMS: start + 10})),
		bad("mode-zero", "no mode", wrong(func(r *receipt.Receipt) { r.Mode = "" }, one)),
		bad("intent-without-permit", "an intent that is not permitted", wrong(func(r *receipt.Receipt) { r.Decision = "forbidden" }, one)),
		bad("type-two", "another type string", wrong(func(r *receipt.Receipt) { r.Typ = "writ-receipt/2" }, one)),
	}
}

// SPEC RCPT-1, RCPT-7, RCPT-8
func TestVectors(t *testing.T) {
	t.Parallel()
	refused := 0
	for _, v := range testkit.Vectors(t, *update, "../vectors/receipt/signed.json", makeVectors(t)) {
		if id, err := v.try(); (err == nil) != v.Valid || v.Valid && id != v.ID {
			t.Errorf("%s: %v", v.Name, err)
		}
		if !v.Valid {
			refused++
		}
	}
	if refused < 8 {
		t.Fatalf("only %d negative vectors", refused)
	}
}

func (v vector) try() (id string, err error) {
	k, err := sign.ParsePublicKey(v.Key)
	if err != nil {
		return "", err
	}
	b, err := base64.StdEncoding.DecodeString(v.Signed)
	if err != nil {
		return "", err
	}
	s, err := receipt.ParseSigned(b)
	if err != nil {
		return "", err
	}
	_, err = s.Verify(k)
	return s.ID().String(), err
}

// What parses encodes back to the same bytes.
func FuzzParse(f *testing.F) {
	f.Add(encode(f, full(1)))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := receipt.Parse(b)
		if err != nil {
			return
		}
		if again, err := r.Encode(); err != nil || !bytes.Equal(again, b) {
			t.Error("differs", err)
		}
	})
}

// What parses encodes back to the same bytes.
func FuzzParseSigned(f *testing.F) {
	for _, s := range five(f, testKey(f, 1)) {
		b, err := s.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := receipt.ParseSigned(b)
		if err != nil {
			return
		}
		if again, err := s.Encode(); err != nil || !bytes.Equal(again, b) {
			t.Error("differs", err)
		}
	})
}

// What parses encodes back to the same bytes.
func FuzzParseEvidence(f *testing.F) {
	var v evidenceVectors
	testkit.ReadVectors(f, evidenceFile, &v)
	for _, c := range v.Cases {
		f.Add(testkit.Unhex(f, c.Evidence))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := receipt.ParseEvidence(b)
		if err != nil {
			return
		}
		if again, err := e.Encode(); err != nil || !bytes.Equal(again, b) {
			t.Error("differs", err)
		}
	})
}
