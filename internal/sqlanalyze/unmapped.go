package sqlanalyze

import (
	"errors"
	"fmt"
)

// ErrUnmapped is wrapped by the error for a statement of which it cannot be said
// what it does. The operation is denied.
var ErrUnmapped = errors.New("statement not mapped")

// A Denial is why a statement is not mapped. It wraps [ErrUnmapped].
type Denial struct {
	Reason string
	State  string // SQLSTATE, if a server would refuse it too: a name stands for nothing
}

// Error returns the reason.
func (d *Denial) Error() string { return ErrUnmapped.Error() + ": " + d.Reason }

// Unwrap returns [ErrUnmapped].
func (d *Denial) Unwrap() error { return ErrUnmapped }

// Codes of names that stand for nothing. Source: PostgreSQL, appendix A "Error Codes".
const (
	noRelation = "42P01" // undefined_table
	noColumn   = "42703" // undefined_column
	noFunction = "42883" // undefined_function
	noObject   = "42704" // undefined_object
)

// deny and absent panic with a Denial, by which a visitor leaves: a statement is mapped
// as a whole or not at all.
func deny(format string, args ...any) { absent("", format, args...) }

func absent(state, format string, args ...any) {
	panic(&Denial{fmt.Sprintf(format, args...), state})
}

// caught turns a Denial into an error. Any other panic goes on.
func caught(err *error) {
	switch r := recover().(type) {
	case nil:
	case *Denial:
		*err = r
	default:
		panic(r)
	}
}
