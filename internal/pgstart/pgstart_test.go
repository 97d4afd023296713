package pgstart_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/writhq/writ/internal/pgstart"
	"github.com/writhq/writ/internal/testgate"
)

// TestStart starts a server, which leaves no password behind, and ends it.
func TestStart(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "writ-pg-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	c := pgstart.Config{Dir: dir, Cert: testgate.Certificate(t), Password: []byte("a password"), Settings: []string{"work_mem=123kB"}}
	s, err := pgstart.Start(t.Context(), c)
	if errors.Is(err, pgstart.ErrMissing) {
		t.Skip("MISSING: postgresql")
	}
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgconn.Connect(t.Context(), s.Local(pgstart.Superuser))
	if err != nil {
		t.Fatal(err)
	}
	r := conn.ExecParams(t.Context(), "SHOW work_mem", nil, nil, nil, nil).Read()
	if r.Err != nil || string(r.Rows[0][0]) != "123kB" {
		t.Errorf("a setting: %v", r)
	}
	for _, wrong := range []string{"", "another"} {
		if _, err := pgconn.Connect(t.Context(), "postgres://postgres:"+wrong+"@"+s.Addr+"/postgres?sslmode=require"); err == nil {
			t.Errorf("the password %q is taken", wrong)
		}
	}
	err = filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(p)
		if bytes.Contains(b, c.Password) {
			t.Errorf("%s has the password", p)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Stop()
	if _, err := pgconn.Connect(t.Context(), s.Local(pgstart.Superuser)); err == nil {
		t.Error("it answers after its end")
	}
	if _, err := pgstart.Start(t.Context(), c); !errors.Is(err, pgstart.ErrStart) { // a folder that has a server's files
		t.Errorf("a second server in one folder: %v", err)
	}
}
