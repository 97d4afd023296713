package pgwire

import (
	"crypto/rand"
	"crypto/subtle"
	"sync"

	"github.com/jackc/pgx/v5/pgproto3"
)

// Cancels are the sessions that can be told to stop what they do, by the keys
// that the gate gave them: a server's own keys never leave the gate. SPEC PGGW-7.
type Cancels struct {
	mu   sync.Mutex
	next uint32
	of   map[uint32]*cancelled // guarded by mu
}

type cancelled struct {
	key []byte
	do  func()
}

// Add returns what a client is told, with a key of so many bytes, and how to forget it.
func (c *Cancels) Add(size int, do func()) (*pgproto3.BackendKeyData, func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of == nil {
		c.of = make(map[uint32]*cancelled)
	}
	for c.next++; c.of[c.next] != nil || c.next == 0; c.next++ {
	}
	id, key := c.next, make([]byte, size)
	rand.Read(key)
	c.of[id] = &cancelled{key, do}
	return &pgproto3.BackendKeyData{ProcessID: id, SecretKey: key}, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.of, id)
	}
}

// Cancel stops what the session does whose key m has.
func (c *Cancels) Cancel(m *pgproto3.CancelRequest) {
	c.mu.Lock()
	x := c.of[m.ProcessID]
	c.mu.Unlock()
	if x != nil && subtle.ConstantTimeCompare(x.key, m.SecretKey) == 1 { //guard:R45/sql cancel-own
		x.do()
	}
}
