package gateway

import (
	"net"
	"testing"
	"time"

	"github.com/writhq/writ/canon"
)

// TestUnusedConnections shows connections of many credentials: their number is
// bounded, each ends by itself, and nothing is kept of them.
//
// SPEC HALL-4
// R11
// guard: idle-bound
func TestUnusedConnections(t *testing.T) {
	t.Parallel()
	p := newPool()
	var all []*Conn
	open := func(c *Conn) bool { return c.SetDeadline(time.Time{}) == nil }
	for i := range maxIdle + 1 {
		here, there := net.Pipe()
		t.Cleanup(func() { there.Close() })
		c := &Conn{Conn: here, tcp: here, pool: p, key: poolKey{credential: canon.Digest{byte(i), byte(i >> 8)}}}
		all = append(all, c)
		p.put(c)
	}
	if p.size != maxIdle || open(all[maxIdle]) {
		t.Errorf("%d connections are kept, want %d", p.size, maxIdle)
	}
	p.expire(all[0])
	p.expire(all[0])
	if open(all[0]) || !open(all[1]) || p.size != maxIdle-1 {
		t.Errorf("%d connections after one was unused for too long", p.size)
	}
	p.flush()
	if open(all[1]) || p.size != 0 || len(p.idle) != 0 {
		t.Errorf("%d connections after all were closed", p.size)
	}
}

// TestPublicAddresses shows addresses that lead inside, also by a detour.
//
// SPEC HALL-5
// R7
func TestPublicAddresses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"192.0.2.1": true, "2606:4700::1111": true, "64:ff9b::808:808": true, "2002:808:808::1": true,
		"10.0.0.1": false, "127.0.0.1": false, "169.254.169.254": false, "100.64.0.1": false, "0.0.0.0": false, "224.0.0.1": false,
		"::1": false, "::": false, "fd00::1": false, "fe80::1": false, "::ffff:10.0.0.1": false,
		"64:ff9b::a00:1": false, "64:ff9b::a9fe:a9fe": false, "64:ff9b:1::808:808": false, "2002:7f00:1::1": false, "::10.0.0.1": false,
	} {
		if got := Public(net.ParseIP(text)); got != want {
			t.Errorf("%s: public %v", text, got)
		}
	}
}
