package server_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/writhq/writ/internal/server"
	"github.com/writhq/writ/internal/testgate"
)

// archive returns a tar with the entries.
func archive(t *testing.T, entries ...tar.Header) io.Reader {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range entries {
		h.Mode = 0o600
		if h.Typeflag == tar.TypeReg {
			h.Size = 1
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			if _, err := w.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &b
}

func regular(names ...string) (out []tar.Header) {
	for _, n := range names {
		out = append(out, tar.Header{Name: n, Typeflag: tar.TypeReg})
	}
	return out
}

// Restoring writes the files of a backup into an empty folder, and nothing else
// anywhere. SPEC CTRL-15.
//
// guard: restore-names, restore-empty
func TestRestoreRefuses(t *testing.T) {
	t.Parallel()
	good := regular("ledger/00000001.wal", "keyring", "root.json", "writ.db")
	base := t.TempDir()
	if err := server.Restore(archive(t, good...), filepath.Join(base, "good")); err != nil {
		t.Fatal(err)
	}
	for name, entries := range map[string][]tar.Header{
		"a way out":        append(regular("../stranger"), good...),
		"another way out":  append(regular("ledger/../../stranger"), good...),
		"an absolute path": append(regular("/stranger"), good...),
		"a file beside":    append(regular("stranger"), good...),
		"a mark":           append(regular("restored"), good...),
		"a lock":           append(regular("ledger/lock"), good...),
		"a link":           append([]tar.Header{{Name: "keyring", Typeflag: tar.TypeSymlink, Linkname: "../stranger"}}, good...),
		"without keyring":  good[:1],
		"nothing":          nil,
	} {
		dir := filepath.Join(base, "x", strings.ReplaceAll(name, " ", "-"))
		if err := server.Restore(archive(t, entries...), dir); !errors.Is(err, server.ErrServer) {
			t.Errorf("%s: %v", name, err)
		}
		if n := names(t, filepath.Dir(dir)); len(n) > 0 {
			t.Errorf("%s: %v is left", name, n)
		}
	}
	filepath.WalkDir(base, func(path string, d os.DirEntry, err error) error {
		if strings.Contains(d.Name(), "stranger") || d.Name() == "lock" {
			t.Errorf("%s was written", path)
		}
		return err
	})
	if err := server.Restore(archive(t, good...), filepath.Join(base, "good")); !errors.Is(err, server.ErrServer) {
		t.Errorf("a folder that is not empty: %v", err)
	}
}

// watched reads a backup and calls seen before each part of it.
type watched struct {
	r    io.Reader
	seen func()
}

func (w watched) Read(b []byte) (int, error) {
	w.seen()
	return w.r.Read(b[:min(len(b), 2000)])
}

// names returns what is in a folder; nothing if it is not there.
func names(t *testing.T, dir string) (out []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

// A backup that is cut short leaves nothing, wherever it is cut, in a folder that
// was there and in one that was not; and until all of it is on the disk there is no
// keyring in the folder, so that whatever kills a restore leaves none that starts.
// SPEC CTRL-15.
//
// R50
func TestRestoreWholeOrNot(t *testing.T) {
	t.Parallel()
	g := newGate(t, testgate.Config{})
	order(t, g, g.Client(g.Wide(1), g.Holder(0), "refund"))
	ring, err := g.Keyring().WrapInsecure()
	if err == nil {
		err = os.WriteFile(filepath.Join(g.Dir, "keyring"), ring, 0o600)
	}
	var b bytes.Buffer
	if err == nil {
		err = g.Server.Backup(t.Context(), &b)
	}
	if err != nil {
		t.Fatal(err)
	}
	base := t.TempDir()
	there, absent := filepath.Join(base, "there"), filepath.Join(base, "a", "b", "absent")
	if err := os.Mkdir(there, 0o700); err != nil {
		t.Fatal(err)
	}
	whole := b.Len() - 1024 // two blocks of zeros end a tar, and hold nothing
	for cut := 0; cut < whole; cut += max(1, whole/40) {
		for _, dir := range []string{there, absent} {
			if err := server.Restore(bytes.NewReader(b.Bytes()[:cut]), dir); !errors.Is(err, server.ErrServer) {
				t.Fatalf("cut at %d of %d: %v", cut, b.Len(), err)
			}
		}
		if n := names(t, base); len(n) != 1 || len(names(t, there)) > 0 {
			t.Fatalf("cut at %d: left are %v, %v", cut, n, names(t, there))
		}
	}
	if err := os.Mkdir(filepath.Join(there, ".restore-123"), 0o700); err != nil { // as one that was killed leaves it
		t.Fatal(err)
	}
	parts := 0
	for _, dir := range []string{there, absent} {
		err := server.Restore(watched{&b, func() {
			parts++
			if _, err := os.Stat(filepath.Join(dir, "keyring")); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("a keyring after %d parts: %v", parts, err)
			}
		}}, dir)
		if err != nil || len(names(t, dir)) != 4 {
			t.Errorf("%s: %v, %v", dir, err, names(t, dir))
		}
		if err := g.Server.Backup(t.Context(), &b); err != nil {
			t.Fatal(err)
		}
	}
	if parts < 20 {
		t.Errorf("only %d parts", parts)
	}
}

// A backup of a running gate holds what a gate needs to go on, and no socket, lock
// or temporary file. SPEC CTRL-15.
func TestBackupWhileItRuns(t *testing.T) {
	t.Parallel()
	g := newGate(t, testgate.Config{})
	c := g.Credential(t, 1)
	if status, body := order(t, g, g.Client(c, g.Holder(0), "refund")); status != 200 {
		t.Fatalf("status %d: %s", status, body)
	}
	var b bytes.Buffer
	if err := g.Server.Backup(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	var names []string
	for r := tar.NewReader(bytes.NewReader(b.Bytes())); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
	}
	text := strings.Join(names, " ")
	if !strings.HasSuffix(text, "writ.db") || !strings.Contains(text, ".wal") || strings.Contains(text, "lock") || strings.Contains(text, "sock") {
		t.Errorf("the backup holds %s", text)
	}
	if wal, evd := strings.Index(text, ".wal"), strings.Index(text, ".evd"); evd < wal {
		t.Errorf("evidence is copied before its log: %s", text)
	}
	entries, err := os.ReadDir(g.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.Contains(e.Name(), "backup") {
			t.Errorf("%s is left behind", e.Name())
		}
	}
}
