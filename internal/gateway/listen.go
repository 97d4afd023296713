package gateway

import (
	"net"
	"sync/atomic"
)

// places counts the connections of a hall.
type places struct {
	taken atomic.Int64
	max   int64
}

// Listener returns l with a bound: beyond so many connections over all listeners
// of h, one more is closed as soon as it is accepted. SPEC HALL-9.
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
		if b.places.taken.Add(1) > b.places.max { //guard:R11 connection-bound
			b.places.taken.Add(-1)
			c.Close()
			continue
		}
		return &counted{Conn: c, places: b.places}, nil
	}
}

// counted is a connection that gives its place back, once.
type counted struct {
	net.Conn
	places *places
	closed atomic.Bool
}

// Close closes the connection.
func (c *counted) Close() error {
	if !c.closed.Swap(true) {
		c.places.taken.Add(-1)
	}
	return c.Conn.Close()
}
