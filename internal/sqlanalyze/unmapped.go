package sqlanalyze

import (
	"errors"
	"fmt"
)

// ErrUnmapped is wrapped by the error for a statement of which it cannot be said
// what it does. The operation is denied.
var ErrUnmapped = errors.New("statement not mapped")

// no is the panic by which a visitor leaves: a statement is mapped as a whole or
// not at all.
type no struct{ reason string }

func deny(format string, args ...any) { panic(no{fmt.Sprintf(format, args...)}) }

// caught turns a no into an error. Any other panic goes on.
func caught(err *error) {
	switch r := recover().(type) {
	case nil:
	case no:
		*err = fmt.Errorf("%w: %s", ErrUnmapped, r.reason)
	default:
		panic(r)
	}
}
