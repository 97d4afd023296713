package demo

import (
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/writhq/writ/credential"
	"github.com/writhq/writ/internal/identity"
	"github.com/writhq/writ/internal/pgstart"
	"github.com/writhq/writ/sign"
)

// serve keeps the servers up and says what to try. Each line is a command that
// works as it stands, in any shell and folder.
func (s *story) serve() error {
	commands, err := s.try()
	if err != nil {
		return err
	}
	s.say("\nThe servers stay up until you press Ctrl-C. Try it, in another shell:")
	for _, c := range commands {
		s.say("\n# %s\n%s", c.why, c.line)
	}
	s.say("\nPress Ctrl-C to stop.")
	return nil
}

// A command is one to try by hand.
type command struct{ why, line string }

// try writes the files that the commands need, with a credential of their own: the
// story's are revoked. The key in them is in the clear, as all of the demo's.
func (s *story) try() ([]command, error) {
	dir, err := filepath.Abs(s.Dir)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDemo, err)
	}
	k, err := sign.Generate(sign.Ed25519)
	if err != nil {
		return nil, err
	}
	now := time.Now().Unix()
	c, err := credential.Issue(credential.Grant{
		Zone: s.w.root.Zone(), Alias: alias, MinVersion: 1, Subject: "svc/try",
		Terms: credential.Terms{Holder: credential.NewHolderKey(k.Public()), NotBefore: now - 30, Expires: now + 86400, Depth: 1},
	}, s.w.people["iris"])
	if err != nil {
		return nil, err
	}
	key, err := identity.WrapKeyInsecure(k)
	if err != nil {
		return nil, err
	}
	root, err := s.w.genesis.Encode()
	if err != nil {
		return nil, err
	}
	path := func(name string) string { return quote(filepath.Join(dir, name)) }
	for name, b := range map[string][]byte{
		"try.writ": []byte(c.Text() + "\n"), "try.key": key, "root.json": root,
		"gate.crt": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.w.cert}),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrDemo, err)
		}
	}
	trust := "--root " + s.w.root.Zone().String() + " --root-file " + path("root.json")
	use := fmt.Sprintf("%s use %s --ca %s --credential %s --key %s", quote(s.Program), trust, path("gate.crt"), path("try.writ"), path("try.key"))
	orders, refunds := s.w.origin+"/t/"+target+"/orders/8831", s.w.origin+"/t/"+target+"/refunds"
	commands := []command{
		{"the API refuses whoever has not the real key: 401", "curl -ksi " + s.w.upstream.origin + "/orders/8831"},
		{"the gate refuses whoever has no credential: 401", "curl -ksi " + orders},
		{"with a credential and the key to it, the gate makes the call", use + " --purpose support GET " + orders},
		{"the policy decides each one: 29.00 is refunded", use + " --purpose refund POST " + refunds + ` --data '{"order":"8831","amount":2900}'`},
		{"and 60.00 is not", use + " --purpose refund POST " + refunds + ` --data '{"order":"8831","amount":6000}'`},
		{"what is in the credential: no secret", quote(s.Program) + " show " + path("try.writ")},
		{"the story's receipts, verified without the server", fmt.Sprintf("%s log verify %s %s", quote(s.Program), path(exportName), trust)},
	}
	if s.reports != nil {
		commands = append(commands, s.tryDatabase(dir)...)
	}
	return commands, nil
}

// tryDatabase returns what to try by hand with the database.
func (s *story) tryDatabase(dir string) []command {
	host, port, _ := net.SplitHostPort(s.w.postgresAddr)
	value := func(name string) string { // in a connection string
		v := filepath.Join(dir, name)
		if !strings.ContainsAny(v, ` '\`) {
			return v
		}
		return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(v) + "'"
	}
	psql := fmt.Sprintf(`PGOPTIONS='-c writ.purpose=report' PGPASSWORD="$(cat %s)" %s %s`, quote(filepath.Join(dir, "reports.writ")),
		quote(filepath.Join(pgstart.Programs(), "psql")), quote(fmt.Sprintf("host=%s port=%s dbname=%s user=me sslmode=verify-full sslrootcert=%s sslcert=%s sslkey=%s",
			host, port, shop, value("gate.crt"), value("reports.crt"), value("reports.tls.key"))))
	return []command{
		{"psql through the gate, with a credential as password; without -c it asks for statements", psql + " -c " + quote(queries[0].sql)},
		{"the policy decides each one: cards are not for reports", psql + " -c " + quote(queries[1].sql)},
	}
}

// quote returns s as one word of a shell.
func quote(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+:@%,", r))
	}) && s != "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
