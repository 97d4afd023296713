package server

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Harden keeps the memory of this process out of core dumps and from other
// processes of the same user. It is called before a key is read.
//
// Source: prctl(2), PR_SET_DUMPABLE.
func Harden() error {
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("%w: core dumps off: %w", ErrServer, err)
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("%w: not dumpable: %w", ErrServer, err)
	}
	return nil
}
