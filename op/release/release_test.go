package release_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/op/release"
)

// TestView shows the document and its refusals. SPEC RELEASE-1.
//
// R61
// guard: release-type
func TestView(t *testing.T) {
	t.Parallel()
	o, err := release.NewOperation("shop", [16]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	v, err := release.Mapper{}.View(o, nil)
	if err != nil || v.Target != "shop" || v.Action != release.Action {
		t.Fatalf("view: %+v, %v", v, err)
	}
	for name, bad := range map[string]op.Operation{
		"another type":   {Type: "http/1", Asked: o.Asked, Found: o.Found},
		"no salt":        {Type: o.Type, Asked: o.Asked, Found: []byte{0xa0}},
		"not a form":     {Type: o.Type, Asked: append(bytes.Clone(o.Asked), 0), Found: o.Found},
		"without a name": {Type: o.Type, Asked: []byte{0xa1, 1, 0x60}, Found: o.Found},
	} {
		if _, err := (release.Mapper{}).View(&bad, nil); !errors.Is(err, release.ErrRelease) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestCheck shows declarations. SPEC RELEASE-2.
func TestCheck(t *testing.T) {
	t.Parallel()
	good := op.Declaration{Type: "release", Targets: []string{"shop"}, Actions: []string{release.Action}}
	if err := (release.Mapper{}).Check(&good); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*op.Declaration){
		"no target":      func(d *op.Declaration) { d.Targets = nil },
		"another action": func(d *op.Declaration) { d.Actions = []string{"release:all"} },
		"a body":         func(d *op.Declaration) { d.Body = &op.Body{Types: []string{"text/plain"}} },
	} {
		d := good
		change(&d)
		if err := (release.Mapper{}).Check(&d); !errors.Is(err, release.ErrRelease) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzView shows that what parses encodes back to the same bytes.
func FuzzView(f *testing.F) {
	o, err := release.NewOperation("shop", [16]byte{1})
	if err != nil {
		f.Fatal(err)
	}
	var v vectors
	testkit.ReadVectors(f, vectorFile, &v)
	for _, c := range v.Cases {
		f.Add(testkit.Unhex(f, c.Asked))
	}
	f.Fuzz(func(t *testing.T, asked []byte) {
		v, err := release.Mapper{}.View(&op.Operation{Type: release.DocumentType, Asked: asked, Found: o.Found}, nil)
		if err != nil {
			return
		}
		again, err := release.NewOperation(v.Target, [16]byte{1})
		if err != nil || !bytes.Equal(again.Asked, asked) {
			t.Errorf("%x encodes as %x, %v", asked, again.Asked, err)
		}
	})
}
