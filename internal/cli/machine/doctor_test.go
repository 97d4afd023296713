package machine

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/writhq/writ/internal/identity"
	"github.com/writhq/writ/internal/testpg"
	"github.com/writhq/writ/policy"
)

// The doctor warns before the end of the certificate, and says when it is over.
func TestCertificateEnds(t *testing.T) {
	t.Parallel()
	b, key, err := identity.NewServerCertificate([]string{"gate.example"})
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(b)
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "tls.crt")
	day := 24 * time.Hour
	for _, x := range []struct {
		what  string
		data  []byte
		at    time.Time
		level string
	}{
		{"in time", b, c.NotAfter.Add(-15 * day), fine},
		{"14 days", b, c.NotAfter.Add(-14 * day), fine},
		{"less than 14 days", b, c.NotAfter.Add(-14*day + time.Second), warning},
		{"its last second", b, c.NotAfter.Add(-time.Second), warning},
		{"over", b, c.NotAfter, fault},
		{"long over", b, c.NotAfter.Add(day), fault},
		{"not yet", b, c.NotBefore.Add(-time.Second), fault},
		{"a key", key, c.NotBefore.Add(day), fault},
		{"nothing", nil, c.NotBefore.Add(day), fault},
	} {
		if err := os.WriteFile(name, x.data, 0o600); err != nil {
			t.Fatal(err)
		}
		var f findings
		if f.certificate(name, x.at); len(f.all) != 1 || f.all[0].Level != x.level || (x.level == fine) != (f.all[0].Next == "") {
			t.Errorf("%s: %+v", x.what, f.all)
		}
	}
	var f findings
	if f.certificate(name+".none", c.NotBefore.Add(day)); len(f.all) != 1 || f.all[0].Level != fault {
		t.Errorf("no file: %+v", f.all)
	}
}

// The doctor asks a database for TLS as its clients do, and compares its key with the
// pins.
func TestDatabaseTarget(t *testing.T) {
	t.Parallel()
	s := testpg.Start(t)
	plain := testpg.Start(t, "ssl=off")
	for _, x := range []struct {
		what, addr, pin, level string
	}{
		{"the right pin", s.Addr, s.Pin, fine}, {"another pin", s.Addr, plain.Pin, fault}, {"no pin", s.Addr, "", warning},
		{"a server without TLS", plain.Addr, plain.Pin, warning}, {"nobody", "127.0.0.1:1", s.Pin, warning},
	} {
		target := policy.Target{ID: "shop", Kind: "postgres", Origin: "postgres://" + x.addr + "/shop"}
		if x.pin != "" {
			target.Pins = []string{x.pin}
		}
		var f findings
		if f.target(t.Context(), "a/b", &target); len(f.all) != 1 || f.all[0].Level != x.level {
			t.Errorf("%s: %+v", x.what, f.all)
		}
	}
}
