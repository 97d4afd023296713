package http_test

import (
	"encoding/hex"
	"testing"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/op/http"
)

// A change is a document with one thing changed after it was made: what only a
// gate that errs, or a forger, could write.
type change struct {
	name        string
	declaration string
	from        *wire
	edit        func(*http.Asked)
	want        http.Kind
}

func changes() []change {
	get, json := get("/v1/orders", "page=1", [2]string{"accept", "a"}, [2]string{"x-request-id", "1"}), post(jsonType, `{"amount":1}`)
	form := post(formType, "amount=5&note=x")
	put := as("PUT", post("application/octet-stream", "x"))
	bodyOf := func(b string) func(*http.Asked) { return func(a *http.Asked) { a.Body.JSON = []byte(b) } }
	return []change{
		{"method", "orders", get, func(a *http.Asked) { a.Method = "TRACE" }, http.UnknownMethod},
		{"action", "orders", get, func(a *http.Asked) { a.Method = "PATCH" }, http.UndeclaredAction},
		{"target", "orders", get, func(a *http.Asked) { a.Target = "bank" }, http.UndeclaredTarget},
		{"empty target", "orders", get, func(a *http.Asked) { a.Target = "" }, http.BadDocument},
		{"origin", "orders", get, func(a *http.Asked) { a.Origin = "https://Shop.example" }, http.BadOrigin},
		{"path in another form", "orders", get, func(a *http.Asked) { a.Path = "/v1/%6frders" }, http.BadDocument},
		{"path escape in lower case", "orders", get, func(a *http.Asked) { a.Path = "/v1/%c3%a9" }, http.BadDocument},
		{"empty path", "orders", get, func(a *http.Asked) { a.Path = "" }, http.BadDocument},
		{"dot segment", "orders", get, func(a *http.Asked) { a.Path = "/v1/../admin" }, http.DotSegment},
		{"query member", "orders", get, func(a *http.Asked) { a.Query = append(a.Query, http.Pair{Name: "x", Value: "1"}) }, http.Undeclared},
		{"query twice", "orders", get, func(a *http.Asked) { a.Query = append(a.Query, http.Pair{Name: "Page", Value: "1"}) }, http.Duplicate},
		{"query control byte", "orders", get, func(a *http.Asked) { a.Query = append(a.Query, http.Pair{Name: "q", Value: "\n"}) }, http.ControlByte},
		{"query number", "orders", get, func(a *http.Asked) { a.Query[0].Value = "1.0" }, http.BadNumber},
		{"query too long", "orders", get, func(a *http.Asked) {
			for range 64 {
				a.Query = append(a.Query, http.Pair{Name: "expand[]", Value: "x"})
			}
		}, http.TooLong},
		{"header not listed", "orders", get, func(a *http.Asked) { a.Headers = append(a.Headers, http.Pair{Name: "x-z", Value: "1"}) }, http.UndeclaredHeader},
		{"header never listed", "orders", get, func(a *http.Asked) { a.Headers = []http.Pair{{Name: "authorization", Value: "1"}} }, http.BadDocument},
		{"headers not sorted", "orders", get, func(a *http.Asked) { a.Headers[0], a.Headers[1] = a.Headers[1], a.Headers[0] }, http.BadDocument},
		{"header twice", "orders", get, func(a *http.Asked) { a.Headers[1] = a.Headers[0] }, http.BadDocument},
		{"header in capitals", "orders", get, func(a *http.Asked) { a.Headers[0].Name = "Accept" }, http.BadDocument},
		{"header value", "orders", get, func(a *http.Asked) { a.Headers[0].Value = "a\r\nb" }, http.BadHeader},
		{"header value with space around", "orders", get, func(a *http.Asked) { a.Headers[0].Value = " a" }, http.BadDocument},
		{"body on GET", "orders", get, func(a *http.Asked) {
			a.Body = &http.Body{Type: jsonType, JSON: []byte("{}")}
		}, http.BodyOnMethod},
		{"body removed", "refunds", json, func(a *http.Asked) { a.Body = nil }, http.Missing},
		{"JSON with white space", "refunds", json, bodyOf(`{"amount": 1}`), http.BadDocument},
		{"JSON with an escape", "refunds", json, bodyOf(`{"\u0061mount":1}`), http.BadDocument},
		{"JSON twice", "refunds", json, bodyOf(`{"amount":1,"AMOUNT":2}`), http.Duplicate},
		{"JSON member", "refunds", json, bodyOf(`{"amount":1,"x":2}`), http.Undeclared},
		{"not JSON", "refunds", json, bodyOf(`amount=1`), http.BadJSON},
		{"JSON with a digest", "refunds", json, func(a *http.Asked) { a.Body.Digest = make([]byte, 32) }, http.BadDocument},
		{"JSON with a length", "refunds", json, func(a *http.Asked) { a.Body.Length++ }, http.BadDocument},
		{"JSON without bytes", "refunds", json, func(a *http.Asked) { a.Body.JSON = nil }, http.BadJSON},
		{"JSON and form", "refunds", json, func(a *http.Asked) { a.Body.Form = []http.Pair{{Name: "amount", Value: "1"}} }, http.BadDocument},
		{"type in capitals", "refunds", json, func(a *http.Asked) { a.Body.Type = "Application/json" }, http.BadDocument},
		{"type not declared", "refunds", json, func(a *http.Asked) { a.Body.Type = "application/x+json" }, http.UndeclaredType},
		{"type is multipart", "refunds", json, func(a *http.Asked) { a.Body.Type = "multipart/mixed" }, http.Multipart},
		{"form with a length", "form", form, func(a *http.Asked) { a.Body.Length = 1 }, http.BadDocument},
		{"form with JSON", "form", form, func(a *http.Asked) { a.Body.JSON = []byte("{}") }, http.BadDocument},
		{"form member", "form", form, func(a *http.Asked) { a.Body.Form[1].Name = "x" }, http.Undeclared},
		{"opaque digest too short", "upload", put, func(a *http.Asked) { a.Body.Digest = a.Body.Digest[:31] }, http.BadDocument},
		{"opaque without a digest", "upload", put, func(a *http.Asked) { a.Body.Digest = nil }, http.BadDocument},
		{"opaque length", "upload", put, func(a *http.Asked) { a.Body.Length = -1 }, http.BadDocument},
		{"opaque with JSON", "upload", put, func(a *http.Asked) { a.Body.JSON = []byte("{}") }, http.BadDocument},
		{"opaque with a form", "upload", put, func(a *http.Asked) { a.Body.Form = []http.Pair{{Name: "a", Value: "1"}} }, http.BadDocument},
	}
}

func documentCases(t *testing.T) []vector {
	t.Helper()
	found, err := canon.EncodeCBOR(op.Facts{Salt: salt[:]})
	if err != nil {
		t.Fatal(err)
	}
	f := hex.EncodeToString(found)
	var cs []vector
	for _, c := range changes() {
		a := mapped(t, c)
		good := encoded(t, a)
		c.edit(a)
		cs = append(cs,
			vector{Name: c.name + ": before", Declaration: c.declaration, Asked: good, Found: f},
			vector{Name: c.name, Declaration: c.declaration, Asked: encoded(t, a), Found: f, Error: c.want})
	}
	good := encoded(t, mapped(t, changes()[0]))
	raw := func(name, asked, found string) {
		cs = append(cs, vector{Name: name, Declaration: "orders", Asked: asked, Found: found, Error: http.BadDocument})
	}
	raw("a byte follows", good+"00", f)
	raw("cut short", good[:len(good)-2], f)
	raw("unknown key", "a8"+good[2:]+"08f6", f)
	raw("null body", "a7"+good[2:]+"07f6", f)
	raw("long form of a key", "a61801"+good[4:], f)
	raw("array", "80", f)
	raw("no salt", good, "a0")
	raw("empty salt", good, "a10140")
	raw("short salt", good, "a1014f"+f[6:36])
	raw("found with another fact", good, "a2"+f[2:]+"0201")
	raw("no found", good, "")
	return cs
}

func mapped(t *testing.T, c change) *http.Asked {
	t.Helper()
	a, err := http.Map(wireOf(t, c.from), declarations[c.declaration])
	if err != nil {
		t.Fatalf("%s: %v", c.name, err)
	}
	return a
}

func encoded(t *testing.T, a *http.Asked) string {
	t.Helper()
	b, err := a.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(b)
}
