package seal_test

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/seal"
	"github.com/writhq/writ/secret"
)

// A parts value is a sealed secret taken apart.
type parts struct {
	Header []byte `cbor:"1,keyasint"`
	Commit []byte `cbor:"2,keyasint"`
	Wraps  []wrap `cbor:"3,keyasint"`
	Text   []byte `cbor:"4,keyasint"`
}

type wrap struct {
	Enc []byte `cbor:"1,keyasint"`
	Key []byte `cbor:"2,keyasint"`
}

func apart(t testing.TB, sealed []byte) parts {
	t.Helper()
	var p parts
	if err := canon.DecodeCBOR(sealed, &p); err != nil {
		t.Fatal(err)
	}
	return p
}

func encode(t testing.TB, v any) []byte {
	t.Helper()
	b, err := canon.EncodeCBOR(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A gate is what opens: a key, and the policy that it evaluates.
type gate struct {
	key    seal.GateKey
	policy *policy.Verified
}

// opens fails the test unless sealed opens to plain.
func opens(t testing.TB, g gate, st *seal.Signed, sealed []byte) {
	t.Helper()
	v, err := seal.Open(g.key, g.policy, st, sealed)
	if err != nil {
		t.Fatalf("does not open: %v", err)
	}
	defer v.Secret.Wipe()
	if !v.Secret.Equal(secret.Take([]byte(testkit.Plain))) {
		t.Fatal("opens to something else")
	}
}

// refuses fails the test unless sealed does not open, for no reason given.
func refuses(t testing.TB, what string, open func() (*seal.Value, error)) {
	t.Helper()
	v, err := open()
	if err != seal.ErrOpen || v != nil {
		t.Errorf("%s: %v, %v", what, v, err)
	}
}

// TestPolicyBits seals under a policy and flips each of its bits, below the
// verification of signatures: only the key schedule is left to refuse.
//
// SPEC SEAL-1, SEAL-3
// R1
// R21: no byte of a policy can change under what was sealed to it
func TestPolicyBits(t *testing.T) {
	t.Parallel()
	z := testkit.NewZone(t)
	st, sealed := z.Sealed(t)
	payload, zone := z.Envelope.Payload, z.Root.Zone()
	opens(t, gate{z.Gate, policy.UnverifiedBytes(payload, zone)}, st, sealed) // the control
	var tried, opened atomic.Int64
	try := func(p *policy.Verified) {
		tried.Add(1)
		if _, err := seal.Open(z.Gate, p, st, sealed); err != seal.ErrOpen {
			opened.Add(1)
		}
	}
	var wg sync.WaitGroup
	workers := runtime.GOMAXPROCS(0)
	for w := range workers {
		wg.Go(func() {
			testkit.Flips(payload, func(b []byte, bit int) {
				if bit%workers == w {
					try(policy.UnverifiedBytes(b, zone))
				}
			})
		})
	}
	wg.Wait()
	if n := int64(8 * len(payload)); tried.Load() != n || n < 8*1500 {
		t.Errorf("%d bits tried of %d", tried.Load(), n)
	}
	testkit.Flips(zone[:], func(b []byte, _ int) { try(policy.UnverifiedBytes(payload, canon.Digest(b))) })
	if opened.Load() != 0 {
		t.Errorf("%d of %d changed policies open the secret", opened.Load(), tried.Load())
	}
}

// TestCheckKey shows what can be said without the secret: that a key opens it under
// its policy, and no other key or policy does.
//
// SPEC SEAL-2
// R1
// guard: open-statement
func TestCheckKey(t *testing.T) {
	t.Parallel()
	z := testkit.NewZone(t)
	st, sealed := z.Sealed(t)
	if err := seal.CheckKey(z.Gate, z.Policy, st, sealed); err != nil {
		t.Fatal(err)
	}
	other := z.Statement(t, z.Policy, testkit.Value("another value"))
	for name, c := range map[string]struct {
		k  seal.GateKey
		p  *policy.Verified
		st *seal.Signed
	}{
		"another key":       {testkit.GateKey(t, "second", z.Gate.ID()), z.Policy, st},
		"another key's id":  {testkit.GateKey(t, "second", "prod/2026-11/2"), z.Policy, st},
		"no key":            {seal.GateKey{}, z.Policy, st},
		"another policy":    {z.Gate, z.Successor(t, z.Policy, nil), st},
		"no policy":         {z.Gate, nil, st},
		"a zero policy":     {z.Gate, &policy.Verified{}, st},
		"another statement": {z.Gate, z.Policy, other},
		"no statement":      {z.Gate, z.Policy, nil},
	} {
		if err := seal.CheckKey(c.k, c.p, c.st, sealed); err != seal.ErrOpen {
			t.Errorf("%s: %v", name, err)
		}
	}
	for n := range len(sealed) {
		if err := seal.CheckKey(z.Gate, z.Policy, st, sealed[:n]); err != seal.ErrOpen {
			t.Errorf("cut at %d: %v", n, err)
		}
	}
}

// TestBlobBits flips every bit of a sealed secret.
//
// SPEC SEAL-4
// R1
func TestBlobBits(t *testing.T) {
	t.Parallel()
	z := testkit.NewZone(t)
	st, sealed := z.Sealed(t)
	opens(t, gate{z.Gate, z.Policy}, st, sealed)
	n := testkit.Flips(sealed, func(b []byte, bit int) {
		if _, err := seal.Open(z.Gate, z.Policy, st, b); err != seal.ErrOpen {
			t.Errorf("bit %d: %v", bit, err)
		}
	})
	if n < 8*1200 {
		t.Errorf("%d bits", n)
	}
	for cut := range sealed {
		refuses(t, fmt.Sprintf("cut to %d bytes", cut), func() (*seal.Value, error) {
			return seal.Open(z.Gate, z.Policy, st, sealed[:cut])
		})
	}
}

// TestEveryWrapIsBound flips every bit of a secret sealed to two gates, and opens
// it as either: a gate notices also what was done to the other's wrap.
//
// SPEC SEAL-9
// R1
func TestEveryWrapIsBound(t *testing.T) {
	t.Parallel()
	z := testkit.NewZone(t)
	other := testkit.GateKey(t, "second", "prod/2026-11/2")
	v := testkit.Value(testkit.Plain)
	st := z.Statement(t, z.Policy, v)
	sealed, err := seal.Seal(z.Policy, st, []policy.KEMKey{other.Public(), z.Gate.Public()}, v)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []seal.GateKey{z.Gate, other} {
		opens(t, gate{k, z.Policy}, st, sealed)
		n := testkit.Flips(sealed, func(b []byte, bit int) {
			if _, err := seal.Open(k, z.Policy, st, b); err != seal.ErrOpen {
				t.Errorf("%s, bit %d: %v", k.ID(), bit, err)
			}
		})
		if n < 8*2400 {
			t.Errorf("%d bits", n)
		}
	}
}

// TestOtherPolicy seals one secret under two policies that the same quorum
// signed and that differ in one rule: neither opens the other's.
//
// SPEC SEAL-3
// R1
// R23: another validly signed policy is offered
func TestOtherPolicy(t *testing.T) {
	t.Parallel()
	z := testkit.NewZone(t)
	twin := z.Twin(t, func(d *policy.Document) { d.Rules = strings.Replace(d.Rules, "5000", "50000", 1) })
	next := z.Successor(t, z.Policy, nil)
	st, sealed := z.Sealed(t)
	opens(t, gate{z.Gate, z.Policy}, st, sealed)
	for name, p := range map[string]*policy.Verified{"twin": twin, "successor": next, "nil": nil, "zero": {}} {
		refuses(t, name, func() (*seal.Value, error) { return seal.Open(z.Gate, p, st, sealed) })
	}
	v := testkit.Value(testkit.Plain)
	resealed, err := seal.Seal(next, st, z.Root.Group(testkit.Group), v)
	if err != nil {
		t.Fatal(err)
	}
	opens(t, gate{z.Gate, next}, st, resealed)
	refuses(t, "the predecessor", func() (*seal.Value, error) { return seal.Open(z.Gate, z.Policy, st, resealed) })
}

// TestOtherZone rewrites the data folder: a root with the same names, once with
// the attacker's keys and once with the same, and a policy by them. The real
// secret opens under neither.
//
// SPEC SEAL-1
// A1
// R45
// guard: statement-zone
func TestOtherZone(t *testing.T) {
	t.Parallel()
	z := testkit.NewZone(t)
	st, sealed := z.Sealed(t)
	sameKeys := testkit.NewZoneWith(t, testkit.Config{Root: func(d *policy.RootDocument) { d.Expires++ }})
	for name, other := range map[string]*testkit.Zone{
		"other keys": testkit.NewZoneWith(t, testkit.Config{Seed: "attacker "}),
		"same keys":  sameKeys,
	} {
		refuses(t, name, func() (*seal.Value, error) { return seal.Open(z.Gate, other.Policy, st, sealed) })
		if err := st.Verify(other.Root, other.Policy); !errors.Is(err, seal.ErrSeal) {
			t.Errorf("%s: the statement holds: %v", name, err)
		}
	}
	// With the very bytes of the policy, only the zone differs.
	refuses(t, "the zone alone", func() (*seal.Value, error) {
		return seal.Open(z.Gate, policy.UnverifiedBytes(z.Envelope.Payload, sameKeys.Root.Zone()), st, sealed)
	})
	// A statement for the other zone, on this zone's policy, by its sealer.
	s := st.Statement
	s.Zone = sameKeys.Root.Zone()
	for name, root := range map[string]*policy.Root{"root of its zone": sameKeys.Root, "root of the policy's zone": z.Root} {
		if err := signed(t, z, s, "sam").Verify(root, z.Policy); !errors.Is(err, seal.ErrSeal) {
			t.Errorf("a statement of another zone holds under the %s: %v", name, err)
		}
	}
}

// TestSwaps puts parts of one sealed secret into another of the same policy.
//
// SPEC SEAL-4
// R1: swapped for another's
func TestSwaps(t *testing.T) {
	t.Parallel()
	z := testkit.NewZone(t)
	st, sealed := z.Sealed(t)
	v := testkit.Value("another secret of the same size")
	st2, err := seal.NewStatement(z.Policy, seal.Name{ID: testkit.SecretID, Version: 2, IssuedAt: testkit.Now}, v)
	if err != nil {
		t.Fatal(err)
	}
	sealed2, err := seal.Seal(z.Policy, st2, z.Root.Group(testkit.Group), v)
	if err != nil {
		t.Fatal(err)
	}
	again, err := seal.Seal(z.Policy, st, z.Root.Group(testkit.Group), testkit.Value(testkit.Plain))
	if err != nil {
		t.Fatal(err)
	}
	opens(t, gate{z.Gate, z.Policy}, st, again)
	a, b, c := apart(t, sealed), apart(t, sealed2), apart(t, again)
	for name, p := range map[string]parts{
		"header":                           {b.Header, a.Commit, a.Wraps, a.Text},
		"commitment":                       {a.Header, b.Commit, a.Wraps, a.Text},
		"wraps":                            {a.Header, a.Commit, b.Wraps, a.Text},
		"text":                             {a.Header, a.Commit, a.Wraps, b.Text},
		"all but header":                   {a.Header, b.Commit, b.Wraps, b.Text},
		"all but text":                     {b.Header, b.Commit, b.Wraps, a.Text},
		"wraps of a sister":                {a.Header, a.Commit, c.Wraps, a.Text},
		"text of a sister":                 {a.Header, a.Commit, a.Wraps, c.Text},
		"commitment and wraps of a sister": {a.Header, c.Commit, c.Wraps, a.Text},
		"encapsulation":                    {a.Header, a.Commit, []wrap{{b.Wraps[0].Enc, a.Wraps[0].Key}}, a.Text},
		"no wraps":                         {a.Header, a.Commit, nil, a.Text},
		"one wrap too many":                {a.Header, a.Commit, []wrap{a.Wraps[0], b.Wraps[0]}, a.Text},
	} {
		for _, s := range []*seal.Signed{st, st2} {
			refuses(t, name, func() (*seal.Value, error) { return seal.Open(z.Gate, z.Policy, s, encode(t, &p)) })
		}
	}
	refuses(t, "statement", func() (*seal.Value, error) { return seal.Open(z.Gate, z.Policy, st2, sealed) })
	refuses(t, "no statement", func() (*seal.Value, error) { return seal.Open(z.Gate, z.Policy, nil, sealed) })
}

// TestRecipients seals to two gates: each opens with its own wrap and with no
// other, and nobody can be added.
//
// SPEC SEAL-2
func TestRecipients(t *testing.T) {
	t.Parallel()
	z := testkit.NewZone(t)
	second := testkit.GateKey(t, "second", "prod/2026-11/2")
	outsider := testkit.GateKey(t, "outsider", "prod/2026-11/3")
	v := testkit.Value(testkit.Plain)
	st := z.Statement(t, z.Policy, v)
	sealed, err := seal.Seal(z.Policy, st, []policy.KEMKey{z.Gate.Public(), second.Public()}, v)
	if err != nil {
		t.Fatal(err)
	}
	opens(t, gate{z.Gate, z.Policy}, st, sealed)
	opens(t, gate{second, z.Policy}, st, sealed)
	for name, k := range map[string]seal.GateKey{
		"an outsider":              outsider,
		"an outsider under a name": testkit.GateKey(t, "outsider", z.Gate.ID()),
		"the right key misnamed":   testkit.GateKey(t, "gate", "prod/2026-11/9"),
		"one under the other's":    testkit.GateKey(t, "gate", second.ID()),
		"the zero key":             {},
	} {
		refuses(t, name, func() (*seal.Value, error) { return seal.Open(k, z.Policy, st, sealed) })
	}
	p := apart(t, sealed)
	p.Wraps[0], p.Wraps[1] = p.Wraps[1], p.Wraps[0]
	for _, k := range []seal.GateKey{z.Gate, second} {
		refuses(t, "swapped wraps", func() (*seal.Value, error) { return seal.Open(k, z.Policy, st, encode(t, &p)) })
	}
	h, err := seal.ParseHeader(sealed)
	if err != nil || len(h.Recipients) != 2 || h.Recipients[1].KeyID != second.ID() || h.Recipients[1].Group != testkit.Group {
		t.Errorf("header %+v: %v", h, err)
	}
}

// TestSizes seals secrets of every size class, and refuses what is empty, too
// large, or for nobody.
//
// SPEC SEAL-5
func TestSizes(t *testing.T) {
	t.Parallel()
	z := testkit.NewZone(t)
	keys := z.Root.Group(testkit.Group)
	for _, n := range []int{1, 15, 16, 17, 31, 32, 33, 255, 256, 4096, 65535 / 2, 32 << 10} {
		plain := strings.Repeat("s", n)
		v := seal.NewValue(secret.Take([]byte(plain)))
		st := z.Statement(t, z.Policy, v)
		sealed, err := seal.Seal(z.Policy, st, keys, v)
		if err != nil {
			t.Fatalf("%d bytes: %v", n, err)
		}
		got, err := seal.Open(z.Gate, z.Policy, st, sealed)
		if err != nil || !got.Secret.Equal(secret.Take([]byte(plain))) || !bytes.Equal(got.Salt, v.Salt) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	for _, n := range []int{0, 32<<10 + 1} {
		v := seal.NewValue(secret.Take(make([]byte, n)))
		if _, err := seal.Seal(z.Policy, z.Statement(t, z.Policy, v), keys, v); !errors.Is(err, seal.ErrSeal) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	st, sealed := z.Sealed(t)
	v := testkit.Value(testkit.Plain)
	for _, n := range []int{0, 17} {
		if _, err := seal.Seal(z.Policy, st, make([]policy.KEMKey, n), v); !errors.Is(err, seal.ErrSeal) {
			t.Errorf("%d recipients: %v", n, err)
		}
	}
	long := keys[0]
	long.ID = strings.Repeat("k", 64<<10)
	if _, err := seal.Seal(z.Policy, st, []policy.KEMKey{long}, v); !errors.Is(err, seal.ErrSeal) {
		t.Errorf("a blob that is too large to open: %v", err)
	}
	p := apart(t, sealed)
	p.Text = append(p.Text, make([]byte, 64<<10)...)
	for name, b := range map[string][]byte{"empty": {}, "oversized": encode(t, &p)} {
		refuses(t, name, func() (*seal.Value, error) { return seal.Open(z.Gate, z.Policy, st, b) })
		if _, err := seal.ParseHeader(b); !errors.Is(err, seal.ErrSeal) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestForgedHeader makes blobs as a sealer with code of his own can: well
// encrypted under the right policy, but with a header that names another secret
// than the statement, or over another value.
//
// SPEC SEAL-4
// A4
// R1
// R63: another KEM is not opened
// guard: open-identity, open-statement, open-commitment, open-zero-policy
func TestForgedHeader(t *testing.T) {
	t.Parallel()
	z := testkit.NewZone(t)
	st, sealed := z.Sealed(t)
	keys := z.Root.Group(testkit.Group)
	header, err := seal.ParseHeader(sealed)
	if err != nil {
		t.Fatal(err)
	}
	forge := func(p *policy.Verified, v *seal.Value, change func(*seal.Header)) []byte {
		h := *header
		h.Recipients = append([]seal.Recipient(nil), h.Recipients...)
		change(&h)
		b, err := seal.Forge(p, &h, keys, v)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	v := testkit.Value(testkit.Plain)
	opens(t, gate{z.Gate, z.Policy}, st, forge(z.Policy, v, func(*seal.Header) {})) // the control
	for name, change := range map[string]func(*seal.Header){
		"alias":     func(h *seal.Header) { h.Alias = "dev/x" },
		"id":        func(h *seal.Header) { h.ID = "other-key" },
		"version":   func(h *seal.Header) { h.Version = 99 },
		"kind":      func(h *seal.Header) { h.Kind = "raw" },
		"statement": func(h *seal.Header) { h.Statement[0]++ },
		"type":      func(h *seal.Header) { h.Typ = "writ-seal/2" },
		"t":         func(h *seal.Header) { h.T = 2 },
		"no t":      func(h *seal.Header) { h.T = 0 },
		"shares":    func(h *seal.Header) { h.Shares = [][]byte{{1}} },
		"KEM":       func(h *seal.Header) { h.Recipients[0].KEM = "x25519" },
		"key":       func(h *seal.Header) { h.Recipients[0].KeyID = "another" },
		"nobody":    func(h *seal.Header) { h.Recipients = nil },
		"too many":  func(h *seal.Header) { h.Recipients = make([]seal.Recipient, 17) },
	} {
		b := forge(z.Policy, v, change)
		refuses(t, name, func() (*seal.Value, error) { return seal.Open(z.Gate, z.Policy, st, b) })
	}
	// A statement of the same value that is not the one the header commits to.
	s := st.Statement
	s.IssuedAt++
	refuses(t, "a later statement", func() (*seal.Value, error) { return seal.Open(z.Gate, z.Policy, signed(t, z, s, "sam"), sealed) })
	// Another value than the sealer vouched for.
	b := forge(z.Policy, testkit.Value("the attacker's"), func(*seal.Header) {})
	refuses(t, "another value", func() (*seal.Value, error) { return seal.Open(z.Gate, z.Policy, st, b) })
	// Sealed under no policy at all.
	b = forge(&policy.Verified{}, v, func(*seal.Header) {})
	refuses(t, "the zero policy", func() (*seal.Value, error) { return seal.Open(z.Gate, &policy.Verified{}, st, b) })
}

// TestSealRefuses offers Seal what it must not seal.
//
// SPEC SEAL-3
// A4
// R63: a key of another KEM is no recipient
// guard: seal-declared, kem-known
func TestSealRefuses(t *testing.T) {
	t.Parallel()
	z := testkit.NewZone(t)
	v := testkit.Value(testkit.Plain)
	st := z.Statement(t, z.Policy, v)
	keys := z.Root.Group(testkit.Group)
	statement := func(change func(*seal.Statement)) *seal.Signed {
		s := st.Statement
		change(&s)
		return signed(t, z, s, "sam")
	}
	other := keys[0]
	other.KEM = "mlkem1024"
	broken := keys[0]
	broken.Public = broken.Public[1:]
	if _, err := seal.Seal(z.Policy, st, keys, v); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		p    *policy.Verified
		st   *seal.Signed
		keys []policy.KEMKey
		v    *seal.Value
	}{
		"no policy":         {nil, st, keys, v},
		"zero policy":       {&policy.Verified{}, st, keys, v},
		"unverified policy": {policy.UnverifiedBytes(z.Envelope.Payload, z.Root.Zone()), st, keys, v},
		"id":                {z.Policy, statement(func(s *seal.Statement) { s.ID = "other" }), keys, v},
		"kind":              {z.Policy, statement(func(s *seal.Statement) { s.Kind = "raw" }), keys, v},
		"alias":             {z.Policy, statement(func(s *seal.Statement) { s.Alias = "dev/x" }), keys, v},
		"another value":     {z.Policy, st, keys, testkit.Value("other")},
		"short salt":        {z.Policy, st, keys, &seal.Value{Secret: v.Secret, Salt: v.Salt[:31]}},
		"other KEM":         {z.Policy, st, []policy.KEMKey{other}, v},
		"broken key":        {z.Policy, st, []policy.KEMKey{broken}, v},
	} {
		if b, err := seal.Seal(c.p, c.st, c.keys, c.v); !errors.Is(err, seal.ErrSeal) || b != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestGateKeyDoesNotPrint looks for the seed in what every verb makes of a key.
//
// SPEC SEAL-8
func TestGateKeyDoesNotPrint(t *testing.T) {
	t.Parallel()
	k, err := seal.NewGateKey("prod/1", secret.Take(bytes.Repeat([]byte{0xa7}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []any{k, &k, []seal.GateKey{k}, struct{ k seal.GateKey }{k}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%b"} {
			out := fmt.Sprintf(verb, v)
			if strings.Contains(out, "a7a7a7a7a7a7") || strings.Contains(out, "167 167 167 167") || strings.Contains(out, "0xa7, 0xa7, 0xa7") {
				t.Errorf("%s of %T: %s", verb, v, out)
			}
		}
	}
	if _, err := seal.NewGateKey("prod/1", secret.Take(make([]byte, 31))); !errors.Is(err, seal.ErrSeal) {
		t.Errorf("a short seed: %v", err)
	}
	fresh, err := seal.NewGateKey("prod/2", seal.GenerateKey())
	if err != nil || len(fresh.Public().Public) != 1216 {
		t.Errorf("a generated key: %v", err)
	}
}
