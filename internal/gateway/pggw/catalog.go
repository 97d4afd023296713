package pggw

import (
	"context"
	"sync"
	"time"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/sqlanalyze"
	"github.com/writhq/writ/internal/sqlcatalog"
)

// catalogs keeps what is known of the servers' names, and what statements came to
// mean by it. It is safe for concurrent use.
type catalogs struct {
	mu sync.Mutex
	of map[catalogKey]*known // guarded by mu
}

// catalogKey is what a catalog hangs on: where the server is, and who it is
// looked at as.
type catalogKey struct {
	origin, user string
}

// known is a catalog and the statements that were mapped by it.
type known struct {
	analyzer *sqlanalyze.Analyzer
	at       time.Time

	mu     sync.Mutex
	mapped map[canon.Digest][]sqlanalyze.Mapped // guarded by mu; by the text
}

// get returns the catalog of the key's server: read over q if there is none that
// is new enough.
func (c *catalogs) get(ctx context.Context, key catalogKey, path []string, q sqlcatalog.Querier) (*known, error) {
	c.mu.Lock()
	k := c.of[key]
	c.mu.Unlock()
	if k != nil && time.Since(k.at) < catalogAge {
		return k, nil
	}
	cat, err := sqlcatalog.Load(ctx, q)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of == nil {
		c.of = make(map[catalogKey]*known)
	}
	if have := c.of[key]; have != nil && have.analyzer.Catalog.Version == cat.Version {
		fresh := &known{analyzer: have.analyzer, at: time.Now()}
		have.mu.Lock()
		fresh.mapped = have.mapped
		have.mapped = nil // one of the two writes it
		have.mu.Unlock()
		c.of[key] = fresh
		return fresh, nil
	}
	k = &known{analyzer: &sqlanalyze.Analyzer{Catalog: cat, Path: path}, at: time.Now()}
	c.of[key] = k
	return k, nil
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
