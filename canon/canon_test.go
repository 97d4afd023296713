package canon_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/writhq/writ/canon"
)

// SPEC CANON-1
func TestSumSeparatesDomains(t *testing.T) {
	a, b := canon.Sum("writ-a/1", []byte("x")), canon.Sum("writ-b/1", []byte("x"))
	if a == b || a == canon.Hash([]byte("x")) {
		t.Error("the digest of one kind of document is that of another")
	}
	if canon.Sum("writ-a/1") != canon.Hash([]byte("writ-a/1\x00")) {
		t.Error("want SHA-256(domain, 0x00, parts)")
	}
	if canon.Sum("d", []byte("ab"), []byte("c")) != canon.Hash([]byte("d\x00abc")) {
		t.Error("parts are not concatenated")
	}
}

// SPEC CANON-2.
func TestDigestHasOneText(t *testing.T) {
	d := canon.Hash([]byte("x"))
	got, err := canon.ParseDigest(d.String())
	if err != nil || got != d || !strings.HasPrefix(d.String(), "sha256:"+d.Short()) {
		t.Fatalf("parse what String wrote: %v", err)
	}
	h := strings.TrimPrefix(d.String(), "sha256:")
	for _, s := range []string{"", h, "sha256:", "SHA256:" + h, "sha256:" + strings.ToUpper(h), "sha256:" + h[1:], "sha256:" + h + "0",
		" sha256:" + h, "sha256:" + h[:63] + "g", "sha512:" + h, "sha256:" + h[:62] + "\u00e9"} {
		if _, err := canon.ParseDigest(s); !errors.Is(err, canon.ErrForm) {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func TestDigestAsText(t *testing.T) {
	for _, d := range []canon.Digest{{}, canon.Hash([]byte("x"))} {
		b, err := d.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		back := canon.Hash([]byte("other"))
		if err := back.UnmarshalText(b); err != nil || back != d {
			t.Errorf("%s: %v", d, err)
		}
		if d.IsZero() != (len(b) == 0) {
			t.Errorf("%s is %q", d, b)
		}
	}
	var d canon.Digest
	if err := d.UnmarshalText([]byte("sha256:x")); !errors.Is(err, canon.ErrForm) {
		t.Errorf("bad text: %v", err)
	}
}

// SPEC CANON-3. The example is DSSE's own.
func TestPAE(t *testing.T) {
	got := canon.PAE("http://example.com/HelloWorld", []byte("hello world"))
	if want := "DSSEv1 29 http://example.com/HelloWorld 11 hello world"; string(got) != want {
		t.Errorf("have %s", got)
	}
	if got := canon.PAE("", nil); string(got) != "DSSEv1 0  0 " {
		t.Errorf("empty: have %q", got)
	}
}

// document is a signed document in small.
type document struct {
	Alias string          `json:"alias" cbor:"1,keyasint"`
	N     int64           `json:"n" cbor:"2,keyasint"`
	List  []string        `json:"list,omitempty" cbor:"3,keyasint,omitempty"`
	Map   map[string]int  `json:"map,omitempty" cbor:"4,keyasint,omitempty"`
	Sub   *document       `json:"sub,omitempty" cbor:"5,keyasint,omitempty"`
	Any   json.RawMessage `json:"any,omitempty" cbor:"-"`
	Bytes []byte          `json:"-" cbor:"6,keyasint,omitempty"`
	Sum   canon.Digest    `json:"sum,omitzero" cbor:"7,keyasint,omitzero"`
}

// Whatever is not the one form of a document is refused, although encoding/json
// would take it.
//
// SPEC CANON-5.
// guard: json-roundtrip
func TestDecodeJSONVectors(t *testing.T) {
	runVectors(t, "document", func(b []byte) ([]byte, error) {
		var d document
		if err := canon.DecodeJSON(b, &d); err != nil {
			return nil, err
		}
		return canon.EncodeJSON(&d)
	})
}

// A11: two readers of the bytes could differ about each of the refused.
// SPEC CANON-4.
// guard: json-duplicate-name
func TestParseJSONVectors(t *testing.T) {
	runVectors(t, "json", func(b []byte) ([]byte, error) {
		v, err := canon.ParseJSON(b)
		if err != nil {
			return nil, err
		}
		return canon.AppendJSON(nil, v), nil
	})
}

// SPEC CANON-6.
// guard: cbor-roundtrip
func TestDecodeCBORVectors(t *testing.T) {
	runVectors(t, "cbor", func(b []byte) ([]byte, error) {
		var d document
		if err := canon.DecodeCBOR(b, &d); err != nil {
			return nil, err
		}
		return canon.EncodeCBOR(&d)
	})
}

// ParseExactJSON takes what AppendJSON writes, and nothing else.
//
// guard: json-exact
func TestParseExactJSON(t *testing.T) {
	taken := 0
	for _, c := range vectorsOf(t, "json") {
		b := c.in(t)
		v, err := canon.ParseJSON(b)
		exact, exactErr := canon.ParseExactJSON(b)
		switch {
		case err != nil:
			if exactErr == nil {
				t.Errorf("%s: ParseJSON refuses it, ParseExactJSON does not", c.Name)
			}
		case bytes.Equal(canon.AppendJSON(nil, v), b):
			taken++
			if exactErr != nil || !bytes.Equal(canon.AppendJSON(nil, exact), b) {
				t.Errorf("%s: %v", c.Name, exactErr)
			}
		case !errors.Is(exactErr, canon.ErrForm):
			t.Errorf("%s: not as AppendJSON writes it: %v", c.Name, exactErr)
		}
	}
	if taken < 10 {
		t.Errorf("only %d vectors are exact", taken)
	}
}

func TestEncodeJSONRefusesWhatHasNoForm(t *testing.T) {
	for name, v := range map[string]any{
		"float": 1.5, "null": nil, "too large": int64(canon.MaxSafeInteger + 1), "too small": int64(-canon.MaxSafeInteger - 1),
		"nested": map[string]any{"a": []any{1, nil}}, "not UTF-8": "a\xff", "name not UTF-8": map[string]int{"\xff": 1},
		"backslash and not UTF-8": `\\` + "\xff",
	} {
		if b, err := canon.EncodeJSON(v); !errors.Is(err, canon.ErrForm) {
			t.Errorf("%s: %s %v", name, b, err)
		}
	}
	if _, err := canon.EncodeJSON(make(chan int)); err == nil {
		t.Error("a channel is encoded")
	}
	for in, want := range map[string]string{"\ufffd": "\"\ufffd\"", `\ufffd`: `"\\ufffd"`, "<&>\u2028": "\"<&>\u2028\""} {
		if b, err := canon.EncodeJSON(in); err != nil || string(b) != want {
			t.Errorf("%q: %s %v", in, b, err)
		}
	}
}

// Source: RFC 8785, section 3.2.3: names are sorted by UTF-16 code units.
func TestJSONOrder(t *testing.T) {
	b, err := canon.EncodeJSON(map[string]int{"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\u0080": 6, "\u00f6": 7})
	if err != nil {
		t.Fatal(err)
	}
	want := "{\"\\r\":2,\"1\":4,\"\u0080\":6,\"\u00f6\":7,\"\u20ac\":1,\"\U0001f600\":5,\"\ufb33\":3}"
	if string(b) != want {
		t.Errorf("have %s", b)
	}
}

func TestGet(t *testing.T) {
	v, err := canon.ParseJSON([]byte(`{"a":1,"b":{"c":"x"}}`))
	if err != nil {
		t.Fatal(err)
	}
	b, ok := v.Get("b")
	if !ok || b.Kind != canon.Object {
		t.Fatal("no b")
	}
	if c, ok := b.Get("c"); !ok || c.Text != "x" {
		t.Error("no c")
	}
	if _, ok := v.Get("B"); ok {
		t.Error("names are compared without case")
	}
}

// Errors hold no value; the name of an unknown field they do.
func TestErrorsHoldNoValue(t *testing.T) {
	const s, number = "hunter2", "4242424242"
	n := 0
	for _, in := range []string{s, `{"` + s + `":1,"` + s + `":2}`, `"` + s, `["` + s + `" ` + s, `{"n":"` + s + `"}`, `{"alias":"` + s + `"}`, `{"alias":` + number + `}`,
		`{"n":` + number + number + number + `}`, `{"alias":"` + s + `","n":` + number + `.5}`, `{"sum":"` + s + `"}`, `{"alias":"` + s + `","n": 0}`} {
		var d document
		err := canon.DecodeJSON([]byte(in), &d)
		if err == nil {
			t.Errorf("%s is taken", in)
			continue
		}
		n++
		if strings.Contains(err.Error(), s) || strings.Contains(err.Error(), number) {
			t.Errorf("%q holds input", err)
		}
	}
	if n < 11 {
		t.Errorf("only %d errors", n)
	}
}

func TestLargeObjects(t *testing.T) {
	for _, n := range []int{1, 7, 23, 24, 25, 1000} {
		var b strings.Builder
		for i := range n {
			b.WriteString(`,"` + hex.EncodeToString([]byte{byte(i >> 8), byte(i)}) + `":1`)
		}
		whole := "{" + b.String()[1:] + "}"
		if _, err := canon.ParseJSON([]byte(whole)); err != nil {
			t.Errorf("%d members: %v", n, err)
		}
		for _, again := range []int{0, n / 2, n - 1} {
			twice := whole[:len(whole)-1] + `,"` + hex.EncodeToString([]byte{byte(again >> 8), byte(again)}) + `":1}`
			if _, err := canon.ParseJSON([]byte(twice)); !errors.Is(err, canon.ErrJSON) {
				t.Errorf("%d members, number %d twice: %v", n, again, err)
			}
		}
	}
}

func TestJSONIsBounded(t *testing.T) {
	nest := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	if _, err := canon.ParseJSON([]byte(nest(canon.MaxJSONDepth))); err != nil {
		t.Errorf("depth %d: %v", canon.MaxJSONDepth, err)
	}
	for name, in := range map[string]string{
		"depth":       nest(canon.MaxJSONDepth + 1),
		"depth, open": strings.Repeat(`{"a":`, 1<<20),
		"values":      "[0" + strings.Repeat(",0", canon.MaxJSONNodes) + "]",
		"number":      strings.Repeat("1", 129),
	} {
		if _, err := canon.ParseJSON([]byte(in)); !errors.Is(err, canon.ErrJSON) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestArrayBounds decodes arrays that are as long as they may be. SPEC CANON-6.
func TestArrayBounds(t *testing.T) {
	for _, tt := range []struct {
		name   string
		decode func([]byte, any) error
		most   int
	}{{"any", canon.DecodeCBOR, 4096}, {"list", canon.DecodeCBORList, 65535}} {
		for n, ok := range map[int]bool{tt.most: true, tt.most + 1: false} {
			b, err := canon.EncodeCBOR(make([]int, n))
			if err != nil {
				t.Fatal(err)
			}
			var list []int
			if err := tt.decode(b, &list); (err == nil) != ok || ok && len(list) != n {
				t.Errorf("%s: %d elements: %v", tt.name, n, err)
			}
		}
	}
}
