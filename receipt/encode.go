package receipt

import (
	"fmt"
	"slices"

	"github.com/writhq/writ/canon"
)

// The major types of CBOR that receipts and evidence have. Source: RFC 8949,
// section 3.1.
const (
	majorUint  = 0 << 5
	majorInt   = 1 << 5
	majorBytes = 2 << 5
	majorText  = 3 << 5
	majorArray = 4 << 5
	majorMap   = 5 << 5
)

// An encoder appends what canon.EncodeCBOR would write, without its reflection: a
// gate encodes two receipts for each act. Keys come in ascending order. What
// parses is still compared with canon's own encoding, so the two cannot differ
// for long.
type encoder struct {
	b []byte
	n int // fields of the map that is being written
}

// head appends a major type with its argument, in the shortest form.
func (e *encoder) head(major byte, n uint64) {
	switch {
	case n < 24:
		e.b = append(e.b, major|byte(n))
	case n < 1<<8:
		e.b = append(e.b, major|24, byte(n))
	case n < 1<<16:
		e.b = append(e.b, major|25, byte(n>>8), byte(n))
	case n < 1<<32:
		e.b = append(e.b, major|26, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	default:
		e.b = append(e.b, major|27, byte(n>>56), byte(n>>48), byte(n>>40), byte(n>>32), byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
}

// open begins a map, and end ends it: only then is it known how many fields it has.
func (e *encoder) open() (at, outer int) {
	at, outer = len(e.b), e.n
	e.b, e.n = append(e.b, majorMap), 0
	return at, outer
}

func (e *encoder) end(at, outer int) {
	if e.n < 24 {
		e.b[at] = majorMap | byte(e.n)
	} else {
		e.b[at] = majorMap | 24
		e.b = slices.Insert(e.b, at+1, byte(e.n))
	}
	e.n = outer
}

func (e *encoder) key(k byte) {
	e.n++
	e.head(majorUint, uint64(k))
}

// uint, int, text, bytes, digest, texts and digests append a field, or nothing if
// it is zero or empty.
func (e *encoder) uint(k byte, v uint64) {
	if v != 0 {
		e.key(k)
		e.head(majorUint, v)
	}
}

func (e *encoder) int(k byte, v int64) {
	if v < 0 {
		e.key(k)
		e.head(majorInt, uint64(-1-v))
		return
	}
	e.uint(k, uint64(v))
}

func (e *encoder) string(s string) {
	e.head(majorText, uint64(len(s)))
	e.b = append(e.b, s...)
}

func (e *encoder) text(k byte, s string) {
	if s != "" {
		e.key(k)
		e.string(s)
	}
}

func (e *encoder) blob(b []byte) {
	e.head(majorBytes, uint64(len(b)))
	e.b = append(e.b, b...)
}

func (e *encoder) bytes(k byte, b []byte) {
	if len(b) > 0 {
		e.key(k)
		e.blob(b)
	}
}

func (e *encoder) digest(k byte, d *canon.Digest) {
	if !d.IsZero() {
		e.bytes(k, d[:])
	}
}

func (e *encoder) strings(l []string) {
	e.head(majorArray, uint64(len(l)))
	for _, s := range l {
		e.string(s)
	}
}

func (e *encoder) texts(k byte, l []string) {
	if len(l) > 0 {
		e.key(k)
		e.strings(l)
	}
}

func (e *encoder) digests(k byte, l []canon.Digest) {
	if len(l) == 0 {
		return
	}
	e.key(k)
	e.head(majorArray, uint64(len(l)))
	for i := range l {
		e.blob(l[i][:])
	}
}

// count appends a field that is there when it is zero, too.
func (e *encoder) count(k byte, v uint64) {
	e.key(k)
	e.head(majorUint, v)
}

// receipt appends r, which passes [Receipt.Check]. SPEC RCPT-1.
func (e *encoder) receipt(r *Receipt) {
	at, outer := e.open()
	e.text(1, r.Typ)
	e.text(2, string(r.Kind))
	e.text(3, r.Gate)
	e.uint(4, r.Epoch)
	e.uint(5, r.Seq)
	e.int(6, r.TimeMS)
	e.digest(7, &r.Zone)
	e.digest(8, &r.Policy)
	e.text(9, r.Alias)
	e.uint(10, r.Version)
	if r.Root != (RootID{}) {
		e.bytes(11, r.Root[:])
	}
	e.digests(12, r.Blocks)
	e.digest(13, &r.Operation)
	e.text(14, r.OpType)
	e.text(15, r.Action)
	e.text(16, r.Purpose)
	e.digests(17, r.Lineage)
	e.digests(18, r.Approvals)
	e.text(19, r.Decision)
	e.rules(20, r.Rules)
	e.int(21, int64(r.Level))
	e.digest(22, &r.Replay)
	e.debits(23, r.Debits)
	e.result(24, r.Outcome)
	e.ref(25, r.Intent)
	e.digest(26, &r.Prev)
	e.parts(r)
	e.texts(34, r.Controls)
	e.text(35, r.Target)
	e.text(36, r.Note)
	e.text(37, string(r.Subject))
	e.int(38, r.ReplayEnd)
	if r.Idem != nil {
		e.key(39)
		at, outer := e.open()
		e.digest(1, &r.Idem.Scope)
		e.int(2, r.Idem.End)
		e.end(at, outer)
	}
	e.boot(40, r.Boot)
	e.uint(41, r.Count)
	e.end(at, outer)
}

// parts appends fields 27 to 33.
func (e *encoder) parts(r *Receipt) {
	if r.PolicyLog != nil {
		e.key(27)
		at, outer := e.open()
		e.uint(1, r.PolicyLog.Size)
		e.digest(2, &r.PolicyLog.Root)
		e.end(at, outer)
	}
	e.texts(28, r.Labels)
	if r.Secret != nil {
		e.key(29)
		at, outer := e.open()
		e.digest(1, &r.Secret.Blob)
		e.text(2, r.Secret.ID)
		e.count(3, r.Secret.Version)
		e.end(at, outer)
	}
	e.text(30, string(r.Mode))
	e.digest(31, &r.Context)
	e.digest(32, &r.Proof)
	e.text(33, r.Build)
}

func (e *encoder) rules(k byte, l [][]string) {
	if len(l) == 0 {
		return
	}
	e.key(k)
	e.head(majorArray, uint64(len(l)))
	for _, rules := range l {
		e.strings(rules)
	}
}

func (e *encoder) debits(k byte, l []Debit) {
	if len(l) == 0 {
		return
	}
	e.key(k)
	e.head(majorArray, uint64(len(l)))
	for i := range l {
		at, outer := e.open()
		e.digest(1, &l[i].Key)
		e.text(2, l[i].ID)
		e.count(3, l[i].Amount)
		e.int(4, l[i].End)
		e.end(at, outer)
	}
}

func (e *encoder) result(k byte, o *Result) {
	if o == nil {
		return
	}
	e.key(k)
	at, outer := e.open()
	e.text(1, string(o.Class))
	e.int(2, int64(o.Status))
	e.uint(3, o.Sent)
	e.uint(4, o.Received)
	e.digest(5, &o.Response)
	e.end(at, outer)
}

func (e *encoder) ref(k byte, f *Ref) {
	if f == nil {
		return
	}
	e.key(k)
	at, outer := e.open()
	e.uint(1, f.Epoch)
	e.uint(2, f.Seq)
	e.digest(3, &f.Digest)
	e.end(at, outer)
}

func (e *encoder) boot(k byte, s *BootState) {
	if s == nil {
		return
	}
	e.key(k)
	at, outer := e.open()
	e.key(1)
	if s.Clean {
		e.b = append(e.b, 0xf5)
	} else {
		e.b = append(e.b, 0xf4)
	}
	e.ref(2, s.Last)
	e.uint(3, s.Dropped)
	e.end(at, outer)
}

// evidence appends v, which is checked. SPEC RCPT-9.
func (e *encoder) evidence(v *Evidence) {
	at, outer := e.open()
	e.bytes(1, v.Key[:])
	if v.Operation != nil {
		e.key(2)
		at, outer := e.open()
		e.text(1, v.Operation.Type)
		e.key(2)
		e.blob(v.Operation.Asked)
		e.key(3)
		e.blob(v.Operation.Found)
		e.end(at, outer)
	}
	e.bytes(3, v.Context)
	e.bytes(4, v.Proof)
	e.digests(5, v.Response)
	e.end(at, outer)
}

// AppendTo appends r's payload to b, which is returned as it was with an error.
// Errors wrap [ErrForm] and name the field.
func (r *Receipt) AppendTo(b []byte) ([]byte, error) {
	if err := r.Check(); err != nil {
		return b, err
	}
	e := encoder{b: b}
	e.receipt(r)
	if n := len(e.b) - len(b); n > MaxPayloadBytes {
		return b, fmt.Errorf("%w: %d bytes; at most %d", ErrForm, n, MaxPayloadBytes)
	}
	return e.b, nil
}

// AppendTo appends e in CBOR to b, which is returned as it was with an error.
// Errors wrap [ErrForm].
func (e *Evidence) AppendTo(b []byte) ([]byte, error) {
	if err := e.check(); err != nil {
		return b, err
	}
	w := encoder{b: b}
	w.evidence(e)
	if n := len(w.b) - len(b); n > MaxEvidenceBytes {
		return b, fmt.Errorf("%w: evidence: %d bytes; at most %d", ErrForm, n, MaxEvidenceBytes)
	}
	return w.b, nil
}
