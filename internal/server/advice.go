package server

import "fmt"

// An advice is an error that says what to do about it.
type advice struct {
	error
	next string
}

// Next returns what to do.
func (a *advice) Next() string { return a.next }

// Unwrap returns what happened.
func (a *advice) Unwrap() error { return a.error }

// advise returns an error that says what to do next. It wraps [ErrServer] and what
// the format wraps.
func advise(next, format string, args ...any) error {
	return &advice{fmt.Errorf("%w: "+format, append([]any{ErrServer}, args...)...), next}
}
