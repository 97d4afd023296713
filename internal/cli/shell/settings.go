package shell

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/writhq/writ/api"
	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/identity"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/sign"
	"github.com/writhq/writ/zone"
)

// Settings say whom a command speaks with and what it trusts: from flags, the
// environment, or the file config.json in $WRIT_CONFIG or ~/.config/writ. None of
// them is a secret.
type Settings struct {
	Server   string `json:"server,omitempty"`    // socket or https URL of the control API
	Root     string `json:"root,omitempty"`      // digest of the genesis root: what everything is verified from
	RootFile string `json:"root_file,omitempty"` // envelope of that root, to work without a server
	CA       string `json:"ca,omitempty"`        // PEM of certificates that servers may have, beside the system's
	Reader   string `json:"reader,omitempty"`    // key file whose key the root lists for reading
	Audience string `json:"audience,omitempty"`  // replay domain of the gate

	passphrase string // file
}

// Flags adds the settings' flags to cmd.
func (s *Shell) Flags(cmd *cobra.Command) {
	f := cmd.PersistentFlags()
	f.StringVar(&s.set.Server, "server", "", "control API: path of the Unix socket, or https://host:port ($WRIT_SERVER)")
	f.StringVar(&s.set.Root, "root", "", "digest of the genesis root, sha256:…, from which all is verified ($WRIT_ROOT)")
	f.StringVar(&s.set.RootFile, "root-file", "", "file of the genesis root, or of all roots from it on, to work without a server ($WRIT_ROOT_FILE)")
	f.StringVar(&s.set.CA, "ca", "", "PEM file with certificates of servers to trust ($WRIT_CA)")
	f.StringVar(&s.set.Reader, "reader", "", "key file of a reader, for reads over https ($WRIT_READER)")
	f.StringVar(&s.set.passphrase, "passphrase-file", "", "file with the passphrase of key files; without it, it is asked for")
	f.BoolVar(&s.JSON, "json", false, "print JSON")
}

// Load fills in what the flags left out.
func (s *Shell) Load() error {
	file, err := s.settingsFile()
	if err != nil {
		return err
	}
	for _, x := range []struct {
		to        *string
		env, file string
	}{
		{&s.set.Server, "WRIT_SERVER", file.Server}, {&s.set.Root, "WRIT_ROOT", file.Root},
		{&s.set.RootFile, "WRIT_ROOT_FILE", file.RootFile}, {&s.set.CA, "WRIT_CA", file.CA},
		{&s.set.Reader, "WRIT_READER", file.Reader}, {&s.set.Audience, "WRIT_AUDIENCE", file.Audience},
	} {
		if *x.to == "" {
			*x.to = s.Getenv(x.env)
		}
		if *x.to == "" {
			*x.to = x.file
		}
	}
	return nil
}

// settingsFile returns what config.json says; nothing if there is none.
func (s *Shell) settingsFile() (file Settings, err error) {
	dir, err := s.ConfigDir()
	if err != nil {
		return file, nil // a process without a home has no settings there
	}
	b, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if errors.Is(err, os.ErrNotExist) {
		return file, nil
	}
	if err == nil {
		err = DecodeJSON(b, &file)
	}
	if err != nil {
		name := filepath.Join(dir, "config.json")
		return file, because(err, "correct it, or move it away: docs/cli.md lists what may be in it", "the settings in %s are not read: %s", name, plain(err))
	}
	return file, nil
}

// DecodeJSON decodes the one object in b, and refuses members that v has not. The
// error names the line if the parser knows it.
func DecodeJSON(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		var at int64
		if x, ok := errors.AsType[*json.SyntaxError](err); ok {
			at = x.Offset
		}
		if x, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			at = x.Offset
		}
		if at > 0 && at <= int64(len(b)) {
			return fmt.Errorf("line %d: %w", 1+bytes.Count(b[:at], []byte("\n")), err)
		}
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("something follows the object")
	}
	return nil
}

// ConfigDir returns the folder of the settings.
func (s *Shell) ConfigDir() (string, error) {
	if d := s.Getenv("WRIT_CONFIG"); d != "" {
		return d, nil
	}
	if d := s.Getenv("XDG_CONFIG_HOME"); d != "" {
		return filepath.Join(d, "writ"), nil
	}
	if h := s.Getenv("HOME"); h != "" {
		return filepath.Join(h, ".config", "writ"), nil
	}
	return "", Fail("set WRIT_CONFIG", "there is no home folder for settings")
}

// RootSetting returns the named digest and file of the genesis root; either may
// be missing.
func (s *Shell) RootSetting() (pin canon.Digest, file string, err error) {
	if s.set.Root == "" {
		return pin, s.set.RootFile, nil
	}
	if pin, err = canon.ParseDigest(s.set.Root); err == nil && pin.IsZero() {
		err = errors.New("a digest of zeros is that of no root")
	}
	if err != nil {
		return pin, "", usageNext("writ root show root.json prints the digest to name; compare it with whoever made the root", "--root, or WRIT_ROOT: %s", plain(err))
	}
	return pin, s.set.RootFile, nil
}

// Pin returns the digest of the genesis root, which must be named.
func (s *Shell) Pin() (canon.Digest, error) {
	pin, _, err := s.RootSetting()
	if err == nil && pin.IsZero() { //guard:A1 client-pin-named
		return pin, Fail("name it: --root sha256:…, or set WRIT_ROOT; writ root show root.json prints it", "no root is pinned, so nothing can be verified")
	}
	return pin, err
}

// Audience returns the replay domain that holders name: as set, or that of the
// only gate in the root.
func (s *Shell) Audience(ctx context.Context, flag string) (string, error) {
	if flag != "" {
		return flag, nil
	}
	if s.set.Audience != "" {
		return s.set.Audience, nil
	}
	r, err := s.RootDocument(ctx)
	if err != nil {
		return "", fmt.Errorf("find the gate's replay domain (or name it: --audience): %w", err)
	}
	domain := ""
	for _, g := range r.Document().Gates {
		if domain != "" && g.Domain != domain {
			return "", Usage("the root lists several gates: name the replay domain of yours with --audience")
		}
		domain = g.Domain
	}
	return domain, nil
}

// CAs returns the certificates of servers to trust; nil for the system's.
func (s *Shell) CAs() (*x509.CertPool, error) {
	if s.set.CA == "" {
		return nil, nil
	}
	b, err := s.Read(s.set.CA, Certificate)
	if err != nil {
		return nil, err
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(b) {
		return nil, Certificate.Bad(s.set.CA, errors.New("no certificate in PEM is in it"))
	}
	return pool, nil
}

// Client returns a client of the control API.
func (s *Shell) Client() (*api.Client, error) {
	if s.set.Server == "" {
		return nil, because(errNoServer, nameServer, "no server is named")
	}
	cas, err := s.CAs()
	if err != nil {
		return nil, err
	}
	c := api.ClientConfig{Server: s.set.Server, Roots: cas}
	if s.set.Reader != "" {
		k, err := s.Key(s.set.Reader)
		if err != nil {
			return nil, err
		}
		cert, err := identity.Certificate(k)
		if err != nil {
			return nil, err
		}
		c.Reader = &cert
	}
	client, err := api.NewClient(c)
	return client, Advise(err, nameServer)
}

// nameServer says how a server is named.
const nameServer = "name it: --server DATA/control.sock or --server https://host:port, or set WRIT_SERVER"

// errNoServer is the cause where a server is needed and none is named.
var errNoServer = errors.New("no server is named")

// HasServer reports whether a server is named.
func (s *Shell) HasServer() bool { return s.set.Server != "" }

// RootDocument returns the newest root, verified from the pinned genesis: out of
// the root's file if one is named, else as the server has it. It must not have
// expired.
func (s *Shell) RootDocument(ctx context.Context) (*policy.Root, error) {
	r, err := s.Roots(ctx)
	if err != nil {
		return nil, err
	}
	return s.inTime(r.InForce(), nil)
}

// NotPinned returns err, of verifying what from the pinned root, as people read it.
func NotPinned(err error, what string) error {
	if !errors.Is(err, policy.ErrAuthority) {
		return err
	}
	return because(err, "writ root show FILE prints the digest of a root; compare it with --root or WRIT_ROOT, and with whoever made the root",
		"%s does not verify: %s", what, plain(err))
}

// inTime returns r unless it has expired.
func (s *Shell) inTime(r *policy.Root, err error) (*policy.Root, error) {
	if err != nil {
		return nil, err
	}
	if err := r.CheckTime(s.Now().Unix()); err != nil {
		d := r.Document()
		return nil, because(err, "writ root new --after root.json … writes the next root; its quorum signs it, and writ root publish hands it in",
			"root version %d has expired, on %s", d.Version, Date(d.Expires))
	}
	return r, nil
}

// Zone returns the state of the zone as the server's documents prove it from the
// pinned root.
func (s *Shell) Zone(ctx context.Context) (*zone.Zone, error) {
	pin, err := s.Pin()
	if err != nil {
		return nil, err
	}
	c, err := s.Client()
	if err != nil {
		return nil, err
	}
	defer s.Waiting("verifying the policy log")()
	z, err := c.Zone(ctx, pin, 0)
	if err != nil {
		return nil, NotPinned(err, "what the server says of its zone")
	}
	if _, err := s.inTime(z.Root(), nil); err != nil {
		return nil, err
	}
	return z, nil
}

// Root returns the root in a file with its document. No signature is verified.
func (s *Shell) Root(name string) (*sign.Envelope, *policy.RootDocument, error) {
	b, err := s.Read(name, RootFile)
	if err != nil {
		return nil, nil, err
	}
	e, err := sign.ParseEnvelope(bytes.TrimSpace(b))
	if err == nil && e.PayloadType != policy.RootType {
		err = errors.New("its type is another")
	}
	var d *policy.RootDocument
	if err == nil {
		d, err = policy.ParseRoot(e.Payload)
	}
	if err != nil {
		return nil, nil, RootFile.Bad(name, err)
	}
	return e, d, nil
}
