package testpg

import (
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"

	"github.com/writhq/writ/internal/sqlparser"
)

// A Lazy is a server that all tests of a package use, started by the first: each test
// makes a database of its own, and does not change what is the whole server's, such as
// roles. The zero value is ready for use.
type Lazy struct {
	mu     sync.Mutex
	server *Server  // guarded by mu
	ends   []func() // guarded by mu
}

// Main runs a package's tests, stops the server, and returns the exit code. It lets the
// test's binary be the parser of SQL, when it is started as one.
func (l *Lazy) Main(m *testing.M) int {
	if len(os.Args) > 1 && os.Args[1] == sqlparser.Command {
		if err := sqlparser.Serve(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return 0
	}
	code := m.Run()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range slices.Backward(l.ends) {
		f()
	}
	return code
}

// Get returns the server.
func (l *Lazy) Get(t testing.TB) *Server {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.server == nil {
		l.server = Start(kept{t, l})
	}
	return l.server
}

// kept is a test that what is started outlives.
type kept struct {
	testing.TB
	l *Lazy
}

// Cleanup has f called when all tests have run.
func (k kept) Cleanup(f func()) { k.l.ends = append(k.l.ends, f) }
