package http_test

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/writhq/writ/op"
	"github.com/writhq/writ/op/http"
)

const (
	jsonType = "application/json"
	formType = "application/x-www-form-urlencoded"
)

// declarations are those of the vectors. The ones that begin with "bad" do not
// pass Check.
var declarations = map[string]*op.Declaration{
	"orders": {
		Type: "http", Targets: []string{"shop"}, Actions: []string{"http:GET", "http:HEAD", "http:OPTIONS", "http:POST"},
		Headers: []string{"accept", "x-request-id"},
		Query: []op.Member{
			{Path: "page", Type: "int"}, {Path: "q", Type: "string"}, {Path: "all", Type: "bool"},
			{Path: "ratio", Type: "decimal"}, {Path: "cursor", Type: "any"},
			{Path: "expand[]", Type: "set"}, {Path: "filter[status]", Type: "string"}, {Path: "filter[by][name]", Type: "string"},
			{Path: "created.from", Type: "int"},
		},
	},
	"pages":  {Type: "http", Targets: []string{"shop"}, Actions: []string{"http:GET"}, Query: []op.Member{{Path: "page", Type: "int", Required: true}}},
	"ranged": {Type: "http", Targets: []string{"shop"}, Actions: []string{"http:GET"}, Headers: []string{"range"}},
	"search": {
		Type: "http", Targets: []string{"shop"}, Actions: []string{"http:GET", "http:DELETE"},
		Body: &op.Body{Types: []string{jsonType}, Members: []op.Member{{Path: "q", Type: "string"}}},
	},
	"refunds": {
		Type: "http", Targets: []string{"shop", "shop-eu"}, Actions: []string{"http:POST", "http:PUT", "http:PATCH"},
		Headers: []string{"idempotency-key", "accept"},
		Body: &op.Body{Types: []string{jsonType, "application/vnd.shop+json"}, Members: []op.Member{
			{Path: "amount", Type: "int", Required: true}, {Path: "rate", Type: "decimal"}, {Path: "currency", Type: "string"},
			{Path: "notify", Type: "bool"}, {Path: "tags", Type: "set"}, {Path: "extra", Type: "any"},
			{Path: "metadata.reason", Type: "string"}, {Path: "metadata.by.name", Type: "string"}, {Path: "metadata.raw", Type: "any"},
		}},
	},
	"form": {
		Type: "http", Targets: []string{"shop"}, Actions: []string{"http:POST"},
		Body: &op.Body{Types: []string{formType}, Members: []op.Member{
			{Path: "amount", Type: "int", Required: true}, {Path: "note", Type: "string"}, {Path: "tags[]", Type: "set"},
			{Path: "metadata[reason]", Type: "string"}, {Path: "card.name", Type: "any"},
		}},
	},
	"upload": {
		Type: "http", Targets: []string{"shop"}, Actions: []string{"http:PUT"},
		Body: &op.Body{Types: []string{"application/octet-stream", "text/plain"}, Opaque: true},
	},
	"override": {
		Type: "http", Targets: []string{"shop"}, Actions: []string{"http:POST"}, Headers: []string{"x-http-method-override"},
		Body: &op.Body{Types: []string{formType}, Members: []op.Member{{Path: "_method", Type: "string"}}},
	},
	"bare": {Type: "http", Targets: []string{"shop"}, Actions: []string{"http:POST"}},
}

func groups(t *testing.T) map[string][]vector {
	return map[string][]vector{
		"method": methodCases(), "path": pathCases(), "query": queryCases(), "header": headerCases(),
		"body": bodyCases(), "member": memberCases(), "document": documentCases(t), "declaration": declarationCases(),
	}
}

func get(path, query string, header ...[2]string) *wire {
	return &wire{Method: "GET", Target: "shop", Origin: "https://api.shop.example", Path: path, Query: query, Header: header}
}

func post(contentType, body string, header ...[2]string) *wire {
	w := get("/v1/refunds", "", header...)
	w.Method, w.Body, w.HasBody = "POST", hex.EncodeToString([]byte(body)), true
	if contentType != "" {
		w.Header = append([][2]string{{"Content-Type", contentType}}, header...)
	}
	return w
}

func as(method string, w *wire) *wire { w.Method = method; return w }

func methodCases() []vector {
	to := func(target string, w *wire) *wire { w.Target = target; return w }
	cs := []vector{
		{Name: "GET", Declaration: "orders", Wire: get("/v1/orders", "")},
		{Name: "HEAD", Declaration: "orders", Wire: as("HEAD", get("/v1/orders", ""))},
		{Name: "OPTIONS", Declaration: "orders", Wire: as("OPTIONS", get("/v1/orders", ""))},
		{Name: "PUT", Declaration: "refunds", Wire: as("PUT", post(jsonType, `{"amount":1}`))},
		{Name: "second target", Declaration: "refunds", Wire: to("shop-eu", post(jsonType, `{"amount":1}`))},
		{Name: "another method", Declaration: "orders", Wire: as("DELETE", get("/v1/orders", "")), Error: http.UndeclaredAction},
		{Name: "writes where reading is listed", Declaration: "pages", Wire: as("POST", get("/v1/orders", "page=1")), Error: http.UndeclaredAction},
		{Name: "another target", Declaration: "orders", Wire: to("bank", get("/v1/orders", "")), Error: http.UndeclaredTarget},
		{Name: "target in another case", Declaration: "orders", Wire: to("Shop", get("/v1/orders", "")), Error: http.UndeclaredTarget},
		{Name: "no target", Declaration: "orders", Wire: to("", get("/v1/orders", "")), Error: http.UndeclaredTarget},
	}
	for _, m := range []string{"TRACE", "CONNECT", "get", "Get", "", "PROPFIND", "GET ", "TRACK"} {
		cs = append(cs, vector{Name: fmt.Sprintf("method %q", m), Declaration: "orders", Wire: as(m, get("/", "")), Error: http.UnknownMethod})
	}
	return cs
}

func pathCases() []vector {
	var cs []vector
	for _, p := range []string{
		"", "/", "/v1/orders", "/v1/orders/", "/v1/%6f%72ders/%7euser", "/a%2db", "/a%c3%a9%e6%97%a5", "/a%20b", "/a:b@c,d!$&'()*+=", "/100%25",
		"/%25zz", "/.well-known/x", "/a.b..c", "/v1/a%5B0%5D",
	} {
		cs = append(cs, vector{Name: "path " + p, Declaration: "orders", Wire: get(p, "")})
	}
	bad := func(k http.Kind, paths ...string) {
		for _, p := range paths {
			cs = append(cs, vector{Name: fmt.Sprintf("path %q", p), Declaration: "orders", Wire: get(p, ""), Error: k})
		}
	}
	bad(http.NotAbsolute, "v1/orders", "*", "https://other.example/")
	bad(http.DotSegment, "/v1/../admin", "/v1/./orders", "/..", "/.", "/v1/%2e%2e/admin", "/v1/.%2E/admin", "/v1/%2e", "/a/...", "/a/..%20", "/a/%20/b", "/a/.%20./b")
	bad(http.EmptySegment, "//", "//evil.example/", "/v1//orders", "/v1/orders//")
	bad(http.EncodedSlash, "/v1%2forders", "/v1/..%2F..%2Fadmin")
	bad(http.Backslash, `/v1\orders`, "/v1/..%5c..%5cadmin", "/%5C")
	bad(http.Semicolon, "/v1;x=1/orders", "/v1/..;/admin", "/v1%3borders")
	bad(http.EncodedDelimiter, "/v1%3Fadmin=1", "/v1%23x")
	bad(http.DoubleEncoding, "/v1/%252e%252e/admin", "/%252f", "/%25%34%31", "/%252541", "/100%2541")
	bad(http.BadEscape, "/%", "/%4", "/%zz", "/%u002e", "/a%2")
	bad(http.ControlByte, "/a\x00", "/a\r\nHost: evil", "/a\x7f", "/a%00", "/a%0d%0a", "/a%7F", "/a\t")
	bad(http.NonASCII, "/caf\u00e9")
	bad(http.BadCharacter, "/a b", "/a?b", "/a#b", "/a\"b", "/a<b", "/a|b", "/a^b", "/a`b", "/a{b}", "/a[0]")
	bad(http.BadText, "/%c0%af", "/%ff", "/a%ef%bc%8fb", "/%ef%bc%8e%ef%bc%8e/", "/%e2%80%a5", "/a%cd%be", "/%c2%85", "/%e2%80%8b")
	bad(http.TooLong, "/"+strings.Repeat("a", 4096))
	for _, o := range []string{"http://127.0.0.1:8080", "https://[2001:db8::1]:8443", "https://a-b.example:444"} {
		w := get("/", "")
		w.Origin = o
		cs = append(cs, vector{Name: "origin " + o, Declaration: "orders", Wire: w})
	}
	for _, o := range []string{
		"", "https://", "HTTPS://api.shop.example", "https://Api.shop.example", "https://api.shop.example:443", "http://a.example:80",
		"https://api.shop.example/", "https://user@api.shop.example", "https://api.shop.example.", "ftp://api.shop.example",
		"https://a.example:0443", "https://a.example:70000", "https://a.example:", "https://[2001:DB8::1]", "https://[::1", "https://127.1", "https://0x7f.1",
		"https://a_b.example", "https://-a.example", "https://a..b", "https://caf\u00e9.example", "https://[fe80::1%25eth0]", "https://" + strings.Repeat("a.", 150) + "example",
	} {
		w := get("/", "")
		w.Origin = o
		cs = append(cs, vector{Name: fmt.Sprintf("origin %q", o), Declaration: "orders", Wire: w, Error: http.BadOrigin})
	}
	return cs
}

func queryCases() []vector {
	var cs []vector
	for _, q := range []string{
		"", "page=2", "q=a+b%20c%2Bd", "q=", "q=a=b==", "q=a/b?c:d@e", "%70age=2", "page=-9223372036854775808", "all=true&page=1&q=x", "ratio=0.25", "ratio=3",
		"expand[]=lines&expand%5b%5d=customer", "filter[status]=open&filter[by][name]=ann", "created.from=5", "cursor=%25%26%3D%3b", "q=caf%C3%A9", "q=%41%2e%2E",
	} {
		cs = append(cs, vector{Name: "query " + q, Declaration: "orders", Wire: get("/v1/orders", q)})
	}
	bad := func(k http.Kind, queries ...string) {
		for _, q := range queries {
			name := fmt.Sprintf("query %q", q)
			if len(q) > 100 {
				name = fmt.Sprintf("query %q and more, %d bytes", q[:20], len(q))
			}
			cs = append(cs, vector{Name: name, Declaration: "orders", Wire: get("/v1/orders", q), Error: k})
		}
	}
	bad(http.Duplicate, "page=1&page=2", "page=1&page=1", "page=1&%70age=2", "page=1&PAGE=2", "expand[]=a&EXPAND[]=b", "filter[status]=a&filter[status]=b")
	bad(http.Undeclared, "x=1", "PAGE=1", "page.x=1", "created=1", "filter=1")
	bad(http.Brackets, "page[]=1", "page[0]=1", "filter[other]=1", "expand[0]=a", "q[a]=1")
	bad(http.MethodOverride, "_method=DELETE", "_METHOD=DELETE", "_m%65thod=PUT")
	bad(http.EmptyPair, "page", "&", "page=1&&q=2", "page=1&", "&page=1", "=1", "page=1&=")
	bad(http.BadName, "caf%C3%A9=1", "p%EF%BD%81ge=1", "a%00=1", "a+b=1", "%20page=1", "a]=1", "a[=1", "a[b=1", "a[]b=1", "[]=1", "a%25=1", strings.Repeat("n", 129)+"=1", "a%26b=1")
	bad(http.BadEscape, "q=%", "q=%4", "q=%zz", "%=1", "q=%u0041")
	bad(http.ControlByte, "q=a%00b", "q=a%0d%0ab", "q=\x01", "q=a\nb", "q=%7f", "q=%09")
	bad(http.BadText, "q=%ff", "q=%c0%af", "q=%ed%a0%80")
	bad(http.NonASCII, "q=caf\u00e9")
	bad(http.Semicolon, "page=1;q=2")
	bad(http.Backslash, `q=a\b`)
	bad(http.BadCharacter, "q=a b", "q=a#b", "q=a|b", "q=\"")
	bad(http.WrongType, "all=1", "all=TRUE", "all=")
	bad(http.BadNumber, "page=1.0", "page=1e2", "page=-0", "page=007", "page=+1", "page=%2B1", "page=", "page=0x1", "page=9223372036854775808", "page=1_000", "page=%201",
		"ratio=0.12345", "ratio=1e2", "ratio=.5", "ratio=1.", "ratio=-0.0", "ratio=00.5", "ratio=", "ratio=-")
	bad(http.TooLong, "q="+strings.Repeat("a", 4097), "cursor="+strings.Repeat("a", 16<<10), "expand[]=a"+strings.Repeat("&expand[]=a", 64), "x=a"+strings.Repeat("&x=a", 64))
	return append(cs,
		vector{Name: "required member", Declaration: "pages", Wire: get("/", "page=1")},
		vector{Name: "required member missing", Declaration: "pages", Wire: get("/", ""), Error: http.Missing},
	)
}

func headerCases() []vector {
	h := func(name string, lines ...[2]string) vector {
		return vector{Name: name, Declaration: "orders", Wire: get("/v1/orders", "", lines...)}
	}
	bad := func(k http.Kind, name string, lines ...[2]string) vector {
		v := h(name, lines...)
		v.Error = k
		return v
	}
	many := make([][2]string, 129)
	for i := range many {
		many[i] = [2]string{"X-Other", "1"}
	}
	cs := []vector{
		h("listed, in any case and order", [2]string{"X-REQUEST-ID", " 42 "}, [2]string{"Accept", "*/*"}),
		h("not listed: dropped", [2]string{"X-Other", "1"}, [2]string{"X-Other", "2"}, [2]string{"User-Agent", "caf\u00e9"}),
		h("never forwarded", [2]string{"Authorization", "Bearer x"}, [2]string{"Cookie", "a=b"}, [2]string{"Host", "evil.example"},
			[2]string{"X-Forwarded-Host", "evil.example"}, [2]string{"Forwarded", "host=evil.example"}, [2]string{"Writ-Credential", ":AA==:"},
			[2]string{"Accept-Encoding", "br"}, [2]string{"Connection", "close"}, [2]string{"Trailer", "accept"}),
		h("expects 100-continue", [2]string{"Expect", "100-Continue"}),
		h("empty value", [2]string{"accept", ""}),
		h("content-type without a body", [2]string{"Content-Type", "application/json"}),
		{Name: "range, listed", Declaration: "ranged", Wire: get("/", "", [2]string{"Range", "bytes=0-9"})},
		{Name: "override, declared", Declaration: "override", Wire: post(formType, "_method=put", [2]string{"X-HTTP-Method-Override", "PUT"})},
		bad(http.Duplicate, "listed twice", [2]string{"Accept", "a"}, [2]string{"accept", "a"}),
		bad(http.Duplicate, "content-type twice", [2]string{"Content-Type", "text/plain"}, [2]string{"content-type", "text/plain"}),
		bad(http.Range, "range", [2]string{"Range", "bytes=0-9"}),
		bad(http.Upgrade, "upgrade", [2]string{"Upgrade", "websocket"}),
		bad(http.TransferCodings, "te", [2]string{"TE", "trailers"}),
		bad(http.Expect, "expect", [2]string{"Expect", "200-ok"}),
		bad(http.BadHeader, "line break in a value", [2]string{"Accept", "a\r\nX-Admin: 1"}),
		bad(http.BadHeader, "line break in a value that is dropped", [2]string{"X-Other", "a\nb"}),
		bad(http.BadHeader, "folded line", [2]string{"Accept", "a\r\n b"}),
		bad(http.BadHeader, "NUL in a value", [2]string{"Accept", "a\x00"}),
		bad(http.BadHeader, "tab in a value", [2]string{"Accept", "a\tb"}),
		bad(http.BadHeader, "not ASCII", [2]string{"Accept", "caf\u00e9"}),
		bad(http.BadHeader, "DEL in a value", [2]string{"Accept", "a\x7f"}),
		bad(http.BadHeader, "space in a name", [2]string{"Accept ", "a"}),
		bad(http.BadHeader, "colon in a name", [2]string{"Accept:", "a"}),
		bad(http.BadHeader, "no name", [2]string{"", "a"}),
		bad(http.BadHeader, "name not ASCII", [2]string{"\u212aey", "a"}),
		bad(http.BadContentType, "empty content-type", [2]string{"Content-Type", " "}),
		bad(http.TooLong, "value too long", [2]string{"Accept", strings.Repeat("a", 4097)}),
		bad(http.TooLong, "too many lines", many...),
	}
	for _, n := range []string{"X-HTTP-Method-Override", "x-http-method", "X-Method-Override", "X_HTTP_Method_Override", "X-Original-URL", "X-Rewrite-URL"} {
		cs = append(cs, bad(http.MethodOverride, "override "+n, [2]string{n, "DELETE"}))
	}
	return cs
}

func bodyCases() []vector {
	at := func(name, declaration string, k http.Kind, w *wire) vector {
		return vector{Name: name, Declaration: declaration, Wire: w, Error: k}
	}
	unframed := post("text/plain", "x")
	unframed.HasBody = false
	return []vector{
		at("JSON", "refunds", "", post(jsonType, `{"amount":1}`)),
		at("JSON with white space, escapes and order", "refunds", "", post("Application/JSON ; charset=\"UTF-8\"", "\n{ \"currency\" : \"\\u0045UR\\/\" ,\t\"amount\":1 }\r\n")),
		at("JSON under a suffix", "refunds", "", post("application/vnd.shop+json", `{"amount":1}`)),
		at("form", "form", "", post(formType, "amount=5&note=a+b%0Ac&tags[]=x&tags%5B%5D=y&metadata[reason]=late&card.name=A%20B")),
		at("form in capitals", "form", "", post("Application/X-WWW-Form-URLencoded; charset=utf-8", "amount=5")),
		at("opaque", "upload", "", as("PUT", post("application/octet-stream", "\x00\xff"))),
		at("opaque, empty", "upload", "", as("PUT", post("application/octet-stream", ""))),
		at("text", "upload", "", as("PUT", post("text/plain; charset=utf-8", "caf\u00e9"))),
		at("no body", "upload", "", as("PUT", get("/v1/files", ""))),
		at("GET with a body, declared", "search", "", as("GET", post(jsonType, `{"q":"x"}`))),
		at("body on GET", "orders", http.BodyOnMethod, as("GET", post(jsonType, `{}`))),
		at("body on OPTIONS", "orders", http.BodyOnMethod, as("OPTIONS", post(jsonType, `{}`))),
		at("body where none is declared", "bare", http.UndeclaredBody, post(jsonType, `{}`)),
		at("bytes without framing", "upload", http.UndeclaredBody, as("PUT", unframed)),
		at("no content-type", "refunds", http.NoContentType, post("", `{"amount":1}`)),
		at("JSON as text/plain", "refunds", http.JSONAsText, post("text/plain", `{"amount":1}`)),
		at("JSON as declared text/plain", "upload", http.JSONAsText, as("PUT", post("text/plain", "\ufeff\n [1]"))),
		at("text that is not UTF-8", "upload", http.BadText, as("PUT", post("text/plain", "\xff"))),
		at("undeclared type", "refunds", http.UndeclaredType, post("text/xml", `<a/>`)),
		at("form where JSON is declared", "refunds", http.UndeclaredType, post(formType, "amount=1")),
		at("undeclared suffix", "refunds", http.UndeclaredType, post("application/other+json", `{"amount":1}`)),
		at("multipart", "upload", http.Multipart, as("PUT", post("multipart/mixed", "x"))),
		at("multipart with a boundary", "upload", http.BadContentType, as("PUT", post("multipart/form-data; boundary=x", "x"))),
		at("another charset", "refunds", http.BadContentType, post("application/json; charset=utf-16", `{"amount":1}`)),
		at("another parameter", "refunds", http.BadContentType, post("application/json; charset=utf-8; x=1", `{"amount":1}`)),
		at("empty parameter", "refunds", http.BadContentType, post("application/json;", `{"amount":1}`)),
		at("two types", "refunds", http.BadContentType, post("application/json, text/plain", `{"amount":1}`)),
		at("no subtype", "refunds", http.BadContentType, post("application", `{"amount":1}`)),
		at("type too long", "refunds", http.BadContentType, post("a/"+strings.Repeat("b", 126), `{"amount":1}`)),
		at("gzip", "refunds", http.ContentEncoding, post(jsonType, `{"amount":1}`, [2]string{"Content-Encoding", "gzip"})),
		at("identity", "refunds", "", post(jsonType, `{"amount":1}`, [2]string{"Content-Encoding", "identity"})),
		at("form too many pairs", "form", http.TooLong, post(formType, "tags[]=a"+strings.Repeat("&tags[]=a", 256))),
		at("form with a raw control byte", "form", http.ControlByte, post(formType, "amount=1\n")),
		at("form with an escaped NUL", "form", http.ControlByte, post(formType, "amount=1&note=%00")),
		at("form key twice", "form", http.Duplicate, post(formType, "amount=1&amount=2")),
		at("form key in another case", "form", http.Duplicate, post(formType, "amount=1&Amount=2")),
		at("form member not declared", "form", http.Undeclared, post(formType, "amount=1&x=2")),
		at("form with _method", "form", http.MethodOverride, post(formType, "amount=1&_method=DELETE")),
		at("form array not declared", "form", http.Brackets, post(formType, "amount[]=1")),
		at("form without a required member", "form", http.Missing, post(formType, "note=1")),
		at("empty form", "form", http.Missing, post(formType, "")),
		at("form number", "form", http.BadNumber, post(formType, "amount=1.0")),
	}
}

func memberCases() []vector {
	var cs []vector
	ok := func(bodies ...string) {
		for _, b := range bodies {
			cs = append(cs, vector{Name: "body " + b[:min(len(b), 200)], Declaration: "refunds", Wire: post(jsonType, b)})
		}
	}
	bad := func(k http.Kind, bodies ...string) {
		for _, b := range bodies {
			name := fmt.Sprintf("body %q", b[:min(len(b), 60)])
			cs = append(cs, vector{Name: name, Declaration: "refunds", Wire: post(jsonType, b), Error: k})
		}
	}
	ok(`{"amount":5000,"rate":1.25,"currency":"EUR","notify":true,"tags":["a","b","a"],"extra":{"x":[1.0,null,-0,1e9]},"metadata":{"reason":"late","by":{"name":"ann"},"raw":[]}}`,
		`{"amount":-9223372036854775808}`, `{"amount":9223372036854775807}`, `{"amount":0,"rate":0}`, `{"amount":1,"rate":922337203685477.5807}`,
		`{"amount":1,"rate":-922337203685477.5808}`, `{"amount":1,"rate":-0.5}`, `{"amount":1,"rate":1.5000}`, `{"amount":1,"metadata":{}}`, `{"amount":1,"metadata":{"raw":1}}`,
		`{"amount":1,"tags":[]}`, `{"amount":1,"currency":""}`, `{"amount":1,"currency":"\u0000\ud83d\ude00"}`, `{"amount":1,"extra":{"_method":"x","AMOUNT":2}}`)
	bad(http.BadJSON, `{"amount":1,"amount":2}`, `{"amount":1,"\u0061mount":2}`, `{"amount":1}{}`, `{"amount":01}`, `{'amount':1}`, `{"amount":1,}`, ``, `{"amount":1`,
		"\ufeff{\"amount\":1}", "{\"amount\":1,\"currency\":\"\xff\"}", `{"amount":1,"currency":"\ud800"}`, `{"amount":1,"extra":{"a":1,"a":2}}`, `{"amount":NaN}`, `{"amount":1}//`,
		`{"amount":1,"extra":`+strings.Repeat("[", 40)+strings.Repeat("]", 40)+`}`)
	bad(http.Duplicate, `{"amount":1,"AMOUNT":999999}`, `{"amount":1,"metadata":{"reason":"a","Reason":"b"}}`)
	bad(http.Undeclared, `{"amount":1,"x":2}`, `{"AMOUNT":1}`, `{"amount":1,"metadata":{"x":1}}`, `{"amount":1,"metadata":{"by":{"x":1}}}`)
	bad(http.Brackets, `{"amount":1,"metadata.reason":"x"}`, `{"amount":1,"tags[]":["x"]}`, `{"amount":1,"metadata[reason]":"x"}`)
	bad(http.MethodOverride, `{"amount":1,"_method":"DELETE"}`)
	bad(http.BadName, `{"amount":1,"":2}`, `{"amount":1,"a b":2}`, `{"amount":1,"\uff41mount":2}`, `{"amount":1,"\u0000":2}`, `{"amount":1,"amount\u200b":2}`)
	bad(http.Missing, `{}`, `{"currency":"EUR"}`)
	bad(http.WrongType, `[]`, `1`, `"x"`, `null`, `[{"amount":1}]`, `{"amount":"1"}`, `{"amount":null}`, `{"amount":true}`, `{"amount":[1]}`, `{"amount":1,"currency":5}`,
		`{"amount":1,"notify":"true"}`, `{"amount":1,"notify":1}`, `{"amount":1,"tags":"a"}`, `{"amount":1,"tags":[1]}`, `{"amount":1,"tags":[["a"]]}`, `{"amount":1,"metadata":"x"}`, `{"amount":1,"metadata":null}`,
		`{"amount":1,"rate":"1.5"}`)
	bad(http.BadNumber, `{"amount":1.0}`, `{"amount":1e2}`, `{"amount":1E2}`, `{"amount":-0}`, `{"amount":9223372036854775808}`, `{"amount":-9223372036854775809}`, `{"amount":1.5}`,
		`{"amount":1,"rate":1.23456}`, `{"amount":1,"rate":1e2}`, `{"amount":1,"rate":922337203685477.5808}`, `{"amount":1,"rate":-922337203685477.5809}`, `{"amount":1,"rate":-0.0}`, `{"amount":1,"rate":-0}`)
	bad(http.TooLong, `{"amount":1,"currency":"`+strings.Repeat("a", 4097)+`"}`, `{"amount":1,"tags":["`+strings.Repeat("a", 4097)+`"]}`, `{"amount":1,"tags":["a"`+strings.Repeat(`,"a"`, 256)+`]}`)
	return cs
}

func declarationCases() []vector {
	var cs []vector
	i := 0
	bad := func(field string, change func(*op.Declaration)) {
		i++
		name := fmt.Sprintf("bad %02d %s", i, field)
		d := *declarations["refunds"]
		b := *d.Body
		d.Body = &b
		change(&d)
		declarations[name] = &d
		cs = append(cs, vector{Name: name, Declaration: name, Error: http.BadDeclaration, Field: field})
	}
	member := func(m ...op.Member) func(*op.Declaration) {
		return func(d *op.Declaration) { d.Body.Members = m }
	}
	query := func(m ...op.Member) func(*op.Declaration) { return func(d *op.Declaration) { d.Query = m } }
	for name := range map[string]bool{"orders": true} {
		cs = append(cs, vector{Name: "good " + name, Declaration: name})
	}
	for _, name := range []string{"refunds", "form", "search", "upload", "override", "ranged", "bare"} {
		cs = append(cs, vector{Name: "good " + name, Declaration: name})
	}
	bad("type", func(d *op.Declaration) { d.Type = "sql" })
	bad("targets", func(d *op.Declaration) { d.Targets = nil })
	bad("targets[1]", func(d *op.Declaration) { d.Targets = []string{"a", "a"} })
	bad("targets[0]", func(d *op.Declaration) { d.Targets = []string{"a b"} })
	bad("actions", func(d *op.Declaration) { d.Actions = nil })
	bad("actions[0]", func(d *op.Declaration) { d.Actions = []string{"http:TRACE"} })
	bad("actions[0]", func(d *op.Declaration) { d.Actions = []string{"POST"} })
	bad("actions[0]", func(d *op.Declaration) { d.Actions = []string{"http:*"} })
	bad("actions[1]", func(d *op.Declaration) { d.Actions = []string{"http:POST", "http:POST"} })
	bad("body", func(d *op.Declaration) { d.Actions = []string{"http:POST", "http:GET"} })
	for _, h := range []string{"Accept", "authorization", "cookie", "host", "x-forwarded-for", "writ-credential", "te", "upgrade", "content-type", "accept-encoding", "a_b", "", "1a", "content-length", "signature"} {
		bad("headers[0]", func(d *op.Declaration) { d.Headers = []string{h} })
	}
	bad("headers[1]", func(d *op.Declaration) { d.Headers = []string{"a", "a"} })
	bad("query[0]", query(op.Member{Path: "a", Type: "float"}))
	bad("query[0]", query(op.Member{Path: "a", Type: "set"}))
	bad("query[0]", query(op.Member{Path: "a[]", Type: "string"}))
	for _, p := range []string{"", "a[", "a]", "[a]", "a..b", ".a", "a.", "caf\u00e9", "a b", "a&b", "a[b]c", "a[b.]", "a[b.c]", "a.[b]", "a[[b]", strings.Repeat("a", 129)} {
		bad("query[0]", query(op.Member{Path: p, Type: "string"}))
	}
	bad("query[1].path", query(op.Member{Path: "a", Type: "int"}, op.Member{Path: "A", Type: "int"}))
	bad("query[1].path", query(op.Member{Path: "a[b]", Type: "int"}, op.Member{Path: "a.b", Type: "int"}))
	bad("query[1].path", query(op.Member{Path: "a[]", Type: "set"}, op.Member{Path: "a", Type: "string"}))
	bad("query[0].path", query(op.Member{Path: "a.a.a.a.a.a.a.a.a", Type: "int"}))
	bad("query", func(d *op.Declaration) {
		for i := range 65 {
			d.Query = append(d.Query, op.Member{Path: fmt.Sprint("a", i), Type: "int"})
		}
	})
	bad("body.members[0]", member(op.Member{Path: "a[]", Type: "set"}))
	bad("body.members[1].path", member(op.Member{Path: "a", Type: "any"}, op.Member{Path: "a.b", Type: "string"}))
	bad("body.types", func(d *op.Declaration) { d.Body.Types = nil })
	bad("body.types[0]", func(d *op.Declaration) { d.Body.Types = []string{"multipart/form-data"} })
	bad("body.types[0]", func(d *op.Declaration) { d.Body.Types = []string{"Application/JSON"} })
	bad("body.types[0]", func(d *op.Declaration) { d.Body.Types = []string{"application/json; charset=utf-8"} })
	bad("body.opaque", func(d *op.Declaration) { d.Body.Types = []string{"text/plain"}; d.Body.Members = nil })
	bad("body.opaque", func(d *op.Declaration) { d.Body.Opaque = true })
	bad("body.members", func(d *op.Declaration) { d.Body.Types = append(d.Body.Types[:1:1], "text/plain"); d.Body.Opaque = true })
	return cs
}
