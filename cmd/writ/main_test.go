package main

import (
	"context"
	"crypto/subtle"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/testpg"
)

// realKey is what the upstream of the stories takes; nothing a holder gets may
// hold it.
const realKey = "rk_live/story+key/0123456789abcdef"

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"writ": main})
}

// An upstream is an API that takes only the real key, and says what it saw.
type upstream struct {
	*httptest.Server
	calls atomic.Int64
}

func newUpstream() *upstream {
	u := &upstream{}
	u.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u.calls.Add(1)
		if subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), []byte("Bearer "+realKey)) != 1 {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(map[string]any{"method": r.Method, "path": r.URL.Path, "body": string(body)})
	}))
	return u
}

// setup gives a story an upstream, free addresses, and an empty home.
func setup(e *testscript.Env) error {
	u := newUpstream()
	e.Defer(u.Close)
	e.Values["upstream"] = u
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	e.Defer(cancel)
	e.Values["context"] = ctx
	for _, name := range []string{"GATE", "CONTROL"} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		e.Setenv(name, l.Addr().String())
		l.Close()
	}
	e.Setenv("UPSTREAM", u.URL)
	e.Setenv("PIN", canon.Hash(u.Certificate().RawSubjectPublicKeyInfo).String())
	e.Setenv("WRIT_CONFIG", filepath.Join(e.WorkDir, "home"))
	e.Setenv("TMPDIR", e.WorkDir)
	e.Setenv("GORACE", "atexit_sleep_ms=0") // under the race detector every process would sleep a second
	return os.WriteFile(filepath.Join(e.WorkDir, "value.txt"), []byte(realKey+"\n"), 0o600)
}

// getenv sets a variable to a member of a JSON file: getenv NAME FILE MEMBER.
func getenv(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: getenv NAME FILE MEMBER")
	}
	var v any
	if err := json.Unmarshal([]byte(ts.ReadFile(args[1])), &v); err != nil {
		ts.Fatalf("%s: %v", args[1], err)
	}
	for name := range strings.SplitSeq(args[2], ".") {
		switch x := v.(type) {
		case map[string]any:
			v = x[name]
		case []any:
			var i int
			fmt.Sscan(name, &i)
			if i < 0 {
				i += len(x)
			}
			v = x[i]
		}
	}
	if v == nil {
		ts.Fatalf("%s has no %s", args[1], args[2])
	}
	ts.Setenv(args[0], fmt.Sprint(v))
}

// calls fails unless the upstream has seen N calls: calls N.
func calls(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: calls N")
	}
	if n := ts.Value("upstream").(*upstream).calls.Load(); fmt.Sprint(n) != args[0] {
		ts.Fatalf("the API saw %d calls, want %s", n, args[0])
	}
}

// nowhere fails if a file below a folder holds the real key: nowhere FOLDER….
func nowhere(ts *testscript.TestScript, neg bool, args []string) {
	n := 0
	for _, dir := range args {
		err := filepath.WalkDir(ts.MkAbs(dir), func(name string, d os.DirEntry, err error) error {
			if errors.Is(err, os.ErrNotExist) {
				return nil
			}
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			b, err := os.ReadFile(name)
			n++
			if strings.Contains(string(b), realKey) {
				ts.Fatalf("%s holds the real key", name)
			}
			return err
		})
		ts.Check(err)
	}
	if neg || n < 5 {
		ts.Fatalf("only %d files were searched", n)
	}
}

// request makes one HTTP request without a client certificate, and prints status
// and body: http METHOD ADDRESS PATH [BODYFILE]; unix:PATH is a socket.
func request(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: http METHOD ADDRESS PATH [BODYFILE]")
	}
	var body string
	if len(args) > 3 {
		body = ts.ReadFile(args[3])
	}
	t := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} // what is shown does not depend on it
	defer t.CloseIdleConnections()
	url := "https://" + args[1] + args[2]
	if socket, ok := strings.CutPrefix(args[1], "unix:"); ok {
		t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", ts.MkAbs(socket))
		}
		url = "http://writ" + args[2]
	}
	r, err := http.NewRequest(args[0], url, strings.NewReader(body))
	ts.Check(err)
	resp, err := t.RoundTrip(r)
	ts.Check(err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	ts.Check(err)
	fmt.Fprintf(ts.Stdout(), "%d %s", resp.StatusCode, b)
}

// forge changes the last bit of a receipt in a file, which is of the signature: forge FILE.
func forge(ts *testscript.TestScript, neg bool, args []string) {
	b, err := base64.StdEncoding.DecodeString(strings.TrimSpace(ts.ReadFile(args[0])))
	if neg || err != nil {
		ts.Fatalf("forge: %v", err)
	}
	b[len(b)-1] ^= 1
	ts.Check(writeFile(ts.MkAbs(args[0]), base64.StdEncoding.EncodeToString(b)))
}

// exit3 fails unless the command is denied: exit code 3.
func exit3(ts *testscript.TestScript, neg bool, args []string) {
	err := ts.Exec(args[0], args[1:]...)
	x, ok := errors.AsType[*exec.ExitError](err)
	if neg || !ok || x.ExitCode() != 3 {
		ts.Fatalf("%v: want exit code 3, have %v", args, err)
	}
}

// world makes what most stories begin with: people, a server's folder with keys
// in the clear, a signed root, and the settings of a client.
func world(ts *testscript.TestScript, _ bool, _ []string) {
	run := func(words string) { ts.Check(ts.Exec("writ", strings.Fields(words)...)) }
	for name, role := range map[string]string{
		"ana": "policy", "bo": "policy", "sam": "sealer", "iris": "issuer", "service": "holder", "agent": "holder", "mallory": "policy",
	} {
		run("key new " + name + " --insecure-plaintext --role " + role)
	}
	run("init --dir srv --gate gate-1 --group prod --insecure-plaintext-keys --listen " + ts.Getenv("GATE") + " --control " + ts.Getenv("CONTROL"))
	ts.Check(ts.Exec("writ", "root", "new", "--gate", "srv/gate.json", "--quorum", "2:ana,bo",
		"--principal", "ana=ana.pub:root,policy,revoke,reader", "--principal", "bo=bo.pub:root,policy",
		"--principal", "sam=sam.pub:sealer", "--principal", "iris=iris.pub:issuer",
		"--namespace", "payments/=genesis 2:ana,bo revoke 1:ana", "--json"))
	var out struct{ Digest string }
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &out))
	run("root sign root.json --key ana.key")
	run("root sign root.json --key bo.key")
	ts.Setenv("WRIT_ROOT", out.Digest)
	ts.Setenv("WRIT_CA", "srv/tls.crt")
	ts.Setenv("WRIT_SERVER", "srv/data/control.sock")
}

// hangup sends SIGHUP to what runs in the background.
func hangup(ts *testscript.TestScript, _ bool, _ []string) {
	for _, c := range ts.BackgroundCmds() {
		ts.Check(c.Process.Signal(syscall.SIGHUP))
	}
}

// retry runs the command until it succeeds: for what a signal brings about.
func retry(ts *testscript.TestScript, _ bool, args []string) {
	for {
		err := ts.Exec(args[0], args[1:]...)
		if err == nil {
			return
		}
		if ctx := ts.Value("context").(context.Context); ctx.Err() != nil {
			ts.Fatalf("%v: still %v", args, err)
		}
	}
}

func writeFile(name, text string) error { return os.WriteFile(name, []byte(text), 0o600) }

// fill copies a file and puts $WRIT_ROOT's value as it was at the beginning where
// ROOT stands: fill FROM TO.
func fill(ts *testscript.TestScript, _ bool, args []string) {
	var out struct{ Digest string }
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("root-new.json")), &out))
	ts.Check(os.MkdirAll(filepath.Dir(ts.MkAbs(args[1])), 0o700))
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(strings.ReplaceAll(ts.ReadFile(args[0]), "ROOT", out.Digest)), 0o600))
}

// story tells one story of testdata.
func story(t *testing.T, name string) {
	t.Helper()
	t.Parallel()
	tell(t, filepath.Join("testdata", name+".txtar"))
}

func tell(t *testing.T, file string) {
	t.Helper()
	testscript.Run(t, params(file))
}

// params are those of a story.
func params(file string) testscript.Params {
	return testscript.Params{
		Files: []string{file}, Setup: setup, RequireExplicitExec: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"getenv": getenv, "calls": calls, "nowhere": nowhere, "http": request, "exit3": exit3, "world": world, "retry": retry,
			"says": says, "head": head, "occupy": occupy, "spoil": spoil,
			"fill": fill, "hangup": hangup, "forge": forge, "hardened": hardened, "expand": expand,
		},
	}
}

// expand copies a file and puts variables' values where their names stand: expand
// FROM TO.
func expand(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(writeFile(ts.MkAbs(args[1]), os.Expand(ts.ReadFile(args[0]), ts.Getenv)))
}

// The whole path by hand, from nothing to a verified receipt.
func TestByHand(t *testing.T) { story(t, "byhand") }

// guard: control-sealed, local-only, node-pin-fixed, private-files, config-unknown-field, config-names, config-tls-required
func TestSealedStart(t *testing.T) { story(t, "sealed") }

// guard: reader-only, reader-listed
func TestDenied(t *testing.T) { story(t, "denied") }

// guard: restore-empty, gate-held
func TestRestore(t *testing.T) { story(t, "restore") }

// guard: client-root-pin, client-pin-named, node-in-root
func TestHostileServer(t *testing.T) { story(t, "hostile") }

func TestGrants(t *testing.T) { story(t, "pg") }

func TestDoctor(t *testing.T) { story(t, "doctor") }

// guard: wrapped-authentic
func TestShapes(t *testing.T) { story(t, "shapes") }

// documented returns the commands in the sh blocks of a page, as a script. The
// page's addresses become the test's; keys are made without passphrase, since
// there is no terminal to ask on.
func documented(page string) (script string, n int) {
	var b strings.Builder
	replace := strings.NewReplacer("127.0.0.1:8443", "$GATE", "127.0.0.1:8444", "$CONTROL",
		"--origin https://api.example.com", "--origin $UPSTREAM --pin $PIN --private",
		"key new ", "key new --insecure-plaintext ", "writ init ", "writ init --insecure-plaintext-keys ",
		"writ unseal", "writ unseal --keyring-passphrase-file pass.txt", "writ passphrase ", "writ passphrase --new-passphrase-file pass.txt ",
		"key passphrase ", "key passphrase --new-passphrase-file pass.txt ")
	for i, block := range strings.Split(page, "```") {
		text, ok := strings.CutPrefix(block, "sh\n")
		if i%2 == 0 || !ok {
			continue
		}
		for line := range strings.SplitSeq(strings.ReplaceAll(text, "\\\n", " "), "\n") {
			line = strings.TrimSpace(line)
			command, exit, fails := strings.Cut(line, " # exit ")
			command = replace.Replace(command)
			switch {
			case line == "":
				continue
			case line == "export WRIT_ROOT=sha256:…":
				b.WriteString("exec writ root show root.json --json\ncp stdout shown.json\ngetenv WRIT_ROOT shown.json digest\n")
			case strings.HasPrefix(line, "export "):
				b.WriteString("env " + strings.TrimPrefix(command, "export ") + "\n")
			case fails && exit == "3":
				b.WriteString("exit3 " + command + "\n")
			case fails:
				b.WriteString("! exec " + command + "\n")
			case strings.HasSuffix(command, " &"):
				b.WriteString("exec " + command + "server&\n")
			default:
				b.WriteString("exec " + command + "\n")
			}
			n++
		}
	}
	return b.String() + "\n-- pass.txt --\npass\n", n
}

// Every block of docs/cli.md that says it is for a shell is run.
func TestDocumentedCommands(t *testing.T) {
	page, err := os.ReadFile("../../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	script, n := documented(string(page))
	if n < 50 {
		t.Fatalf("only %d commands are documented", n)
	}
	name := filepath.Join(t.TempDir(), "cli.txtar")
	if err := os.WriteFile(name, []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	tell(t, name)
}

// Every command has an example in its help.
func TestEveryCommandHasAnExample(t *testing.T) {
	testscript.Run(t, testscript.Params{Files: []string{"testdata/help.txtar"}, Setup: setup, Cmds: map[string]func(*testscript.TestScript, bool, []string){"examples": examples}})
}

// examples walks over the commands that help lists, and fails if one has no
// example.
func examples(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(ts.Exec("writ", append(args, "--help")...))
	text := ts.ReadFile("stdout")
	_, list, group := strings.Cut(text, "Available Commands:\n")
	if !group {
		if !strings.Contains(text, "Examples:") && args[0] != "completion" && args[0] != "help" {
			ts.Fatalf("writ %s has no example", strings.Join(args, " "))
		}
		return
	}
	list, _, _ = strings.Cut(list, "\n\n")
	for line := range strings.SplitSeq(list, "\n") {
		if f := strings.Fields(line); len(f) > 0 {
			examples(ts, false, append(args[:len(args):len(args)], f[0]))
		}
	}
}

func TestConnect(t *testing.T) {
	t.Parallel()
	for program, pkg := range map[string]string{"psql": "postgresql-client", "openssl": "openssl"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip("MISSING: " + pkg)
		}
	}
	db := testpg.Start(t)
	db.Exec(t, testpg.Superuser, `CREATE TABLE orders (id int, total int); INSERT INTO orders VALUES (1, 10), (2, 20)`)
	p := params("testdata/connect.txtar")
	p.Setup = func(e *testscript.Env) error {
		e.Setenv("DATABASE", "postgres://"+db.Addr+"/"+testpg.Superuser)
		e.Setenv("DBPIN", db.Pin)
		e.Setenv("ADMIN", db.Local(testpg.Superuser))
		return setup(e)
	}
	testscript.Run(t, p)
}

// A story that is not told would show nothing.
func TestEveryStoryIsTold(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) != 13 {
		t.Fatalf("%d stories, %v", len(files), err)
	}
}
