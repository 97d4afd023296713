package release_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"strings"
	"testing"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/op/release"
)

var update = flag.Bool("update", false, "write vectors/release from the cases in this package")

const vectorFile = "../../vectors/release/release.json"

// A vector is the two parts of an operation and what it is, or that it is none.
type vector struct {
	Name   string `json:"name"`
	Type   string `json:"type"`
	Asked  string `json:"asked"`            // hexadecimal
	Found  string `json:"found"`            // hexadecimal
	Target string `json:"target,omitempty"` // the view's
	Signed string `json:"signed,omitempty"` // digest that a holder signs
	Digest string `json:"digest,omitempty"` // of the operation
	Error  string `json:"error,omitempty"`  // document
}

// A declarationVector is an entry of a policy's operations.
type declarationVector struct {
	Name        string          `json:"name"`
	Declaration *op.Declaration `json:"declaration"`
	Error       string          `json:"error,omitempty"` // declaration
}

type vectors struct {
	Format       string              `json:"format"`
	Cases        []vector            `json:"cases"`
	Declarations []declarationVector `json:"declarations"`
}

func encoded(t testing.TB, v any) []byte {
	t.Helper()
	b, err := canon.EncodeCBOR(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func cases(t testing.TB) vectors {
	f := vectors{Format: "operations release/1"}
	salt := [16]byte{1, 2, 3}
	good := func(name, target string) *op.Operation {
		o, err := release.NewOperation(target, salt)
		if err != nil {
			t.Fatal(err)
		}
		f.Cases = append(f.Cases, vector{Name: name, Type: o.Type, Asked: hex.EncodeToString(o.Asked), Found: hex.EncodeToString(o.Found), Target: target,
			Signed: o.AskedDigest().String(), Digest: o.Digest().String()})
		return o
	}
	usual := good("usual", "shop")
	good("the longest name", strings.Repeat("x", 128))
	bad := func(name, typ string, asked, found []byte) {
		f.Cases = append(f.Cases, vector{Name: name, Type: typ, Asked: hex.EncodeToString(asked), Found: hex.EncodeToString(found), Error: "document"})
	}
	for _, c := range []struct {
		name  string
		asked any
	}{
		{"no target", map[int]any{}}, {"empty target", map[int]any{1: ""}}, {"null target", map[int]any{1: nil}}, {"target as bytes", map[int]any{1: []byte("shop")}},
		{"a name that is too long", map[int]any{1: strings.Repeat("x", 129)}}, {"unknown field", map[int]any{1: "shop", 2: 1}}, {"two targets", map[int]any{1: []string{"shop", "bank"}}},
		{"a list", []string{"shop"}},
	} {
		bad(c.name, usual.Type, encoded(t, c.asked), usual.Found)
	}
	bad("nothing asked", usual.Type, nil, usual.Found)
	bad("something after", usual.Type, append(bytes.Clone(usual.Asked), 0), usual.Found)
	bad("cut short", usual.Type, usual.Asked[:len(usual.Asked)-1], usual.Found)
	bad("long form of a length", usual.Type, append([]byte{0xa1, 1, 0x78}, usual.Asked[2:]...), usual.Found)
	bad("another type", "http/1", usual.Asked, usual.Found)
	bad("another version", "release/2", usual.Asked, usual.Found)
	for _, c := range []struct {
		name  string
		found any
	}{
		{"no salt", map[int]any{}}, {"short salt", map[int]any{1: salt[:15]}}, {"long salt", map[int]any{1: append(salt[:], 0)}}, {"null salt", map[int]any{1: nil}},
		{"salt as text", map[int]any{1: strings.Repeat("x", 16)}}, {"another fact", map[int]any{1: salt[:], 2: 1}},
	} {
		bad(c.name, usual.Type, usual.Asked, encoded(t, c.found))
	}
	bad("nothing found", usual.Type, usual.Asked, nil)
	declare := func(name, failure string, change func(*op.Declaration)) {
		d := &op.Declaration{Type: "release", Targets: []string{"shop"}, Actions: []string{release.Action}}
		change(d)
		f.Declarations = append(f.Declarations, declarationVector{name, d, failure})
	}
	declare("one target", "", func(*op.Declaration) {})
	declare("two targets", "", func(d *op.Declaration) { d.Targets = []string{"shop", "bank"} })
	declare("no targets", "declaration", func(d *op.Declaration) { d.Targets = nil })
	declare("no actions", "declaration", func(d *op.Declaration) { d.Actions = nil })
	declare("another action", "declaration", func(d *op.Declaration) { d.Actions = []string{"release:all"} })
	declare("the action twice", "declaration", func(d *op.Declaration) { d.Actions = []string{release.Action, release.Action} })
	declare("a header", "declaration", func(d *op.Declaration) { d.Headers = []string{"x-reason"} })
	declare("a query member", "declaration", func(d *op.Declaration) { d.Query = []op.Member{{Path: "a", Type: "string"}} })
	declare("a body", "declaration", func(d *op.Declaration) { d.Body = &op.Body{Types: []string{"text/plain"}} })
	return f
}

// TestVectors reads what vectors/release holds.
//
// SPEC RELEASE-1, RELEASE-2
// R61
// guard: release-type
func TestVectors(t *testing.T) {
	t.Parallel()
	f := testkit.Vectors(t, *update, vectorFile, cases(t))
	refused := 0
	for _, v := range f.Cases {
		o := &op.Operation{Type: v.Type, Asked: testkit.Unhex(t, v.Asked), Found: testkit.Unhex(t, v.Found)}
		view, err := release.Mapper{}.View(o, nil)
		if v.Error != "" {
			refused++
			if !errors.Is(err, release.ErrRelease) || view != nil {
				t.Errorf("%s: %+v, %v", v.Name, view, err)
			}
			continue
		}
		if err != nil || view.Target != v.Target || view.Resource["target"] != v.Target || view.Action != release.Action {
			t.Errorf("%s: %+v, %v", v.Name, view, err)
		}
		if o.AskedDigest().String() != v.Signed || o.Digest().String() != v.Digest {
			t.Errorf("%s: digests %s, %s", v.Name, o.AskedDigest(), o.Digest())
		}
	}
	for _, v := range f.Declarations {
		err := release.Mapper{}.Check(v.Declaration)
		if (err != nil) != (v.Error != "") || err != nil && !errors.Is(err, release.ErrRelease) {
			t.Errorf("%s: %v", v.Name, err)
		}
		if err != nil {
			refused++
		}
	}
	if refused < 25 {
		t.Errorf("%d refused", refused)
	}
}
