package pggw

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/sqlanalyze"
	"github.com/writhq/writ/internal/sqlcatalog"
)

// catalogs keeps what is known of the servers' names, and what statements came to
// mean by it. It is safe for concurrent use.
type catalogs struct {
	mu sync.Mutex
	of map[catalogKey]*catalog // guarded by mu
}

// catalogKey is what a catalog hangs on: where the server is, and who it is
// looked at as.
type catalogKey struct {
	origin, user string
}

// A catalog is what is known of one server.
type catalog struct {
	current atomic.Pointer[known]
	reading sync.Mutex
}

// known is a catalog at one moment and the statements that were mapped by it.
type known struct {
	analyzer *sqlanalyze.Analyzer
	mark     string
	checked  atomic.Int64 // Unix nanoseconds: it was the server's then

	mu     sync.Mutex
	mapped map[canon.Digest][]sqlanalyze.Mapped // guarded by mu; by the text
}

func (c *catalogs) get(key catalogKey) *catalog {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of == nil {
		c.of = make(map[catalogKey]*catalog)
	}
	k := c.of[key]
	if k == nil {
		k = new(catalog)
		c.of[key] = k
	}
	return k
}

// fresh reports whether k can be used without a look at the server: it is no older
// than age.
func (k *known) fresh(age time.Duration) bool {
	if k == nil {
		return false
	}
	if time.Now().UnixNano()-k.checked.Load() >= int64(age) { //guard:A17 catalog-checked
		return false
	}
	return true
}

// read returns what is known for x, once it was seen over q that it is the server's
// still: of several that ask at once, one looks. SPEC PGGW-9.
func (c *catalog) read(x *session, q sqlcatalog.Querier) (*known, error) {
	c.reading.Lock()
	defer c.reading.Unlock()
	now, k := time.Now(), c.current.Load()
	if k.fresh(x.age) {
		return k, nil
	}
	mark, err := sqlcatalog.Mark(x.ctx, q) // before the rest: what changes meanwhile is seen the next time
	if err != nil {
		return nil, err
	}
	if k == nil || k.mark != mark {
		cat, err := sqlcatalog.Load(x.ctx, q)
		if err != nil {
			return nil, err
		}
		k = &known{analyzer: &sqlanalyze.Analyzer{Catalog: cat, Path: x.path}, mark: mark}
	}
	k.checked.Store(now.UnixNano())
	c.current.Store(k)
	return k, nil
}

// upToDate has the session know the server's names as they are. It asks only at
// the beginning of a series, and not in a transaction that has failed, where
// nothing runs.
func (x *session) upToDate() error {
	k := x.catalog.current.Load()
	if !k.fresh(x.age) && x.owed == 0 && !x.dirty && x.up.tx != 'E' {
		var err error
		if k, err = x.catalog.read(x, x.up); err != nil {
			x.hall.Log().Error("the server's catalog cannot be read", "target", x.target, "err", err)
			return errUpstream
		}
	}
	x.known = k
	return nil
}

// errChanged is the error for a prepared statement whose names mean something else
// since.
var errChanged = errors.New("what it names has changed on the server since it was prepared: prepare it again")

// now has p mean what its names mean now, under which the server has the same text.
func (x *session) now(p *prepared) error {
	if p.known == x.known || p.mapped == nil {
		return nil
	}
	list, err := x.known.statements(x.parsers, p.text)
	if err != nil {
		return err
	}
	if len(list) != 1 || list[0].Text != p.mapped.Text { //guard:R5/sql catalog-changed
		return errChanged
	}
	p.known, p.mapped = x.known, &list[0]
	return nil
}

// statements returns what the statements of a text do.
func (k *known) statements(g sqlanalyze.Grammar, text string) ([]sqlanalyze.Mapped, error) {
	id := canon.Hash([]byte(text))
	k.mu.Lock()
	m, ok := k.mapped[id]
	k.mu.Unlock()
	if ok {
		return m, nil
	}
	m, err := k.analyzer.Map(g, text)
	for i := range m { // a cursor's or COPY's facts are not all that a session must know of it
		if m[i].Effect.Kind != sqlanalyze.Ordinary || slices.Contains(m[i].Kinds, "listen") {
			return nil, fmt.Errorf("%w: this gate does not carry out cursors, COPY, LISTEN and named statements", sqlanalyze.ErrUnmapped)
		}
	}
	if err != nil || len(text) > maxMappedText {
		return m, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.mapped == nil || len(k.mapped) >= maxMapped {
		k.mapped = make(map[canon.Digest][]sqlanalyze.Mapped)
	}
	k.mapped[id] = m
	return m, nil
}
