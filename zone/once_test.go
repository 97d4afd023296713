package zone_test

import (
	"testing"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/zone"
)

// TestOnceInTheLog offers documents again that are in the log: anyone can, since
// they carry their signatures, and each would stay for ever.
//
// SPEC ZONE-3
// R56
// guard: candidate-once, revoke-once-logged, secret-record-once
func TestOnceInTheLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t).inForce()
	_, candidate := w.policy(w.Policy, func(d *policy.Document) { d.Expires++ })
	w.ok("a candidate", candidate)
	w.no("the candidate again", candidate)
	put := w.record(w.Policy, 1, nil, "sam")
	w.ok("a secret", put)
	w.no("its record again", put)
	retire := w.record(w.Policy, 1, state(zone.Retired), "sam")
	w.ok("its end", retire)
	w.no("its end again", retire)
	revoke := w.revoke(zone.RevokeKey, canon.Hash([]byte("a key")), "ana")
	w.ok("a revocation", revoke)
	w.no("the revocation again", revoke)
}
