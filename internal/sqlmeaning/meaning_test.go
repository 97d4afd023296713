package sqlmeaning

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/writhq/writ/internal/testpg"
)

// TestSnapshot shows a session in a transaction that keeps to one snapshot: what it sees
// of the catalog makes nobody else trust that, and is not what names mean where another
// has seen something later.
//
// SPEC PGGW-9
// A17
// guard: snapshot-own, snapshot-later
func TestSnapshot(t *testing.T) {
	t.Parallel()
	pg := testpg.Start(t)
	db := pg.Database(t)
	old, plain := testpg.Rows{PgConn: pg.Connect(t, pg.Local(db))}, testpg.Rows{PgConn: pg.Connect(t, pg.Local(db))}
	read := func(s *Server, q testpg.Rows, age time.Duration) *Meaning {
		t.Helper()
		m, err := s.Read(t.Context(), q, nil, age)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	do := func(sql string) {
		t.Helper()
		if _, err := old.Query(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	for _, level := range []string{"REPEATABLE READ", "SERIALIZABLE"} {
		s := new(Servers).Get(Key{})
		do("BEGIN ISOLATION LEVEL " + level)
		first := read(s, old, time.Hour)
		if _, fresh := s.Now(nil, time.Hour); fresh {
			t.Errorf("%s: its look counts for others", level)
		}
		pg.Exec(t, db, "CREATE DOMAIN d"+level[:4]+" AS text")
		later := read(s, plain, time.Hour)
		if _, fresh := s.Now(nil, time.Hour); !fresh || later.Catalog() == first.Catalog() {
			t.Errorf("%s: a look of the moment does not count, or has not seen what is new", level)
		}
		if m := read(s, old, 0); m.Catalog() != later.Catalog() {
			t.Errorf("%s: what names mean is older than what is known", level)
		}
		do("COMMIT")
		do("SET default_transaction_isolation = '" + level + "'")
		if read(s, old, 0) != later {
			t.Errorf("%s: the catalog was read again", level)
		}
		if _, fresh := s.Now(nil, time.Hour); !fresh {
			t.Errorf("%s: a look outside of a transaction does not count", level)
		}
	}
}

// TestPaths shows sessions that set many search paths: what statements mean by each is
// kept for the newest.
//
// R11
// guard: paths-bound
func TestPaths(t *testing.T) {
	t.Parallel()
	pg := testpg.Start(t)
	q := testpg.Rows{PgConn: pg.Connect(t, pg.Local(pg.Database(t)))}
	s := new(Servers).Get(Key{})
	path := func(i int) []string { return []string{"s" + strconv.Itoa(i)} }
	first, err := s.Read(t.Context(), q, path(0), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for i := range maxPaths {
		m, _ := s.Now(path(i), time.Hour)
		if again, _ := s.Now(path(i), time.Hour); again != m {
			t.Fatalf("path %d has two meanings", i)
		}
	}
	if m, _ := s.Now(path(0), time.Hour); m != first {
		t.Error("the first of as many as are kept was forgotten")
	}
	s.Now(path(maxPaths), time.Hour)
	if n := len(s.current.Load().along); n != maxPaths {
		t.Errorf("%d are kept", n)
	}
	if m, _ := s.Now(path(0), time.Hour); m == first {
		t.Error("the oldest was not forgotten")
	}
}

// stalled is a server that does not answer.
type stalled struct{ asked chan struct{} }

func (s stalled) Query(ctx context.Context, _ string) ([][]string, error) {
	close(s.asked)
	<-ctx.Done()
	return nil, ctx.Err()
}

// TestStalled shows a session whose connection has stalled while it looks at the
// catalog: others do not wait for it for ever.
//
// R11
func TestStalled(t *testing.T) {
	t.Parallel()
	pg := testpg.Start(t)
	q := testpg.Rows{PgConn: pg.Connect(t, pg.Local(pg.Database(t)))}
	s, ended := new(Servers).Get(Key{}), make(chan error)
	ctx, cancel := context.WithCancel(t.Context())
	first := stalled{make(chan struct{})}
	go func() {
		_, err := s.Read(ctx, first, nil, time.Hour)
		ended <- err
	}()
	<-first.asked
	late, stop := context.WithTimeout(t.Context(), 20*time.Second)
	defer stop()
	if _, err := s.Read(late, q, nil, time.Hour); err != nil {
		t.Errorf("behind one that stalls: %v", err)
	}
	cancel()
	if err := <-ended; err == nil {
		t.Error("the one that stalls has read something")
	}
}
