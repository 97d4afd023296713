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
	f.StringVar(&s.set.RootFile, "root-file", "", "file of the genesis root, to work without a server ($WRIT_ROOT_FILE)")
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
	if err != nil {
		return file, fmt.Errorf("%w: settings: %w", ErrShell, err)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&file); err != nil {
		return file, fmt.Errorf("%w: settings: config.json: %w", ErrShell, err)
	}
	if _, err := d.Token(); err != io.EOF {
		return file, fmt.Errorf("%w: settings: config.json: something follows the object", ErrShell)
	}
	return file, nil
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
	pin, err = canon.ParseDigest(s.set.Root)
	if err != nil {
		return pin, "", Usage("--root: %s", err)
	}
	return pin, s.set.RootFile, nil
}

// Pin returns the digest of the genesis root, which must be named.
func (s *Shell) Pin() (canon.Digest, error) {
	pin, _, err := s.RootSetting()
	if err == nil && pin.IsZero() { //guard:A1 client-pin-named
		return pin, Fail("name it: --root sha256:… (writ root show prints it), or set WRIT_ROOT", "no root is pinned, so nothing can be verified")
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
	b, err := s.ReadFile(s.set.CA)
	if err != nil {
		return nil, err
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(b) {
		return nil, Fail("", "%s holds no certificate in PEM", s.set.CA)
	}
	return pool, nil
}

// Client returns a client of the control API.
func (s *Shell) Client() (*api.Client, error) {
	if s.set.Server == "" {
		return nil, Fail("name it: --server DATA/control.sock or --server https://host:port, or set WRIT_SERVER", "no server is named")
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
	return api.NewClient(c)
}

// HasServer reports whether a server is named.
func (s *Shell) HasServer() bool { return s.set.Server != "" }

// RootDocument returns the newest root, verified from the pinned genesis: out of
// the root's file if one is named, else as the server has it.
func (s *Shell) RootDocument(ctx context.Context) (*policy.Root, error) {
	pin, err := s.Pin()
	if err != nil {
		return nil, err
	}
	var chain []*sign.Envelope
	if s.set.RootFile != "" {
		e, err := s.Envelope(s.set.RootFile)
		if err != nil {
			return nil, err
		}
		chain = []*sign.Envelope{e}
	} else {
		c, err := s.Client()
		if err != nil {
			return nil, err
		}
		if chain, err = c.Roots(ctx); err != nil {
			return nil, err
		}
	}
	return policy.VerifyRoots(pin, chain, s.Now().Unix())
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
	return c.Zone(ctx, pin, s.Now().Unix())
}

// Envelope returns the envelope in a file. It is not verified.
func (s *Shell) Envelope(name string) (*sign.Envelope, error) {
	b, err := s.ReadFile(name)
	if err != nil {
		return nil, err
	}
	e, err := sign.ParseEnvelope(bytes.TrimSpace(b))
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrShell, name, err)
	}
	return e, nil
}
