package server

import (
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/writhq/writ/internal/custody"
	"github.com/writhq/writ/internal/identity"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/policy/law"
	"github.com/writhq/writ/secret"
	"github.com/writhq/writ/tlog"
)

// The names of files.
const (
	keyringName = "keyring"
	rootName    = "root.json"
	socketName  = "control.sock"
	storeName   = "writ.db"
	ledgerName  = "ledger"
	// ConfigName and InfoName are what Init writes beside the data folder.
	ConfigName = "writ.json"
	InfoName   = "gate.json"
)

// A Setup says what Init makes. Every field is required but Region and Control.
type Setup struct {
	Dir        string // made, or empty
	Gate       string // id
	Group      string
	Domain     string // replay domain
	Region     string
	LogOrigin  string // name of the policy log
	Listen     string // host:port of the HTTP gate
	Origin     string // how clients reach it
	Control    string // host:port of the control API; "": the Unix socket only
	Hosts      []string
	Passphrase secret.Bytes
	Insecure   bool // keys in the clear, and no passphrase
}

// Info is what a root has to say of a gate: public keys and names.
type Info struct {
	Gate      policy.Gate `json:"gate"`
	PolicyLog policy.Log  `json:"policy_log"`
}

// Check returns an error that begins with the field that is wrong. Names are those
// that a root takes, so that what Init makes can be listed in one.
func (s *Setup) Check() error {
	names := []struct{ field, value string }{
		{"gate", s.Gate}, {"group", s.Group}, {"domain", s.Domain}, {"gate, after group and /", s.kemID()},
	}
	if s.Region != "" {
		names = append(names, struct{ field, value string }{"region", s.Region})
	}
	for _, n := range names {
		if err := law.CheckName(n.value); err != nil {
			return fmt.Errorf("%s: %w", n.field, err)
		}
	}
	if strings.Contains(s.Gate, "+") { // the gate's ledger is named by it
		return fmt.Errorf("gate: %q has a +, which no name of a log has", s.Gate)
	}
	if _, err := tlog.NewKey(s.LogOrigin, make([]byte, ed25519.PublicKeySize)); err != nil {
		return fmt.Errorf("log-origin: %w", err)
	}
	for _, a := range []struct{ field, value string }{{"listen", s.Listen}, {"control", s.Control}} {
		_, port, err := net.SplitHostPort(a.value)
		if n, perr := strconv.Atoi(port); a.value != "" && (err != nil || perr != nil || n < 1 || n > 65535) {
			return fmt.Errorf("%s: want host:port, such as 127.0.0.1:8443", a.field)
		}
	}
	if s.Listen == s.Control {
		return fmt.Errorf("control: want another host:port than listen")
	}
	return nil
}

// kemID returns the id of the gate's first key to seal to.
func (s *Setup) kemID() string { return s.Group + "/" + s.Gate + "/1" }

// Init makes the folder of a server: keyring, certificate, configuration, and
// the public facts for the root. The folder must be empty or absent.
func Init(s Setup) (*Info, error) {
	if err := s.Check(); err != nil {
		return nil, fmt.Errorf("%w: init: %w", ErrServer, err)
	}
	if entries, err := os.ReadDir(s.Dir); err == nil && len(entries) > 0 {
		return nil, advise("name another folder: --dir DIR", "init: %s is not empty", s.Dir)
	}
	if err := os.MkdirAll(filepath.Join(s.Dir, "data"), 0o700); err != nil {
		return nil, fmt.Errorf("%w: init: %w", ErrServer, err)
	}
	k, err := custody.NewKeyring(s.Gate, s.kemID())
	if err != nil {
		return nil, fmt.Errorf("%w: init: %w", ErrServer, err)
	}
	ring, err := wrap(k, s.Passphrase, s.Insecure)
	if err != nil {
		return nil, fmt.Errorf("%w: init: %w", ErrServer, err)
	}
	gk, err := k.GateKey()
	if err != nil {
		return nil, fmt.Errorf("%w: init: %w", ErrServer, err)
	}
	info := &Info{
		Gate: policy.Gate{
			ID: s.Gate, Group: s.Group, Domain: s.Domain, Region: s.Region, SignKey: k.Sign.Public(),
			KEMKeys: []policy.KEMKey{gk.Public()},
		},
		PolicyLog: policy.Log{Origin: s.LogOrigin, Key: k.Log.Public()},
	}
	return info, s.write(ring, info)
}

func wrap(k *custody.Keyring, passphrase secret.Bytes, insecure bool) ([]byte, error) {
	if insecure {
		return k.WrapInsecure()
	}
	return k.Wrap(passphrase)
}

func (s *Setup) write(ring []byte, info *Info) error {
	cert, key, err := identity.NewServerCertificate(s.Hosts)
	if err != nil {
		return fmt.Errorf("%w: init: %w", ErrServer, err)
	}
	public, err := pretty(info)
	if err != nil {
		return err
	}
	door, err := json.Marshal(map[string]string{"origin": s.Origin})
	if err != nil {
		return fmt.Errorf("%w: init: %w", ErrServer, err)
	}
	conf, err := pretty(&File{
		Data: "data", Gates: []Door{{Protocol: "http", Address: s.Listen, Config: door}}, Control: s.Control,
		TLS: TLSFiles{Certificate: "tls.crt", Key: "tls.key"}, Log: LogFile{Level: "info", Format: "json"},
	})
	if err != nil {
		return err
	}
	for _, f := range []struct {
		name string
		data []byte
		mode os.FileMode
	}{
		{filepath.Join("data", keyringName), ring, 0o600}, {"tls.key", key, 0o600}, {"tls.crt", cert, 0o644},
		{InfoName, public, 0o644}, {ConfigName, conf, 0o644},
	} {
		if err := writeFile(filepath.Join(s.Dir, f.name), f.data, f.mode); err != nil {
			return err
		}
	}
	return nil
}

func pretty(v any) ([]byte, error) {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrServer, err)
	}
	return append(b, '\n'), nil
}

// writeFile puts data into the file durably: whole, or not at all.
func writeFile(name string, data []byte, mode os.FileMode) (err error) {
	dir := filepath.Dir(name)
	f, err := os.CreateTemp(dir, "."+strings.TrimPrefix(filepath.Base(name), ".")+"-*")
	if err != nil {
		return fmt.Errorf("%w: write: %w", ErrServer, err)
	}
	defer os.Remove(f.Name()) // gone already if all went well
	if err = f.Chmod(mode); err == nil {
		_, err = f.Write(data)
	}
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err == nil {
		err = syncDir(dir)
	}
	if err != nil {
		return fmt.Errorf("%w: write: %w", ErrServer, err)
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
