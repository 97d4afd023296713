package gateway

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
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
	// Reader reads from the connection; what it buffers belongs to this act.
	Reader *bufio.Reader

	tcp   net.Conn // below TLS
	limit *limited
	pool  *pool
	key   poolKey
	raw   syscall.RawConn
	idle  time.Time // since when it is unused
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
	if c.Reader.Buffered() > 0 || c.SetDeadline(time.Time{}) != nil {
		c.Close()
		return
	}
	c.pool.put(c)
}

// pool keeps unused upstream connections.
type pool struct {
	mu   sync.Mutex
	idle map[poolKey][]*Conn // guarded by mu; newest last
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
		p.idle[key] = l[:len(l)-1]
		p.mu.Unlock()
		if time.Since(c.idle) < maxIdleUpstream && c.quiet() {
			return c
		}
		c.Close()
	}
}

func (p *pool) put(c *Conn) {
	c.idle = time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.idle[c.key]
	if len(l) >= maxIdlePerKey {
		c.Close()
		return
	}
	p.idle[c.key] = append(l, c)
	for len(l) > 0 && time.Since(l[0].idle) > maxIdleUpstream {
		l[0].Close()
		l = l[1:]
		p.idle[c.key] = append(l[:len(l):len(l)], c)
	}
}

// flush closes all unused connections.
func (p *pool) flush() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for k, l := range p.idle {
		for _, c := range l {
			c.Close()
		}
		delete(p.idle, k)
	}
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
	return err == nil && ok
}

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
		s := tls.Client(raw, cfg)
		if err := s.HandshakeContext(ctx); err != nil {
			raw.Close()
			return nil, fmt.Errorf("%w: dial %s: TLS: %w", ErrGateway, t.ID, err)
		}
		c.Conn = s
	}
	c.limit = &limited{c.Conn, -1}
	c.Reader = bufio.NewReaderSize(c.limit, upstreamBuffer)
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
		port = map[string]string{"https": "443", "http": "80"}[u.Scheme]
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
		if !t.Private && !public(ip) { //guard:R7 private-address
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

func public(ip net.IP) bool {
	return !(ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast() || ip.IsLinkLocalMulticast() ||
		ip.IsUnspecified() || ip.IsMulticast() || ip.IsInterfaceLocalMulticast() || shared(ip))
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
