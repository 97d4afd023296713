package gateway

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/secret"
)

// poolKey is what an upstream connection belongs to: one sealed secret, policy,
// target and credential. It never serves another (A6).
type poolKey struct {
	sealed, policy canon.Digest
	target         string
	credential     canon.Digest
}

// A Conn is an upstream connection lent for one act.
type Conn struct {
	net.Conn

	reader  *bufio.Reader // nil until somebody reads by it
	tcp     net.Conn      // below TLS
	records *records      // between the two; nil without TLS
	limit   *limited
	pool    *pool
	key     poolKey
	raw     syscall.RawConn
	timer   *time.Timer // ends it while it is unused
}

// Reader reads from the connection; what it buffers belongs to this act. It is made
// when it is first asked for: a protocol that reads by itself has no use for it.
func (c *Conn) Reader() *bufio.Reader {
	if c.reader == nil {
		c.reader = bufio.NewReaderSize(c.limit, upstreamBuffer)
	}
	return c.reader
}

// Abort closes the connection at once, without a word to the target.
func (c *Conn) Abort() { c.tcp.Close() }

// Limit bounds how many more bytes are read from the connection; what Reader has
// buffered does not count. A negative n takes the bound away.
func (c *Conn) Limit(n int64) { c.limit.left = n }

// limited is a reader with a bound that can be moved.
type limited struct {
	r    io.Reader
	left int64 // negative: no bound
}

// Read reads at most what is left of the bound, and then gives an error.
func (l *limited) Read(b []byte) (int, error) {
	if l.left < 0 {
		return l.r.Read(b)
	}
	if l.left == 0 {
		return 0, fmt.Errorf("%w: the target sent more than is allowed here", ErrGateway)
	}
	n, err := l.r.Read(b[:min(int64(len(b)), l.left)])
	l.left -= int64(n)
	return n, err
}

// Release gives the connection back for the next act of the same credential; it
// must be in the state it was dialled in, with nothing left to read.
func (c *Conn) Release() {
	if c.Reader().Buffered() > 0 || c.SetDeadline(time.Time{}) != nil {
		c.Close()
		return
	}
	c.pool.put(c)
}

// pool keeps unused upstream connections.
type pool struct {
	mu   sync.Mutex
	idle map[poolKey][]*Conn // guarded by mu; newest last, no list is empty
	size int                 // guarded by mu; of all lists
}

func newPool() *pool { return &pool{idle: make(map[poolKey][]*Conn)} }

// get returns a live unused connection, or nil.
func (p *pool) get(key poolKey) *Conn {
	for {
		p.mu.Lock()
		l := p.idle[key]
		if len(l) == 0 {
			p.mu.Unlock()
			return nil
		}
		c := l[len(l)-1]
		p.remove(c)
		p.mu.Unlock()
		if c.quiet() {
			return c
		}
		c.Close()
	}
}

// put keeps c until it is used or has been unused for too long.
func (p *pool) put(c *Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle[c.key]) >= maxIdlePerKey || p.size >= maxIdle { //guard:R11 idle-bound
		c.Close()
		return
	}
	p.idle[c.key] = append(p.idle[c.key], c)
	p.size++
	c.timer = time.AfterFunc(maxIdleUpstream, func() { p.expire(c) })
}

// expire closes c unless it was taken meanwhile.
func (p *pool) expire(c *Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if slices.Contains(p.idle[c.key], c) {
		p.remove(c)
		c.Close()
	}
}

// remove takes c, which is in p, out of it; p.mu is held. A key without
// connections is forgotten: anybody who narrows a credential makes a new one.
func (p *pool) remove(c *Conn) {
	c.timer.Stop()
	i := slices.Index(p.idle[c.key], c)
	p.idle[c.key] = slices.Delete(p.idle[c.key], i, i+1)
	p.size--
	if len(p.idle[c.key]) == 0 {
		delete(p.idle, c.key)
	}
}

// flush closes all unused connections.
func (p *pool) flush() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.idle {
		for _, c := range l {
			c.timer.Stop()
			c.Close()
		}
	}
	clear(p.idle)
	p.size = 0
}

// quiet reports whether the connection is open with nothing to read: a target
// that has closed it, or says something unasked, is not used again. It looks
// without reading. One attempt is made per permit, so a dead connection must be
// seen before anything is sent.
func (c *Conn) quiet() bool {
	ok := false
	err := c.raw.Read(func(fd uintptr) bool {
		var b [1]byte
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		ok = errors.Is(err, syscall.EAGAIN)
		return true
	})
	return err == nil && ok && (c.records == nil || c.quietTLS())
}

// quietTLS reports whether TLS holds nothing that it has read already: neither
// text that nobody asked for nor a part of a record. A read that may not wait
// finds the text; a timeout leaves the connection as it was.
func (c *Conn) quietTLS() bool {
	var b [1]byte
	if c.SetReadDeadline(time.Unix(1, 0)) != nil {
		return false
	}
	n, err := c.Conn.Read(b[:])
	if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) || !c.records.whole() { //guard:A6 tls-quiet
		return false
	}
	return c.SetReadDeadline(time.Time{}) == nil
}

// records is a connection below TLS that knows whether what was read so far ends
// with a record. Source: RFC 8446, section 5.1.
type records struct {
	net.Conn
	head int // bytes of a header that were read
	size int // what they say of the record's length
	left int // bytes of the record that were not read
}

// Read reads from the connection.
func (r *records) Read(b []byte) (int, error) {
	n, err := r.Conn.Read(b)
	for rest := b[:n]; len(rest) > 0; {
		if r.left > 0 {
			k := min(r.left, len(rest))
			r.left -= k
			rest = rest[k:]
			continue
		}
		const headerSize = 5 // the last two bytes are the length
		r.size = (r.size<<8 | int(rest[0])) & 0xffff
		if r.head++; r.head == headerSize {
			r.head, r.left = 0, r.size
		}
		rest = rest[1:]
	}
	return n, err
}

func (r *records) whole() bool { return r.head == 0 && r.left == 0 }

// dial returns a connection to a's target, an unused one of the same key if there
// is one. SPEC HALL-4, HALL-5.
func (h *Hall) dial(ctx context.Context, key poolKey, a *Act) (*Conn, error) {
	if c := h.pool.get(key); c != nil {
		return c, nil
	}
	t := &a.Target
	ctx, cancel := context.WithTimeout(ctx, maxDial)
	defer cancel()
	u, err := url.Parse(t.Origin)
	if err != nil {
		return nil, fmt.Errorf("%w: dial: origin", ErrGateway)
	}
	raw, err := h.dialHost(ctx, u, t)
	if err != nil {
		return nil, err
	}
	sys, err := raw.(*net.TCPConn).SyscallConn()
	if err != nil {
		raw.Close()
		return nil, fmt.Errorf("%w: dial: %w", ErrGateway, err)
	}
	c := &Conn{Conn: raw, tcp: raw, pool: h.pool, key: key, raw: sys}
	if u.Scheme == "https" {
		cfg := tlsTo(u.Hostname(), t)
		if t.Inject.How == ClientCertificate {
			cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return certificate(a.Secret) }
		}
		c.records = &records{Conn: raw}
		s := tls.Client(c.records, cfg)
		if err := s.HandshakeContext(ctx); err != nil {
			raw.Close()
			return nil, fmt.Errorf("%w: dial %s: TLS: %w", ErrGateway, t.ID, err)
		}
		c.Conn = s
	}
	c.limit = &limited{c.Conn, -1}
	return c, nil
}

// ClientCertificate is the way of putting in a secret that the hall sees to: the
// secret is a client certificate and its key, and goes into the handshake.
const ClientCertificate = "client_certificate"

// certificate returns the certificate that s holds: PEM blocks of the chain, leaf
// first, and of the leaf's key. The library keeps the key for the handshake.
func certificate(s secret.Bytes) (c *tls.Certificate, err error) {
	err = s.Use(func(b []byte) error {
		pair, err := tls.X509KeyPair(b, b)
		if err != nil { // its text could hold a part of the secret
			return fmt.Errorf("%w: the secret is not a certificate and its key in PEM", ErrGateway)
		}
		c = &pair
		return nil
	})
	return c, err
}

// dialHost resolves the host once and dials an address that was checked, so that
// a second answer of the resolver changes nothing.
func (h *Hall) dialHost(ctx context.Context, u *url.URL, t *Target) (net.Conn, error) {
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80", "postgres": "5432"}[u.Scheme]
	}
	ips := []net.IP{net.ParseIP(u.Hostname())}
	if ips[0] == nil {
		var err error
		if ips, err = h.c.Resolve(ctx, u.Hostname()); err != nil {
			return nil, fmt.Errorf("%w: dial %s: resolve: %w", ErrGateway, t.ID, err)
		}
	}
	var errs []error
	for _, ip := range ips {
		if !t.Private && !Public(ip) { //guard:R7 private-address
			errs = append(errs, fmt.Errorf("an address is private, and the target does not allow that"))
			continue
		}
		c, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(ip.String(), port))
		if err == nil {
			return c, nil
		}
		errs = append(errs, err)
	}
	return nil, fmt.Errorf("%w: dial %s: %w", ErrGateway, t.ID, errors.Join(errs...))
}

// Public reports whether ip is an address that a target may have which is not private,
// also behind a translator.
func Public(ip net.IP) bool {
	if v4 := within(ip); v4 != nil {
		return Public(v4)
	}
	return !(ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast() || ip.IsLinkLocalMulticast() ||
		ip.IsUnspecified() || ip.IsMulticast() || ip.IsInterfaceLocalMulticast() || shared(ip))
}

// within returns the address of version 4 that a translator or relay makes of ip,
// nil if none does. Source: RFC 6052, section 2.1; RFC 8215; RFC 3056, section 2;
// RFC 4291, section 2.5.5.1.
func within(ip net.IP) net.IP {
	b := ip.To16()
	if b == nil || ip.To4() != nil {
		return nil
	}
	var zero [12]byte
	switch {
	case bytes.HasPrefix(b, []byte{0x00, 0x64, 0xff, 0x9b, 0, 1}): // the network's own: unspecified, and so not public
		return net.IPv4zero
	case bytes.HasPrefix(b, append([]byte{0x00, 0x64, 0xff, 0x9b}, zero[:8]...)), bytes.HasPrefix(b, zero[:]) && !ip.IsLoopback() && !ip.IsUnspecified():
		return net.IP(b[12:])
	case bytes.HasPrefix(b, []byte{0x20, 0x02}):
		return net.IP(b[2:6])
	}
	return nil
}

// shared reports whether ip is of the shared address space. Source: RFC 6598.
func shared(ip net.IP) bool {
	v4 := ip.To4()
	return v4 != nil && v4[0] == 100 && v4[1]&0xc0 == 64
}

// tlsTo returns how the target must show that it is itself: by one of the keys
// that the policy pins, or by a certificate of the system's authorities.
func tlsTo(host string, t *Target) *tls.Config {
	c := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
	if len(t.Pins) == 0 {
		return c
	}
	c.InsecureSkipVerify = true // VerifyConnection takes its place, for the pinned key alone
	c.VerifyConnection = func(s tls.ConnectionState) error {
		have := canon.Digest(sha256.Sum256(s.PeerCertificates[0].RawSubjectPublicKeyInfo)).String()
		for _, p := range t.Pins {
			if p == have {
				return nil
			}
		}
		return fmt.Errorf("the server's key is not one that the policy pins")
	}
	return c
}
