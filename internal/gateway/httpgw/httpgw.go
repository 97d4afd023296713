// Package httpgw is the HTTP door: a reverse proxy under /t/<target>/ that maps
// each request to one operation, and sends to the target what the operation
// says, with the secret put in.
package httpgw

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/writhq/writ/internal/gateway"
	"github.com/writhq/writ/op"
	ophttp "github.com/writhq/writ/op/http"
	"github.com/writhq/writ/proof"
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
}

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
	return &handler{c.Origin, h}, nil
}

// Serve implements [gateway.Handler].
func (h *handler) Serve(ctx context.Context, l net.Listener) error {
	if cfg := h.hall.TLS(); cfg != nil {
		cfg = cfg.Clone()
		cfg.MinVersion, cfg.SessionTicketsDisabled, cfg.NextProtos = tls.VersionTLS13, true, []string{"http/1.1"}
		l = tls.NewListener(l, cfg)
	}
	s := &http.Server{
		Handler: h, MaxHeaderBytes: maxHeaderBytes, ReadHeaderTimeout: maxHeaderTime, IdleTimeout: maxIdleTime,
		ErrorLog: log.New(io.Discard, "", 0), // it would log what strangers send
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
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

// ServeHTTP takes one request through the gate.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	in, err := h.read(w, r)
	if err != nil {
		problem(w, err)
		return
	}
	s, err := h.session(in)
	if err != nil {
		problem(w, err)
		return
	}
	req, asked, err := h.request(s, in)
	if err != nil {
		problem(w, err)
		return
	}
	p := &performance{w: w, asked: asked, body: in.message.Body}
	if err := s.Use(r.Context(), req, p.do); err != nil && !p.answered {
		problem(w, err)
	} else if p.aborted {
		panic(http.ErrAbortHandler) // the response was cut short: the client must not take it for whole
	}
}

// incoming is one request as it was read.
type incoming struct {
	wire    ophttp.Wire
	message proof.Message
}

// read reads all of a request, within bounds.
func (h *handler) read(w http.ResponseWriter, r *http.Request) (*incoming, error) {
	if len(r.TransferEncoding) > 0 { //guard:R15 framing
		return nil, refuse(http.StatusLengthRequired, "a request has a Content-Length, and no Transfer-Encoding")
	}
	if len(r.Trailer) > 0 || r.Header.Get("Trailer") != "" { //guard:A10 trailers
		return nil, refuse(http.StatusBadRequest, "a request has no trailers")
	}
	rest, ok := strings.CutPrefix(r.RequestURI, route)
	if !ok {
		return nil, refuse(http.StatusNotFound, "use /t/<target>/…, with a target of the policy")
	}
	http.NewResponseController(w).SetReadDeadline(time.Now().Add(maxBodyTime))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBodyBytes))
	if err != nil {
		return nil, refuse(http.StatusRequestEntityTooLarge, "the body is too large, or did not arrive")
	}
	path, query, _ := strings.Cut(rest, "?")
	target, path, found := strings.Cut(path, "/")
	if found {
		path = "/" + path
	}
	in := &incoming{
		wire: ophttp.Wire{
			Method: r.Method, Target: target, RawPath: path, RawQuery: query, Header: fields(r.Header), Body: body,
			HasBody: r.ContentLength != 0,
		},
	}
	in.message = proof.Message{
		Method: r.Method, TargetURI: h.origin + r.RequestURI, Fields: in.wire.Header, Body: body, HasBody: in.wire.HasBody,
	}
	return in, nil
}

// fields returns the header with names in lower case, sorted.
func fields(h http.Header) [][2]string {
	var out [][2]string
	for name, values := range h {
		for _, v := range values {
			out = append(out, [2]string{strings.ToLower(name), v})
		}
	}
	slices.SortStableFunc(out, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	return out
}

func (h *handler) session(in *incoming) (*gateway.Session, error) {
	chain, ref, err := in.message.Credential()
	if err != nil {
		d := op.Deny(op.CredentialInvalid, err.Error())
		d.Next = "send the credential in " + proof.FieldCredential
		return nil, d
	}
	if chain != nil {
		return h.hall.Session(chain)
	}
	s, ok, err := h.hall.SessionByDigest(ref)
	if err == nil && !ok {
		return nil, refuse(http.StatusPreconditionRequired, "the credential is not known here; send it whole")
	}
	return s, err
}

// request maps in to an operation and verifies the proof. What cannot be mapped
// becomes a request that the gate denies and records, if its proof holds.
func (h *handler) request(s *gateway.Session, in *incoming) (*gateway.Request, *ophttp.Asked, error) {
	r := &gateway.Request{Action: "http:" + in.wire.Method, Target: in.wire.Target}
	decl, target, declared := s.Lookup(r.Action, r.Target)
	var cover []string
	if declared {
		in.wire.Origin = target.Origin
		for _, name := range decl.Headers {
			if in.message.Has(name) {
				cover = append(cover, name)
			}
		}
	}
	var err error
	if r.Proof, err = s.ProveHTTP(&in.message, cover); err != nil {
		return nil, nil, err
	}
	if !declared {
		r.Denial = op.Deny(op.NotDeclared, "the method on this target is not among the policy's operations")
		return r, nil, nil
	}
	asked, err := ophttp.Map(in.wire, decl)
	if err != nil {
		r.Denial = ophttp.Deny(err)
		return r, nil, nil
	}
	r.Operation, err = asked.Operation(gateway.NewSalt())
	return r, asked, err
}
