package canon_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/writhq/writ/canon"
)

var update = flag.Bool("update", false, "write vectors/canon from the cases in this package")

// A vector is one input and what it is written as again, or why it is refused:
// "json" (canon.ErrJSON) or "form" (canon.ErrForm).
type vector struct {
	Name  string `json:"name"`
	Hex   string `json:"hex"`
	Again string `json:"again,omitempty"` // hexadecimal
	Error string `json:"error,omitempty"`
}

func (v vector) in(t testing.TB) []byte {
	t.Helper()
	b, err := hex.DecodeString(v.Hex)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func vectorsOf(t testing.TB, name string) []vector {
	t.Helper()
	b, err := os.ReadFile("../vectors/canon/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var vs []vector
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&vs); err != nil {
		t.Fatal(err)
	}
	if len(vs) < 25 {
		t.Fatalf("only %d vectors", len(vs))
	}
	return vs
}

// runVectors compares what read gives for the vectors in the named file with
// what they say. With -update it writes the file from the cases.
func runVectors(t *testing.T, name string, read func([]byte) ([]byte, error)) {
	t.Helper()
	var current []vector
	refused := 0
	for _, c := range cases()[name] {
		v := vector{Name: c.name, Hex: hex.EncodeToString([]byte(c.in))}
		again, err := read([]byte(c.in))
		switch {
		case errors.Is(err, canon.ErrJSON):
			v.Error = "json"
		case errors.Is(err, canon.ErrForm):
			v.Error = "form"
		case err != nil:
			t.Errorf("%s: error of another package: %v", c.name, err)
		default:
			v.Again = hex.EncodeToString(again)
		}
		if v.Error != c.err {
			t.Errorf("%s: have error %q (%v), want %q", c.name, v.Error, err, c.err)
		}
		if v.Error != "" {
			refused++
		}
		current = append(current, v)
	}
	b, err := json.MarshalIndent(current, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	b = append(b, '\n')
	path := "../vectors/canon/" + name + ".json"
	if *update {
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(have, b) {
		t.Errorf("%s is not what the cases give (-update writes it): %v", path, err)
	}
	if refused < 15 {
		t.Errorf("only %d vectors are refused", refused)
	}
}

type testCase struct{ name, in, err string }

func cases() map[string][]testCase {
	return map[string][]testCase{"json": jsonCases(), "document": documentCases(), "cbor": cborCases()}
}

func jsonCases() []testCase {
	var cs []testCase
	for _, in := range []string{
		`null`, `true`, `false`, `0`, `-0`, `-1.50e+07`, `1E400`, `""`, `"a"`, `[]`, `{}`, `[[],{}]`, ` { "b" : [ 1 , 2 ] , "a" : null } `, "\t\r\n1\n",
		`"\u0041\/\"\\\b\f\n\r\t\u0000\u001f"`, `"\ud83d\ude00"`, `"é€😀"`, "\"\x7f\"", `{"a":1,"A":2}`, `{"":0}`, `"\ufffd"`, `"<&>\u2028"`, `[1.0,1,01e]`,
		`"12345678\"1234567"`, `"1234567\\"`, `"\uD83D\uDE00\u00e9"`,
	} {
		cs = append(cs, testCase{in, in, ""})
	}
	for i := range cs {
		if cs[i].in == `[1.0,1,01e]` {
			cs[i].err = "json"
		}
	}
	for _, in := range []string{
		``, ` `, `nul`, `nulll`, `True`, `NaN`, `Infinity`, `+1`, `.5`, `1.`, `01`, `-`, `-a`, `1e`, `1e+`, `0x1`, `1 2`, `[1,]`, `[,1]`, `[1`, `[1 2]`, `]`,
		`{"a":1,}`, `{,}`, `{"a"}`, `{"a":}`, `{"a" 1}`, `{a:1}`, `{'a':1}`, `{"a":1`, `{"a":1 "b":2}`, `{"a":1,"a":2}`, `{"a":1,"\u0061":2}`, `[{"x":{"b":1,"b":1}}]`,
		`"`, `"a`, `"\`, `"\x41"`, `"\u12"`, `"\u12g4"`, `"\ud800"`, `"\ud800\u0041"`, `"\udc00"`, `"\ud800\ud800"`, `"\ud83d`, `"\ud83d\u`, "\"\n\"", "\"a\x00\"", "\"1234567\x1f\"",
		"\"\xff\"", "\"\xc0\xaf\"", "\"\xed\xa0\x80\"", "\ufeff1", "1\x00", `// x`, `1/**/`, `{"a":1}}`, strings.Repeat("9", 129),
	} {
		cs = append(cs, testCase{strings.ToValidUTF8(in, "?") + " is refused", in, "json"})
	}
	return cs
}

func documentCases() []testCase {
	const sum = "sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
	cs := []testCase{
		{"smallest", `{"alias":"","n":0}`, ""},
		{"all", `{"alias":"a/b","list":["x",""],"map":{"a":1,"b":-2},"n":9007199254740991,"sub":{"alias":"<é\"\\\n\u0001>","n":-9007199254740991},"sum":"` + sum + `"}`, ""},
		{"raw", `{"alias":"","any":{"x":[1]},"n":0}`, ""},
		{"empty", ``, "json"}, {"array", `[]`, "form"}, {"string", `"x"`, "form"}, {"no fields", `{}`, "form"}, {"null", `null`, "form"},
	}
	for name, in := range map[string]string{
		"white space": `{"alias":"", "n":0}`, "line at the end": "{\"alias\":\"\",\"n\":0}\n", "not sorted": `{"n":0,"alias":""}`, "unknown field": `{"alias":"","n":0,"x":1}`,
		"name in capitals": `{"ALIAS":"","n":0}`, "name that folds": `{"alia\u017f":"","n":0}`, "escape that need not be": `{"alias":"\u0061","n":0}`, "escape in capitals": `{"alias":"\u001F","n":0}`,
		"escaped solidus": `{"alias":"\/","n":0}`, "escaped as Go does": `{"alias":"\u003c","n":0}`, "fraction": `{"alias":"","n":0.0}`, "exponent": `{"alias":"","n":1e2}`,
		"minus zero": `{"alias":"","n":-0}`, "too large": `{"alias":"","n":9007199254740992}`, "beyond 64 bits": `{"alias":"","n":92233720368547758080}`,
		"null field": `{"alias":null,"n":0}`, "null where absent": `{"alias":"","n":0,"sub":null}`, "empty where absent": `{"alias":"","list":[],"n":0}`,
		"wrong type": `{"alias":1,"n":0}`, "null in raw": `{"alias":"","any":null,"n":0}`, "fraction in raw": `{"alias":"","any":1.5,"n":0}`, "raw not sorted": `{"alias":"","any":{"b":1,"a":2},"n":0}`,
		"digest in capitals": `{"alias":"","n":0,"sum":"SHA256:` + sum[7:] + `"}`, "zero digest": `{"alias":"","n":0,"sum":"sha256:` + strings.Repeat("0", 64) + `"}`, "empty digest": `{"alias":"","n":0,"sum":""}`,
		"nested unknown": `{"alias":"","n":0,"sub":{"alias":"","n":0,"x":1}}`,
	} {
		cs = append(cs, testCase{name, in, "form"})
	}
	for name, in := range map[string]string{
		"field twice": `{"alias":"","alias":"","n":0}`, "field twice by an escape": `{"alias":"","\u0061lias":"","n":0}`, "two documents": `{"alias":"","n":0}{"alias":"","n":0}`,
		"twice in a map": `{"alias":"","map":{"a":1,"a":1},"n":0}`, "cut short": `{"alias":"","n":0`, "not UTF-8": "{\"alias\":\"\xff\",\"n\":0}", "byte order mark": "\ufeff{\"alias\":\"\",\"n\":0}",
	} {
		cs = append(cs, testCase{name, in, "json"})
	}
	sortCases(cs)
	return cs
}

func cborCases() []testCase {
	digest := strings.Repeat("ab", 32)
	cs := []testCase{
		{"smallest", "a201600200", ""}, {"bytes", "a301600200" + "0642abcd", ""}, {"list", "a301600200" + "03826161" + "60", ""}, {"map sorted", "a301600200" + "04a261610161621863", ""},
		{"largest integer", "a20160021b7fffffffffffffff", ""}, {"nested", "a301600200" + "05a201600200", ""}, {"digest", "a301600200" + "075820" + digest, ""},
	}
	for name, in := range map[string]string{
		"empty": "", "a byte follows": "a20160020000", "cut short": "a2016002", "long form of an integer": "a2016002" + "1800", "long form of a length": "a2017800" + "0200", "long form of a key": "a218016002" + "00",
		"not sorted": "a202000160", "map not sorted": "a301600200" + "04a261620161610" + "1", "key twice": "a3016001600200", "unknown key": "a301600200" + "0800", "text key": "a3016002006161" + "00",
		"tag": "a201600" + "2c000", "bignum": "a2016002c24101", "float": "a2016002f90000", "null": "a2016002f6", "null where absent": "a301600200" + "05f6", "undefined": "a301600200" + "05f7",
		"empty where absent": "a301600200" + "0380", "indefinite map": "bf01600200ff", "indefinite text": "a2017fff0200", "indefinite bytes": "a301600200" + "065fff", "not UTF-8": "a20161ff0200",
		"bytes for text": "a20140" + "0200", "text for bytes": "a301600200" + "0660", "true for an integer": "a2016002f5", "short digest": "a301600200" + "07581f" + digest[2:], "long digest": "a301600200" + "075821" + digest + "00",
		"zero digest": "a301600200" + "075820" + strings.Repeat("00", 32), "map twice": "a301600200" + "04a26161016161" + "01", "integer beyond 64 bits": "a20160021bffffffffffffffff", "array": "80", "missing field": "a10160",
		"too deep": strings.Repeat("a301600200"+"05", 9) + "a201600200", "long array": "a301600200" + "03991001" + strings.Repeat("60", 4097), "reserved": "a20160021c", "break": "ff",
	} {
		cs = append(cs, testCase{name, in, "form"})
	}
	sortCases(cs)
	for i := range cs {
		b, err := hex.DecodeString(cs[i].in)
		if err != nil {
			panic(cs[i].name + ": " + err.Error())
		}
		cs[i].in = string(b)
	}
	return cs
}

func sortCases(cs []testCase) {
	slices.SortFunc(cs, func(a, b testCase) int { return strings.Compare(a.name, b.name) })
}
