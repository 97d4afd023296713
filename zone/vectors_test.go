package zone_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/sign"
	"github.com/writhq/writ/zone"
)

const logFile = "../vectors/zone/log.json"

// A logVector is an entry, in the order of the log, and what becomes of it.
type logVector struct {
	Name  string `json:"name"`
	Entry string `json:"entry"`
	Error string `json:"error,omitempty"` // refused: it counts and changes nothing; order: the log ends here
}

type termV struct {
	Policy string `json:"policy"`
	From   int64  `json:"from"`
}

type secretV struct {
	Alias   string     `json:"alias"`
	ID      string     `json:"id"`
	Version int64      `json:"version"`
	Policy  string     `json:"policy"`
	State   zone.State `json:"state"`
}

type logVectors struct {
	Format  string      `json:"format"`
	Pin     string      `json:"pin"`
	Genesis string      `json:"genesis"` // envelope
	Cases   []logVector `json:"cases"`
	Root    string      `json:"root"` // in force at the end
	Size    uint64      `json:"size"`
	Alias   string      `json:"alias"`
	History []termV     `json:"history"` // of alias
	Secrets []secretV   `json:"secrets"`
}

func logCases(t *testing.T) logVectors {
	w := newWorld(t)
	f := logVectors{Format: "a policy log", Pin: w.Root.Zone().String(), Genesis: testkit.EnvelopeText(t, w.RootEnvelope)}
	add := func(name, failure string, e *sign.Envelope) {
		w.now++
		b := w.entry(e)
		f.Cases = append(f.Cases, logVector{name, string(b), failure})
		if _, err := w.z.Apply(b); (err != nil) != (failure != "") {
			t.Fatalf("%s: %v", name, err)
		}
	}
	two, e2 := w.policy(w.Policy, nil)
	twin, et := w.policy(w.Policy, func(d *policy.Document) { d.Expires++ })
	add("a record of what is not published", "refused", w.alias(w.Policy, "ana", "bo"))
	add("policy", "", w.Envelope)
	add("record by one", "refused", w.alias(w.Policy, "ana"))
	add("record by two keys of one", "refused", w.alias(w.Policy, "ana", "ana2"))
	add("record of another zone", "refused", w.aliasWith(w.Policy, func(r *zone.AliasRecord) { r.Zone[0] ^= 1 }, "ana", "bo"))
	add("record", "", w.alias(w.Policy, "ana", "bo"))
	add("the same record", "refused", w.alias(w.Policy, "ana", "bo"))
	add("secret by a gate", "refused", w.record(w.Policy, 1, nil, "gate-1"))
	add("secret", "", w.record(w.Policy, 1, nil, "sam"))
	add("the version again with another statement", "refused", w.record(w.Policy, 1, func(r *zone.SecretRecord) { r.Statement = w.statement(two, 1, "sam") }, "sam"))
	add("successor", "", e2)
	add("its twin", "", et)
	add("record of the successor", "", w.alias(two, "ana", "bo"))
	add("record of the twin", "refused", w.alias(twin, "ana", "bo"))
	add("re-seal by a sealer", "refused", w.record(two, 1, nil, "sam"))
	add("re-seal", "", w.record(two, 1, nil, "gate-1"))
	add("an older policy", "refused", w.Envelope)
	add("revocation by a sealer", "refused", w.revoke(zone.RevokeGate, canon.Hash([]byte("gate-1")), "sam"))
	add("revocation of the gate", "", w.revoke(zone.RevokeGate, canon.Hash([]byte("gate-1")), "bo"))
	add("re-seal by the revoked gate", "refused", w.record(two, 1, nil, "gate-1"))
	add("destroy", "", w.record(two, 1, state(zone.Destroyed), "sam"))
	add("a new version of what is destroyed", "refused", w.record(two, 2, nil, "sam"))
	add("next root", "", w.root(nil))
	add("the genesis again", "refused", w.RootEnvelope)
	three, e3 := w.policy(two, nil)
	add("third", "", e3)
	add("veto of the third", "", w.revoke(zone.RevokePolicy, three.ID(), "ana"))
	add("record of the third", "refused", w.alias(three, "ana", "bo"))
	add("unknown type", "refused", &sign.Envelope{PayloadType: "application/json", Payload: []byte("{}")})
	w.now = w.z.LoggedAt() - 2
	add("a time that goes back", "order", e3)
	f.conclude(w.z)
	return f
}

// conclude sets what the log gives.
func (f *logVectors) conclude(z *zone.Zone) {
	f.Root, f.Size, f.Alias, f.History, f.Secrets = z.Root().ID().String(), z.Size(), testkit.Alias, nil, nil
	for _, x := range z.History(f.Alias) {
		f.History = append(f.History, termV{x.Policy.ID().String(), x.From})
	}
	for _, s := range z.Secrets() {
		f.Secrets = append(f.Secrets, secretV{s.Alias, s.ID, s.Version, s.Policy.String(), s.State})
	}
}

// TestLogVectors replays vectors/zone/log.json.
//
// SPEC ZONE-1, ZONE-2, ZONE-3, ZONE-4, ZONE-5, ZONE-6
// R25
func TestLogVectors(t *testing.T) {
	t.Parallel()
	f := testkit.Vectors(t, *update, logFile, logCases(t))
	pin, err := canon.ParseDigest(f.Pin)
	if err != nil {
		t.Fatal(err)
	}
	z, err := zone.New(pin, []*sign.Envelope{testkit.EnvelopeOf(t, f.Genesis)}, 0)
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	for _, v := range f.Cases {
		_, err := z.Apply([]byte(v.Entry))
		if errors.Is(err, zone.ErrRefused) != (v.Error == "refused") || errors.Is(err, zone.ErrOrder) != (v.Error == "order") || (err == nil) != (v.Error == "") {
			t.Errorf("%s: %v", v.Name, err)
		}
		if err != nil {
			refused++
		}
	}
	var have logVectors
	have.conclude(z)
	if have.Root != f.Root || have.Size != f.Size || !slices.Equal(have.History, f.History) || !slices.Equal(have.Secrets, f.Secrets) {
		t.Errorf("the log gives %+v", have)
	}
	if refused < 14 {
		t.Errorf("%d refused", refused)
	}
}
