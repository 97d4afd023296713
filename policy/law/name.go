package law

import (
	"fmt"
	"strings"
)

// CheckName returns an error unless s is a name, as ids, aliases and people have
// one: 1 to 128 bytes of letters, digits and -_.@+:/. What it names can then be
// shown as it is.
func CheckName(s string) error {
	if s == "" || len(s) > maxNameBytes {
		return fmt.Errorf("want 1 to %d bytes, have %d", maxNameBytes, len(s))
	}
	for _, c := range []byte(s) {
		ok := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-_.@+:/", c) >= 0
		if !ok {
			return fmt.Errorf("%q is not a name: letters, digits and -_.@+:/ only", s)
		}
	}
	return nil
}
