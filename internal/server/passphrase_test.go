package server_test

import (
	"bufio"
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/writhq/writ/internal/custody"
	"github.com/writhq/writ/internal/server"
	"github.com/writhq/writ/secret"
)

// rewrapEnv tells the test binary that it is the process that gets killed: the data
// folder.
const rewrapEnv = "WRIT_REWRAP_CHILD"

func pass(s string) secret.Bytes { return secret.Take([]byte(s)) }

// ringDir returns a data folder with a keyring under the passphrase "old", and the
// keyring.
func ringDir(t *testing.T) (dir string, k *custody.Keyring) {
	t.Helper()
	k, err := custody.NewKeyring("gate-1", "main/gate-1/1")
	if err != nil {
		t.Fatal(err)
	}
	b, err := k.Wrap(pass("old"))
	if err == nil {
		dir = t.TempDir()
		err = os.WriteFile(filepath.Join(dir, "keyring"), b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir, k
}

// opens returns the keyring in the folder, if the passphrase opens it.
func opens(t *testing.T, dir, passphrase string) *custody.Keyring {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "keyring"))
	if err != nil {
		t.Fatal(err)
	}
	k, err := custody.Unwrap(b, pass(passphrase))
	if err != nil {
		return nil
	}
	return k
}

// A new passphrase opens the same keys, the old one opens nothing any more, and a
// wrong one changes nothing.
func TestRewrap(t *testing.T) {
	t.Parallel()
	dir, k := ringDir(t)
	before, err := os.ReadFile(filepath.Join(dir, "keyring"))
	if err != nil {
		t.Fatal(err)
	}
	h, err := server.HoldKeyring(dir)
	if err != nil || h.Insecure() {
		t.Fatalf("hold: %v", err)
	}
	if _, err := server.HoldKeyring(dir); !errors.Is(err, server.ErrServer) {
		t.Errorf("held twice: %v", err)
	}
	for name, p := range map[string][2]string{"a wrong passphrase": {"wrong", "new"}, "an empty new one": {"old", ""}} {
		if err := h.Rewrap(pass(p[0]), pass(p[1])); !errors.Is(err, server.ErrServer) {
			t.Errorf("%s: %v", name, err)
		}
		if b, err := os.ReadFile(filepath.Join(dir, "keyring")); err != nil || !bytes.Equal(b, before) {
			t.Errorf("%s: the keyring changed", name)
		}
	}
	if err := h.Rewrap(pass("old"), pass("new")); err != nil {
		t.Fatal(err)
	}
	h.Release()
	again := opens(t, dir, "new")
	if again == nil || again.Sign.Public() != k.Sign.Public() || again.Log.Public() != k.Log.Public() || !again.KEM.Equal(k.KEM) || !again.Evidence.Equal(k.Evidence) || again.KEMID != k.KEMID {
		t.Errorf("the new passphrase opens other keys: %v", again)
	}
	if opens(t, dir, "old") != nil {
		t.Error("the old passphrase still opens it")
	}
	st, err := os.Stat(filepath.Join(dir, "keyring"))
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	if n := names(t, dir); len(n) != 1 {
		t.Errorf("left behind: %v", n)
	}
	if h, err = server.HoldKeyring(dir); err != nil {
		t.Errorf("after the release: %v", err)
	} else {
		h.Release()
	}
}

// A keyring in the clear gets its first passphrase.
func TestRewrapPlain(t *testing.T) {
	t.Parallel()
	dir, k := ringDir(t)
	b, err := k.WrapInsecure()
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "keyring"), b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	h, err := server.HoldKeyring(dir)
	if err != nil || !h.Insecure() {
		t.Fatalf("hold: %v", err)
	}
	defer h.Release()
	if err := h.Rewrap(secret.Bytes{}, pass("new")); err != nil {
		t.Fatal(err)
	}
	if h.Insecure() || opens(t, dir, "new") == nil || opens(t, dir, "") != nil {
		t.Error("it is not wrapped")
	}
}

// TestRewrapChild changes the passphrase to and fro until it is killed.
func TestRewrapChild(t *testing.T) {
	dir := os.Getenv(rewrapEnv)
	if dir == "" {
		t.Skip("run by TestKilledRewrap")
	}
	h, err := server.HoldKeyring(dir)
	if err != nil {
		t.Fatal(err)
	}
	os.Stdout.WriteString("\nREADY\n")
	from, to := "old", "new"
	if opens(t, dir, from) == nil {
		from, to = to, from
	}
	for t.Context().Err() == nil {
		if err := h.Rewrap(pass(from), pass(to)); err != nil {
			t.Fatal(err)
		}
		from, to = to, from
	}
}

// A change of the passphrase that is killed at any moment leaves a keyring that
// opens under the one or the other.
func TestKilledRewrap(t *testing.T) {
	if testing.Short() {
		t.Skip("kills processes")
	}
	t.Parallel()
	dir, k := ringDir(t)
	changed := 0
	for range 5 {
		cmd := exec.Command(os.Args[0], "-test.run", "^TestRewrapChild$", "-test.v")
		cmd.Env = append(os.Environ(), rewrapEnv+"="+dir)
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for lines.Scan() && lines.Text() != "READY" {
		}
		time.Sleep(time.Duration(rand.IntN(900_000)) * time.Microsecond) // the moment of the kill is what is drawn
		cmd.Process.Kill()
		cmd.Wait()
		have := opens(t, dir, "old")
		if have == nil {
			changed++
			have = opens(t, dir, "new")
		}
		if have == nil || !have.KEM.Equal(k.KEM) {
			t.Fatal("the keyring opens under neither passphrase")
		}
	}
	t.Logf("changed after %d of 5 kills", changed)
}
