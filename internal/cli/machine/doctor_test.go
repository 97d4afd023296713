package machine

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"
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
// pins. Where the key is not pinned, it says which that is; where the gate would not
// connect, it says so.
func TestDatabaseTarget(t *testing.T) {
	t.Parallel()
	s := testpg.Start(t)
	plain := testpg.Start(t, "ssl=off")
	for _, x := range []struct {
		what, addr, pin, next string
		public                bool
		levels                []string
	}{
		{"the right pin", s.Addr, s.Pin, "", false, []string{fine}},
		{"another pin", s.Addr, plain.Pin, s.Pin, false, []string{fault}},
		{"no pin", s.Addr, "", s.Pin, false, []string{warning}},
		{"a server without TLS", plain.Addr, plain.Pin, "TLS", false, []string{warning}},
		{"nobody", "127.0.0.1:1", s.Pin, "network", false, []string{warning}},
		{"a private address", s.Addr, s.Pin, `"private": true`, true, []string{fault}},
		{"a private address, and no pin", s.Addr, "", s.Pin, true, []string{fault, warning}},
	} {
		target := policy.Target{ID: "shop", Kind: "postgres", Origin: "postgres://" + x.addr + "/shop", Private: !x.public}
		if x.pin != "" {
			target.Pins = []string{x.pin}
		}
		var f findings
		f.target(t.Context(), "a/b", &target)
		var levels []string
		for _, found := range f.all {
			levels = append(levels, found.Level)
		}
		if !slices.Equal(levels, x.levels) || !strings.Contains(f.all[len(f.all)-1].Next, x.next) {
			t.Errorf("%s: %+v", x.what, f.all)
		}
	}
}

// Addresses that no gate connects to unless the target says so, and others.
func TestPrivate(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]bool{
		"127.0.0.1": true, "10.1.2.3": true, "192.168.0.1": true, "100.64.0.1": true, "169.254.0.1": true, "::1": true, "fd00::1": true, "fe80::1": true,
		"0.0.0.0": true, "localhost": true, "100.128.0.1": false, "93.184.215.14": false, "2606:4700::1": false,
	} {
		if got := private(t.Context(), host); got != want {
			t.Errorf("%s: private %t", host, got)
		}
	}
}
