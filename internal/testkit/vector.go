package testkit

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// Vectors compares the file with what made encodes to, so that a vector is never
// changed by hand alone; with update it writes the file. Tests then use what
// [ReadVectors] finds there.
func Vectors(t testing.TB, update bool, file string, made any) {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(made); err != nil {
		t.Fatal(err)
	}
	if update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, b.Bytes()) {
		t.Errorf("%s is not current: go test -update", file)
	}
}

// ReadVectors reads the file into v, which has a field for all that it holds.
func ReadVectors(t testing.TB, file string, v any) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

// Unhex returns the bytes that s spells.
func Unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Flips calls try with b once for each of its bits, that bit changed; try keeps
// nothing of it. It returns how often.
func Flips(b []byte, try func(flipped []byte, bit int)) int {
	b = bytes.Clone(b)
	for i := range 8 * len(b) {
		b[i/8] ^= 1 << (i % 8)
		try(b, i)
		b[i/8] ^= 1 << (i % 8)
	}
	return 8 * len(b)
}
