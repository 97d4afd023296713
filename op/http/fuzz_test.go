package http_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/writhq/writ/op"
	"github.com/writhq/writ/op/http"
	"pgregory.net/rapid"
)

// names of declarations that pass Check, in order.
func declarationNames() []string {
	var names []string
	for n := range declarations {
		if !strings.HasPrefix(n, "bad") {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	return names
}

// FuzzMap: no request makes Map panic, and what it takes is in its one form,
// has a view, and is what goes upstream.
func FuzzMap(f *testing.F) {
	names := declarationNames()
	n := 0
	for _, cs := range [][]vector{methodCases(), pathCases(), queryCases(), headerCases(), bodyCases(), memberCases()} {
		for _, c := range cs {
			w := wireOf(f, c.Wire)
			var name, value, contentType string
			for _, h := range w.Header {
				if strings.EqualFold(h[0], "content-type") {
					contentType = h[1]
				} else {
					name, value = h[0], h[1]
				}
			}
			f.Add(uint8(slices.Index(names, c.Declaration)), w.Method, w.RawPath, w.RawQuery, name, value, contentType, w.Body)
			n++
		}
	}
	if n < 150 {
		f.Fatalf("only %d seeds", n)
	}
	f.Fuzz(func(t *testing.T, which uint8, method, path, query, name, value, contentType string, body []byte) {
		d := declarations[names[int(which)%len(names)]]
		w := http.Wire{Method: method, Target: "shop", Origin: "https://api.shop.example", RawPath: path, RawQuery: query,
			Header: [][2]string{{name, value}}, Body: body, HasBody: contentType != ""}
		if contentType != "" {
			w.Header = append(w.Header, [2]string{"Content-Type", contentType})
		}
		o, err := http.NewOperation(w, d, salt)
		if err != nil {
			if !errors.Is(err, http.ErrHTTP) {
				t.Fatalf("error of another package: %v", err)
			}
			return
		}
		oneForm(t, o, d)
		forwarded(t, w, d)
	})
}

// oneForm fails the test if o does not decode to the same bytes, or has no view.
func oneForm(t interface{ Fatalf(string, ...any) }, o *op.Operation, d *op.Declaration) {
	a, err := http.Parse(o.Asked)
	if err != nil {
		t.Fatalf("parse: %v", err)
	}
	if !bytes.Equal(encode(t, a), o.Asked) {
		t.Fatalf("encodes to other bytes")
	}
	if _, err := (http.Mapper{}).View(o, d); err != nil {
		t.Fatalf("view: %v", err)
	}
}

// FuzzParse: a document that parses encodes to the same bytes, and one that has
// a view is a document that Map makes from what goes upstream.
func FuzzParse(f *testing.F) {
	names := declarationNames()
	n := 0
	for _, cs := range [][]vector{methodCases(), pathCases(), queryCases(), headerCases(), bodyCases(), memberCases()} {
		for _, c := range cs {
			if o, err := http.NewOperation(wireOf(f, c.Wire), declarations[c.Declaration], salt); err == nil {
				f.Add(uint8(slices.Index(names, c.Declaration)), o.Asked, o.Found)
				n++
			}
		}
	}
	if n < 50 {
		f.Fatalf("only %d seeds", n)
	}
	f.Fuzz(func(t *testing.T, which uint8, asked, found []byte) {
		d := declarations[names[int(which)%len(names)]]
		a, err := http.Parse(asked)
		if err != nil {
			if !errors.Is(err, http.ErrHTTP) {
				t.Fatalf("error of another package: %v", err)
			}
			return
		}
		if !bytes.Equal(encode(t, a), asked) {
			t.Fatal("encodes to other bytes")
		}
		o := &op.Operation{Type: http.DocumentType, Asked: asked, Found: found}
		if _, err := (http.Mapper{}).View(o, d); err != nil {
			return
		}
		r, err := a.Request(nil)
		if err != nil {
			return // opaque
		}
		b, err := http.Map(again(a, r), d)
		if err != nil || !bytes.Equal(encode(t, b), asked) {
			t.Fatalf("has a view, but Map does not make it: %v", err)
		}
	})
}

// R15/http
func TestForwardingProperty(t *testing.T) {
	names := declarationNames()
	taken := 0
	rapid.Check(t, func(t *rapid.T) {
		d := declarations[rapid.SampledFrom(names).Draw(t, "declaration")]
		w := drawWire(t, d)
		if o, err := http.NewOperation(w, d, salt); err == nil {
			taken++
			oneForm(t, o, d)
		}
		forwarded(t, w, d)
	})
	if taken < 20 {
		t.Errorf("only %d requests were mapped", taken)
	}
}

func drawWire(t *rapid.T, d *op.Declaration) http.Wire {
	w := http.Wire{
		Method: strings.TrimPrefix(rapid.SampledFrom(d.Actions).Draw(t, "action"), "http:"),
		Target: rapid.SampledFrom(d.Targets).Draw(t, "target"), Origin: "https://api.shop.example",
		RawPath:  "/" + rapid.StringMatching(`[a-z%.0-9A-F~/-]{0,12}`).Draw(t, "path"),
		RawQuery: drawPairs(t, d.Query),
	}
	for _, h := range d.Headers {
		if rapid.Bool().Draw(t, "has header") {
			w.Header = append(w.Header, [2]string{strings.ToUpper(h), rapid.StringMatching(`[ -~]{0,8}`).Draw(t, h)})
		}
	}
	if d.Body == nil {
		return w
	}
	typ := rapid.SampledFrom(d.Body.Types).Draw(t, "type")
	w.Header, w.HasBody = append(w.Header, [2]string{"Content-Type", typ}), true
	switch {
	case typ == formType:
		w.Body = []byte(drawPairs(t, d.Body.Members))
	case strings.HasSuffix(typ, "json"):
		w.Body = []byte(drawObject(t, d.Body.Members, ""))
	default:
		w.Body = rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "body")
	}
	return w
}

func drawPairs(t *rapid.T, members []op.Member) string {
	var parts []string
	for _, m := range members {
		if m.Required || rapid.Bool().Draw(t, "has "+m.Path) {
			value := strings.NewReplacer("%", "%25", "&", "%26", "+", "%2b", "#", "%23").Replace(drawText(t, m.Type))
			parts = append(parts, m.Path+"="+value)
		}
	}
	return strings.Join(parts, "&")
}

func drawText(t *rapid.T, typ string) string {
	switch typ {
	case "int":
		return rapid.StringMatching(`-?[1-9][0-9]{0,5}`).Draw(t, "int")
	case "decimal":
		return rapid.StringMatching(`[1-9][0-9]{0,3}(\.[0-9]{1,4})?`).Draw(t, "decimal")
	case "bool":
		return rapid.SampledFrom([]string{"true", "false"}).Draw(t, "bool")
	}
	return rapid.StringMatching(`[a-z0-9%&+/:=?-]{0,10}`).Draw(t, "text")
}

func drawObject(t *rapid.T, members []op.Member, prefix string) string {
	var parts []string
	done := map[string]bool{}
	for _, m := range members {
		rest, ok := strings.CutPrefix(m.Path, prefix)
		name, _, deeper := strings.Cut(rest, ".")
		if !ok || done[name] || !m.Required && rapid.Bool().Draw(t, "left out") {
			continue
		}
		done[name] = true
		var value string
		switch {
		case deeper:
			value = drawObject(t, members, prefix+name+".")
		case m.Type == "int" || m.Type == "decimal" || m.Type == "bool":
			value = drawText(t, m.Type)
		case m.Type == "set":
			value = `["a", "` + drawText(t, "string") + `"]`
		case m.Type == "any":
			value = rapid.SampledFrom([]string{`null`, `[1.0, -0]`, `{"x" : {}}`, `"\u0041\/"`}).Draw(t, "any")
		default:
			value = `"` + drawText(t, "string") + `\u00e9"`
		}
		parts = append(parts, `"`+name+`" : `+value)
	}
	return "{" + strings.Join(parts, ", ") + "}"
}
