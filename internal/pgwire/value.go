package pgwire

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"strconv"
	"unicode/utf8"
)

// Format returns the format of the i-th value: 0 is text, 1 binary. Source:
// PostgreSQL, "Message Formats", Bind.
func Format(codes []int16, i int) int16 {
	switch len(codes) {
	case 0:
		return 0
	case 1:
		return codes[0]
	}
	if i < len(codes) {
		return codes[i]
	}
	return 0
}

// Value returns a bind value as the document of an operation has it: in its text form
// where that is known, and else behind a mark that text cannot have; nil is NULL. The
// type is an OID, 0 if it is not known. SPEC SQL-1.
func Value(b []byte, format int16, typ uint32) *string {
	if b == nil {
		return nil
	}
	s := string(b)
	if format != 0 {
		var ok bool
		if s, ok = textOf(b, typ); !ok {
			s = "\x00" + hex.EncodeToString(b)
		}
	}
	return &s
}

// textOf returns the text of a value in binary form, of the types of which it is
// plain. Source: PostgreSQL, pg_type.dat and the types' receive functions.
func textOf(b []byte, typ uint32) (string, bool) {
	const boolType, int8Type, int2Type, int4Type, textType, unknownType, varcharType = 16, 20, 21, 23, 25, 705, 1043
	switch {
	case typ == int2Type && len(b) == 2:
		return strconv.Itoa(int(int16(binary.BigEndian.Uint16(b)))), true
	case typ == int4Type && len(b) == 4:
		return strconv.Itoa(int(int32(binary.BigEndian.Uint32(b)))), true
	case typ == int8Type && len(b) == 8:
		return strconv.FormatInt(int64(binary.BigEndian.Uint64(b)), 10), true
	case typ == boolType && len(b) == 1:
		return strconv.FormatBool(b[0] != 0), true
	case typ == textType, typ == varcharType, typ == unknownType:
		return string(b), utf8.Valid(b) && bytes.IndexByte(b, 0) < 0
	}
	return "", false
}

// TypeOf returns the type of the i-th value by the first list that has it, or 0.
func TypeOf(i int, lists ...[]uint32) uint32 {
	for _, list := range lists {
		if i < len(list) && list[i] != 0 {
			return list[i]
		}
	}
	return 0
}
