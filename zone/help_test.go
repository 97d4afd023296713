package zone_test

import (
	"errors"
	"flag"
	"reflect"
	"testing"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/credential"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/sign"
	"github.com/writhq/writ/zone"
)

var update = flag.Bool("update", false, "write vectors/zone from the cases in this package")

// A world is the usual zone and a log of it.
type world struct {
	*testkit.Zone
	t       testing.TB
	z       *zone.Zone
	entries [][]byte
	now     int64
}

func newWorld(t testing.TB) *world { return newWorldWith(t, testkit.Config{}) }

func newWorldWith(t testing.TB, c testkit.Config) *world {
	t.Helper()
	w := &world{Zone: testkit.NewZoneWith(t, c), t: t, now: testkit.Now}
	w.z = w.begin(testkit.Now)
	return w
}

// begin returns the state before the first entry, for a reader at the time.
func (w *world) begin(at int64) *zone.Zone {
	w.t.Helper()
	z, err := zone.New(w.Root.Zone(), []*sign.Envelope{w.RootEnvelope}, at)
	if err != nil {
		w.t.Fatal(err)
	}
	return z
}

func (w *world) entry(e *sign.Envelope) []byte {
	w.t.Helper()
	b, err := (&zone.Entry{LoggedAt: w.now, Envelope: e}).Encode()
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

// ok admits the document, a second after the one before.
func (w *world) ok(what string, e *sign.Envelope) {
	w.t.Helper()
	w.now++
	b := w.entry(e)
	if err := w.z.Admit(b); err != nil {
		w.t.Fatalf("%s: %v", what, err)
	}
	w.entries = append(w.entries, b)
}

// no sees that the document is refused and leaves no trace.
func (w *world) no(what string, e *sign.Envelope) {
	w.t.Helper()
	before := w.z.Snapshot()
	err := w.z.Admit(w.entry(e))
	if !errors.Is(err, zone.ErrRefused) || !errors.Is(err, zone.ErrZone) {
		w.t.Errorf("%s: %v", what, err)
	}
	if !reflect.DeepEqual(before, w.z.Snapshot()) {
		w.t.Errorf("%s: it is refused and leaves a trace", what)
	}
}

// replay returns what another reader makes of the log, at the time.
func (w *world) replay(at int64) *zone.Zone {
	w.t.Helper()
	z := w.begin(at)
	for i, b := range w.entries {
		if _, err := z.Apply(b); err != nil {
			w.t.Fatalf("entry %d: %v", i, err)
		}
	}
	return z
}

func (w *world) by(names ...string) []sign.Signer {
	var out []sign.Signer
	for _, n := range names {
		out = append(out, w.Key(n))
	}
	return out
}

// alias returns the record that puts p in force.
func (w *world) alias(p *policy.Verified, by ...string) *sign.Envelope {
	return w.aliasWith(p, nil, by...)
}

func (w *world) aliasWith(p *policy.Verified, change func(*zone.AliasRecord), by ...string) *sign.Envelope {
	w.t.Helper()
	d := p.Document()
	rec := zone.AliasRecord{Zone: w.Root.Zone(), Alias: d.Alias, Version: d.Version, Policy: p.ID()}
	if change != nil {
		change(&rec)
	}
	return testkit.Envelope(w.t, zone.AliasType, rec, w.by(by...)...)
}

// policy returns a policy by ana and bo with the envelope that holds it.
func (w *world) policy(prev *policy.Verified, change func(*policy.Document)) (*policy.Verified, *sign.Envelope) {
	w.t.Helper()
	d := testkit.Document(w.Root.Zone())
	if prev != nil {
		d = testkit.Next(prev)
	}
	if change != nil {
		change(d)
	}
	e := testkit.Envelope(w.t, policy.PayloadType, d, w.by("ana", "bo")...)
	p, err := policy.Verify(e, w.Root, prev)
	if err != nil {
		w.t.Fatal(err)
	}
	return p, e
}

// inForce puts the usual policy in force.
func (w *world) inForce() *world {
	w.t.Helper()
	w.ok("policy", w.Envelope)
	w.ok("alias", w.alias(w.Policy, "ana", "bo"))
	return w
}

// succeed puts a successor of the policy in force.
func (w *world) succeed(prev *policy.Verified) *policy.Verified {
	w.t.Helper()
	p, e := w.policy(prev, nil)
	w.ok("successor", e)
	w.ok("its alias", w.alias(p, "ana", "bo"))
	return p
}

// root returns the root that follows the newest, changed, by ana and bo.
func (w *world) root(change func(*policy.RootDocument)) *sign.Envelope {
	w.t.Helper()
	roots := w.z.Roots()
	d, err := policy.ParseRoot(roots[len(roots)-1].Payload)
	if err != nil {
		w.t.Fatal(err)
	}
	d.Version++
	d.Prev = w.z.Root().ID()
	if change != nil {
		change(d)
	}
	return testkit.Envelope(w.t, policy.RootType, d, w.by("ana", "bo")...)
}

// revoke returns a revocation in the usual namespace.
func (w *world) revoke(kind zone.RevokeKind, id canon.Digest, by ...string) *sign.Envelope {
	return w.revokeWith(zone.RevokeRecord{Kind: kind, ID: id}, w.by(by...)...)
}

func (w *world) revokeWith(rec zone.RevokeRecord, by ...sign.Signer) *sign.Envelope {
	w.t.Helper()
	if rec.Zone.IsZero() {
		rec.Zone = w.Root.Zone()
	}
	if rec.Alias == "" {
		rec.Alias = testkit.Alias
	}
	return testkit.Envelope(w.t, zone.RevokeType, rec, by...)
}

func (w *world) verified(c *credential.Chain) *credential.Verified {
	w.t.Helper()
	v, err := c.Verify(w.Policy, w.Root)
	if err != nil {
		w.t.Fatal(err)
	}
	return v
}

// decides fails the test unless p decides for the usual alias.
func (w *world) decides(what string, p *policy.Verified) {
	w.t.Helper()
	have, ok := w.z.InForce(testkit.Alias)
	if ok != (p != nil) || ok && have.ID() != p.ID() {
		w.t.Errorf("%s: another policy decides", what)
	}
}
