package main

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/writhq/writ/internal/store"
)

// rawWords are parts of messages that packages write for each other.
var rawWords = regexp.MustCompile(`canon: |bad JSON|canonical form|policy: bad|bad rules|sign: |zone: |entry refused|api: |server: |identity: |custody: |store: open|policy log: publish| json: |EOF|x509: |CBOR|cbor: |Go struct|Go value|illegal base64|: writ: |: \[\]|no such file|is a directory|resource temporarily`)

// says runs a command that fails, and compares what it says: says EXIT WHAT NEXT
// ARGS…. WHAT and NEXT are regular expressions; NEXT is "" where the message is
// about the words and names --help itself.
func says(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 4 {
		ts.Fatalf("usage: says EXIT WHAT NEXT ARGS…")
	}
	err := ts.Exec("writ", args[3:]...)
	x, ok := errors.AsType[*exec.ExitError](err)
	if !ok || x.ExitCode() != int(args[0][0]-'0') {
		ts.Fatalf("%v: want exit code %s, have %v", args[3:], args[0], err)
	}
	text := ts.ReadFile("stderr")
	what, next, advised := strings.Cut(text, "\n  next: ")
	if !advised && !strings.Contains(what, "--help") {
		ts.Fatalf("%v: it does not say what to do next: %s", args[3:], text)
	}
	if strings.Contains(next, "next: ") {
		ts.Fatalf("%v: it says twice what to do next: %s", args[3:], text)
	}
	if raw := rawWords.FindString(text); raw != "" {
		ts.Fatalf("%v: %q is not for people: %s", args[3:], raw, text)
	}
	for _, m := range [][2]string{{args[1], what}, {args[2], next}} {
		re, err := regexp.Compile(m[0])
		ts.Check(err)
		if !re.MatchString(m[1]) {
			ts.Fatalf("%v: want %q in %q", args[3:], m[0], m[1])
		}
	}
}

// occupy listens on a free address until the story ends, and sets a variable to
// it: occupy NAME.
func occupy(ts *testscript.TestScript, _ bool, args []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { l.Close() })
	ts.Setenv(args[0], l.Addr().String())
}

// spoil changes a bit of everything that is sealed in a store: spoil FILE.
func spoil(ts *testscript.TestScript, _ bool, args []string) {
	s, err := store.OpenFile(context.Background(), ts.MkAbs(args[0]))
	ts.Check(err)
	defer s.Close()
	n := 0
	ts.Check(s.Update(context.Background(), func(tx store.Tx) error {
		rows := map[string][]byte{}
		err := tx.Scan("sealed", nil, func(k, v []byte) (bool, error) {
			v = bytes.Clone(v)
			v[len(v)-1] ^= 1
			rows[string(k)] = v
			return true, nil
		})
		for k, v := range rows {
			n++
			err = errors.Join(err, tx.Put("sealed", []byte(k), v))
		}
		return err
	}))
	if n == 0 {
		ts.Fatalf("nothing is sealed in %s", args[0])
	}
}

// head writes the first N bytes of a file to another: head N FROM TO.
func head(ts *testscript.TestScript, _ bool, args []string) {
	var n int
	for _, c := range args[0] {
		n = 10*n + int(c-'0')
	}
	ts.Check(writeFile(ts.MkAbs(args[2]), ts.ReadFile(args[1])[:n]))
}

func TestPassphrase(t *testing.T) { story(t, "passphrase") }

// guard: data-lock
func TestPorts(t *testing.T) { story(t, "ports") }

// Every command says what happened, why and what to do next when what it gets is
// wrong: a file that is missing, empty, cut short or of another kind, a server
// that is not there, a person who may not.
func TestMessages(t *testing.T) { story(t, "messages") }
