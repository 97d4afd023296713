package http_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/writhq/writ/op"
	"github.com/writhq/writ/op/http"
)

var update = flag.Bool("update", false, "write vectors/http from the cases in this package")

const folder = "../../vectors/http"

// A vector is one case of a file in vectors/http. What goes in is a wire, a
// document, or nothing (then the declaration itself is checked); what comes out
// is an error kind or the rest.
type vector struct {
	Name        string          `json:"name"`
	Declaration string          `json:"declaration"`
	Wire        *wire           `json:"wire,omitempty"`
	Asked       string          `json:"asked,omitempty"`
	Found       string          `json:"found,omitempty"`
	Error       http.Kind       `json:"error,omitempty"`
	Field       string          `json:"field,omitempty"`
	AskedDigest string          `json:"asked_digest,omitempty"`
	Digest      string          `json:"digest,omitempty"`
	View        json.RawMessage `json:"view,omitempty"`
	Request     *request        `json:"request,omitempty"`
	Covered     []string        `json:"covered,omitempty"`
}

type wire struct {
	Method  string      `json:"method"`
	Target  string      `json:"target"`
	Origin  string      `json:"origin"`
	Path    string      `json:"path"`
	Query   string      `json:"query,omitempty"`
	Header  [][2]string `json:"header,omitempty"`
	Body    string      `json:"body,omitempty"` // hexadecimal
	HasBody bool        `json:"has_body,omitempty"`
}

type request struct {
	Method  string      `json:"method"`
	URL     string      `json:"url"`
	Header  [][2]string `json:"header,omitempty"`
	Body    string      `json:"body,omitempty"` // hexadecimal
	HasBody bool        `json:"has_body,omitempty"`
}

type vectorFile struct {
	Type         string                     `json:"type"`
	Version      int                        `json:"version"`
	Declarations map[string]*op.Declaration `json:"declarations"`
	Cases        []vector                   `json:"cases"`
}

// salt is that of every vector; a gate's is random.
var salt = [http.SaltBytes]byte{0: 0x5a, 15: 0xa5}

func wireOf(t testing.TB, w *wire) http.Wire {
	t.Helper()
	body, err := hex.DecodeString(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	return http.Wire{Method: w.Method, Target: w.Target, Origin: w.Origin, RawPath: w.Path, RawQuery: w.Query,
		Header: w.Header, Body: body, HasBody: w.HasBody}
}

// run returns v with what comes out of what goes in.
func run(t *testing.T, v vector, d *op.Declaration) vector {
	t.Helper()
	out := vector{Name: v.Name, Declaration: v.Declaration, Wire: v.Wire}
	if v.Wire == nil && v.Asked == "" {
		return out.fail(t, http.Mapper{}.Check(d))
	}
	if err := (http.Mapper{}).Check(d); err != nil {
		t.Fatalf("%s: declaration %s: %v", v.Name, v.Declaration, err)
	}
	o := &op.Operation{Type: http.DocumentType}
	var body []byte
	if v.Wire != nil {
		w := wireOf(t, v.Wire)
		made, err := http.NewOperation(w, d, salt)
		if err != nil {
			return out.fail(t, err)
		}
		o, body = made, w.Body
	} else {
		o.Asked, o.Found = unhex(t, v.Asked), unhex(t, v.Found)
	}
	out.Asked, out.Found = hex.EncodeToString(o.Asked), hex.EncodeToString(o.Found)
	view, err := http.Mapper{}.View(o, d)
	if err != nil {
		return out.fail(t, err)
	}
	return out.rest(t, o, view, body)
}

func (v vector) fail(t *testing.T, err error) vector {
	t.Helper()
	if err == nil {
		return v
	}
	e, ok := errors.AsType[*http.Error](err)
	if !ok || !errors.Is(err, http.ErrHTTP) || !errors.Is(err, e.Kind) {
		t.Fatalf("%s: error of another package: %v", v.Name, err)
	}
	v.Error = e.Kind
	if e.Kind == http.BadDeclaration {
		v.Field = e.Where
	}
	return v
}

func (v vector) rest(t *testing.T, o *op.Operation, view *op.View, body []byte) vector {
	t.Helper()
	a, err := http.Parse(o.Asked)
	if err != nil {
		t.Fatalf("%s: parse: %v", v.Name, err)
	}
	r, err := a.Request(body)
	if err != nil && !(v.Wire == nil && errors.Is(err, http.BodyDiffers)) {
		t.Fatalf("%s: request: %v", v.Name, err)
	}
	if err == nil {
		v.Request = &request{Method: r.Method, URL: r.URL, Header: r.Header, Body: hex.EncodeToString(r.Body), HasBody: r.HasBody}
	}
	v.AskedDigest, v.Digest = o.AskedDigest().String(), o.Digest().String()
	v.View = viewJSON(t, view)
	v.Covered = http.Covered(a)
	return v
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func viewJSON(t *testing.T, v *op.View) []byte {
	t.Helper()
	b, err := json.Marshal(map[string]any{"action": v.Action, "target": v.Target, "resource": plain(v.Resource), "context": plain(v.Context)})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// plain returns v with decimals marked, so that vectors tell them from strings.
func plain(v any) any {
	switch v := v.(type) {
	case op.Decimal:
		return map[string]any{"decimal": string(v)}
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, x := range v {
			out[k] = plain(x)
		}
		return out
	}
	return v
}

func write(t *testing.T, v any) []byte {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// runFile runs the cases of one file of vectors, of which at least so many must
// be refused.
func runFile(t *testing.T, name string, refused int) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(folder, name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var f vectorFile
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		t.Fatal(err)
	}
	if f.Type != http.DocumentType || f.Version != (http.Mapper{}).Version() {
		t.Fatalf("vectors of %s version %d", f.Type, f.Version)
	}
	n := 0
	for _, v := range f.Cases {
		if v.Error != "" {
			n++
		}
		got := run(t, v, f.Declarations[v.Declaration])
		if g, w := write(t, got), write(t, v); !bytes.Equal(g, w) {
			t.Errorf("%s:\n have %s\n want %s", v.Name, g, w)
		}
	}
	if n < refused {
		t.Errorf("%s: only %d cases are refused", name, n)
	}
}

// TestVectorsAreCurrent holds the files to the cases in this package. With
// -update it writes them.
func TestVectorsAreCurrent(t *testing.T) {
	total, refused := 0, 0
	for name, cases := range groups(t) {
		f := vectorFile{Type: http.DocumentType, Version: 1, Declarations: map[string]*op.Declaration{}}
		for _, c := range cases {
			d, ok := declarations[c.Declaration]
			if !ok {
				t.Fatalf("%s: no declaration %q", c.Name, c.Declaration)
			}
			f.Declarations[c.Declaration] = d
			got := run(t, c, d)
			if got.Error != c.Error || got.Field != c.Field {
				t.Errorf("%s/%s: have %q %s, want %q %s", name, c.Name, got.Error, got.Field, c.Error, c.Field)
			}
			if slices.ContainsFunc(f.Cases, func(v vector) bool { return v.Name == c.Name }) {
				t.Errorf("%s/%s: name stands twice", name, c.Name)
			}
			f.Cases = append(f.Cases, got)
			total++
			if got.Error != "" {
				refused++
			}
		}
		check(t, name, write(t, f))
	}
	if total < 150 || refused < 100 {
		t.Errorf("%d cases, %d refused", total, refused)
	}
}

func check(t *testing.T, name string, b []byte) {
	t.Helper()
	path := filepath.Join(folder, name+".json")
	if *update {
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	have, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(have, b) {
		t.Errorf("%s is not what the cases give (go test ./op/http -update writes it): %v", path, err)
	}
}

// TestMethodVectors shows that an act or target which is not listed is no
// operation, and that one which is listed is.
//
// R3/http, R15/http
// guard: method-known, action-declared, target-declared
// SPEC HTTP-2, OP-5
func TestMethodVectors(t *testing.T) { runFile(t, "method", 10) }

// R15/http
// guard: path-absolute, path-escape, path-empty-segment, path-double-encoding, path-dot-segment, path-text, path-length
// guard: path-control, path-raw-non-ascii, path-raw-backslash, path-raw-semicolon
// guard: path-encoded-slash, path-encoded-backslash, path-encoded-semicolon, path-encoded-delimiter, path-encoded-control
// guard: origin-one-form
// SPEC HTTP-4, HTTP-5
func TestPathVectors(t *testing.T) { runFile(t, "path", 25) }

// A11, A18
// guard: pair-form, query-escape, query-length, query-name, query-duplicate, query-control, query-text, pair-declared
// SPEC HTTP-6, HTTP-7, HTTP-13
func TestQueryVectors(t *testing.T) { runFile(t, "query", 20) }

// A16: Range passes only if it is listed; Upgrade never.
// guard: header-length, header-value, header-count, header-form, content-type-twice, header-twice, header-override, range-listed
// guard: header-upgrade, header-te, header-expect
// SPEC HTTP-9
func TestHeaderVectors(t *testing.T) { runFile(t, "header", 15) }

// A11
// guard: content-type-parameters, multipart, body-coded, content-type-present, json-as-text, body-declared, body-on-method
// guard: media-type-declared, text-utf8, body-framing
// SPEC HTTP-11, HTTP-12
func TestBodyVectors(t *testing.T) { runFile(t, "body", 15) }

// A11, A18
// guard: member-required, json-name, json-twin, json-declared, set-length, set-of-strings, string-length, integer-literal
// guard: decimal-digits, decimal-range, decimal-minus-zero
// SPEC HTTP-14, OP-4
func TestMemberVectors(t *testing.T) { runFile(t, "member", 25) }

// A11, R15/http
// guard: path-one-form, body-kind, json-one-form, headers-one-form, header-listed, salt-present, pair-count
// SPEC HTTP-3, HTTP-17
func TestDocumentVectors(t *testing.T) { runFile(t, "document", 20) }

// A11
// guard: declaration-list, opaque-declared, opaque-members, member-count, member-overlap, body-named
// SPEC HTTP-15, HTTP-10
func TestDeclarationVectors(t *testing.T) { runFile(t, "declaration", 20) }

const everything = `{"amount":5000,"rate":1.25,"currency":"EUR","notify":true,"tags":["a","b","a"],"extra":{"x":[1.0,null,-0,1e9]},"metadata":{"reason":"late","by":{"name":"ann"},"raw":[]}}`

// TestVersionIsPinned fails when a document or view of version 1 changes: a fix
// is a new version, and the old one stays for replay.
//
// A40
func TestVersionIsPinned(t *testing.T) {
	const (
		asked = "sha256:5ecaf70528fa449e198df1cadf4f86939f5e91f1a96ad5dcc6412918741746ea"
		view  = `{"action":"http:POST","context":{"body":{"amount":5000,"currency":"EUR","metadata":{"by":{"name":"ann"},"reason":"late"},"notify":true,"rate":{"decimal":"1.25"},"tags":["a","b","a"]},"headers":{"accept":"a"},"query":{}},"resource":{"content_length":169,"content_type":"application/json","depth":2,"method":"POST","origin":"https://api.shop.example","path":"/v1/orders/"},"target":"shop"}`
	)
	if v := (http.Mapper{}).Version(); v != 1 {
		t.Fatalf("version %d: keep version 1 for replay, and pin the new one", v)
	}
	w := post(jsonType, everything, [2]string{"Accept", "a"})
	w.Path = "/v1/%6frders/"
	o, err := http.NewOperation(wireOf(t, w), declarations["refunds"], salt)
	if err != nil {
		t.Fatal(err)
	}
	v, err := http.Mapper{}.View(o, declarations["refunds"])
	if err != nil {
		t.Fatal(err)
	}
	if got := o.AskedDigest().String(); got != asked {
		t.Errorf("document: have %s", got)
	}
	if got := string(viewJSON(t, v)); got != view {
		t.Errorf("view: have %s", got)
	}
}
