package control

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync/atomic"
)

// TLS returns the configuration of a control listener: clients may show a
// certificate, of which only the key counts, and every connection proves it
// anew. SPEC CTRL-3.
func TLS(get func(*tls.ClientHelloInfo) (*tls.Certificate, error)) *tls.Config {
	return &tls.Config{
		GetCertificate: get, MinVersion: tls.VersionTLS13, ClientAuth: tls.RequestClientCert,
		SessionTicketsDisabled: true, NextProtos: []string{"http/1.1"},
	}
}

// NewServer returns a server of h with this package's bounds on callers.
func NewServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, MaxHeaderBytes: maxHeaderBytes, ReadHeaderTimeout: maxHeaderTime, ReadTimeout: maxReadTime,
		WriteTimeout: maxStreamTime, IdleTimeout: maxIdleTime, ConnState: bound(),
		ErrorLog: log.New(io.Discard, "", 0), // it would log what strangers send
	}
}

// Serve answers requests on l until ctx ends, then lets those under way end.
func Serve(ctx context.Context, l net.Listener, h http.Handler) error {
	s := NewServer(h)
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	select {
	case err := <-done:
		return fmt.Errorf("%w: serve: %w", ErrControl, err)
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), maxDrain)
	defer cancel()
	err := s.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, s.Close())
	}
	<-done
	return err
}

// bound returns a hook that closes a connection at once if there are too many. It
// is not a listener, since a server sees TLS only in a listener's own connections.
// SPEC CTRL-18.
func bound() func(net.Conn, http.ConnState) {
	var open atomic.Int64
	return func(c net.Conn, s http.ConnState) {
		switch s {
		case http.StateNew:
			if open.Add(1) > maxConnections { //guard:R11 control-connections
				c.Close()
			}
		case http.StateClosed, http.StateHijacked:
			open.Add(-1)
		}
	}
}
