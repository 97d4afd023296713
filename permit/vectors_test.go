package permit_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/credential"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/permit"
)

var update = flag.Bool("update", false, "write vectors/permit from the cases in this package")

const contextFile = "../vectors/permit/context.json"

// A contextVector is the bytes of a context: what they say, with what follows from
// the credential in them, or that they are none.
type contextVector struct {
	Name    string    `json:"name"`
	Context string    `json:"context"`         // hexadecimal
	Zeros   int       `json:"zeros,omitempty"` // so many bytes of zero follow
	Says    *contextV `json:"says,omitempty"`
	Error   string    `json:"error,omitempty"` // form
}

type contextV struct {
	Credential string     `json:"credential"` // its digest
	Subject    op.Subject `json:"subject"`    // of the grant
	Actor      string     `json:"actor"`      // thumbprint of the last holder key
	Depth      int        `json:"depth"`      // blocks after the grant
	Purpose    string     `json:"purpose"`
	Level      op.Level   `json:"level"`
	Group      string     `json:"group"`
	Region     string     `json:"region"`
	At         int64      `json:"at"`
	Approvals  []string   `json:"approvals,omitempty"`
	Lineage    []string   `json:"lineage,omitempty"`
	Labels     []string   `json:"labels,omitempty"`
	Action     string     `json:"action"`
	Target     string     `json:"target"`
	Exhausted  string     `json:"exhausted,omitempty"`
	Used       int64      `json:"used,omitempty"`
}

type contextVectors struct {
	Format string          `json:"format"`
	Cases  []contextVector `json:"cases"`
}

// says returns what c holds.
func says(c *permit.Context) (*contextV, error) {
	chain, err := credential.Parse(c.Credential)
	if err != nil {
		return nil, err
	}
	q := c.Question(chain, nil)
	return &contextV{
		chain.Digest().String(), q.Subject, q.Actor, q.Depth, q.Purpose, q.Level, q.Group, q.Region, q.At,
		q.Approvals, q.Lineage, q.Labels, q.Action, q.Target, c.Exhausted, c.Used,
	}, nil
}

func encoded(t testing.TB, v any) []byte {
	t.Helper()
	b, err := canon.EncodeCBOR(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// mapOf returns c as the map that it is on the wire.
func mapOf(t testing.TB, c *permit.Context) map[int]any {
	t.Helper()
	m := map[int]any{}
	if err := canon.DecodeCBOR(encoded(t, c), &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func contextCases(t *testing.T) contextVectors {
	z := testkit.NewZone(t)
	f := contextVectors{Format: "contexts of decisions"}
	good := func(name string, c *permit.Context) {
		s, err := says(c)
		if err != nil {
			t.Fatal(err)
		}
		f.Cases = append(f.Cases, contextVector{Name: name, Context: hex.EncodeToString(encoded(t, c)), Says: s})
	}
	bad := func(name string, b []byte) {
		f.Cases = append(f.Cases, contextVector{Name: name, Context: hex.EncodeToString(b), Error: "form"})
	}
	usual := permit.NewContext(z.Credential(t, 1), order(t, z))
	good("usual", usual)
	q := refund(t, z, 1)
	q.Purpose, q.Region, q.Level = "", "", op.Bearer
	good("fewest fields", permit.NewContext(z.Credential(t, 1), q))
	all := permit.NewContext(z.Credential(t, 3), refund(t, z, 1))
	all.Approvals, all.Lineage, all.Labels = []string{"finance", "ops"}, []string{"review"}, []string{"web"}
	all.Exhausted, all.Used, all.Level = "amount-day", 500000, op.Person
	good("all fields", all)
	b := encoded(t, usual)
	bad("nothing", nil)
	bad("another kind of value", []byte{0x80})
	bad("no fields", []byte{0xa0})
	bad("cut short", b[:len(b)-1])
	bad("something after", append(bytes.Clone(b), 0))
	bad("twice", append(bytes.Clone(b), b...))
	bad("tagged", append([]byte{0xd8, 0x18}, b...))
	bad("indefinite length", append(append([]byte{0xbf}, b[1:]...), 0xff))
	bad("long form of a number", bytes.Replace(b, []byte{0x04, 0x03}, []byte{0x04, 0x18, 0x03}, 1))
	for _, c := range []struct {
		name   string
		change func(map[int]any)
	}{
		{"another type", func(m map[int]any) { m[1] = "writ-context/2" }},
		{"no type", func(m map[int]any) { delete(m, 1) }},
		{"no credential", func(m map[int]any) { delete(m, 2) }},
		{"null credential", func(m map[int]any) { m[2] = nil }},
		{"empty credential", func(m map[int]any) { m[2] = []byte{} }},
		{"credential as text", func(m map[int]any) { m[2] = "credential" }},
		{"no level", func(m map[int]any) { delete(m, 4) }},
		{"level 5", func(m map[int]any) { m[4] = 5 }},
		{"negative level", func(m map[int]any) { m[4] = -1 }},
		{"level as text", func(m map[int]any) { m[4] = "3" }},
		{"no time", func(m map[int]any) { delete(m, 7) }},
		{"time beyond 64 bits", func(m map[int]any) { m[7] = uint64(math.MaxUint64) }},
		{"no action", func(m map[int]any) { delete(m, 11) }},
		{"empty purpose", func(m map[int]any) { m[3] = "" }},
		{"null purpose", func(m map[int]any) { m[3] = nil }},
		{"empty list", func(m map[int]any) { m[8] = []string{} }},
		{"list of numbers", func(m map[int]any) { m[10] = []int{1} }},
		{"zero that would be absent", func(m map[int]any) { m[14] = 0 }},
		{"unknown field", func(m map[int]any) { m[15] = 1 }},
		{"unknown negative field", func(m map[int]any) { m[-1] = 1 }},
	} {
		m := mapOf(t, usual)
		c.change(m)
		bad(c.name, encoded(t, m))
	}
	bad("text key", append(append([]byte{b[0] + 1}, b[1:]...), 0x61, 'a', 0x01))
	bad("field twice", append(append([]byte{b[0] + 1}, b[1:]...), 0x0c, 0x60))
	bad("fields in another order", swapped(t, b))
	for _, n := range []int{permit.MaxContextBytes, permit.MaxContextBytes + 1} { // the target is last, and as long as it takes
		v := contextVector{Name: fmt.Sprintf("%d bytes", n)}
		c := *usual
		c.Target = strings.Repeat("\x00", n-len(b)+len(c.Target)-2) // its length takes 2 bytes more
		long := encoded(t, &c)
		if len(long) != n {
			t.Fatalf("%d bytes, want %d", len(long), n)
		}
		v.Zeros = len(c.Target)
		v.Context = hex.EncodeToString(long[:n-v.Zeros])
		if n > permit.MaxContextBytes {
			v.Error = "form"
		}
		f.Cases = append(f.Cases, v)
	}
	return f
}

// swapped returns the context b with its first two fields exchanged.
func swapped(t testing.TB, b []byte) []byte {
	t.Helper()
	var c permit.Context
	if err := canon.DecodeCBOR(b, &c); err != nil {
		t.Fatal(err)
	}
	typ := append([]byte{1}, encoded(t, c.Typ)...)
	credential := append([]byte{2}, encoded(t, c.Credential)...)
	rest := b[1+len(typ)+len(credential):]
	return append(append(append([]byte{b[0]}, credential...), typ...), rest...)
}

// TestContextVectors reads what vectors/permit/context.json holds.
//
// SPEC PERMIT-4
// guard: context-type, context-complete
func TestContextVectors(t *testing.T) {
	t.Parallel()
	refused := 0
	for _, v := range testkit.Vectors(t, *update, contextFile, contextCases(t)).Cases {
		b := append(testkit.Unhex(t, v.Context), make([]byte, v.Zeros)...)
		c, err := permit.ParseContext(b)
		if v.Error != "" {
			refused++
			if !errors.Is(err, permit.ErrPermit) || c != nil {
				t.Errorf("%s: %+v, %v", v.Name, c, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", v.Name, err)
			continue
		}
		if again, err := c.Encode(); err != nil || !bytes.Equal(again, b) {
			t.Errorf("%s: encodes otherwise: %v", v.Name, err)
		}
		if v.Says == nil {
			continue
		}
		if s, err := says(c); err != nil || fmt.Sprintf("%+v", *s) != fmt.Sprintf("%+v", *v.Says) {
			t.Errorf("%s: %+v, %v", v.Name, s, err)
		}
	}
	if refused < 30 {
		t.Errorf("%d refused", refused)
	}
}
