package control_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/writhq/writ/api"
	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/testgate"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/sign"
	"github.com/writhq/writ/zone"
)

// commands are those that a hint may name.
var commands = strings.Fields(`root:new root:sign root:show root:publish policy:new policy:check policy:sign policy:publish policy:show
	secret:put secret:show secret:ls secret:rotate revoke show receipt:show unseal doctor`)

// problemOf asks and returns the problem. Every command that it names exists.
func problemOf(t *testing.T, w *world, path, body string) (int, api.Problem) {
	t.Helper()
	status, answer := ask(w.api.Remote(), "POST", path, body)
	var p api.Problem
	if err := json.Unmarshal([]byte(answer), &p); err != nil {
		t.Fatal(answer)
	}
	for _, m := range regexp.MustCompile(`writ ([a-z]+)(?: ([a-z]+))?`).FindAllStringSubmatch(p.Next, -1) {
		known := false
		for _, c := range commands {
			known = known || c == m[1] || c == m[1]+":"+m[2] || m[2] == "and" && strings.HasPrefix(c, m[1])
		}
		if !known {
			t.Errorf("%q names a command that is not there: writ %s %s", p.Next, m[1], m[2])
		}
	}
	if raw := regexp.MustCompile(`zone: |policy: |sign: |canon: |policy log: |: \[\]`).FindString(p.Detail); raw != "" {
		t.Errorf("%q is not for people: %q", p.Detail, raw)
	}
	return status, p
}

// A refusal says what helps with this very document: how the next version is made,
// who has to sign it, who may revoke there. SPEC CTRL-9.
func TestNextHints(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testgate.Config{})
	policyBy := func(change func(*policy.Document), by ...sign.Signer) *sign.Envelope {
		d := testkit.Next(w.Law)
		change(d)
		return testkit.Envelope(t, policy.PayloadType, d, by...)
	}
	ana, bo, sam := w.Key("ana"), w.Key("bo"), w.Key("sam")
	revocation := func(alias string, by ...sign.Signer) *sign.Envelope {
		return testkit.Envelope(t, zone.RevokeType, zone.RevokeRecord{Zone: w.Root.Zone(), Alias: alias, Kind: zone.RevokeBlock, ID: canon.Hash([]byte("y"))}, by...)
	}
	chain := w.Wide(2)
	byHolder := zone.RevokeRecord{Zone: w.Root.Zone(), Alias: testkit.Alias, Kind: zone.RevokeBlock, ID: chain.Blocks()[1], Credential: chain.Text()}
	end := func(change func(*zone.SecretRecord), by ...sign.Signer) *sign.Envelope {
		var r zone.SecretRecord
		w.Server.View(func(z *zone.Zone) {
			s, _ := z.Secret(testkit.Alias, testkit.SecretID)
			r = s.Record
		})
		r.State = zone.Destroyed
		change(&r)
		return testkit.Envelope(t, zone.SecretType, r, by...)
	}
	as := func(r *zone.SecretRecord) {}
	for name, c := range map[string]struct {
		e    *sign.Envelope
		want string
	}{
		"the policy in force":       {w.Envelope, "it is in force"},
		"a policy that skips one":   {policyBy(func(d *policy.Document) { d.Version = 3 }, ana, bo), "version 1 is in force: writ policy new --after " + testkit.Alias + " --out NAME writes version 2"},
		"of another predecessor":    {policyBy(func(d *policy.Document) { d.Prev = canon.Hash(nil) }, ana, bo), "writ policy new --after"},
		"a policy by one of two":    {policyBy(func(*policy.Document) {}, ana), "it takes 2 of ana, bo, with keys that the root lists for policies: writ policy sign"},
		"a policy elsewhere":        {policyBy(func(d *policy.Document) { d.Alias, d.Version, d.Prev = "elsewhere/x", 1, canon.Digest{} }, ana, bo), "a prefix of the root (payments/"},
		"a first one of version 2":  {policyBy(func(d *policy.Document) { d.Alias = "payments/other" }, ana, bo), "the first has version 1: writ policy new --alias payments/other"},
		"of another zone":           {policyBy(func(d *policy.Document) { d.Zone = canon.Hash(nil) }, ana, bo), "--root " + w.Root.Zone().String()},
		"beyond a ceiling":          {policyBy(func(d *policy.Document) { d.Delegation.MaxTTLS = 1 << 40 }, ana, bo), "ceilings"},
		"no policy":                 {testkit.Envelope(t, policy.PayloadType, map[string]any{"x": 1}, ana), "writ policy check"},
		"a record of nothing":       {testkit.Envelope(t, zone.AliasType, zone.AliasRecord{Zone: w.Root.Zone(), Alias: "payments/none", Version: 1, Policy: canon.Hash(nil)}, ana, bo), "writ policy publish"},
		"the root in force":         {w.RootEnvelope, "version 1 is in force: writ root new --after FILE-OF-IT --answers FILE --out root-2.json writes version 2"},
		"a revocation by a sealer":  {revocation(testkit.Alias, sam), "payments/ takes revocations by 1 of ana, bo, with keys that the root lists with the use revoke"},
		"of an unknown namespace":   {revocation("elsewhere/x", ana), "below a prefix of the root: payments/"},
		"a holder of another block": {testkit.Envelope(t, zone.RevokeType, byHolder, w.Holder(1)), "--as-holder --key NAME.key; else payments/ takes revocations by 1 of ana, bo"},
		"an end by no sealer":       {end(as, ana), "it takes 1 of sam"},
		"an end of no version":      {end(func(r *zone.SecretRecord) { r.Version = 7 }, sam), "writ secret show " + testkit.Alias + " " + testkit.SecretID},
		"an unlisted secret":        {end(func(r *zone.SecretRecord) { r.ID = "nope" }, sam), "writ policy show " + testkit.Alias},
		"under another policy":      {end(func(r *zone.SecretRecord) { r.Policy = canon.Hash(nil) }, sam), "another policy is in force by now"},
		"of no policy":              {end(func(r *zone.SecretRecord) { r.Alias = "payments/none" }, sam), "a policy comes first: writ policy publish"},
		"no document":               {testkit.Envelope(t, "application/x", map[string]any{}, ana), "writ policy publish"},
	} {
		status, p := problemOf(t, w, "/v1/log", encode(t, c.e))
		if status != 403 || p.Code != api.CodeRefused || !strings.Contains(p.Next, c.want) {
			t.Errorf("%s: %d %s\n  next: %q\n  want: %q", name, status, p.Detail, p.Next, c.want)
		}
	}
	if status, p := problemOf(t, w, "/v1/secrets", w.upload(t, "iris", nil)); status != 403 || !strings.Contains(p.Next, "it takes 1 of sam") {
		t.Errorf("an upload by no sealer: %d %+v", status, p)
	}
	if status, p := problemOf(t, w, "/v1/log", "{"); status != 400 || !strings.Contains(p.Next, "writ policy sign") {
		t.Errorf("no envelope: %d %+v", status, p)
	}
}

// A policy that was published and not put in force, since the one who did it was
// cut off, can be put in force later. SPEC CTRL-4.
func TestPublishedTwice(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testgate.Config{})
	p := w.Successor(t, w.Law, func(*policy.Document) {})
	e := encode(t, testkit.Envelope(t, policy.PayloadType, p.Document(), w.Key("ana"), w.Key("bo")))
	if status, body := ask(w.api.Remote(), "POST", "/v1/log", e); status != 200 {
		t.Fatal(body)
	}
	if status, p := problemOf(t, w, "/v1/log", e); status != 409 || p.Code != api.CodeTaken {
		t.Errorf("once more: %d %+v", status, p)
	}
	if status, body := ask(w.api.Remote(), "POST", "/v1/log", encode(t, w.Alias(p))); status != 200 {
		t.Errorf("its record: %s", body)
	}
}
