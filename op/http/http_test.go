package http_test

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/op/http"
)

// again returns the request as a gateway would read it from the wire.
func again(a *http.Asked, r *http.Request) http.Wire {
	rest := strings.TrimPrefix(r.URL, a.Origin)
	path, query, _ := strings.Cut(rest, "?")
	return http.Wire{Method: r.Method, Target: a.Target, Origin: a.Origin, RawPath: path, RawQuery: query,
		Header: r.Header, Body: r.Body, HasBody: r.HasBody}
}

// forwarded fails the test if what goes upstream for w, once mapped, is not
// mapped to the same document.
func forwarded(t interface{ Fatalf(string, ...any) }, w http.Wire, d *op.Declaration) {
	a, err := http.Map(w, d)
	if err != nil {
		return
	}
	r, err := a.Request(w.Body)
	if err != nil {
		t.Fatalf("request: %v", err)
	}
	b, err := http.Map(again(a, r), d)
	if err != nil {
		t.Fatalf("map what is forwarded: %v", err)
	}
	if x, y := encode(t, a), encode(t, b); !bytes.Equal(x, y) {
		t.Fatalf("what is forwarded is another document:\n%x\n%x", x, y)
	}
	if r2, err := b.Request(w.Body); err != nil || !reflect.DeepEqual(r, r2) {
		t.Fatalf("what is forwarded is forwarded otherwise: %v", err)
	}
}

func encode(t interface{ Fatalf(string, ...any) }, a *http.Asked) []byte {
	b, err := a.Encode()
	if err != nil {
		t.Fatalf("encode: %v", err)
	}
	return b
}

// allCases returns the vectors that are made from a wire.
func allCases(t *testing.T) []vector {
	t.Helper()
	var all []vector
	for _, cs := range groups(t) {
		for _, c := range cs {
			if c.Wire != nil {
				all = append(all, c)
			}
		}
	}
	if len(all) < 150 {
		t.Fatalf("only %d cases", len(all))
	}
	return all
}

// R15/http
// SPEC HTTP-8
func TestWhatIsForwardedIsWhatWasMapped(t *testing.T) {
	for _, c := range allCases(t) {
		forwarded(t, wireOf(t, c.Wire), declarations[c.Declaration])
	}
}

// An opaque body is not in the document; another one than was decided on does
// not go upstream.
//
// R15/http
// guard: opaque-digest
func TestOpaqueBodyIsCompared(t *testing.T) {
	w := wireOf(t, as("PUT", post("application/octet-stream", "pay 1")))
	a, err := http.Map(w, declarations["upload"])
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range []string{"pay 2", "pay 11", "", "pay "} {
		if _, err := a.Request([]byte(b)); !errors.Is(err, http.BodyDiffers) {
			t.Errorf("%q: %v", b, err)
		}
	}
	if r, err := a.Request(w.Body); err != nil || string(r.Body) != "pay 1" {
		t.Errorf("the body itself: %v", err)
	}
}

// The holder signs what was asked; the gate's facts are in the operation's
// digest only.
//
// A9
// SPEC HTTP-1, OP-1, OP-2
func TestHolderSignsWhatWasAsked(t *testing.T) {
	w, d := wireOf(t, get("/v1/orders", "page=1")), declarations["orders"]
	one, err := http.NewOperation(w, d, [16]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	two, err := http.NewOperation(w, d, [16]byte{2})
	if err != nil {
		t.Fatal(err)
	}
	if one.AskedDigest() != two.AskedDigest() {
		t.Error("the gate's salt changes what the holder signs")
	}
	if one.Digest() == two.Digest() {
		t.Error("the gate's facts are not in the operation's digest")
	}
	w.RawQuery = "page=2"
	three, err := http.NewOperation(w, d, [16]byte{1})
	if err != nil || three.AskedDigest() == one.AskedDigest() {
		t.Errorf("another query has the same digest: %v", err)
	}
}

// The digest of an operation with few possible values cannot be guessed, since
// a document without a salt is none.
//
// A37
// guard: salt-present
// SPEC OP-3
func TestOperationHasSalt(t *testing.T) {
	o, err := http.NewOperation(wireOf(t, get("/v1/orders", "")), declarations["orders"], salt)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{0, 1, 15, 17} {
		found, err := canon.EncodeCBOR(op.Facts{Salt: make([]byte, n)})
		if err != nil {
			t.Fatal(err)
		}
		bare := &op.Operation{Type: o.Type, Asked: o.Asked, Found: found}
		if _, err := (http.Mapper{}).View(bare, declarations["orders"]); !errors.Is(err, http.BadDocument) {
			t.Errorf("salt of %d bytes: %v", n, err)
		}
	}
}

// guard: document-type
func TestViewReadsItsOwnTypeOnly(t *testing.T) {
	o, err := http.NewOperation(wireOf(t, get("/v1/orders", "")), declarations["orders"], salt)
	if err != nil {
		t.Fatal(err)
	}
	for _, typ := range []string{"", "http", "http/2", "sql/1", "HTTP/1"} {
		o.Type = typ
		if _, err := (http.Mapper{}).View(o, declarations["orders"]); !errors.Is(err, http.BadDocument) {
			t.Errorf("type %q: %v", typ, err)
		}
	}
}

// A hop can add or change headers and a body: all that reach the document are
// among the components that the holder's signature must cover, and where the
// request goes does not follow from any header.
//
// A10
// SPEC HTTP-18
func TestAllThatIsForwardedIsCovered(t *testing.T) {
	n := 0
	for _, c := range allCases(t) {
		w := wireOf(t, c.Wire)
		a, err := http.Map(w, declarations[c.Declaration])
		if err != nil {
			continue
		}
		r, err := a.Request(w.Body)
		if err != nil {
			t.Fatal(err)
		}
		covered := http.Covered(a)
		for _, h := range r.Header {
			n++
			if !slices.Contains(covered, h[0]) {
				t.Errorf("%s: %s is forwarded and not covered", c.Name, h[0])
			}
		}
		if r.HasBody != slices.Contains(covered, "content-digest") || !slices.Contains(covered, "@target-uri") || !slices.Contains(covered, "@method") {
			t.Errorf("%s: covered %v", c.Name, covered)
		}
	}
	if n < 20 {
		t.Errorf("only %d headers were forwarded", n)
	}
}

// A10
func TestHostDoesNotChooseTheTarget(t *testing.T) {
	d := declarations["orders"]
	w := wireOf(t, get("/v1/orders", ""))
	a, err := http.Map(w, d)
	if err != nil {
		t.Fatal(err)
	}
	w.Header = [][2]string{{"Host", "evil.example"}, {"X-Forwarded-Host", "evil.example"}, {"X-Forwarded-Proto", "http"}, {"Forwarded", "host=evil.example;proto=http"}}
	b, err := http.Map(w, d)
	if err != nil || !bytes.Equal(encode(t, a), encode(t, b)) {
		t.Errorf("headers change the document: %v", err)
	}
}

// A16: a header by which the holder would choose how the response is encoded
// or cut cannot be listed; Range can, by name.
func TestResponseCannotBeDisguised(t *testing.T) {
	for _, h := range []string{"accept-encoding", "te", "upgrade", "trailer", "connection"} {
		d := *declarations["orders"]
		d.Headers = []string{h}
		if err := (http.Mapper{}).Check(&d); !errors.Is(err, http.BadDeclaration) {
			t.Errorf("%s can be listed: %v", h, err)
		}
	}
	w := wireOf(t, get("/v1/orders", "", [2]string{"Accept-Encoding", "br"}))
	a, err := http.Map(w, declarations["orders"])
	if err != nil || len(a.Headers) != 0 {
		t.Errorf("accept-encoding is kept: %v", err)
	}
}

// R12/http
func TestMappingIsDeterministic(t *testing.T) {
	w, d := wireOf(t, post(jsonType, everything)), declarations["refunds"]
	first, err := http.NewOperation(w, d, salt)
	if err != nil {
		t.Fatal(err)
	}
	view, err := http.Mapper{}.View(first, d)
	if err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		o, err := http.NewOperation(w, d, salt)
		if err != nil {
			t.Fatal(err)
		}
		v, err := http.Mapper{}.View(o, d)
		if err != nil || o.Digest() != first.Digest() || !reflect.DeepEqual(v, view) {
			t.Fatalf("the same request gives another operation or view: %v", err)
		}
	}
}

// A document with any bit flipped is refused, or is another document in its one
// form with another digest.
func TestDocumentHasOneForm(t *testing.T) {
	o, err := http.NewOperation(wireOf(t, post(jsonType, everything, [2]string{"Accept", "a"})), declarations["refunds"], salt)
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	for i := range 8 * len(o.Asked) {
		b := bytes.Clone(o.Asked)
		b[i/8] ^= 1 << (i % 8)
		a, err := http.Parse(b)
		if err != nil {
			refused++
			continue
		}
		if !bytes.Equal(encode(t, a), b) {
			t.Fatalf("bit %d: encodes to other bytes", i)
		}
		if (&op.Operation{Type: o.Type, Asked: b}).AskedDigest() == o.AskedDigest() {
			t.Fatalf("bit %d: same digest", i)
		}
	}
	if refused < 8*len(o.Asked)/2 {
		t.Errorf("only %d of %d bit flips are refused", refused, 8*len(o.Asked))
	}
}

// guard: body-length
func TestBodyIsBounded(t *testing.T) {
	long := `{"amount":1,"extra":"` + strings.Repeat("a", http.MaxBodyBytes) + `"}`
	for _, w := range []*wire{post(jsonType, long), post(formType, "amount=1&card.name="+strings.Repeat("a", http.MaxBodyBytes))} {
		d := declarations["refunds"]
		if w.Header[0][1] == formType {
			d = declarations["form"]
		}
		if _, err := http.Map(wireOf(t, w), d); !errors.Is(err, http.TooLong) {
			t.Errorf("%s: %v", w.Header[0][1], err)
		}
	}
	w := wireOf(t, as("PUT", post("application/octet-stream", "")))
	w.Body = make([]byte, http.MaxOpaqueBytes+1)
	if _, err := http.Map(w, declarations["upload"]); !errors.Is(err, http.TooLong) {
		t.Errorf("opaque: %v", err)
	}
}

// Errors and denials say where and what, never what was sent.
func TestErrorsHoldNoInput(t *testing.T) {
	const s = "hunter2"
	n := 0
	for _, c := range allCases(t) {
		for _, edit := range []func(*http.Wire){
			func(w *http.Wire) { w.RawPath += "/" + s + "%zz" },
			func(w *http.Wire) { w.RawQuery = s + "=" + s },
			func(w *http.Wire) { w.Body = []byte(`{"` + s + `":"` + s + `"}`) },
			func(w *http.Wire) { w.Header = append(w.Header, [2]string{s, s + "\n"}) },
			func(w *http.Wire) { w.Method = s },
			func(w *http.Wire) { w.Target, w.Origin = s, s },
		} {
			w := wireOf(t, c.Wire)
			edit(&w)
			_, err := http.Map(w, declarations[c.Declaration])
			if err == nil {
				continue
			}
			n++
			denial := http.Deny(err)
			for _, out := range []string{err.Error(), fmt.Sprintf("%+v", err), denial.Reason, denial.Error(), denial.Next} {
				if strings.Contains(out, s) {
					t.Fatalf("%s: %q holds input", c.Name, out)
				}
			}
		}
	}
	if n < 500 {
		t.Errorf("only %d errors", n)
	}
}

// SPEC OP-6
func TestDeny(t *testing.T) {
	_, err := http.Map(wireOf(t, get("/a/../b", "")), declarations["orders"])
	if d := http.Deny(err); d.Code != op.OperationInvalid || d.Reason == "" {
		t.Errorf("dot segment: %v", d)
	}
	_, err = http.Map(wireOf(t, get("/a", "x=1")), declarations["orders"])
	if d := http.Deny(err); d.Code != op.NotDeclared || d.Reason == "" {
		t.Errorf("undeclared member: %v", d)
	}
	if d := http.Deny(errors.New("other")); d.Code != op.OperationInvalid {
		t.Errorf("another error: %v", d)
	}
}

// Every view has the attributes and types that the shape of its declaration
// promises to the type checker, and no others.
//
// SPEC HTTP-16
func TestShapeDescribesEveryView(t *testing.T) {
	n := 0
	for _, c := range allCases(t) {
		d := declarations[c.Declaration]
		o, err := http.NewOperation(wireOf(t, c.Wire), d, salt)
		if err != nil {
			continue
		}
		v, err := http.Mapper{}.View(o, d)
		if err != nil {
			t.Fatalf("%s: Map takes it, View does not: %v", c.Name, err)
		}
		s := http.Mapper{}.Shape(d)
		conforms(t, c.Name+": resource", v.Resource, s.Resource)
		conforms(t, c.Name+": context", v.Context, s.Context)
		n++
	}
	if n < 50 {
		t.Errorf("only %d views", n)
	}
}

func conforms(t *testing.T, where string, rec map[string]any, fields []op.Field) {
	t.Helper()
	for _, f := range fields {
		v, ok := rec[f.Name]
		if !ok {
			if f.Required {
				t.Errorf("%s: no %s", where, f.Name)
			}
			continue
		}
		var right bool
		switch f.Type {
		case op.Bool:
			_, right = v.(bool)
		case op.Int:
			_, right = v.(int64)
		case op.DecimalNumber:
			_, right = v.(op.Decimal)
		case op.Text:
			_, right = v.(string)
		case op.Set:
			_, right = v.([]string)
		case op.Record:
			var inner map[string]any
			if inner, right = v.(map[string]any); right {
				conforms(t, where+"."+f.Name, inner, f.Fields)
			}
		}
		if !right {
			t.Errorf("%s: %s is %T", where, f.Name, v)
		}
	}
	for name := range rec {
		if !slices.ContainsFunc(fields, func(f op.Field) bool { return f.Name == name }) {
			t.Errorf("%s: %s is not in the shape", where, name)
		}
	}
}
