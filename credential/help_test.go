package credential_test

import (
	"errors"
	"flag"
	"testing"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/credential"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/sign"
)

var update = flag.Bool("update", false, "write vectors/credential from the cases in this package")

const blockType = "application/writ-block+cbor"

// A wire value is a credential taken apart.
type wire struct {
	_       struct{} `cbor:",toarray"`
	Version int
	Blocks  [][]byte
	Cosigns [][]byte
}

func apart(t testing.TB, c *credential.Chain) wire {
	t.Helper()
	var w wire
	if err := canon.DecodeCBOR(c.Bytes(), &w); err != nil {
		t.Fatal(err)
	}
	return w
}

func encode(t testing.TB, v any) []byte {
	t.Helper()
	b, err := canon.EncodeCBOR(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func together(t testing.TB, blocks ...[]byte) []byte {
	t.Helper()
	return encode(t, &wire{Version: 1, Blocks: blocks, Cosigns: [][]byte{}})
}

// hop returns c with one more block, as a holder with code of his own makes it:
// nobody checks the terms.
func hop(t testing.TB, c *credential.Chain, by sign.Signer, terms credential.Terms) []byte {
	t.Helper()
	ids := c.Blocks()
	return hopAs(t, c, by, &credential.Delegation{Typ: "writ-block/1", Prev: ids[len(ids)-1], Terms: terms})
}

// hopAs returns c with the block d.
func hopAs(t testing.TB, c *credential.Chain, by sign.Signer, d any) []byte {
	t.Helper()
	block, err := sign.Sign1(by, blockType, encode(t, d))
	if err != nil {
		t.Fatal(err)
	}
	w := apart(t, c)
	w.Blocks = append(w.Blocks, block)
	return encode(t, &w)
}

// issue returns the credential of g by the issuers, as Issue makes it.
func issue(t testing.TB, g credential.Grant, by ...sign.Signer) *credential.Chain {
	t.Helper()
	c, err := credential.Issue(g, by...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// next returns terms for the holder of block i that are as wide as c's last.
func next(z *testkit.Zone, c *credential.Chain, i int) credential.Terms {
	terms := c.Last()
	terms.Holder = credential.NewHolderKey(z.Holder(i).Public())
	return terms
}

// narrow returns c with a block of the terms, by the key of the holder before.
func narrow(t testing.TB, c *credential.Chain, by sign.Signer, terms credential.Terms) *credential.Chain {
	t.Helper()
	n, err := c.Narrow(by, "", terms)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func verify(t testing.TB, z *testkit.Zone, c *credential.Chain) *credential.Verified {
	t.Helper()
	v, err := c.Verify(z.Policy, z.Root)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// accepts reports whether b is a credential that holds under z's policy, and why
// not.
func accepts(z *testkit.Zone, b []byte) error {
	c, err := credential.Parse(b)
	if err != nil {
		return err
	}
	_, err = c.Verify(z.Policy, z.Root)
	return err
}

// refused fails the test unless err is of this package and wraps want.
func refused(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) || !errors.Is(err, credential.ErrCredential) {
		t.Errorf("%s: %v", what, err)
	}
}

// rules returns terms with the rules, in the language of the usual policy.
func rules(terms credential.Terms, text string) credential.Terms {
	l := testkit.Language()
	terms.Rules, terms.Language = text, &l
	return terms
}
