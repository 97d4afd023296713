package gateway

import (
	"net"
	"net/netip"
	"sync"
)

// places counts the connections of a hall.
type places struct {
	max, maxOne int // in all, and of one address

	mu    sync.Mutex
	taken int                  // guarded by mu
	of    map[netip.Prefix]int // guarded by mu; none is 0
}

func newPlaces() places {
	return places{max: maxConnections, maxOne: maxOneAddress, of: make(map[netip.Prefix]int)}
}

// take takes a place for who, if there is one.
func (p *places) take(who netip.Prefix) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.taken >= p.max { //guard:R11 connection-bound
		return false
	}
	if p.of[who] >= p.maxOne { //guard:R11 address-bound
		return false
	}
	p.taken++
	p.of[who]++
	return true
}

func (p *places) give(who netip.Prefix) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.taken--
	if p.of[who]--; p.of[who] == 0 {
		delete(p.of, who)
	}
}

// whoIs returns the address that a connection counts for: of version 6 the network
// that one customer has. The zero Prefix stands for those without, as on a Unix
// socket.
func whoIs(c net.Conn) netip.Prefix {
	a, ok := c.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	ip := a.AddrPort().Addr().Unmap()
	bits := 32
	if ip.Is6() {
		bits = 64
	}
	p, err := ip.Prefix(bits) // masks, and drops a zone
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

// Listener returns l with a bound: beyond so many connections over all listeners
// of h, or of one address, one more is closed as soon as it is accepted. SPEC
// HALL-9.
func (h *Hall) Listener(l net.Listener) net.Listener { return &bounded{l, &h.places} }

type bounded struct {
	net.Listener
	places *places
}

// Accept returns the next connection that there is room for.
func (b *bounded) Accept() (net.Conn, error) {
	for {
		c, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		who := whoIs(c)
		if !b.places.take(who) {
			c.Close()
			continue
		}
		return &counted{Conn: c, give: sync.OnceFunc(func() { b.places.give(who) })}, nil
	}
}

// counted is a connection that gives its place back, once.
type counted struct {
	net.Conn
	give func()
}

// Close closes the connection.
func (c *counted) Close() error {
	c.give()
	return c.Conn.Close()
}
