package pgwire

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/jackc/pgx/v5/pgproto3"
)

// A Row is a row of a result, as it came: its values were counted and not taken apart,
// and it is sent on as it is.
type Row struct {
	body []byte
	size int64
}

var _ pgproto3.BackendMessage = (*Row)(nil)

// Backend says that servers send it.
func (*Row) Backend() {}

// Decode takes a row that is whole: as many values as it says, and nothing behind
// them. Errors wrap [ErrWire]. SPEC PGGW-6.
func (r *Row) Decode(b []byte) error {
	rest, size := b, int64(0)
	if len(b) < 2 {
		return fmt.Errorf("%w: not a row", ErrWire)
	}
	rest = rest[2:]
	for range binary.BigEndian.Uint16(b) {
		if len(rest) < 4 {
			return fmt.Errorf("%w: not a row", ErrWire)
		}
		n := int64(int32(binary.BigEndian.Uint32(rest)))
		if rest = rest[4:]; n == -1 { // NULL
			continue
		}
		if n < 0 || n > int64(len(rest)) {
			return fmt.Errorf("%w: not a row", ErrWire)
		}
		rest, size = rest[n:], size+n
	}
	if len(rest) > 0 { //guard:R7/sql row-whole
		return fmt.Errorf("%w: %d bytes behind a row", ErrWire, len(rest))
	}
	r.body, r.size = b, size
	return nil
}

// Encode appends the row as it came.
func (r *Row) Encode(b []byte) ([]byte, error) {
	if len(r.body) > math.MaxInt32-4 {
		return nil, fmt.Errorf("%w: a row of %d bytes", ErrWire, len(r.body))
	}
	b = binary.BigEndian.AppendUint32(append(b, 'D'), uint32(len(r.body)+4))
	return append(b, r.body...), nil
}

// Size returns how many bytes its values have.
func (r *Row) Size() int64 { return r.size }

// Hide makes the values NULL of which hidden says so, and reports whether it speaks of
// as many as there are.
func (r *Row) Hide(hidden []bool) bool {
	d, err := r.Values()
	if err != nil || len(d.Values) != len(hidden) {
		return false
	}
	for i, v := range d.Values {
		if hidden[i] { //guard:R7/sql mask-value
			d.Values[i] = nil
			r.size -= int64(len(v))
		}
	}
	b, err := d.Encode(nil)
	if err != nil {
		return false
	}
	r.body = b[5:] // behind type and length
	return true
}

// Values returns the row with its values taken apart.
func (r *Row) Values() (*pgproto3.DataRow, error) {
	d := new(pgproto3.DataRow)
	if err := d.Decode(r.body); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrWire, err)
	}
	return d, nil
}
