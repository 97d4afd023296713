package server

import "fmt"

// An advice is an error that says what to do about it.
type advice struct {
	error
	next  string
	cause error // optional; told in other words
}

// Next returns what to do.
func (a *advice) Next() string { return a.next }

// Unwrap returns what happened, and the cause.
func (a *advice) Unwrap() []error {
	if a.cause == nil {
		return []error{a.error}
	}
	return []error{a.error, a.cause}
}

// advise returns an error that says what to do next. It wraps [ErrServer] and what
// the format wraps.
func advise(next, format string, args ...any) error {
	return &advice{fmt.Errorf("%w: "+format, append([]any{ErrServer}, args...)...), next, nil}
}
