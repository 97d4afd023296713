package pg_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/writhq/writ/internal/holder/pg"
)

// stay keeps a session until the client leaves.
func stay(c *tls.Conn) { io.Copy(io.Discard, c) }

// TestPurpose shows what of a client's startup message reaches the gate: all of it,
// and the relay's purpose if it names none.
//
// SPEC HPG-2, HPG-3, HPG-4
func TestPurpose(t *testing.T) {
	t.Parallel()
	g := newGate(t, let(stay))
	_, dir, _ := g.relay(t, nil)
	_, none, _ := g.relay(t, func(c *pg.Config) { c.Purpose = "" })
	for i, tt := range []struct{ dir, options, want string }{
		{dir, "", "-c writ.purpose=refund"},
		{dir, "-c geqo=off", "-c geqo=off -c writ.purpose=refund"},
		{dir, "-c writ.purpose=lookup", "-c writ.purpose=lookup"},
		{dir, "--writ.purpose=lookup", "--writ.purpose=lookup"},
		{none, "-c geqo=off", "-c geqo=off"},
		{none, "", ""},
	} {
		more := "application_name=reports"
		if tt.options != "" {
			more += " options='" + tt.options + "'"
		}
		if _, err := connect(t, tt.dir, more); err != nil {
			t.Fatal(err)
		}
		g.mu.Lock()
		if p := g.params[i]; p["options"] != tt.want || p["user"] != "me" || p["database"] != "shop" || p["application_name"] != "reports" {
			t.Errorf("%q: the gate got %q", tt.options, p)
		}
		g.mu.Unlock()
	}
}

// TestEveryByte sends bytes of all kinds both ways at once, and shows that the gate's
// last words arrive after the client's.
//
// SPEC HPG-5
func TestEveryByte(t *testing.T) {
	t.Parallel()
	down, up := noise(3<<20, 1), noise(2<<20, 2)
	got := make(chan []byte, 1)
	g := newGate(t, let(func(c *tls.Conn) {
		go c.Write(down)
		b, _ := io.ReadAll(io.LimitReader(c, int64(len(up))))
		got <- b
		if n, err := c.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("after the client's end: %d, %v", n, err)
		}
		c.Write([]byte("last words"))
	}))
	_, dir, _ := g.relay(t, nil)
	c := dial(t, dir)
	hello, err := (&pgproto3.StartupMessage{ProtocolVersion: 196608, Parameters: map[string]string{"user": "me"}}).Encode(nil)
	if err != nil {
		t.Fatal(err)
	}
	c.Write(hello)
	if _, err := io.ReadFull(c, make([]byte, 9+13+6)); err != nil { // let in, a key to cancel, ready
		t.Fatal(err)
	}
	go func() {
		c.Write(up)
		c.(*net.UnixConn).CloseWrite()
	}()
	b, err := io.ReadAll(c)
	if err != nil || !bytes.Equal(b, append(down, "last words"...)) {
		t.Errorf("the client got %d bytes, %v", len(b), err)
	}
	if b := <-got; !bytes.Equal(b, up) {
		t.Errorf("the gate got %d bytes", len(b))
	}
}

// noise returns n bytes that are the same in every run.
func noise(n int, seed uint64) []byte {
	b, r := make([]byte, n), rand.New(rand.NewPCG(seed, 0))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// TestCancelRelayed shows a request to cancel, with the keys of now and with longer
// ones.
//
// SPEC HPG-2, HPG-5
func TestCancelRelayed(t *testing.T) {
	t.Parallel()
	g := newGate(t, let(stay))
	_, dir, _ := g.relay(t, nil)
	for i, key := range [][]byte{{1, 2, 3, 4}, noise(32, 3)} {
		c := dial(t, dir)
		b, err := (&pgproto3.CancelRequest{ProcessID: 7, SecretKey: key}).Encode(nil)
		if err != nil {
			t.Fatal(err)
		}
		c.Write(b)
		if rest, err := io.ReadAll(c); len(rest) != 0 || err != nil {
			t.Errorf("a request to cancel is answered: %q, %v", rest, err)
		}
		g.mu.Lock()
		if len(g.cancels) != i+1 || g.cancels[i].ProcessID != 7 || !bytes.Equal(g.cancels[i].SecretKey, key) {
			t.Errorf("the gate got %v", g.cancels)
		}
		g.mu.Unlock()
	}
}

// TestAnotherUser shows clients of a user whose socket it is not, in a folder that
// was opened to all since.
//
// SPEC HPG-1, HPG-6
// R4
// guard: relay-own-user
func TestAnotherUser(t *testing.T) {
	t.Parallel()
	g := newGate(t, let(stay))
	_, dir, _ := g.relay(t, nil)
	if os.Geteuid() == 0 {
		if err := errors.Join(os.Chmod(dir, 0o755), os.Chmod(filepath.Join(dir, ".s.PGSQL.5432"), 0o777)); err != nil {
			t.Fatal(err)
		}
		psql, err := exec.LookPath("psql")
		if err != nil {
			t.Skip("MISSING: postgresql-client")
		}
		cmd := exec.Command(psql, "-X", "-h", dir, "-d", "shop", "-U", "me", "-c", "SELECT 1")
		cmd.Dir, cmd.SysProcAttr = "/", &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "another user") {
			t.Errorf("another user's psql: %v\n%s", err, out)
		}
	}
	_, dir, _ = g.relay(t, nil, func(r *pg.Relay) { r.Of(uint32(os.Geteuid()) + 1) })
	_, err := connect(t, dir, "")
	if e, ok := errors.AsType[*pgconn.PgError](err); !ok || e.Code != "28000" || e.Hint == "" {
		t.Errorf("a client of another user: %v", err)
	}
	if n := g.conns.Load(); n != 0 {
		t.Errorf("%d connections to the gate", n)
	}
}

// TestPort shows clients of a port: those that have its token, and others.
//
// SPEC HPG-6, HPG-7
// R4
// guard: relay-token, relay-token-size
func TestPort(t *testing.T) {
	t.Parallel()
	g := newGate(t, let(stay))
	r, dir, _ := g.relay(t, nil)
	p, err := pg.ListenPort(t.Context(), dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- r.RunPort(ctx, p, p.Token) }()
	at := fmt.Sprintf("host=127.0.0.1 port=%d user=me dbname=shop sslmode=disable ", p.Number())
	c, err := pgconn.Connect(t.Context(), at+"passfile="+p.File)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.CancelRequest(t.Context()); err != nil {
		t.Errorf("to cancel: %v", err)
	}
	g.mu.Lock()
	if len(g.params) != 1 || g.params[0]["options"] != "-c writ.purpose=refund" || len(g.cancels) != 1 {
		t.Errorf("the gate got %v, %v", g.params, g.cancels)
	}
	g.mu.Unlock()
	had := g.conns.Load()
	for name, said := range map[string]string{"another": "password=x", "none": "password=''", "longer": "password=" + strings.Repeat("x", 300)} {
		_, err := pgconn.Connect(t.Context(), at+"passfile=/none "+said)
		if e, ok := errors.AsType[*pgconn.PgError](err); name == "longer" && (err == nil || ok) || name != "longer" && (!ok || e.Code != "28P01" || e.Hint == "") {
			t.Errorf("%s token: %v", name, err)
		}
	}
	if n := g.conns.Load() - had; n != 0 {
		t.Errorf("%d connections to the gate without the token", n)
	}
	if st, err := os.Stat(p.File); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("the password file: %v, %v", st, err)
	}
	first := p.Token.Clone()
	next, err := pg.ListenPort(t.Context(), dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	if next.Token.Equal(first) {
		t.Error("the next port has the same token")
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	next.Close()
	if _, err := os.Lstat(next.File); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the password file is there still: %v", err)
	}
	if _, err := pg.ListenPort(t.Context(), dir, uint16(g.Addr().(*net.TCPAddr).Port)); err == nil || !errors.Is(err, pg.ErrRelay) {
		t.Errorf("a port that is taken: %v", err)
	}
}

// TestCallers shows more clients that say nothing than there is room for.
//
// SPEC HPG-1
// R11
// guard: relay-callers
func TestCallers(t *testing.T) {
	t.Parallel()
	g := newGate(t, let(stay))
	_, dir, _ := g.relay(t, nil)
	left := make(chan struct{}, pg.MaxCallers+1)
	for range pg.MaxCallers + 1 {
		c := dial(t, dir)
		go func() {
			c.Read(make([]byte, 1))
			left <- struct{}{}
		}()
	}
	select {
	case <-left: // whichever of them it is
	case <-time.After(pg.MaxStartup / 2):
		t.Error("all of them wait")
	}
}

// TestFolders shows where a socket is not opened, and where it is.
//
// SPEC HPG-1
// R4
// guard: relay-folder
func TestFolders(t *testing.T) {
	t.Parallel()
	base := folder(t)
	in := func(name string) string { return filepath.Join(base, name) }
	for _, err := range []error{
		os.Mkdir(in("open"), 0o755), os.Mkdir(in("mine"), 0o700), os.Symlink(in("mine"), in("link")), os.WriteFile(in("file"), nil, 0o600), os.Mkdir(in("left"), 0o700),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: in("left/.s.PGSQL.5432"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	left.SetUnlinkOnClose(false)
	left.Close()
	for _, tt := range []struct {
		dir string
		ok  bool
	}{
		{in("open"), false}, {in("link"), false}, {in("file"), false}, {in("no/folder"), false}, {in(strings.Repeat("long", 30)), false},
		{in("new"), true}, {in("mine"), true}, {in("mine"), false}, {in("left"), true},
	} {
		l, err := pg.Listen(t.Context(), tt.dir)
		if (err == nil) != tt.ok || err != nil && !errors.Is(err, pg.ErrRelay) {
			t.Errorf("%s: %v", tt.dir, err)
		}
		if err != nil {
			continue
		}
		defer l.Close()
		if st, err := os.Stat(tt.dir); err != nil || st.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v", tt.dir, st.Mode(), err)
		}
	}
}

// TestJunk shows what is no client: nothing of it reaches the gate.
//
// SPEC HPG-3
// R11
// guard: relay-startup-size
func TestJunk(t *testing.T) {
	t.Parallel()
	g := newGate(t, let(stay))
	_, dir, _ := g.relay(t, nil)
	for name, say := range map[string][]byte{
		"half a startup message": {0, 0, 0, 80, 0, 3, 0, 0, 'u'},
		"too short":              {0, 0, 0, 7, 0, 3, 0},
		"too long":               packet(196608, pg.MaxStartupBytes-7),
		"too long by far":        {0x7f, 0, 0, 0, 0, 3, 0, 0},
		"protocol 2":             packet(2<<16, 100),
		"no end":                 append(packet(196608, 11)[:18], 'x'),
		"another program's":      []byte("GET / HTTP/1.1\r\n\r\n"),
		"TLS":                    {22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3},
		"encryption for ever":    bytes.Repeat(packet(80877103, 0), 5),
		"encryption and more":    packet(80877103, 1),
		"a short cancellation":   packet(80877102, 4),
	} {
		c := dial(t, dir)
		c.Write(say)
		c.(*net.UnixConn).CloseWrite()
		if b, err := io.ReadAll(c); errors.Is(err, os.ErrDeadlineExceeded) || len(bytes.Trim(b, "N")) > 0 {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	if n := g.conns.Load(); n != 0 {
		t.Errorf("%d connections to the gate", n)
	}
	if _, err := connect(t, dir, ""); err != nil {
		t.Error(err)
	}
}

// packet returns a first message with the code and n bytes, of zero.
func packet(code uint32, n int) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(8+n))
	return append(binary.BigEndian.AppendUint32(b, code), make([]byte, n)...)
}

// TestFull shows one client more than there is room for, and one after another left.
//
// SPEC HPG-1, HPG-6
// R11
// guard: relay-sessions
func TestFull(t *testing.T) {
	t.Parallel()
	g := newGate(t, let(stay))
	_, dir, _ := g.relay(t, nil, func(r *pg.Relay) { r.Bound(2) })
	first, err := connect(t, dir, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := connect(t, dir, ""); err != nil {
		t.Fatal(err)
	}
	_, err = connect(t, dir, "")
	if e, ok := errors.AsType[*pgconn.PgError](err); !ok || e.Code != "53300" || e.Hint == "" {
		t.Errorf("a third of two: %v", err)
	}
	first.Close(t.Context())
	<-first.CleanupDone()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) { // until the relay has seen it
		if _, err = connect(t, dir, ""); err == nil || time.Now().After(end) {
			break
		}
	}
	if err != nil {
		t.Errorf("after one has left: %v", err)
	}
}

// TestEnd shows a relay that is told to end: its sessions do, and the socket is gone.
//
// SPEC HPG-5
func TestEnd(t *testing.T) {
	t.Parallel()
	g := newGate(t, let(stay))
	_, dir, end := g.relay(t, nil)
	p, err := connect(t, dir, "")
	if err != nil {
		t.Fatal(err)
	}
	waiting := dial(t, dir) // and says nothing
	end()
	if _, err := p.Exec(t.Context(), "SELECT 1").ReadAll(); err == nil {
		t.Error("a session goes on")
	}
	if n, err := waiting.Read(make([]byte, 1)); n != 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a client that waits: %d, %v", n, err)
	}
	if _, err := os.Lstat(filepath.Join(dir, ".s.PGSQL.5432")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket: %v", err)
	}
}
