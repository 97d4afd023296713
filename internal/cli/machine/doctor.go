package machine

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/writhq/writ/api"
	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/cli/shell"
	"github.com/writhq/writ/internal/gateway"
	"github.com/writhq/writ/internal/pgwire"
	"github.com/writhq/writ/internal/server"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/zone"
)

// A finding is what the doctor found about one thing.
type finding struct {
	Check  string `json:"check"`
	Level  string `json:"level"` // ok, warning, fault
	Detail string `json:"detail"`
	Next   string `json:"next,omitempty"`
}

const (
	fine    = "ok"
	warning = "warning"
	fault   = "fault"
	soon    = 30 * 86400 // seconds before an end at which the doctor warns
	renew   = 14         // days before the end of the certificate at which it warns: new ones need no quorum
)

// findings collects findings.
type findings struct{ all []finding }

func (f *findings) add(check, level, next, detail string) {
	f.all = append(f.all, finding{check, level, detail, next})
}

func doctor(sh *shell.Shell) *cobra.Command {
	var config string
	var offline bool
	cmd := shell.Command{
		Use: "doctor", Short: "Check clocks, keys, root, policies, secrets and targets, and say what to do",
		Example: "  writ doctor --server writ/data/control.sock --config writ/writ.json",
		Run: func(ctx context.Context, _ []string) error {
			var f findings
			if config != "" {
				f.files(sh, config)
			}
			f.server(ctx, sh, !offline)
			bad := slices.ContainsFunc(f.all, func(x finding) bool { return x.Level == fault })
			if err := sh.Result(f.all, func() { f.show(sh) }); err != nil {
				return err
			}
			if bad {
				return shell.Fail("do what the faults above say, and then: writ doctor", "not everything is as it must be")
			}
			return nil
		},
	}.Cobra()
	cmd.Flags().StringVar(&config, "config", "", "configuration of the server, to check its files")
	cmd.Flags().BoolVar(&offline, "no-targets", false, "do not connect to targets")
	return cmd
}

func (f *findings) show(sh *shell.Shell) {
	for _, x := range f.all {
		sh.Say("%-8s %-10s %s", x.Level, x.Check, x.Detail)
		if x.Next != "" {
			sh.Say("%-8s %-10s next: %s", "", "", x.Next)
		}
	}
}

// files checks the server's own files.
func (f *findings) files(sh *shell.Shell, config string) {
	c, err := readConfig(config)
	if err == nil {
		err = listeners(config, c.Gates, sh.Protocols)
	}
	if err != nil {
		what, next := shell.Explain(err)
		f.add("config", fault, next, what)
		return
	}
	f.add("config", fine, "", fmt.Sprintf("%s is whole", config))
	f.certificate(c.TLS.Certificate, sh.Now())
	_, err = tls.LoadX509KeyPair(c.TLS.Certificate, c.TLS.Key)
	if _, unread := errors.AsType[*fs.PathError](err); err != nil && !unread { // what is not read is said beside
		f.add("tls", fault, "put a certificate and its own key in place", fmt.Sprintf("%s and %s do not fit together: %s", c.TLS.Certificate, c.TLS.Key, err))
	}
	open := 0
	for _, name := range []string{c.Data, filepath.Join(c.Data, "keyring"), c.TLS.Key} {
		st, err := os.Stat(name)
		if err != nil {
			f.add("files", fault, "writ init, or writ restore", err.Error())
			continue
		}
		if st.Mode().Perm()&0o077 != 0 {
			open++
			f.add("files", fault, "chmod go-rwx "+name, fmt.Sprintf("%s may be read by others", name))
		}
	}
	filepath.WalkDir(c.Data, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil
		}
		if i, err := d.Info(); err == nil && i.Mode().Perm()&0o077 != 0 && d.Type().IsRegular() {
			open++
		}
		return nil
	})
	if open == 0 {
		f.add("files", fine, "", "keys and data are the owner's alone")
	}
}

// listeners returns what a server refuses of the listeners in a configuration.
func listeners(config string, doors []server.Door, known []gateway.Protocol) error {
	for i, g := range doors {
		field := func(name string) string {
			return fmt.Sprintf("gates[%d].%s in %s: see docs/configuration.md", i, name, config)
		}
		at := slices.IndexFunc(known, func(p gateway.Protocol) bool { return p.Name == g.Protocol })
		if at < 0 {
			return shell.Fail(field("protocol"), "this binary has no gateway %q", g.Protocol)
		}
		if _, _, err := net.SplitHostPort(g.Address); err != nil {
			return shell.Fail(field("address"), "a listener's address is %q; want host:port", g.Address)
		}
		if len(g.Config) == 0 {
			return shell.Fail(field("config"), "a listener of protocol %s has no config", g.Protocol)
		}
		if _, err := known[at].New(g.Config, new(gateway.Hall)); err != nil { // starts nothing
			return shell.Advise(err, field("config"))
		}
	}
	return nil
}

// certificate judges the end of the server's TLS certificate, and of those that
// vouch for it in the same file.
func (f *findings) certificate(name string, now time.Time) {
	const next = "put a new certificate and key in place, then send the server SIGHUP: systemctl reload writ"
	rest, err := os.ReadFile(name)
	if err != nil {
		f.add("tls", fault, "writ init makes one: tls in the configuration names it", err.Error())
		return
	}
	var first *x509.Certificate // to end
	var block *pem.Block
	for block, rest = pem.Decode(rest); block != nil; block, rest = pem.Decode(rest) {
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			f.add("tls", fault, next, fmt.Sprintf("%s holds what is no certificate", name))
			return
		}
		if now.Before(c.NotBefore) {
			f.add("tls", fault, "set the clock right, or wait", fmt.Sprintf("the certificate in %s holds only from %s on", name, shell.Date(c.NotBefore.Unix())))
			return
		}
		if first == nil || c.NotAfter.Before(first.NotAfter) {
			first = c
		}
	}
	if first == nil {
		f.add("tls", fault, next, fmt.Sprintf("no certificate in PEM is in %s", name))
		return
	}
	end := shell.Date(first.NotAfter.Unix())
	switch days := int(first.NotAfter.Sub(now).Hours() / 24); {
	case !now.Before(first.NotAfter):
		f.add("tls", fault, next, fmt.Sprintf("the certificate in %s has expired, on %s: clients refuse it", name, end))
	case days < renew:
		f.add("tls", warning, next, fmt.Sprintf("the certificate in %s expires in %d days, on %s", name, days, end))
	default:
		f.add("tls", fine, "", fmt.Sprintf("the certificate in %s is good until %s", name, end))
	}
}

// server asks the server, and judges what it says.
func (f *findings) server(ctx context.Context, sh *shell.Shell, targets bool) {
	c, err := sh.Client()
	if err != nil {
		f.add("server", warning, "writ doctor --server DATA/control.sock", "not asked: no server is named")
		return
	}
	s, err := c.Status(ctx)
	if err != nil {
		what, next := shell.Explain(err)
		f.add("server", fault, next, what)
		return
	}
	switch s.State {
	case api.StateReady:
		f.add("server", fine, "", fmt.Sprintf("ready, build %s", s.Build))
	case api.StateRestored:
		f.add("server", fault, nextConfirm, "restored from a backup, and not confirmed: every operation is denied")
	case api.StateSealed:
		f.add("server", fault, "writ unseal", "sealed: nothing is decided")
		f.add("opens", warning, "writ unseal, then writ doctor", "not asked whether the gate could open the secrets: its keys are sealed")
	default:
		f.add("server", fault, "repair the disk, then restart", fmt.Sprintf("%s: %s", s.State, s.Reason))
	}
	if s.Insecure {
		f.add("keys", warning, "make a new gate with a passphrase, and rotate what it could open", "the keyring is in the clear")
	}
	f.clock(sh, s)
	if s.State != api.StateReady && s.State != api.StateRestored {
		return
	}
	z, err := sh.Zone(ctx)
	if err != nil {
		what, next := shell.Explain(err)
		f.add("zone", fault, next, what)
		return
	}
	f.add("zone", fine, "", fmt.Sprintf("the policy log verifies from the pinned root, %d entries", z.Size()))
	f.secrets(ctx, c)
	f.root(sh.Now().Unix(), z)
	f.policies(ctx, sh.Now().Unix(), z, targets)
}

// secrets asks whether the gate could open each active secret.
func (f *findings) secrets(ctx context.Context, c *api.Client) {
	all, err := c.CheckSecrets(ctx)
	if p, ok := errors.AsType[*api.Problem](err); ok && p.Code == api.CodeNotReader {
		f.add("opens", warning, "writ doctor --server DATA/control.sock, on the server's machine", "not asked whether the gate could open the secrets: that takes the Unix socket")
		return
	}
	if err != nil {
		what, next := shell.Explain(err)
		f.add("opens", fault, next, what)
		return
	}
	count := map[string]int{}
	for _, s := range all {
		count[s.Result]++
		if s.Result == api.CheckDoesNot {
			f.add("opens", fault, fmt.Sprintf("writ secret rotate %s %s --key SEALER.key seals a value to the gate's key; or restore the backup that has it", s.Alias, s.ID),
				fmt.Sprintf("%s of %s, version %d, does not open: %s", s.ID, s.Alias, s.Version, s.Detail))
		}
	}
	if n := count[api.CheckElsewhere]; n > 0 {
		f.add("opens", fine, "", fmt.Sprintf("%d active secrets are sealed to other groups of gates, and were not tried", n))
	}
	f.add("opens", fine, "", fmt.Sprintf("%d of %d active secrets can be opened by this gate: their keys unwrap; no value was decrypted", count[api.CheckOpens], len(all)))
}

// clock compares the clocks with each other and with the ledger.
func (f *findings) clock(sh *shell.Shell, s *api.Status) {
	off := sh.Now().Unix() - s.Now
	switch {
	case s.ReceiptFloor > s.Now+5:
		f.add("clock", fault, "set the server's clock right", fmt.Sprintf("the server's clock is %d s before its newest receipt", s.ReceiptFloor-s.Now))
	case off > 30 || off < -30:
		f.add("clock", fault, "set the clocks right", fmt.Sprintf("this clock and the server's differ by %d s; proofs are refused beyond 30", off))
	default:
		f.add("clock", fine, "", "the clocks agree, and are not before the newest receipt")
	}
}

// ends judges the end of something.
func (f *findings) ends(check, what, next string, in int64) {
	switch {
	case in <= 0:
		f.add(check, fault, next, fmt.Sprintf("%s has expired", what))
	case in < soon:
		f.add(check, warning, next, fmt.Sprintf("%s expires in %d days", what, in/86400))
	default:
		f.add(check, fine, "", fmt.Sprintf("%s is good for %d days", what, in/86400))
	}
}

func (f *findings) root(now int64, z *zone.Zone) {
	d := z.Root().Document()
	f.ends("root", fmt.Sprintf("root version %d", d.Version), "writ root show --out root-in-force.json, then writ root new --after root-in-force.json …; its quorum signs it; writ root publish hands it in", d.Expires-now)
}

func (f *findings) policies(ctx context.Context, now int64, z *zone.Zone, targets bool) {
	for _, alias := range z.Aliases() {
		p, _ := z.InForce(alias)
		d := p.Document()
		if z.Revoked(zone.RevokePolicy, p.ID()) {
			f.add("policy", fault, "publish a successor", fmt.Sprintf("%s version %d is revoked", alias, d.Version))
			continue
		}
		f.ends("policy", fmt.Sprintf("%s version %d", alias, d.Version), "writ policy new --after "+alias, d.Expires-now)
		for _, s := range d.Secrets {
			if x, ok := z.Secret(alias, s.ID); !ok || x.Record.State != zone.Active {
				f.add("secret", warning, fmt.Sprintf("writ secret put %s %s", alias, s.ID), fmt.Sprintf("%s of %s has no active version", s.ID, alias))
			}
		}
		for i := range d.Targets {
			if targets {
				f.target(ctx, alias, &d.Targets[i])
			}
		}
	}
}

// ports are those of targets that name none, by the schemes that speak TLS.
var ports = map[string]string{"https": "443", "postgres": "5432"}

// greet connects to a target as far as its certificate, without a secret.
func greet(ctx context.Context, scheme, address string, conf *tls.Config) (c *tls.Conn, err error) {
	raw, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, func() { raw.Close() })()
	defer func() {
		if err != nil {
			raw.Close()
		}
	}()
	if scheme == "postgres" {
		return pgwire.Encrypt(ctx, raw, conf)
	}
	c = tls.Client(raw, conf)
	return c, c.HandshakeContext(ctx)
}

// target connects to a target and compares its key with the pins.
func (f *findings) target(ctx context.Context, alias string, t *policy.Target) {
	what := fmt.Sprintf("%s of %s", t.ID, alias)
	u, err := url.Parse(t.Origin)
	if err != nil || ports[u.Scheme] == "" {
		return
	}
	address := u.Host
	if u.Port() == "" {
		address = net.JoinHostPort(u.Hostname(), ports[u.Scheme])
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	refused := !t.Private && private(ctx, u.Hostname())
	if refused {
		f.add("target", fault, `"private": true in the target, in a successor, if it is meant: writ policy new --after `+alias, fmt.Sprintf("%s: %s is a private address, which the policy does not allow: every use is refused", what, u.Hostname()))
	}
	// With pins no authority is asked: the gate checks the pin in its place, and so
	// is it here.
	conf := &tls.Config{InsecureSkipVerify: len(t.Pins) > 0, ServerName: u.Hostname(), MinVersion: tls.VersionTLS12}
	c, err := greet(ctx, u.Scheme, address, conf)
	if x, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		f.add("target", warning, pinNext(alias, x.UnverifiedCertificates[0]), fmt.Sprintf("%s: its certificate is not trusted here, and the policy pins no key: %s", what, strings.TrimPrefix(x.Err.Error(), "x509: ")))
		return
	}
	if err != nil {
		f.add("target", warning, "check the network, and that the target speaks TLS there", fmt.Sprintf("%s: %s", what, err))
		return
	}
	defer c.Close()
	shown := c.ConnectionState().PeerCertificates[0]
	switch {
	case len(t.Pins) > 0 && !slices.Contains(t.Pins, pin(shown)):
		f.add("target", fault, pinNext(alias, shown), fmt.Sprintf("%s: its key is none of the policy's pins", what))
	case !refused:
		f.add("target", fine, "", fmt.Sprintf("%s answers, and is who the policy says", what))
	}
}

// pin returns the digest by which a policy pins the certificate's key.
func pin(c *x509.Certificate) string { return canon.Hash(c.RawSubjectPublicKeyInfo).String() }

// pinNext says how a target's key is pinned.
func pinNext(alias string, c *x509.Certificate) string {
	return fmt.Sprintf(`if that is its key, as whoever runs it sees it (docs/cli.md), pin it: "pins": [%q] in the target, in a successor: writ policy new --after %s`, pin(c), alias)
}

// private reports whether all addresses of a host are such as a gate connects to only
// if the target says so.
func private(ctx context.Context, host string) bool {
	all, err := net.DefaultResolver.LookupIP(ctx, "ip", host)
	return err == nil && !slices.ContainsFunc(all, gateway.Public)
}
