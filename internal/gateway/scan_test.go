package gateway_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"html"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/writhq/writ/internal/gateway"
	"github.com/writhq/writ/secret"
)

// scanned passes the stream in pieces that end at the cuts.
func scanned(s *gateway.Scanner, stream []byte, cuts []int) ([]byte, error) {
	var out []byte
	from := 0
	for _, at := range append(cuts, len(stream)) {
		b, err := s.Next(stream[from:at])
		if err != nil {
			return out, err
		}
		out = append(out, b...)
		from = at
	}
	return append(out, s.Rest()...), nil
}

// formsOf returns every form in which the secret may stand, with what may stand
// around it in base64.
func formsOf(b, before, after []byte) [][]byte {
	rev := bytes.Clone(b)
	slices.Reverse(rev)
	whole := slices.Concat(before, b, after)
	return [][]byte{
		b, rev, []byte(hex.EncodeToString(b)), bytes.ToUpper([]byte(hex.EncodeToString(b))),
		[]byte(url.QueryEscape(string(b))), []byte(strings.ReplaceAll(url.QueryEscape(string(b)), "+", "%20")),
		[]byte(base64.StdEncoding.EncodeToString(whole)), []byte(base64.URLEncoding.EncodeToString(whole)),
	}
}

func cuts(t *rapid.T, n int) []int {
	c := rapid.SliceOfN(rapid.IntRange(0, n), 0, 12).Draw(t, "cuts")
	slices.Sort(c)
	return c
}

// TestScannerCatches cuts streams that hold a secret anywhere, in any form.
//
// SPEC HALL-7
// R2 A16
// guard: scan-stream
func TestScannerCatches(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOfN(rapid.Byte(), 6, 80).Draw(t, "secret")
		forms := formsOf(b, rapid.SliceOfN(rapid.Byte(), 0, 5).Draw(t, "before"), rapid.SliceOfN(rapid.Byte(), 0, 5).Draw(t, "after"))
		form := forms[rapid.IntRange(0, len(forms)-1).Draw(t, "form")]
		around := rapid.OneOf(rapid.Byte(), rapid.SampledFrom(form))
		stream := slices.Concat(rapid.SliceOfN(around, 0, 200).Draw(t, "head"), form, rapid.SliceOfN(around, 0, 200).Draw(t, "tail"))
		s := gateway.NewScanner(secret.Take(bytes.Clone(b)))
		out, err := scanned(s, stream, cuts(t, len(stream)))
		if !gateway.IsSecretSeen(err) {
			t.Fatalf("passed: %v", err)
		}
		if bytes.Contains(out, form) {
			t.Fatal("what was passed on holds the secret")
		}
	})
}

// TestScannerPasses cuts streams that do not hold the secret, though much of it.
func TestScannerPasses(t *testing.T) {
	t.Parallel()
	passed := 0
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOfN(rapid.Byte(), 6, 40).Draw(t, "secret")
		var parts [][]byte
		for _, f := range formsOf(b, nil, nil) {
			parts = append(parts, f[:len(f)/2], f[len(f)/3:])
		}
		stream := bytes.Join(rapid.SliceOfN(rapid.SampledFrom(parts), 0, 20).Draw(t, "parts"), rapid.SliceOfN(rapid.Byte(), 0, 2).Draw(t, "between"))
		if _, err := scanned(gateway.NewScanner(secret.Take(bytes.Clone(b))), stream, nil); err != nil {
			return // the parts made a whole
		}
		out, err := scanned(gateway.NewScanner(secret.Take(bytes.Clone(b))), stream, cuts(t, len(stream)))
		if err != nil || !bytes.Equal(out, stream) {
			t.Fatalf("%d of %d bytes passed: %v", len(out), len(stream), err)
		}
		passed++
	})
	if passed < 50 {
		t.Errorf("only %d streams without the secret", passed)
	}
}

// TestScannerEscapes shows a secret that a target puts into JSON, HTML or an
// address: common writers escape what is not a letter or digit, each in its way.
//
// SPEC HALL-7
// R2 A16
func TestScannerEscapes(t *testing.T) {
	t.Parallel()
	const key = "wJalr/XUtn+FEMI=K7&MDENG<x>'\"\\\nend"
	asJSON, err := json.Marshal(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, form := range map[string]string{
		"Go":      string(asJSON),
		"plain":   `wJalr/XUtn+FEMI=K7&MDENG<x>'\"\\\nend`,
		"PHP":     `wJalr\/XUtn+FEMI=K7&MDENG<x>'\"\\\nend`,
		"Java":    `wJalr/XUtn+FEMI\u003dK7\u0026MDENG\u003cx\u003e\u0027\"\\\nend`,
		".NET":    `wJalr/XUtn\u002BFEMI=K7\u0026MDENG\u003Cx\u003E\u0027\u0022\\\nend`,
		"HTML":    html.EscapeString(key),
		"Python":  strings.NewReplacer("&#34;", "&quot;", "&#39;", "&#x27;").Replace(html.EscapeString(key)),
		"text":    strings.NewReplacer("&#34;", "\"", "&#39;", "'").Replace(html.EscapeString(key)),
		"quote":   "wJalr/XUtn%2BFEMI%3DK7%26MDENG%3Cx%3E%27%22%5C%0Aend",
		"browser": "wJalr%2FXUtn%2BFEMI%3DK7%26MDENG%3Cx%3E'%22%5C%0Aend",
		"address": "wJalr/XUtn+FEMI=K7&MDENG%3Cx%3E'%22%5C%0Aend",
	} {
		s := gateway.NewScanner(secret.Take([]byte(key)))
		if err := s.Text(`{"error":"no such key ` + form + `"}`); !gateway.IsSecretSeen(err) {
			t.Errorf("%s: %s passed", name, form)
		}
		s.Wipe()
	}
}

// TestScannerText looks through texts, and forgets when it is wiped.
//
// R2
// guard: scan-whole
func TestScannerText(t *testing.T) {
	t.Parallel()
	s := gateway.NewScanner(secret.Take([]byte("sk_live_abc")), secret.Take([]byte("short")), secret.Take([]byte("user:sk_live_abc")))
	for text, seen := range map[string]bool{
		"": false, "fine": false, "sk_live_ab": false, "x sk_live_abc y": true, "Basic " + base64.StdEncoding.EncodeToString([]byte("user:sk_live_abc")): true,
		"short": false, // would be everywhere
	} {
		if err := s.Text(text); gateway.IsSecretSeen(err) != seen {
			t.Errorf("%q: %v", text, err)
		}
	}
	s.Wipe()
	if err := s.Text("sk_live_abc"); err != nil {
		t.Error("wiped, it still looks")
	}
}

// BenchmarkScanner scans a body of 2 KB, with what it takes to get ready.
func BenchmarkScanner(b *testing.B) {
	body := make([]byte, 2048)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range body {
		body[i] = "abcdefghijklmnopqrstuvwxyz0123456789\":,{}_ABCDEF"[r.IntN(48)]
	}
	key := secret.Take([]byte("sk_live_4eC39HqLyjWDarjtT1zdp7dc"))
	b.Run("new", func(b *testing.B) {
		for b.Loop() {
			gateway.NewScanner(key).Wipe()
		}
	})
	b.Run("2KB", func(b *testing.B) {
		s := gateway.NewScanner(key)
		b.SetBytes(int64(len(body)))
		for b.Loop() {
			if _, err := s.Next(body); err != nil {
				b.Fatal(err)
			}
			s.Rest()
		}
	})
}
