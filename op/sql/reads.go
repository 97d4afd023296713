package sql

import (
	"slices"
	"strings"

	"github.com/writhq/writ/op"
)

// reading are the kinds that a transaction can have that only reads.
var reading = []string{Connect, Session, "explain", "copy", "select", "listen", "notify", "set", "show", "transaction"}

// Looks are the settings that change nothing but how things look: a client may begin a
// session with them, and set them, whatever settings are declared.
var Looks = []string{"application_name", "datestyle", "timezone", "extra_float_digits", "intervalstyle"}

// OnlyReads reports whether nothing that the declarations list writes, so that a
// session which may do no more can be one of read-only transactions. Functions
// outside the provided lists and pg_catalog may write.
func OnlyReads(list []*op.Declaration) bool {
	for _, d := range list {
		for _, a := range d.Actions {
			if !slices.Contains(reading, strings.TrimPrefix(a, actionPrefix)) {
				return false
			}
		}
		if d.SQL != nil && !onlyReads(d.SQL) {
			return false
		}
	}
	return true
}

func onlyReads(s *op.SQL) bool {
	for _, r := range s.Relations {
		if len(r.Insert) > 0 || len(r.Update) > 0 || r.Delete || r.Truncate || r.Lock || r.Usage {
			return false
		}
	}
	for _, f := range s.Functions {
		if f == "@sequences" || f[0] != '@' && !strings.HasPrefix(f, "pg_catalog.") {
			return false
		}
	}
	return true
}
