package httpgw

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/writhq/writ/internal/gateway"
	"github.com/writhq/writ/op"
	ophttp "github.com/writhq/writ/op/http"
	"github.com/writhq/writ/proof"
)

// incoming is one request as it was read.
type incoming struct {
	wire    ophttp.Wire
	message proof.Message
	spki    []byte // of the key that the client proved in TLS; nil: none
}

// budget is how many bytes may be taken at once. It is safe for concurrent use.
type budget struct {
	mu   sync.Mutex
	left int64 // guarded by mu
}

func (b *budget) take(n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n > b.left { //guard:R11 body-budget
		return false
	}
	b.left -= n
	return true
}

func (b *budget) give(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left += n
}

// read reads all of a request under the route, within bounds. The caller gives the body's bytes
// back to the budget. SPEC HTTPGW-4.
func (h *handler) read(w http.ResponseWriter, r *http.Request, route string) (*incoming, error) {
	in, err := h.message(w, r, route)
	body := r.ContentLength != 0 || len(r.TransferEncoding) > 0
	if err != nil && body && r.ProtoMajor == 1 { //guard:R15 refused-body
		w.Header().Set("Connection", "close") // where a body ends that was not read is a matter of opinion
	}
	return in, err
}

// message is read without what a refusal does to the connection.
func (h *handler) message(w http.ResponseWriter, r *http.Request, route string) (*incoming, error) {
	if r.ContentLength != 0 || len(r.TransferEncoding) > 0 { // also for what is refused: the library reads on
		c := http.NewResponseController(w)
		c.SetReadDeadline(time.Now().Add(h.times.body))
		c.EnableFullDuplex() // or it would read on before it lets us refuse
	}
	if len(r.TransferEncoding) > 0 || r.ContentLength < 0 { //guard:R15 framing
		return nil, refuse(http.StatusLengthRequired, "a request has a Content-Length, and no Transfer-Encoding")
	}
	if len(r.Trailer) > 0 || r.Header["Trailer"] != nil { //guard:A10 trailers
		return nil, refuse(http.StatusBadRequest, "a request has no trailers")
	}
	rest, ok := strings.CutPrefix(r.RequestURI, route)
	if !ok {
		return nil, refuse(http.StatusNotFound, "use /t/<target>/…, with a target of the policy")
	}
	body, err := h.readBody(w, r)
	if err != nil {
		return nil, err
	}
	path, query, _ := strings.Cut(rest, "?")
	target, _, _ := strings.Cut(path, "/")
	path = path[len(target):]
	in := &incoming{
		wire: ophttp.Wire{
			Method: r.Method, Target: target, RawPath: path, RawQuery: query, Header: fields(r.Header), Body: body,
			HasBody: r.ContentLength != 0,
		},
	}
	in.message = proof.Message{
		Method: r.Method, TargetURI: h.origin + r.RequestURI, Fields: in.wire.Header, Body: body, HasBody: in.wire.HasBody,
	}
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		in.spki = r.TLS.PeerCertificates[0].RawSubjectPublicKeyInfo
	}
	return in, nil
}

// readBody reads a body of known length.
func (h *handler) readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	n := r.ContentLength
	if n == 0 {
		return nil, nil
	}
	if n > maxBodyBytes { //guard:R11 body-size
		return nil, refuse(http.StatusRequestEntityTooLarge, "the body is too large")
	}
	if !h.bodies.take(n) {
		return nil, refuse(http.StatusServiceUnavailable, "too many bodies at once; try again")
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r.Body, body); err != nil {
		h.bodies.give(n)
		return nil, refuse(http.StatusRequestTimeout, "the body did not arrive")
	}
	http.NewResponseController(w).SetReadDeadline(time.Time{}) // it would end a long response
	return body, nil
}

// fields returns the header with names in lower case, sorted.
func fields(h http.Header) [][2]string {
	out := make([][2]string, 0, len(h)+4)
	for name, values := range h {
		for _, v := range values {
			out = append(out, [2]string{strings.ToLower(name), v})
		}
	}
	slices.SortStableFunc(out, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	return out
}

// session returns the session of the credential in the request, or of the one that
// it refers to. SPEC HTTPGW-8.
func (h *handler) session(in *incoming) (*gateway.Session, error) {
	chain, ref, err := in.message.Credential()
	if err != nil {
		d := op.Deny(op.CredentialInvalid, err.Error())
		d.Next = "send the credential in " + proof.FieldCredential
		return nil, h.hall.Refuse(d)
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
	if r.Proof, err = h.prove(s, in, cover); err != nil {
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

// prove verifies the holder's proof, of which a request has one: a signature, a
// DPoP proof, or neither and a client certificate. What is there must hold: a bad
// signature is no reason to look for less. SPEC HTTPGW-6, HTTPGW-7.
func (h *handler) prove(s *gateway.Session, in *incoming, cover []string) (gateway.Proof, error) {
	m := &in.message
	signed, dpop := m.Has(proof.FieldInput) || m.Has(proof.FieldSignature), m.Has(proof.FieldDPoP)
	switch {
	case signed && dpop: //guard:A12 one-proof
		return gateway.Proof{}, h.hall.Refuse(op.Deny(op.ProofInvalid, "a request has one proof: a signature or a DPoP proof"))
	case signed:
		return s.ProveHTTP(m, cover)
	case dpop:
		return s.ProveDPoP(m)
	}
	v := &proof.Invocation{}
	if in.spki != nil {
		var err error
		if v, err = m.ContextUnverified(); err != nil {
			return gateway.Proof{}, h.hall.Refuse(op.Deny(op.ProofInvalid, err.Error()))
		}
	}
	return s.ProveChannel(in.spki, v)
}
