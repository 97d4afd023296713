package clients

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/writhq/writ/internal/testpg"
)

// python is Debian's own: others do not have the packages.
const python = "/usr/bin/python3"

// jdbc is where Debian has the driver.
const jdbc = "/usr/share/java/postgresql.jar"

// lookup returns the path of a program, and skips the test without it.
func lookup(t testing.TB, program, pkg string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Skip("MISSING: " + pkg)
	}
	return path
}

// command returns a program that a client of ours runs in.
func command(path string, args ...string) program {
	return func(k *talk) error {
		cmd := exec.Command(path, args...)
		cmd.Env, cmd.Stdout, cmd.Stderr = k.env(), k.out, &k.errs
		w, err := cmd.StdinPipe() // the program may end before it has read all that there is
		if err != nil {
			return err
		}
		go func() {
			io.Copy(w, k.in)
			w.Close()
		}()
		return cmd.Run()
	}
}

// script returns a script of testdata in Debian's Python with its packages.
func script(name, modules, pkg string) func(testing.TB) program {
	return func(t testing.TB) program {
		t.Helper()
		if exec.Command(python, "-c", "import "+modules).Run() != nil {
			t.Skip("MISSING: " + pkg)
		}
		return command(python, filepath.Join("testdata", name))
	}
}

// node returns the story in JavaScript, with the library installed in a folder of
// the test's own.
func node(t testing.TB) program {
	t.Helper()
	path, npm := lookup(t, "node", "nodejs"), lookup(t, "npm", "npm")
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/node")); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(npm, "ci", "--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Logf("%v\n%s", err, out)
		t.Skip("MISSING: npm (its registry gave no pg)")
	}
	return command(path, filepath.Join(dir, "client.js"))
}

// java returns the story in Java, compiled.
func java(t testing.TB) program {
	t.Helper()
	javac, path := lookup(t, "javac", "default-jdk-headless"), lookup(t, "java", "default-jdk-headless")
	if _, err := os.Stat(jdbc); err != nil {
		t.Skip("MISSING: libpostgresql-jdbc-java")
	}
	dir := t.TempDir()
	if out, err := exec.Command(javac, "-encoding", "UTF-8", "-cp", jdbc, "-d", dir, "testdata/Client.java").CombinedOutput(); err != nil {
		t.Fatalf("javac: %v\n%s", err, out)
	}
	return command(path, "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", jdbc+":"+dir, "Client")
}

// refused finds how psql shows a refusal.
var refused = regexp.MustCompile(`DETAIL:  (.*)\n(HINT:  .+)?`)

// psql returns the story as psql's own script. It prints a refusal elsewhere.
func psql(t testing.TB) program {
	t.Helper()
	path := lookup(t, "psql", "postgresql-client")
	return func(k *talk) error {
		var out bytes.Buffer
		cmd := exec.Command(path, "-X", "-q", "-f", "testdata/psql.sql")
		cmd.Env, cmd.Stdout, cmd.Stderr = k.env(), &out, &k.errs
		err := cmd.Run()
		text := out.String()
		if m := refused.FindStringSubmatch(k.errs.String()); m != nil {
			text = strings.Replace(text, "denied 42501", "denied "+refusal("42501", m[1], m[2]), 1)
		}
		_, copied := io.WriteString(k.out, text)
		return errors.Join(err, copied)
	}
}

// processed finds how many of pgbench's transactions were done.
var processed = regexp.MustCompile(`actually processed: (\S+)`)

// pgbench returns a short run in each of its three ways of asking.
func pgbench(t testing.TB) program {
	t.Helper()
	path := filepath.Join(testpg.Programs(), "pgbench")
	if _, err := os.Stat(path); err != nil {
		t.Skip("MISSING: postgresql")
	}
	return func(k *talk) error {
		for _, mode := range []string{"simple", "extended", "prepared", "builtin"} {
			args := []string{"-n", "-c", "2", "-t", "10", "-f", "testdata/pgbench.sql", "-M", mode}
			if mode == "builtin" {
				args = append(args[:5], "-S")
			}
			cmd := exec.Command(path, args...)
			var out bytes.Buffer
			cmd.Env, cmd.Stdout, cmd.Stderr = k.env(), &out, &k.errs
			if err := cmd.Run(); err != nil {
				return err
			}
			if m := processed.FindStringSubmatch(out.String()); m != nil {
				fmt.Fprintln(k.out, mode, m[1])
			}
		}
		return nil
	}
}
