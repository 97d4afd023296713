package policies

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/cli/shell"
	"github.com/writhq/writ/internal/cli/source"
)

// run runs one policy command in JSON as at a time, and returns what it printed.
func run(t *testing.T, at time.Time, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	sh := &shell.Shell{In: strings.NewReader(""), Out: &out, Err: &out, Now: func() time.Time { return at }, Getenv: func(string) string { return "" }, JSON: true}
	cmd := Commands(sh)[0]
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(args)
	err := cmd.Execute()
	return out.String(), err
}

// now is a Sunday, at night: policies for working hours are checked all the same.
var now = time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)

// Every recipe of the cookbook checks without a warning, and every example comes
// out as it says.
func TestCookbook(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../../docs/cookbook/*.jsonc")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d recipes, %v", len(files), err)
	}
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) {
			out, err := run(t, now, "check", "--strict", f)
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			var r report
			if err := json.Unmarshal([]byte(out), &r); err != nil {
				t.Fatal(err)
			}
			yes := slices.ContainsFunc(r.Examples, func(v verdict) bool { return v.Decision == "permit" })
			no := slices.ContainsFunc(r.Examples, func(v verdict) bool { return v.Decision != "permit" })
			probed := slices.ContainsFunc(r.Probes, func(v verdict) bool { return v.Decision == "permit" })
			if !yes || !no || !probed {
				t.Errorf("examples show a yes: %t, a no: %t; probes a yes: %t", yes, no, probed)
			}
		})
	}
}

// written writes a policy by policy new and returns its source, with the rules
// replaced if there are any.
func written(t *testing.T, rules string, flags ...string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "p")
	args := []string{"new", "--alias", "a/b", "--origin", "https://api.example", "--signers", "1:ana", "--sealers", "1:sam", "--issuer", "iris=svc/*", "--out", out}
	if text, err := run(t, now, append(args, flags...)...); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if rules != "" {
		if err := os.WriteFile(out+source.RulesExt, []byte(rules), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return out + source.Ext
}

func codes(t *testing.T, source string) []string {
	t.Helper()
	out, err := run(t, now, "check", source)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var r report
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatal(err)
	}
	got := []string{}
	for _, w := range r.Warnings {
		got = append(got, w.Code)
	}
	return got
}

// What policy new writes, policy check accepts without a warning.
func TestNewIsGood(t *testing.T) {
	t.Parallel()
	for _, allow := range []string{
		"GET /orders/*", "GET /orders page:int<=100", "POST /refunds order:string amount:int<=5000", "POST /x price:decimal<=9.5",
		"PUT /docs/1 title:string done:bool", "DELETE /orders/1", "POST /any payload:any",
	} {
		if got := codes(t, written(t, "", "--allow", allow)); len(got) > 0 {
			t.Errorf("%s: warnings %v", allow, got)
		}
	}
	for _, inject := range []string{"sigv4:eu-central-1/s3", "client_certificate", "query:key", "basic:writ", "none"} {
		if got := codes(t, written(t, "", "--allow", "GET /orders/*", "--inject", inject)); len(got) > 0 {
			t.Errorf("%s: warnings %v", inject, got)
		}
	}
	several := written(t, "", "--allow", "POST /a n:int<=1", "--allow", "POST /b m:string", "--purpose", "x=Why", "--quota", "q=10/24h/subject")
	if got := codes(t, several); len(got) > 0 {
		t.Errorf("two rules of a method: warnings %v", got)
	}
}

// A7: an upper bound alone is warned of, where a negative amount is really permitted.
func TestWarnsOfNegative(t *testing.T) {
	t.Parallel()
	const open = `@id("r") permit (principal, action == Action::"http:POST", resource) when { resource.path == "/refunds" && context.body.amount <= 5000 };`
	if got := codes(t, written(t, open, "--allow", "POST /refunds amount:int<=5000")); !slices.Contains(got, "lower-bound") {
		t.Errorf("no warning of a missing lower bound: %v", got)
	}
	guarded := open + ` @id("n") forbid (principal, action == Action::"http:POST", resource) when { context.body.amount < 0 };`
	if got := codes(t, written(t, guarded, "--allow", "POST /refunds amount:int<=5000")); len(got) > 0 {
		t.Errorf("warnings although a rule forbids it: %v", got)
	}
}

// A8: places that give out credentials are warned of, and response headers that
// can carry one.
func TestWarnsOfMinting(t *testing.T) {
	t.Parallel()
	const wide = `@id("r") permit (principal, action == Action::"http:POST", resource) when { resource.path like "/*" };`
	if got := codes(t, written(t, wide, "--allow", "POST /refunds amount:int<=5000")); !slices.Contains(got, "minting") {
		t.Errorf("no warning of /tokens: %v", got)
	}
	named := written(t, "", "--allow", "POST /v2/access_tokens name:string")
	if got := codes(t, named); !slices.Contains(got, "minting") {
		t.Errorf("no warning of a path by name: %v", got)
	}
	source := written(t, "", "--allow", "GET /orders/*")
	b, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	b = bytes.Replace(b, []byte(`"http:GET"
      ]`), []byte(`"http:GET"
      ],
      "response": {"headers": ["set-cookie"]}`), 1)
	if err := os.WriteFile(source, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := codes(t, source); !slices.Contains(got, "response-header") {
		t.Errorf("no warning of set-cookie: %v", got)
	}
}

// R61: a policy that lets a secret out in the clear is warned of.
func TestWarnsOfRelease(t *testing.T) {
	t.Parallel()
	source := written(t, "", "--allow", "GET /orders/*")
	b, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	b = bytes.Replace(b, []byte(`"operations": [`), []byte(`"operations": [{"type":"release","targets":["api"],"actions":["release:secret"]},`), 1)
	b = bytes.Replace(b, []byte(`"http": 1`), []byte(`"http": 1, "release": 1`), 1)
	if err := os.WriteFile(source, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := codes(t, source); !slices.Contains(got, "release") {
		t.Errorf("no warning: %v", got)
	}
}

// An example that comes out otherwise, an unknown field and a rule on a member
// that does not exist are errors.
func TestCheckRefuses(t *testing.T) {
	t.Parallel()
	good := written(t, "", "--allow", "GET /orders/*")
	b, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string][2]string{
		"expectation": {`"examples": []`, `"examples": [{"say":"x","method":"GET","path":"/elsewhere","expect":"permit"}]`},
		"unknown":     {`"examples": []`, `"exampels": []`},
		"date":        {`"expires": "`, `"expires": "x`},
	} {
		if err := os.WriteFile(good, bytes.Replace(b, []byte(change[0]), []byte(change[1]), 1), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := run(t, now, "check", good); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	untyped := written(t, `@id("r") permit (principal, action == Action::"http:GET", resource) when { context.query.nothing == 1 };`, "--allow", "GET /orders/*")
	if _, err := run(t, now, "check", untyped); err == nil {
		t.Error("a rule on a member that does not exist was accepted")
	}
}

// A signed file whose alias record is for another policy is refused.
// guard: bundle-belongs-together
func TestBundleBelongsTogether(t *testing.T) {
	t.Parallel()
	zone := "sha256:" + strings.Repeat("ab", 32)
	var files [2][]byte
	for i, allow := range []string{"GET /a", "GET /b"} {
		source := written(t, "", "--allow", allow)
		sh := &shell.Shell{In: strings.NewReader(""), Out: &bytes.Buffer{}, Err: &bytes.Buffer{}, Now: func() time.Time { return now }, Getenv: func(k string) string {
			return map[string]string{"WRIT_ROOT": zone, "WRIT_CONFIG": t.TempDir()}[k]
		}}
		if err := sh.Load(); err != nil {
			t.Fatal(err)
		}
		x, _, err := newBundle(sh, source)
		if err != nil {
			t.Fatal(err)
		}
		if files[i], err = canon.EncodeJSON(x); err != nil {
			t.Fatal(err)
		}
	}
	var a, b source.Bundle
	if json.Unmarshal(files[0], &a) != nil || json.Unmarshal(files[1], &b) != nil {
		t.Fatal("bundles do not parse")
	}
	name := filepath.Join(t.TempDir(), "x"+source.BundleExt)
	for _, x := range []struct {
		bundle source.Bundle
		ok     bool
	}{{a, true}, {source.Bundle{Policy: a.Policy, Alias: b.Alias}, false}} {
		text, err := canon.EncodeJSON(x.bundle)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := run(t, now, "check", name); (err == nil) != x.ok {
			t.Errorf("want accepted %t: %v", x.ok, err)
		}
	}
}

// Every way of sending a secret is offered by policy new, taken by policy check and
// explained by policy show; what the flag takes, the policy takes.
func TestEveryInjection(t *testing.T) {
	t.Parallel()
	for how, c := range map[string]struct{ flag, kind, text string }{
		"header":             {"header:authorization:Bearer ", "http-bearer", `in header authorization, after "Bearer "`},
		"header alone":       {"header:x-api-key", "http-bearer", "in header x-api-key;"},
		"basic":              {"basic:svc", "http-basic", "as password of user svc"},
		"query":              {"query:key", "http-query", "in query member key"},
		"sigv4":              {"sigv4:eu-central-1/s3", "aws-key", "signs each request for AWS, eu-central-1/s3"},
		"client_certificate": {"client_certificate", "tls-client", "certificate and key in TLS"},
		"none":               {"none", "", "no secret"},
	} {
		source := written(t, "", "--allow", "GET /orders", "--inject", c.flag)
		for _, command := range []string{"check", "show"} {
			text, err := say(t, command, source)
			if err != nil || !strings.Contains(text, c.text) || c.kind != "" && !strings.Contains(text, "("+c.kind+")") || strings.Contains(text, "%!") {
				t.Errorf("%s of %s: %v\n%s", command, how, err, text)
			}
		}
	}
	help, err := say(t, "new", "--help")
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range injections {
		if !strings.Contains(help, i.form) || !strings.Contains(help, i.value) {
			t.Errorf("the help does not explain %s", i.how)
		}
	}
	for _, wrong := range []string{"body:x", "header", "none:x", "basic:a:b", "client_certificate:x", ""} {
		if _, _, err := parseInject(wrong, "http"); !errors.Is(err, shell.ErrUsage) {
			t.Errorf("%q: %v", wrong, err)
		}
	}
}

// say runs one policy command for people, and returns what it printed.
func say(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	sh := &shell.Shell{In: strings.NewReader(""), Out: &out, Err: &out, Now: func() time.Time { return now }, Getenv: func(string) string { return "" }}
	cmd := Commands(sh)[0]
	cmd.SetOut(&out)
	cmd.SetArgs(args)
	err := cmd.Execute()
	return out.String(), err
}
