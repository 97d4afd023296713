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
		"a lock":           append(regular("ledger/lock"), good...),
		"a link":           append([]tar.Header{{Name: "keyring", Typeflag: tar.TypeSymlink, Linkname: "../stranger"}}, good...),
		"without keyring":  good[:1],
		"nothing":          nil,
	} {
		dir := filepath.Join(base, "x", strings.ReplaceAll(name, " ", "-"))
		if err := server.Restore(archive(t, entries...), dir); !errors.Is(err, server.ErrServer) {
			t.Errorf("%s: %v", name, err)
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
