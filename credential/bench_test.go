package credential_test

import (
	"testing"

	"github.com/writhq/writ/credential"
	"github.com/writhq/writ/internal/testkit"
)

// BenchmarkVerifyCold3 parses and verifies a credential of three blocks, of which
// one has a rule.
func BenchmarkVerifyCold3(b *testing.B) {
	z := testkit.NewZone(b)
	raw := z.Credential(b, 3).Bytes()
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		c, err := credential.Parse(raw)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := c.Verify(z.Policy, z.Root); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkParse3 parses a credential of three blocks.
func BenchmarkParse3(b *testing.B) {
	z := testkit.NewZone(b)
	raw := z.Credential(b, 3).Bytes()
	for b.Loop() {
		if _, err := credential.Parse(raw); err != nil {
			b.Fatal(err)
		}
	}
}
