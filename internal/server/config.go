package server

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/writhq/writ/canon"
)

// A File is the configuration of a server process. It names files that hold
// secrets and holds none. Source: docs/configuration.md.
type File struct {
	Data    string   `json:"data"`              // data folder; only its owner may read it
	Gates   []Door   `json:"gates"`             // where operations come in
	Control string   `json:"control,omitempty"` // host:port of the control API; "": the Unix socket only
	TLS     TLSFiles `json:"tls"`
	Log     LogFile  `json:"log,omitzero"`

	name string // of the file, for messages
}

// A Door is one listener for operations.
type Door struct {
	Protocol string          `json:"protocol"` // such as http
	Address  string          `json:"address"`  // host:port
	Config   json.RawMessage `json:"config"`   // of the protocol
}

// TLSFiles names the certificate of all listeners, and its key.
type TLSFiles struct {
	Certificate string `json:"certificate"` // PEM
	Key         string `json:"key"`         // PEM; only its owner may read it
}

// A LogFile says what is logged. The log goes to standard error.
type LogFile struct {
	Level  string `json:"level,omitempty"`  // debug, info (default), warn, error
	Format string `json:"format,omitempty"` // json (default) or text
}

// ReadFile returns the configuration in the file, whose relative paths are
// relative to the file. Unknown fields are refused, and so is a file that leaves
// a setting out that security rests on. SPEC CTRL-13.
func ReadFile(name string) (*File, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("%w: configuration: %w", ErrServer, err)
	}
	if len(b) > maxConfigBytes {
		return nil, fmt.Errorf("%w: configuration: %d bytes; at most %d", ErrServer, len(b), maxConfigBytes)
	}
	if err := plainNames(b); err != nil { //guard:R11 config-names
		return nil, fmt.Errorf("%w: configuration: %w", ErrServer, err)
	}
	f := File{name: name}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields() //guard-call:R11 config-unknown-field
	if err := d.Decode(&f); err != nil {
		return nil, fmt.Errorf("%w: configuration: %w", ErrServer, err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("%w: configuration: something follows the object", ErrServer)
	}
	if err := f.check(); err != nil {
		return nil, fmt.Errorf("%w: configuration: %w; see docs/configuration.md", ErrServer, err)
	}
	for _, p := range []*string{&f.Data, &f.TLS.Certificate, &f.TLS.Key} {
		if !filepath.IsAbs(*p) {
			*p = filepath.Join(filepath.Dir(name), *p)
		}
	}
	return &f, nil
}

// plainNames refuses an object with a name twice, or not in lower case: the decoder
// takes "Data" for "data", and the last of two.
func plainNames(b []byte) error {
	v, err := canon.ParseJSON(b)
	if err != nil {
		return err
	}
	var walk func(v *canon.Value) error
	walk = func(v *canon.Value) error {
		for i := range v.Items {
			if err := walk(&v.Items[i]); err != nil {
				return err
			}
		}
		for i := range v.Members {
			if n := v.Members[i].Name; n != strings.ToLower(n) {
				return fmt.Errorf("unknown field %q: names are in lower case", n)
			}
			if err := walk(&v.Members[i].Value); err != nil {
				return err
			}
		}
		return nil
	}
	return walk(v)
}

func (f *File) check() error {
	switch {
	case f.Data == "":
		return fmt.Errorf("data is missing: the folder for keys and log")
	case f.TLS.Certificate == "" || f.TLS.Key == "": //guard:R11 config-tls-required
		return fmt.Errorf("tls.certificate or tls.key is missing: no listener speaks without TLS")
	case len(f.Gates) == 0:
		return fmt.Errorf("gates is empty: list at least one listener")
	}
	for i, g := range f.Gates {
		if g.Protocol == "" || g.Address == "" {
			return fmt.Errorf("gates[%d]: protocol or address is missing", i)
		}
		if g.Address == f.Control || slices.ContainsFunc(f.Gates[:i], func(o Door) bool { return o.Address == g.Address }) {
			return fmt.Errorf("gates[%d].address: %s is another listener's too", i, g.Address)
		}
	}
	if _, err := f.Log.level(); err != nil {
		return err
	}
	if f.Log.Format != "" && f.Log.Format != "json" && f.Log.Format != "text" {
		return fmt.Errorf("log.format: want json or text")
	}
	return nil
}

func (l LogFile) level() (slog.Level, error) {
	var v slog.Level
	if l.Level == "" {
		return slog.LevelInfo, nil
	}
	if err := v.UnmarshalText([]byte(l.Level)); err != nil {
		return v, fmt.Errorf("log.level: want debug, info, warn or error")
	}
	return v, nil
}

// Logger returns the log that f asks for, written to w.
func (f *File) Logger(w io.Writer) *slog.Logger {
	level, _ := f.Log.level() // ReadFile has checked it
	o := &slog.HandlerOptions{Level: level}
	if f.Log.Format == "text" {
		return slog.New(slog.NewTextHandler(w, o))
	}
	return slog.New(slog.NewJSONHandler(w, o))
}

// Socket returns the path of the control API's Unix socket.
func (f *File) Socket() string { return filepath.Join(f.Data, socketName) }

// certificates is the listeners' certificate, which can be read anew.
type certificates struct {
	files TLSFiles
	now   atomic.Pointer[tls.Certificate]
}

// load reads the files; on an error the certificate stays as it was.
func (c *certificates) load() error {
	pair, err := tls.LoadX509KeyPair(c.files.Certificate, c.files.Key)
	if err != nil {
		return advise("writ init makes them; see tls in docs/configuration.md", "the certificate in %s and its key in %s are not read: %w", c.files.Certificate, c.files.Key, err)
	}
	c.now.Store(&pair)
	return nil
}

func (c *certificates) get(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.now.Load(), nil }
