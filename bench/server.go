package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// servers measures the binary: its size, how fast a server is ready, and what it
// holds in memory when nobody asks it anything.
func servers(b *testing.B, f figures) {
	dir := b.TempDir()
	bin := filepath.Join(dir, "writ")
	build := exec.CommandContext(b.Context(), "go", "build", "-trimpath", "-o", bin, "./cmd/writ")
	build.Stderr = os.Stderr
	must(b, build.Run())
	st, err := os.Stat(bin)
	must(b, err)
	f["server.binary_mb"] = float64(st.Size()) / 1e6

	s := &shell{b: b, bin: bin, dir: dir}
	s.setUp()
	var starts []float64
	for range 5 {
		begin := time.Now()
		stop := s.start()
		s.ready()
		starts = append(starts, float64(time.Since(begin).Microseconds())/1000)
		stop()
	}
	f["server.start_ms"] = median(starts)
	stop := s.start()
	s.ready()
	time.Sleep(2 * time.Second) // idle
	f["server.idle_mb"] = resident(b, s.server.Process)
	stop()
}

// shell runs the commands that a person would.
type shell struct {
	b        *testing.B
	bin, dir string
	root     string
	server   *exec.Cmd
}

func (s *shell) run(args ...string) []byte {
	s.b.Helper()
	cmd := exec.CommandContext(s.b.Context(), s.bin, args...)
	cmd.Dir = s.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.b.Fatalf("writ %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return out
}

func (s *shell) setUp() {
	addr := freeAddr(s.b)
	for _, name := range []string{"ana", "bo"} {
		s.run("key", "new", name, "--role", "policy", "--insecure-plaintext")
	}
	s.run("init", "--dir", "srv", "--gate", "gate-1", "--group", "prod", "--listen", addr, "--insecure-plaintext-keys")
	out := s.run("root", "new", "--gate", "srv/gate.json", "--quorum", "2:ana,bo", "--principal", "ana=ana.pub:root,policy,revoke,reader",
		"--principal", "bo=bo.pub:root,policy", "--namespace", "payments/=genesis 2:ana,bo revoke 1:ana", "--json")
	var made struct{ Digest string }
	must(s.b, json.Unmarshal(out, &made))
	s.root = made.Digest
	s.run("root", "sign", "root.json", "--key", "ana.key")
	s.run("root", "sign", "root.json", "--key", "bo.key")
}

// start starts the server and returns what ends it.
func (s *shell) start() (stop func()) {
	s.server = exec.CommandContext(s.b.Context(), s.bin, "server", "--config", "srv/writ.json", "--root", s.root, "--root-file", "root.json")
	s.server.Dir = s.dir
	must(s.b, s.server.Start())
	return func() {
		must(s.b, s.server.Process.Signal(os.Interrupt))
		must(s.b, s.server.Wait())
	}
}

// ready waits until the server says that it is.
func (s *shell) ready() {
	sock := filepath.Join(s.dir, "srv/data/control.sock")
	deadline := time.Now().Add(10 * time.Second)
	for time.Now().Before(deadline) {
		conn, err := net.Dial("unix", sock)
		if err != nil {
			time.Sleep(time.Millisecond)
			continue
		}
		fmt.Fprint(conn, "GET /readyz HTTP/1.0\r\nHost: writ\r\n\r\n")
		status := make([]byte, 12)
		n, err := conn.Read(status)
		conn.Close()
		if err == nil && n == 12 && string(status[9:]) == "200" {
			return
		}
		time.Sleep(time.Millisecond)
	}
	s.b.Fatal("the server is not ready after 10 s")
}

// resident returns a process's resident memory in MB.
func resident(b *testing.B, p *os.Process) float64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Pid))
	must(b, err)
	for line := range strings.SplitSeq(string(status), "\n") {
		var kb float64
		if n, err := fmt.Sscanf(line, "VmRSS: %f kB", &kb); n == 1 && err == nil {
			return kb / 1024
		}
	}
	b.Fatal("no VmRSS")
	return 0
}
