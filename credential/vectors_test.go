package credential_test

import (
	"encoding/hex"
	"errors"
	"slices"
	"testing"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/credential"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/policy"
)

const vectorName = "../vectors/credential/credential.json"

type vector struct {
	Name       string   `json:"name"`
	Credential string   `json:"credential"` // hexadecimal
	Text       string   `json:"text,omitempty"`
	Digest     string   `json:"digest,omitempty"`
	Blocks     []string `json:"blocks,omitempty"`  // ids
	Holders    []string `json:"holders,omitempty"` // keys
	Error      string   `json:"error,omitempty"`   // form, wider, issuer, policy
}

type vectorFile struct {
	Format string   `json:"format"`
	Root   string   `json:"root"`   // envelope; its digest is the zone
	Policy string   `json:"policy"` // envelope
	Cases  []vector `json:"cases"`
}

func vectorCases(t *testing.T) vectorFile {
	z := testkit.NewZone(t)
	f := vectorFile{Format: "credentials", Root: testkit.EnvelopeText(t, z.RootEnvelope), Policy: testkit.EnvelopeText(t, z.Envelope)}
	iris, ivo := z.Key("iris"), testkit.Fixed(z.KeyP256("ivo"))
	good := func(name string, c *credential.Chain) {
		v := vector{Name: name, Credential: hex.EncodeToString(c.Bytes()), Text: c.Text(), Digest: c.Digest().String()}
		for i, b := range c.Blocks() {
			v.Blocks, v.Holders = append(v.Blocks, b.String()), append(v.Holders, c.Holders()[i].String())
		}
		f.Cases = append(f.Cases, v)
	}
	bad := func(name, failure string, b []byte) {
		f.Cases = append(f.Cases, vector{Name: name, Credential: hex.EncodeToString(b), Error: failure})
	}
	grant, three := z.Credential(t, 1), z.Credential(t, 3)
	good("grant", grant)
	good("three blocks", three)
	good("two issuers", issue(t, z.Grant(), iris, ivo))
	g := z.Grant()
	pin := z.Policy.ID()
	g.Pinned, g.Audience, g.Purposes, g.Secrets = &pin, nil, testkit.List(), nil
	g.Holder, g.Pop, g.Task = credential.NewHolderKey(z.KeyP256("holder").Public()), op.Person, "Refund order 8831"
	good("all that is optional", issue(t, g, ivo))
	terms := next(z, grant, 1)
	for _, c := range []struct {
		name   string
		change func(*credential.Terms)
	}{
		{"later end", func(t *credential.Terms) { t.Expires++ }},
		{"earlier begin", func(t *credential.Terms) { t.NotBefore-- }},
		{"same depth", func(t *credential.Terms) { t.Depth++ }},
		{"another group", func(t *credential.Terms) { t.Audience = testkit.List("dev") }},
		{"another purpose", func(t *credential.Terms) { t.Purposes = testkit.List("lookup") }},
		{"another secret", func(t *credential.Terms) { t.Secrets = testkit.List("other") }},
	} {
		wide := terms
		c.change(&wide)
		bad(c.name, "wider", hop(t, grant, z.Holder(0), wide))
	}
	bad("signed by a stranger", "form", hop(t, grant, z.Key("eve"), terms))
	bad("negative limit", "form", hop(t, grant, z.Holder(0), func() credential.Terms {
		n := terms
		n.Limits = map[string]int64{policy.UsesID: -1}
		return n
	}()))
	w := apart(t, three)
	bad("a block dropped", "form", together(t, w.Blocks[0], w.Blocks[2]))
	bad("blocks reordered", "form", together(t, w.Blocks[0], w.Blocks[2], w.Blocks[1]))
	bad("no blocks", "form", together(t))
	bad("version 2", "form", encode(t, &wire{Version: 2, Blocks: w.Blocks, Cosigns: [][]byte{}}))
	bad("nothing", "form", nil)
	bad("something after", "form", append(three.Bytes(), 0))
	bad("issued by a stranger", "issuer", issue(t, z.Grant(), z.Key("eve")).Bytes())
	bad("issued by a policy signer", "issuer", issue(t, z.Grant(), z.Key("ana")).Bytes())
	bad("a cosigner is a stranger", "issuer", issue(t, z.Grant(), iris, z.Key("eve")).Bytes())
	for _, c := range []struct {
		name   string
		change func(*credential.Grant)
	}{
		{"another zone", func(g *credential.Grant) { g.Zone[0] ^= 1 }},
		{"another alias", func(g *credential.Grant) { g.Alias = "dev/x" }},
		{"a later version", func(g *credential.Grant) { g.MinVersion = 2 }},
		{"pinned to another", func(g *credential.Grant) { g.Pinned = &canon.Digest{1} }},
		{"too deep", func(g *credential.Grant) { g.Depth = 5 }},
		{"too long", func(g *credential.Grant) { g.Expires = g.NotBefore + 86401 }},
		{"rules that do not fit", func(g *credential.Grant) {
			*g = rulesOf(*g, `@id("a") forbid (principal, action == Action::"http:POST", resource) when { context.body.total > 1 };`)
		}},
	} {
		g := z.Grant()
		c.change(&g)
		bad(c.name, "policy", issue(t, g, iris).Bytes())
	}
	return f
}

// TestVectors reads what vectors/credential holds.
//
// SPEC CRED-1, CRED-2, CRED-3, CRED-4, CRED-8
func TestVectors(t *testing.T) {
	t.Parallel()
	f := testkit.Vectors(t, *update, vectorName, vectorCases(t))
	r, p := testkit.VerifyPolicy(t, f.Root, f.Policy)
	failures := map[string]error{"form": credential.ErrCredential, "wider": credential.ErrWider, "issuer": credential.ErrIssuer, "policy": credential.ErrCredential}
	seen := map[string]int{}
	for _, v := range f.Cases {
		seen[v.Error]++
		c, err := credential.Parse(testkit.Unhex(t, v.Credential))
		if parses := v.Error == "" || v.Error == "issuer" || v.Error == "policy"; (err == nil) != parses {
			t.Errorf("%s: parse: %v", v.Name, err)
			continue
		}
		if err == nil {
			_, err = c.Verify(p, r)
		}
		if v.Error != "" {
			refused(t, v.Name, err, failures[v.Error])
			if v.Error == "policy" && errors.Is(err, credential.ErrIssuer) {
				t.Errorf("%s: %v", v.Name, err)
			}
			continue
		}
		var blocks, holders []string
		for i, b := range c.Blocks() {
			blocks, holders = append(blocks, b.String()), append(holders, c.Holders()[i].String())
		}
		fromText, textErr := credential.ParseText(v.Text)
		if err != nil || textErr != nil || fromText.Digest() != c.Digest() || c.Text() != v.Text || c.Digest().String() != v.Digest ||
			!slices.Equal(blocks, v.Blocks) || !slices.Equal(holders, v.Holders) {
			t.Errorf("%s: %v, %v, %v, %v", v.Name, err, textErr, blocks, holders)
		}
	}
	if seen["form"] < 8 || seen["wider"] < 6 || seen["issuer"] < 3 || seen["policy"] < 6 {
		t.Errorf("%v", seen)
	}
}
