package control

import (
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/writhq/writ/api"
	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/credential"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/sign"
	"github.com/writhq/writ/zone"
)

// revocations bounds what revocations can do to a log that only grows: whoever has
// a copy of one can send it again, and a holder can make up as many blocks of its
// own to revoke as it likes.
type revocations struct {
	mu      sync.Mutex
	taken   map[canon.Digest]uint64 // guarded by mu; index of those that were taken, by document
	holders map[string]*bucket      // guarded by mu; by the grant's id
}

// again returns the index of a document that was taken before.
func (r *revocations) again(d canon.Digest) (uint64, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	i, ok := r.taken[d]
	return i, ok
}

func (r *revocations) remember(d canon.Digest, index uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.taken == nil || len(r.taken) >= maxRemembered {
		r.taken = make(map[canon.Digest]uint64)
	}
	r.taken[d] = index
}

// holder reports whether the holders of the grant may revoke once more now.
func (r *revocations) holder(grant []byte, now time.Time) bool {
	r.mu.Lock()
	b := r.holders[string(grant)]
	if b == nil {
		if r.holders == nil || len(r.holders) >= maxRemembered {
			r.holders = make(map[string]*bucket)
		}
		b = &bucket{burst: maxHolderBurst, every: maxHolderEvery}
		r.holders[string(grant)] = b
	}
	r.mu.Unlock()
	return b.take(now)
}

// revoke takes a revocation. One that was taken is not taken again. One by a
// holder must be of a credential that an issuer made: else a stranger could fill
// the log with revocations of what is nobody's. SPEC CTRL-17.
func (a *API) revoke(w http.ResponseWriter, r *http.Request, e *sign.Envelope) error {
	if i, ok := a.revoked.again(e.Digest()); ok {
		return reply(w, api.Published{Index: i, Document: e.Digest()})
	}
	var rec zone.RevokeRecord
	if err := canon.DecodeJSON(e.Payload, &rec); err != nil {
		return malformed("record", err)
	}
	if err := a.endedAlready(&rec); err != nil {
		return a.refused(e, err)
	}
	if rec.Credential != "" {
		if err := a.byHolder(&rec); err != nil {
			return a.refused(e, err)
		}
	}
	i, err := a.append(r.Context(), w, e)
	if err == nil {
		a.revoked.remember(e.Digest(), i)
	}
	return err
}

// endedAlready returns an error if the record is of a key or gate that is revoked:
// these belong to the zone, so once is enough, whoever said it. Each revocation of
// a key drops all policies that wait, so that an old one, sent again by anybody,
// would be a veto.
func (a *API) endedAlready(rec *zone.RevokeRecord) (err error) {
	if rec.Kind != zone.RevokeKey && rec.Kind != zone.RevokeGate {
		return nil
	}
	verr := a.authority().Log.View(func(z *zone.Zone) {
		if z.Revoked(rec.Kind, rec.ID) { // the log would refuse it too, with an error instead of an answer
			err = fmt.Errorf("%w: revocation: it is revoked already", zone.ErrRefused)
		}
	})
	return errors.Join(verr, err)
}

// byHolder returns nil if the record's credential holds under the policy in force,
// and its grant has not revoked too much.
func (a *API) byHolder(rec *zone.RevokeRecord) error {
	c, err := credential.ParseText(rec.Credential)
	if err != nil {
		return fmt.Errorf("%w: revocation: %w", zone.ErrRefused, err)
	}
	var p *policy.Verified
	var root *policy.Root
	verr := a.authority().Log.View(func(z *zone.Zone) {
		p, _ = z.InForce(c.Grant.Alias)
		root = z.Root()
	})
	if verr != nil {
		return verr
	}
	if _, err := c.Verify(p, root); err != nil { //guard:R44 revoke-vouched
		return fmt.Errorf("%w: revocation by a holder: %w", zone.ErrRefused, err)
	}
	if !a.revoked.holder(c.Grant.ID, a.c.Now()) { //guard:R11 holder-rate
		return tooMany("too many revocations by holders of this grant; revoke an earlier block, or ask the namespace's revokers")
	}
	return nil
}
