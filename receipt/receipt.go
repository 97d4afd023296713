// Package receipt defines the signed record of one decision or act, how batches
// of them are signed, the evidence that a receipt commits to, and the auditor
// that checks a whole log of them.
//
// The package is pure: no clock, and no I/O but the reader that an export comes
// from. An [Auditor] is not safe for concurrent use; all else is.
package receipt

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/op"
)

// Type is the type string of a receipt's payload, and the domain of its id.
const Type = "writ-receipt/1"

// The errors of this package; all wrap [ErrReceipt].
var (
	ErrReceipt  = errors.New("receipt")
	ErrForm     = fmt.Errorf("%w: not a receipt in its one form", ErrReceipt)
	ErrVerify   = fmt.Errorf("%w: not verified", ErrReceipt)
	ErrEvidence = fmt.Errorf("%w: evidence does not match", ErrReceipt)
	ErrExport   = fmt.Errorf("%w: bad export", ErrReceipt)
)

// A Kind says what a receipt records. The zero Kind records nothing.
type Kind string

// The kinds of receipts. SPEC RCPT-2.
const (
	Intent   Kind = "intent"   // a permit: written before the act
	Outcome  Kind = "outcome"  // what became of an intent
	Denial   Kind = "denial"   // a no
	Approval Kind = "approval" // a person's yes to one operation
	Reseal   Kind = "reseal"   // a secret sealed under a successor policy
	Release  Kind = "release"  // a secret given out in the clear
	Admin    Kind = "admin"    // an administrative act; Note says which
	Tally    Kind = "tally"    // a count of refusals too many or too anonymous for one each
	Boot     Kind = "boot"     // the first and the last receipt of an epoch
)

func (k Kind) known() bool {
	switch k {
	case Intent, Outcome, Denial, Approval, Reseal, Release, Admin, Tally, Boot:
		return true
	}
	return false
}

// A Mode is what a policy demands of the record before the act: DESIGN's
// receipts.mode. The zero Mode promises nothing and is refused.
type Mode string

// The modes. SPEC RCPT-3.
const (
	Buffered  Mode = "buffered"  // written to the kernel before the act, on the disk within 10 ms
	Durable   Mode = "durable"   // on the disk before the act
	Witnessed Mode = "witnessed" // cosigned before the act
)

// A Class is what became of an act. The zero Class is refused.
type Class string

// The classes of outcomes. SPEC RCPT-4.
const (
	OK      Class = "ok"       // performed
	Failed  Class = "error"    // the target answered with an error
	Unknown Class = "unknown"  // it cannot be known whether it was performed; counts as performed
	NotSent Class = "not_sent" // provably not performed: the only class that refunds
	Stopped Class = "stopped"  // begun, and stopped by the gate
)

func (c Class) known() bool {
	switch c {
	case OK, Failed, Unknown, NotSent, Stopped:
		return true
	}
	return false
}

// Permit is the Decision of an intent. Any other decision is an [op.Code].
const Permit = "permit"

// Notes of boot receipts.
const (
	NoteOpen  = "open"  // the first of an epoch
	NoteClose = "close" // the last of an epoch that ended cleanly
)

// A Receipt is the payload of one receipt. Fields that a kind does not have are
// zero, and then absent from the bytes. SPEC RCPT-1.
//
// The ledger sets Typ, Gate, Epoch, Seq, TimeMS, Zone and Mode.
type Receipt struct {
	Typ       string           `cbor:"1,keyasint"`
	Kind      Kind             `cbor:"2,keyasint"`
	Gate      string           `cbor:"3,keyasint"`
	Epoch     uint64           `cbor:"4,keyasint"` // from 1; each start of the gate is one
	Seq       uint64           `cbor:"5,keyasint"` // from 1, without gap in an epoch
	TimeMS    int64            `cbor:"6,keyasint"` // Unix milliseconds, never decreasing
	Zone      canon.Digest     `cbor:"7,keyasint"`
	Policy    canon.Digest     `cbor:"8,keyasint,omitzero"` // PD
	Alias     string           `cbor:"9,keyasint,omitempty"`
	Version   uint64           `cbor:"10,keyasint,omitempty"` // of the policy
	Root      RootID           `cbor:"11,keyasint,omitzero"`  // of the credential
	Blocks    []canon.Digest   `cbor:"12,keyasint,omitempty"` // of the credential, the grant first
	Operation canon.Digest     `cbor:"13,keyasint,omitzero"`  // commitment, see Evidence
	OpType    string           `cbor:"14,keyasint,omitempty"` // such as "http/1"
	Action    string           `cbor:"15,keyasint,omitempty"` // such as "http:POST"
	Purpose   string           `cbor:"16,keyasint,omitempty"`
	Lineage   []canon.Digest   `cbor:"17,keyasint,omitempty"` // ids of receipts cited
	Approvals []canon.Digest   `cbor:"18,keyasint,omitempty"` // ids of approvals used
	Decision  string           `cbor:"19,keyasint,omitempty"` // Permit, or an op.Code
	Rules     [][]string       `cbor:"20,keyasint,omitempty"` // ids of deciding rules: of the policy, then of each block
	Level     op.Level         `cbor:"21,keyasint,omitempty"` // of proof
	Replay    canon.Digest     `cbor:"22,keyasint,omitzero"`  // replay id
	Debits    []Debit          `cbor:"23,keyasint,omitempty"` // taken from quotas
	Outcome   *Result          `cbor:"24,keyasint,omitempty"`
	Intent    *Ref             `cbor:"25,keyasint,omitempty"` // of an outcome
	Prev      canon.Digest     `cbor:"26,keyasint,omitzero"`  // id of the last receipt of the same Root
	PolicyLog *LogState        `cbor:"27,keyasint,omitempty"` // the policy log that was decided on
	Labels    []string         `cbor:"28,keyasint,omitempty"` // of the session, after this
	Secret    *SecretRef       `cbor:"29,keyasint,omitempty"`
	Mode      Mode             `cbor:"30,keyasint"`
	Context   canon.Digest     `cbor:"31,keyasint,omitzero"` // commitment, see Evidence
	Proof     canon.Digest     `cbor:"32,keyasint,omitzero"` // commitment, see Evidence
	Build     string           `cbor:"33,keyasint,omitempty"`
	Controls  []string         `cbor:"34,keyasint,omitempty"` // ids of regulatory requirements served
	Target    string           `cbor:"35,keyasint,omitempty"` // id in the policy
	Note      string           `cbor:"36,keyasint,omitempty"` // detail of a boot, admin or tally
	Subject   op.Subject       `cbor:"37,keyasint,omitempty"`
	ReplayEnd int64            `cbor:"38,keyasint,omitempty"` // Unix seconds until which Replay is kept
	Idem      *IdempotencyHold `cbor:"39,keyasint,omitempty"`
	Boot      *BootState       `cbor:"40,keyasint,omitempty"`
	Count     uint64           `cbor:"41,keyasint,omitempty"` // of a tally
}

// A RootID is the id that a credential's grant has.
type RootID [16]byte

// A Debit is what one use took from one counter. Amounts are in the clear, so
// that the state can be recomputed from the receipts alone.
type Debit struct {
	Key    canon.Digest `cbor:"1,keyasint"`           // of the counter
	ID     string       `cbor:"2,keyasint,omitempty"` // of the limit, for people
	Amount uint64       `cbor:"3,keyasint"`
	End    int64        `cbor:"4,keyasint,omitempty"` // Unix seconds after which the counter is of no use; absent: never
}

// A Result is what became of an act.
type Result struct {
	Class    Class        `cbor:"1,keyasint"`
	Status   int          `cbor:"2,keyasint,omitempty"` // in the protocol's own numbers
	Sent     uint64       `cbor:"3,keyasint,omitempty"` // bytes of body to the target
	Received uint64       `cbor:"4,keyasint,omitempty"` // bytes of body from the target
	Response canon.Digest `cbor:"5,keyasint,omitzero"`  // commitment to the response's digest, see Evidence
}

// A Ref names one receipt of a gate. The zero Ref names none.
type Ref struct {
	Epoch  uint64       `cbor:"1,keyasint"`
	Seq    uint64       `cbor:"2,keyasint"`
	Digest canon.Digest `cbor:"3,keyasint"` // the receipt's id
}

// A LogState is the state of a log: its size and root.
type LogState struct {
	Size uint64       `cbor:"1,keyasint"`
	Root canon.Digest `cbor:"2,keyasint"`
}

// A SecretRef names the sealed secret that was opened.
type SecretRef struct {
	Blob    canon.Digest `cbor:"1,keyasint"` // of the sealed bytes
	ID      string       `cbor:"2,keyasint"`
	Version uint64       `cbor:"3,keyasint"`
}

// An IdempotencyHold says how long an idempotency key is taken.
type IdempotencyHold struct {
	Scope canon.Digest `cbor:"1,keyasint"` // of (root id, last block, key)
	End   int64        `cbor:"2,keyasint"` // Unix seconds
}

// A BootState says how the epoch before this one ended.
type BootState struct {
	Clean   bool   `cbor:"1,keyasint"`           // it ended with its own closing receipt; true for the first epoch
	Last    *Ref   `cbor:"2,keyasint,omitempty"` // the newest receipt that survived: what came after it, if anything, is lost. Absent in the first epoch
	Dropped uint64 `cbor:"3,keyasint,omitempty"` // bytes of torn writes that were cut off after Last
}

// ID returns the id of the receipt with this payload. SPEC RCPT-5.
func ID(payload []byte) canon.Digest { return canon.Sum(Type, payload) }

// At returns the receipt's time.
func (r *Receipt) At() time.Time { return time.UnixMilli(r.TimeMS).UTC() }

// Encode returns r's payload. Errors wrap [ErrForm] and name the field.
func (r *Receipt) Encode() ([]byte, error) {
	b, err := r.AppendTo(make([]byte, 0, usualPayload))
	if err != nil {
		return nil, err
	}
	return b, nil
}

// Parse returns the receipt with this payload, at most 16 KiB. It checks no
// signature. Errors wrap [ErrForm]. SPEC RCPT-1, RCPT-6.
func Parse(payload []byte) (*Receipt, error) {
	if len(payload) > MaxPayloadBytes {
		return nil, fmt.Errorf("%w: %d bytes; at most %d", ErrForm, len(payload), MaxPayloadBytes)
	}
	r := new(Receipt)
	if err := canon.DecodeCBOR(payload, r); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrForm, err)
	}
	if err := r.Check(); err != nil { //guard:R56 receipt-check
		return nil, err
	}
	return r, nil
}

// Ref returns the reference to the receipt with this payload, which is r's.
func (r *Receipt) Ref(payload []byte) Ref { return Ref{r.Epoch, r.Seq, ID(payload)} }

// OutcomeOf returns the outcome of an intent that ref names: it repeats whose
// intent it was and says what became of it. It shares intent's slices.
func OutcomeOf(intent *Receipt, ref Ref, result Result) *Receipt {
	return &Receipt{
		Kind: Outcome, Policy: intent.Policy, Alias: intent.Alias, Version: intent.Version,
		Root: intent.Root, Blocks: intent.Blocks, OpType: intent.OpType, Action: intent.Action, Purpose: intent.Purpose,
		Target: intent.Target, Subject: intent.Subject, Labels: intent.Labels, Level: intent.Level,
		Outcome: &result, Intent: &ref, Prev: ref.Digest,
	}
}

func fault(field string) error { return fmt.Errorf("%w: %s", ErrForm, field) }

// Check returns an error that names the field if r is not a receipt that anyone
// may write. Errors wrap [ErrForm]. SPEC RCPT-2, RCPT-3, RCPT-4, RCPT-6.
func (r *Receipt) Check() error {
	switch {
	case r.Typ != Type: //guard:R63 receipt-type
		return fault("typ")
	case !r.Kind.known():
		return fault("kind")
	case r.Gate == "":
		return fault("gate")
	case r.Epoch == 0 || r.Seq == 0:
		return fault("epoch, sequence")
	case r.TimeMS <= 0:
		return fault("time")
	case r.Zone.IsZero(): //guard:A1 receipt-zone
		return fault("zone")
	case r.Mode != Buffered && r.Mode != Durable && r.Mode != Witnessed: //guard:A33 receipt-mode
		return fault("mode")
	case r.Level < op.Bearer || r.Level > op.Person:
		return fault("proof level")
	case r.ReplayEnd < 0:
		return fault("replay end")
	}
	if err := r.checkKind(); err != nil {
		return err
	}
	if err := r.checkParts(); err != nil {
		return err
	}
	return r.checkBounds()
}

// checkKind checks the fields that a kind must have, or may not.
func (r *Receipt) checkKind() error {
	switch {
	case (r.Kind == Outcome) != (r.Outcome != nil && r.Intent != nil), r.Kind != Outcome && r.Outcome != nil, r.Kind != Outcome && r.Intent != nil: //guard:R56 outcome-names-intent
		return fault("outcome and intent: both, and in an outcome only")
	case (r.Kind == Boot && r.Note == NoteOpen) != (r.Boot != nil), r.Kind == Boot && r.Note != NoteOpen && r.Note != NoteClose:
		return fault("boot and its note")
	case r.Kind == Intent && (r.Decision != Permit || r.Policy.IsZero() || r.Operation.IsZero()): //guard:R14 intent-complete
		return fault("intent: decision, policy, operation")
	case r.Kind == Denial && (r.Decision == "" || r.Decision == Permit): //guard:R14 denial-has-code
		return fault("denial: decision")
	case r.Kind == Admin && r.Note == "":
		return fault("admin: note")
	case (r.Kind == Tally) != (r.Count > 0):
		return fault("count: in a tally only")
	}
	return nil
}

// checkParts checks the structures within r.
func (r *Receipt) checkParts() error {
	switch {
	case r.Outcome != nil && (!r.Outcome.Class.known() || r.Outcome.Status < 0):
		return fault("outcome")
	case r.Intent != nil && !r.Intent.valid():
		return fault("intent reference")
	case r.PolicyLog != nil && (r.PolicyLog.Root.IsZero() || r.PolicyLog.Size == 0):
		return fault("policy log")
	case r.Secret != nil && (r.Secret.Blob.IsZero() || r.Secret.ID == ""):
		return fault("secret")
	case r.Idem != nil && (r.Idem.Scope.IsZero() || r.Idem.End <= 0):
		return fault("idempotency")
	case r.Boot != nil && (r.Boot.Last != nil && !r.Boot.Last.valid() || r.Boot.Last == nil && (!r.Boot.Clean || r.Boot.Dropped > 0) || r.Boot.Clean && r.Boot.Dropped > 0):
		return fault("boot")
	case slices.ContainsFunc(r.Debits, func(d Debit) bool { return d.Key.IsZero() || len(d.ID) > maxText }):
		return fault("debits")
	}
	return nil
}

func (f Ref) valid() bool { return f.Epoch > 0 && f.Seq > 0 && !f.Digest.IsZero() }

// checkBounds checks the sizes of texts and lists.
func (r *Receipt) checkBounds() error {
	for _, s := range []string{r.Gate, r.Alias, r.OpType, r.Action, r.Purpose, r.Decision, r.Build, r.Target, r.Note, string(r.Subject)} {
		if len(s) > maxText {
			return fault("a text is too long")
		}
	}
	if r.Secret != nil && len(r.Secret.ID) > maxText {
		return fault("secret")
	}
	for _, l := range [][]canon.Digest{r.Blocks, r.Lineage, r.Approvals} {
		if len(l) > maxList || slices.ContainsFunc(l, canon.Digest.IsZero) {
			return fault("blocks, lineage or approvals")
		}
	}
	if len(r.Debits) > maxList || len(r.Rules) > maxList || badTexts(r.Labels) || badTexts(r.Controls) {
		return fault("debits, rules, labels or controls")
	}
	for _, l := range r.Rules {
		if l == nil || badTexts(l) { // nil would be a second form of the empty list
			return fault("rules: a layer without rules is an empty list")
		}
	}
	return nil
}

func badTexts(l []string) bool {
	return len(l) > maxList || slices.ContainsFunc(l, func(s string) bool { return s == "" || len(s) > maxText })
}
