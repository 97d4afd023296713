package testpg

import (
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"

	"github.com/writhq/writ/internal/sqlparser"
)

// shared is the server of a whole package's tests.
var shared struct {
	sync.Mutex
	server *Server
	ends   []func()
}

// Main runs a package's tests, and returns its exit code: a TestMain that calls it
// lets them use [Shared], and lets the test's binary be the parser of SQL, when it is
// started as one.
func Main(m *testing.M) int {
	if len(os.Args) > 1 && os.Args[1] == sqlparser.Command {
		if err := sqlparser.Serve(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return 0
	}
	code := m.Run()
	for _, f := range slices.Backward(shared.ends) {
		f()
	}
	return code
}

// Shared returns a server that all tests of a package use, each with a database of its
// own: what is the whole server's, such as roles, is not to be changed there.
func Shared(t testing.TB) *Server {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.server == nil {
		shared.server = Start(kept{t})
	}
	return shared.server
}

// kept is a test that what is started outlives.
type kept struct{ testing.TB }

// Cleanup calls f when all tests have run.
func (kept) Cleanup(f func()) { shared.ends = append(shared.ends, f) }
