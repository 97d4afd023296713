// Package sqlmeaning keeps what statements mean on servers: by a copy of each
// server's catalog, which is seen to be the server's still before it counts, and
// with the statements that were mapped by it.
//
// A [Servers] and what it gives out are safe for concurrent use.
package sqlmeaning

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/writhq/writ/internal/sqlanalyze"
	"github.com/writhq/writ/internal/sqlcatalog"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/op/sql"
)

// Servers are those that a gate speaks with. The zero value is ready for use.
type Servers struct {
	mu sync.Mutex
	of map[Key]*Server // guarded by mu
}

// A Key says where a server is, and who it is looked at as.
type Key struct{ Origin, User string }

// A Server is one server.
type Server struct {
	current atomic.Pointer[known]
	turn    chan struct{} // of who looks; there is one place
}

// known is the catalog that a server had. Nothing in it hangs on the search path of the
// session that asked: it is read from the server's own tables, and every name is whole.
type known struct {
	catalog *sqlcatalog.Catalog
	mark    *sqlcatalog.Mark
	checked atomic.Int64 // Unix nanoseconds: it was the server's then

	mu    sync.RWMutex
	along []*Meaning // guarded by mu; by the paths that sessions have, the newest last
}

// A Meaning is what statements mean by one catalog and search path.
type Meaning struct {
	analyzer sqlanalyze.Analyzer

	mu     sync.RWMutex
	mapped map[string][]sqlanalyze.Mapped // guarded by mu; by the text
	held   int                            // guarded by mu; about the bytes of them
	shapes shapes
}

// Get returns the server of the key.
func (s *Servers) Get(k Key) *Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of == nil {
		s.of = make(map[Key]*Server)
	}
	if s.of[k] == nil {
		s.of[k] = &Server{turn: make(chan struct{}, 1)}
	}
	return s.of[k]
}

// Now returns what was last known, for names that are looked for along the path, and
// whether that was no longer ago than age; nil before the first [Server.Read].
func (s *Server) Now(path []string, age time.Duration) (m *Meaning, fresh bool) {
	k := s.current.Load()
	if k == nil {
		return nil, false
	}
	return k.meaning(path), k.fresh(age)
}

// Read returns what is known, for names that are looked for along the path. If that
// is older than age it is seen over q to be the server's still, or read again; of
// several that ask at once one looks, and the others wait for it, but not long. What a transaction sees that keeps to a snapshot
// of before counts for nobody else, and not where something later is known. Errors are
// those of [sqlcatalog]. SPEC PGGW-9.
func (s *Server) Read(ctx context.Context, q sqlcatalog.Querier, path []string, age time.Duration) (*Meaning, error) {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-time.After(maxTurn): // its connection has stalled, or its client
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	at := time.Now()
	k := s.current.Load()
	if k != nil && k.fresh(age) {
		return k.meaning(path), nil
	}
	mark, err := sqlcatalog.Look(ctx, q) // before the rest: what changes meanwhile is seen the next time
	if err != nil {
		return nil, err
	}
	same := k != nil && k.mark.State == mark.State
	if !same && (k == nil || mark.Now || mark.At >= k.mark.At) { //guard:A17 snapshot-later
		c, err := sqlcatalog.Load(ctx, q)
		if err != nil {
			return nil, err
		}
		k = &known{catalog: c, mark: mark}
	}
	if mark.Now { //guard:A17 snapshot-own
		k.checked.Store(at.UnixNano())
	}
	s.current.Store(k)
	return k.meaning(path), nil
}

func (k *known) fresh(age time.Duration) bool {
	return time.Now().UnixNano()-k.checked.Load() < int64(age) //guard-true:A17 catalog-checked
}

// meaning returns what statements mean along the path. Of many paths, which clients
// choose, it forgets the oldest.
func (k *known) meaning(path []string) *Meaning {
	along := func(m *Meaning) bool { return slices.Equal(m.analyzer.Path, path) }
	k.mu.RLock()
	i := slices.IndexFunc(k.along, along)
	if i >= 0 {
		defer k.mu.RUnlock()
		return k.along[i]
	}
	k.mu.RUnlock()
	k.mu.Lock()
	defer k.mu.Unlock()
	if i := slices.IndexFunc(k.along, along); i >= 0 {
		return k.along[i]
	}
	if n := len(k.along); n >= maxPaths { //guard:R11 paths-bound
		k.along = slices.Delete(k.along, 0, n-maxPaths+1)
	}
	m := New(k.catalog, slices.Clone(path))
	k.along = append(k.along, m)
	return m
}

// New returns what statements mean by c, for names that are looked for along the
// path.
func New(c *sqlcatalog.Catalog, path []string) *Meaning {
	return &Meaning{analyzer: sqlanalyze.Analyzer{Catalog: c, Path: path}}
}

// Catalog returns the version of the catalog.
func (m *Meaning) Catalog() string { return m.analyzer.Catalog.Version }

// Origin returns the column that a result column says it comes from.
func (m *Meaning) Origin(table uint32, number uint16) (sql.Column, bool) {
	return m.analyzer.Catalog.Origin(table, number)
}

// Statements returns what the statements of a text do. Who gets them does not change
// them. Errors are those of [sqlanalyze.Analyzer.Map].
func (m *Meaning) Statements(g sqlanalyze.Grammar, text string) ([]sqlanalyze.Mapped, error) {
	m.mu.RLock()
	list, ok := m.mapped[text]
	m.mu.RUnlock()
	if ok {
		return list, nil
	}
	if list := m.byShape(g, text); list != nil {
		return list, nil
	}
	list, err := m.analyzer.Map(g, text)
	if err != nil || len(text) > maxMappedText {
		return list, err
	}
	for i := range list {
		list[i].Form, _ = sql.NewForm(&list[i].Statement) // without one it has no one form, and is refused
	}
	n := len(text)
	for i := range list {
		n += weight(&list[i])
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.held += n; m.mapped == nil || m.held > maxMapped { //guard:R11 mapped-bound
		m.mapped, m.held = make(map[string][]sqlanalyze.Mapped), n
	}
	m.mapped[text] = list
	return list, nil
}

// weight returns about how many bytes a statement takes: lists take more than what they
// are written in.
func weight(m *sqlanalyze.Mapped) int {
	const own, lists = 1 << 10, 3
	return own + len(m.Text) + len(m.Effect.Text) + lists*m.Form.Size()
}

// Operation returns the operation of one execution of s, which is known by m, or of a
// statement made of such. The salt is fresh random bytes; d is the declaration that it
// is likely to be looked at under, or nil. Errors are those of [sql.NewOperation].
func (m *Meaning) Operation(s *sqlanalyze.Mapped, a *sql.Asked, salt [16]byte, d *op.Declaration) (*op.Operation, error) {
	if s.Form.Of(&s.Statement) {
		return s.Form.Operation(a, &sql.Execution{Salt: salt, Text: s.Text, Catalog: m.Catalog()}, d)
	}
	return sql.NewOperation(a, &sql.Found{Facts: op.Facts{Salt: salt[:]}, Statement: s.Statement, Text: s.Text, Catalog: m.Catalog()})
}
