// Package httpgw is the HTTP door: a reverse proxy under /t/<target>/ that maps
// each request to one operation, and sends to the target what the operation
// says, with the secret put in.
package httpgw

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/writhq/writ/internal/gateway"
	"github.com/writhq/writ/op"
)

// Protocol is the registration of this door.
var Protocol = gateway.Protocol{Name: "http", New: New}

const route = "/t/"

// Config is the configuration of a listener.
type Config struct {
	// Origin is how clients reach this listener, such as https://gate.example.
	// Signatures cover it; Host and forwarding headers are never believed. Required.
	Origin string `json:"origin"`
}

type handler struct {
	origin string
	hall   *gateway.Hall
	times  times
	bodies budget // bytes of request bodies in memory
}

// times are the bounds on waiting that tests shorten.
type times struct{ header, body, idle, stall time.Duration }

// New returns a handler for one listener. Unknown fields in cfg are refused.
func New(cfg json.RawMessage, h *gateway.Hall) (gateway.Handler, error) {
	var c Config
	d := json.NewDecoder(bytes.NewReader(cfg))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return nil, fmt.Errorf("http: configuration: %w", err)
	}
	if c.Origin == "" || strings.HasSuffix(c.Origin, "/") || !strings.Contains(c.Origin, "://") {
		return nil, errors.New("http: configuration: origin: want scheme://host, and nothing after it")
	}
	return &handler{
		origin: c.Origin, hall: h, times: times{maxHeaderTime, maxBodyTime, maxIdleTime, maxClientStall}, bodies: budget{left: maxBodies},
	}, nil
}

// Serve implements [gateway.Handler].
func (h *handler) Serve(ctx context.Context, l net.Listener) error {
	l = h.hall.Listener(l)
	s := h.server()
	done := make(chan error, 1)
	go func() {
		if s.TLSConfig != nil {
			done <- s.ServeTLS(l, "", "")
		} else {
			done <- s.Serve(l)
		}
	}()
	select {
	case err := <-done:
		return fmt.Errorf("http: serve: %w", err)
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), maxDrain)
	defer cancel()
	err := s.Shutdown(ctx)
	if err != nil {
		s.Close()
	}
	<-done
	return err
}

// server returns the server for one listener: HTTP/1.1, and HTTP/2 where TLS
// negotiates it. The library refuses extended CONNECT unless told otherwise.
func (h *handler) server() *http.Server {
	s := &http.Server{
		Handler: h, MaxHeaderBytes: maxHeaderBytes, ReadHeaderTimeout: h.times.header, IdleTimeout: h.times.idle,
		ErrorLog: log.New(io.Discard, "", 0), // it would log what strangers send
		HTTP2:    &http.HTTP2Config{MaxConcurrentStreams: maxStreams, MaxReceiveBufferPerStream: streamWindow, MaxReceiveBufferPerConnection: connWindow},
	}
	s.TLSConfig = h.hall.TLS("h2", "http/1.1") // SPEC HTTPGW-6
	return s
}

// begin reads a request under the route and finds its session. It returns nil, and
// has answered, if there is none; else the caller gives the body's bytes back to
// the budget.
func (h *handler) begin(w http.ResponseWriter, r *http.Request, route string) (*incoming, *gateway.Session) {
	in, err := h.read(w, r, route)
	if err != nil {
		h.problem(w, in, err)
		return nil, nil
	}
	s, err := h.session(in)
	if err != nil {
		h.bodies.give(int64(len(in.wire.Body)))
		h.problem(w, in, err)
		return nil, nil
	}
	return in, s
}

// ServeHTTP takes one request through the gate. A panic is noted, and ends the
// connection or stream without an answer: how far the request came is not known.
// SPEC HTTPGW-11.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer func() {
		if v := recover(); v != nil {
			if v != http.ErrAbortHandler { // that is how serve cuts a response short
				h.hall.Panicked(v) //guard-call:R11 panic-noted
			}
			panic(http.ErrAbortHandler) // the library would log the value itself
		}
	}()
	h.serve(w, r)
}

func (h *handler) serve(w http.ResponseWriter, r *http.Request) {
	c := http.NewResponseController(w)
	if r.ProtoMajor == 1 {
		c.SetWriteDeadline(time.Time{}) // a connection keeps that of the answer before
	}
	w = &prompt{w, c, h.times.stall}
	if strings.HasPrefix(r.RequestURI, releaseRoute) {
		h.release(w, r)
		return
	}
	in, s := h.begin(w, r, route)
	if s == nil {
		return
	}
	defer h.bodies.give(int64(len(in.wire.Body)))
	req, asked, err := h.request(s, in)
	if err != nil {
		h.problem(w, in, err)
		return
	}
	p := &performance{w: w, asked: asked, body: in.message.Body, now: h.hall.Now, stall: h.times.stall}
	if req.Proof.Level == op.Presentation {
		w.Header().Set("Dpop-Nonce", h.hall.Nonce()) // for the next
	}
	if err := s.Use(r.Context(), req, p.do); err != nil && !p.answered {
		h.problem(w, in, err)
	} else if p.aborted {
		panic(http.ErrAbortHandler) // the response was cut short: the client must not take it for whole
	}
}

// prompt is a writer whose client must take what is written within a time: else
// one that does not read would hold memory for ever, known or not. SPEC HTTPGW-4.
type prompt struct {
	http.ResponseWriter
	control *http.ResponseController
	stall   time.Duration
}

// Write writes b.
func (p *prompt) Write(b []byte) (int, error) {
	p.control.SetWriteDeadline(time.Now().Add(p.stall)) //guard-call:R11 answer-stall
	return p.ResponseWriter.Write(b)
}

// Unwrap returns the writer, for a [http.ResponseController].
func (p *prompt) Unwrap() http.ResponseWriter { return p.ResponseWriter }
