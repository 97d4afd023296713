package pgwire_test

import (
	"testing"

	"github.com/writhq/writ/internal/pgwire"
)

// TestValue reads bind values in both formats.
//
// SPEC SQL-1
func TestValue(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		b      string
		format int16
		typ    uint32
		want   string
	}{
		{"12", 0, 0, "12"}, {"12", 0, 23, "12"}, {"", 0, 25, ""},
		{"\x00\x05", 1, 21, "5"}, {"\xff\xff\xff\xfe", 1, 23, "-2"}, {"\x7f\xff\xff\xff\xff\xff\xff\xff", 1, 20, "9223372036854775807"},
		{"\x01", 1, 16, "true"}, {"\x00", 1, 16, "false"}, {"abc", 1, 25, "abc"}, {"äö", 1, 1043, "äö"},
		{"\x00\x00\x00\x05", 1, 0, "\x0000000005"},                 // of a type that is not known
		{"\x00\x00\x00\x05", 1, 701, "\x0000000005"},               // of one that is not plain
		{"\x00\x05", 1, 23, "\x000005"},                            // too short for it
		{"a\x00b", 1, 25, "\x00610062"}, {"\xff", 1, 25, "\x00ff"}, // what no text is
	} {
		got := pgwire.Value([]byte(tt.b), tt.format, tt.typ)
		if got == nil || *got != tt.want {
			t.Errorf("%q in format %d of type %d: %q, want %q", tt.b, tt.format, tt.typ, *got, tt.want)
		}
	}
	if pgwire.Value(nil, 1, 23) != nil {
		t.Error("NULL has a text")
	}
}
