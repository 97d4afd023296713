package testkit

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/sign"
)

// Vectors compares the file with what made encodes to, so that a vector is never
// changed by hand alone; with update it writes the file. It returns what the file
// holds: a test goes on with that, not with what made it.
func Vectors[F any](t testing.TB, update bool, file string, made F) (f F) {
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
	ReadVectors(t, file, &f)
	return f
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

// EnvelopeText returns e as files of vectors have it.
func EnvelopeText(t testing.TB, e *sign.Envelope) string {
	t.Helper()
	b, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// EnvelopeOf returns the envelope that s spells.
func EnvelopeOf(t testing.TB, s string) *sign.Envelope {
	t.Helper()
	e, err := sign.ParseEnvelope([]byte(s))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// VerifyRoot returns the genesis root that s spells, as who pins it verifies it at
// [Now].
func VerifyRoot(t testing.TB, s string) *policy.Root {
	t.Helper()
	e := EnvelopeOf(t, s)
	r, err := policy.VerifyRoots(e.Digest(), []*sign.Envelope{e}, Now)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// VerifyPolicy returns the genesis root and the first policy of a line that two
// envelopes spell, verified from that root.
func VerifyPolicy(t testing.TB, root, pol string) (*policy.Root, *policy.Verified) {
	t.Helper()
	r := VerifyRoot(t, root)
	p, err := policy.Verify(EnvelopeOf(t, pol), r, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r, p
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
