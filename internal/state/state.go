// Package state keeps what must not race: which proofs were used, what quotas
// have left, which idempotency keys are taken. One reservation takes all of them
// or none.
//
// The state follows from the ledger: each intent carries what it took, and
// replaying the receipts in order gives the same state. It is kept in memory by
// one process; gates that share their state have it in a database instead.
package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/op/release"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/receipt"
)

// ErrState is wrapped by every error of this package.
var ErrState = errors.New("state")

// A Reservation is all that one use takes.
type Reservation struct {
	At        int64        // Unix seconds
	Replay    canon.Digest // zero: the channel keeps proofs from being replayed
	ReplayEnd int64        // Unix seconds until which Replay is remembered
	Issued    int64        // Unix seconds; what the holder's clock said when it signed; 0: not said
	Debits    []policy.Debit
	Idem      canon.Digest // scope of the idempotency key; zero: none
	IdemEnd   int64
	Operation canon.Digest // of what is asked; another under the same Idem is a conflict
}

// A State is the memory of one replay domain. It is safe for concurrent use.
type State struct {
	mu       sync.Mutex
	counters map[canon.Digest]counter     // guarded by mu
	replay   map[canon.Digest]struct{}    // guarded by mu
	ending   map[int64][]canon.Digest     // guarded by mu; replay ids by the second of their end
	idem     map[canon.Digest]idempotency // guarded by mu
	released map[canon.Digest]struct{}    // guarded by mu; secrets that were given out in the clear
	swept    int64                        // guarded by mu; Unix seconds
	lost     int64                        // guarded by mu; Unix seconds; uses until then may have been forgotten
}

type counter struct {
	used  int64
	until int64
}

type idempotency struct {
	operation canon.Digest
	done      bool
	end       int64
}

// New returns an empty State.
func New() *State {
	return &State{
		counters: make(map[canon.Digest]counter),
		replay:   make(map[canon.Digest]struct{}),
		ending:   make(map[int64][]canon.Digest),
		idem:     make(map[canon.Digest]idempotency),
		released: make(map[canon.Digest]struct{}),
	}
}

// A Refusal says which part of a reservation could not be taken.
type Refusal struct {
	Denial *op.Denial
	Debit  *policy.Debit // the one without room, if a quota refused
	Used   int64         // what its counter stood at
}

// Reserve takes everything in r, or nothing. It returns nil if all was taken.
//
// Exactly N uses of a limit of N are taken under any concurrency. SPEC STATE-1,
// STATE-2, STATE-3.
func (s *State) Reserve(r *Reservation) *Refusal {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.prune(r.At)
	if ref := s.check(r); ref != nil {
		return ref
	}
	s.take(r)
	return nil
}

func (s *State) check(r *Reservation) *Refusal {
	if !r.Replay.IsZero() {
		if _, used := s.replay[r.Replay]; used { //guard:R18 replay-used
			return refuse(op.Replayed, "this proof was used before; sign a new one for each request")
		}
		if r.Issued != 0 && r.Issued <= s.lost { //guard:A33 replay-lost
			return refuse(op.Replayed, "the gate lost power or was restored, and proofs from before may have been used; sign a new one")
		}
		if r.ReplayEnd <= s.swept { //guard:A14 replay-end
			return refuse(op.Replayed, "this proof is too old to be told from a replay")
		}
		if len(s.replay) >= maxReplayIDs {
			return refuse(op.StateUnavailable, "too many proofs are in use at once; try again")
		}
	}
	if !r.Idem.IsZero() {
		if d := s.checkIdem(r); d != nil {
			return d
		}
	}
	return s.checkDebits(r)
}

func (s *State) checkIdem(r *Reservation) *Refusal {
	have, taken := s.idem[r.Idem]
	switch {
	case !taken:
		return nil
	case have.operation.IsZero(): // restored: the receipts do not say for which operation
		return refuse(op.IdemDone, "the idempotency key was used before the gate last started")
	case have.operation != r.Operation: //guard:R18 idem-conflict
		return refuse(op.IdemConflict, "the idempotency key was used for another operation")
	case !have.done:
		return refuse(op.IdemInProgress, "the first use of the idempotency key has not ended")
	}
	return refuse(op.IdemDone, "the operation was done under this idempotency key, and is not done again")
}

// checkDebits compares sums per counter, since one use may debit one counter
// twice.
func (s *State) checkDebits(r *Reservation) *Refusal {
	sums := make(map[canon.Digest]int64, len(r.Debits))
	for i := range r.Debits {
		d := &r.Debits[i]
		used := s.counters[d.Key].used
		sum := sums[d.Key] + d.N
		if d.N < 0 || sum < d.N { //guard:A7 debit-checked
			return &Refusal{Denial: &op.Denial{Code: op.QuotaExceeded, Rule: d.ID, Reason: "the amount is out of range"}, Debit: d, Used: used}
		}
		if used > d.Limit || sum > d.Limit-used { //guard:R7 quota-room
			return &Refusal{
				Denial: &op.Denial{Code: op.QuotaExceeded, Rule: d.ID, Reason: fmt.Sprintf("%d of %d are used; this takes %d", used, d.Limit, d.N)},
				Debit:  d, Used: used,
			}
		}
		sums[d.Key] = sum
	}
	for k := range sums {
		if _, ok := s.counters[k]; !ok && len(s.counters) >= maxCounters {
			return refuse(op.StateUnavailable, "too many counters are alive; try again later")
		}
	}
	return nil
}

func refuse(c op.Code, reason string) *Refusal { return &Refusal{Denial: op.Deny(c, reason)} }

func (s *State) take(r *Reservation) {
	if !r.Replay.IsZero() {
		s.remember(r.Replay, r.ReplayEnd)
	}
	for _, d := range r.Debits {
		s.debit(d.Key, d.N, d.Until)
	}
	if !r.Idem.IsZero() {
		s.idem[r.Idem] = idempotency{operation: r.Operation, end: r.IdemEnd}
	}
}

func (s *State) remember(id canon.Digest, end int64) {
	s.replay[id] = struct{}{}
	s.ending[end] = append(s.ending[end], id)
}

func (s *State) debit(key canon.Digest, n, until int64) {
	c := s.counters[key]
	c.used += n
	c.until = until
	s.counters[key] = c
}

// Release gives back what r took, except that its proof stays used. Only a use
// that provably was not sent is released. SPEC STATE-4.
func (s *State) Release(r *Reservation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range r.Debits {
		s.debit(d.Key, -d.N, d.Until)
	}
	delete(s.idem, r.Idem)
}

// Done marks r's idempotency key as used to the end.
func (s *State) Done(r *Reservation) {
	if r.Idem.IsZero() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if have, ok := s.idem[r.Idem]; ok {
		have.done = true
		s.idem[r.Idem] = have
	}
}

// prune forgets what can no longer matter at the time at.
func (s *State) prune(at int64) {
	if s.swept == 0 {
		s.swept = at
	}
	for t := s.swept; t < at; t++ {
		for _, id := range s.ending[t] {
			delete(s.replay, id)
		}
		delete(s.ending, t)
	}
	sweep := at/pruneEvery > s.swept/pruneEvery
	s.swept = max(s.swept, at)
	if !sweep {
		return
	}
	for k, c := range s.counters {
		if c.until != 0 && c.until <= at-keepPast {
			delete(s.counters, k)
		}
	}
	for k, i := range s.idem {
		if i.end <= at-keepPast {
			delete(s.idem, k)
		}
	}
}

// ReleasedKey returns the key under which a release of a version of a secret is
// remembered.
func ReleasedKey(alias string, s receipt.SecretRef) canon.Digest {
	a, i := canon.Hash([]byte(alias)), canon.Hash([]byte(s.ID))
	return canon.Sum("writ-released/1", a[:], i[:], binary.BigEndian.AppendUint64(nil, s.Version))
}

// Released reports whether the key was marked: what was given out once is known
// elsewhere for ever.
func (s *State) Released(key canon.Digest) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.released[key]
	return ok
}

// MarkReleased marks the key, before the secret is opened.
func (s *State) MarkReleased(key canon.Digest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.released[key] = struct{}{}
}

// Restore applies one receipt of the ledger, in order: what an intent took, and
// what an outcome gave back. at is the time now, in Unix seconds. SPEC STATE-5.
func (s *State) Restore(r *receipt.Receipt, at int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.swept = max(s.swept, at) // what had ended by then is not here, and is not taken again
	sign := int64(1)
	switch {
	case r.Kind == receipt.Intent:
		if !r.Replay.IsZero() && r.ReplayEnd > at {
			s.remember(r.Replay, r.ReplayEnd)
		}
		if r.OpType == release.DocumentType && r.Secret != nil {
			s.released[ReleasedKey(r.Alias, *r.Secret)] = struct{}{}
		}
		if r.Idem != nil && r.Idem.End > at-keepPast {
			s.idem[r.Idem.Scope] = idempotency{done: true, end: r.Idem.End}
		}
	case r.Kind == receipt.Outcome && r.Outcome.Class == receipt.NotSent:
		sign = -1 // its debits are what was given back
		if r.Idem != nil {
			delete(s.idem, r.Idem.Scope)
		}
	default:
		return
	}
	for _, d := range r.Debits {
		if d.End == 0 || d.End > at-keepPast {
			s.debit(d.Key, sign*int64(d.Amount), d.End)
		}
	}
}

// Lost says that uses up to the time at, in Unix seconds, may have been forgotten:
// proofs that were signed until then are refused. SPEC STATE-6.
func (s *State) Lost(at int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost = max(s.lost, at)
}

// Used returns what the counter stands at.
func (s *State) Used(key canon.Digest) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counters[key].used
}

// ReceiptDebits returns debits as a receipt has them.
func ReceiptDebits(debits []policy.Debit) []receipt.Debit {
	var out []receipt.Debit
	for _, d := range debits {
		out = append(out, receipt.Debit{Key: d.Key, ID: d.ID, Amount: uint64(d.N), End: d.Until})
	}
	return out
}
