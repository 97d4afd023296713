package server

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/writhq/writ/internal/control"
	"github.com/writhq/writ/internal/gateway"
)

// lockData takes the data folder for this process alone, until the function that
// it returns is called or the process ends.
func lockData(dir string) (unlock func(), err error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, advise("writ init makes one, and writ restore puts one back", "%s cannot be opened: %w", dir, err)
	}
	if err := syscall.Flock(int(d.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil { //guard:R57 data-lock
		d.Close()
		return nil, advise("stop that server, or wait for the end of that command", "a server runs on this folder already, or a command changes it: %s", dir)
	}
	return func() { d.Close() }, nil
}

// cannotListen returns err, of listening on the address of a field of the
// configuration, with what to do.
func (n *Node) cannotListen(field, address string, err error) error {
	why, next := err.Error(), "want host:port, such as 127.0.0.1:8443"
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		why, next = "another program listens there", "stop it (ss -ltnp names it), or take another address"
	case errors.Is(err, syscall.EACCES):
		why, next = "this user may not listen on that port", "take a port from 1024 on, or give the server CAP_NET_BIND_SERVICE"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		why, next = "this machine has no such address", "take one of this machine's addresses, or 0.0.0.0 for all"
	}
	return &advice{fmt.Errorf("%w: cannot listen on %s: %s", ErrServer, address, why), fmt.Sprintf("%s: %s in %s", next, field, n.c.File.name), err}
}

// A porch is a door whose gate is not open yet: it holds the address from the
// start on, and answers every request that nothing is decided. SPEC CTRL-19.
type porch struct {
	Listener
	tcp  *net.TCPListener
	http *http.Server
	done chan struct{} // closed once nobody accepts on tcp
}

// hold is a listener that stays open when a server that ends closes it: this only
// ends the Accept under way.
type hold struct{ *net.TCPListener }

// Close ends an Accept.
func (h hold) Close() error { return h.SetDeadline(time.Unix(1, 0)) }

// openDoors listens on the addresses of all doors, and answers there until they
// are passed on.
func (n *Node) openDoors(ctx context.Context) error {
	for i, g := range n.c.File.Gates {
		at := slices.IndexFunc(n.c.Protocols, func(p gateway.Protocol) bool { return p.Name == g.Protocol })
		if at < 0 {
			return advise(fmt.Sprintf("gates[%d].protocol in %s: docs/configuration.md lists them", i, n.c.File.name), "this binary has no gateway %q", g.Protocol)
		}
		p := n.c.Protocols[at]
		if _, err := p.New(g.Config, new(gateway.Hall)); err != nil { // New starts nothing: this shows what is wrong before anyone unseals
			return advise(fmt.Sprintf("gates[%d].config in %s: see docs/configuration.md", i, n.c.File.name), "gateway %s: %w", g.Protocol, err)
		}
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", g.Address)
		if err != nil {
			return n.cannotListen(fmt.Sprintf("gates[%d].address", i), g.Address, err)
		}
		n.porches = append(n.porches, n.newPorch(Listener{Protocol: p, Config: g.Config, Net: l}, l.(*net.TCPListener)))
	}
	return nil
}

func (n *Node) newPorch(l Listener, tcp *net.TCPListener) *porch {
	p := &porch{Listener: l, tcp: tcp, http: control.NewServer(http.HandlerFunc(notOpen)), done: make(chan struct{})}
	certified := tls.NewListener(hold{tcp}, &tls.Config{GetCertificate: n.certs.get, MinVersion: tls.VersionTLS13, NextProtos: []string{"http/1.1"}})
	go func() {
		defer close(p.done)
		p.http.Serve(certified)
	}()
	return p
}

// notOpen answers a request that comes before the gate is open, in the words of a
// gate.
func notOpen(w http.ResponseWriter, _ *http.Request) {
	b, err := json.Marshal(map[string]any{
		"type": "urn:writ:denied:not_decided", "title": "not decided", "status": http.StatusServiceUnavailable, "code": "not_decided",
		"detail": "the gate is not open: its keys are sealed, or its folder is being read; nothing was done", "next": "writ status, and writ unseal, on the gate's machine",
	})
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusServiceUnavailable)
	w.Write(b)
}

// end ends the answers; the address stays held.
func (p *porch) end() {
	p.http.Close()
	<-p.done
}

// passDoors ends the porches and returns their listeners, for the gate.
func (n *Node) passDoors() ([]Listener, error) {
	var doors []Listener
	for _, p := range n.porches {
		p.end()
		if err := p.tcp.SetDeadline(time.Time{}); err != nil {
			return nil, fmt.Errorf("%w: open %s: %w", ErrServer, p.tcp.Addr(), err)
		}
		doors = append(doors, p.Listener)
	}
	return doors, nil
}

// closeDoors closes what openDoors opened.
func (n *Node) closeDoors() {
	for _, p := range n.porches {
		p.end()
		p.tcp.Close()
	}
}

// listenLocal opens the Unix socket, which only the owner of the process may
// use. The folder is this process's alone, so that a socket that is there was left
// by one that is dead.
func (n *Node) listenLocal(ctx context.Context) (net.Listener, error) {
	name := n.c.File.Socket()
	if len(name) > maxSocketBytes {
		return nil, advise("take a data folder with a shorter path, or a relative one: data in "+n.c.File.name, "%s has %d bytes, and the name of a Unix socket at most %d", name, len(name), maxSocketBytes)
	}
	if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", ErrServer, err)
	}
	l, err := new(net.ListenConfig).Listen(ctx, "unix", name)
	if err == nil {
		err = os.Chmod(name, 0o600) // the folder is its owner's alone already
	}
	if err != nil {
		return nil, fmt.Errorf("%w: control socket: %w", ErrServer, err)
	}
	return l, nil
}

func (n *Node) listenRemote(ctx context.Context) (net.Listener, error) {
	if n.c.File.Control == "" {
		return nil, nil
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", n.c.File.Control)
	if err != nil {
		return nil, n.cannotListen("control", n.c.File.Control, err)
	}
	return tls.NewListener(l, control.TLS(n.certs.get)), nil
}
