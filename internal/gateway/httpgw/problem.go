package httpgw

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/writhq/writ/op"
	"github.com/writhq/writ/proof"
)

// A refusal is a no that is said before anyone is known, with its status.
type refusal struct {
	status int
	detail string
}

// Error returns the detail.
func (r *refusal) Error() string { return r.detail }

func refuse(status int, detail string) error { return &refusal{status, detail} }

// Problem is the body of every refusal. Source: RFC 9457; spec/httpgw.md.
type Problem struct {
	Type    string  `json:"type"` // urn:writ:denied: and the code
	Title   string  `json:"title"`
	Status  int     `json:"status"`
	Detail  string  `json:"detail"`
	Code    op.Code `json:"code"`
	Rule    string  `json:"rule,omitempty"`
	Control string  `json:"control,omitempty"`
	Next    string  `json:"next,omitempty"`
	Receipt string  `json:"receipt,omitempty"`
}

const notDecided op.Code = "not_decided"

// problem answers in, which may be nil, with err: in detail if it is a denial, as
// "not decided" if it is any other error.
func (h *handler) problem(w http.ResponseWriter, in *incoming, err error) {
	p := Problem{Status: http.StatusServiceUnavailable, Code: notDecided, Title: "not decided", Detail: "the operation could not be decided, so it was not done; try again, and see the gate's log"}
	if d, ok := errors.AsType[*op.Denial](err); ok {
		p = Problem{Status: status(d.Code), Code: d.Code, Title: "denied", Detail: d.Reason, Rule: d.Rule, Control: d.Control, Next: d.Next}
		if !d.Receipt.IsZero() {
			p.Receipt = d.Receipt.String()
		}
	} else if r, ok := errors.AsType[*refusal](err); ok {
		p = Problem{Status: r.status, Code: op.OperationInvalid, Title: http.StatusText(r.status), Detail: r.detail}
	}
	p.Type = "urn:writ:denied:" + string(p.Code)
	b, err := json.Marshal(p)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	for name := range w.Header() { // what a response began with
		if name != "Dpop-Nonce" && !(name == "Connection" && in == nil) {
			w.Header().Del(name)
		}
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	switch p.Status {
	case http.StatusUnauthorized:
		h.challenge(w, in, p.Code)
	case http.StatusPreconditionRequired:
		w.Header().Set(proof.FieldCredentialRef, proof.RefUnknown)
	}
	w.WriteHeader(p.Status)
	w.Write(b)
}

// challenge says which proofs are taken, and offers a nonce for one of level 1.
// Source: RFC 9110, section 11.6.1; RFC 9449, sections 7.1 and 9. SPEC HTTPGW-7.
func (h *handler) challenge(w http.ResponseWriter, in *incoming, c op.Code) {
	v := `DPoP algs="EdDSA ES256"`
	if c == op.ProofRequired {
		w.Header().Set("Dpop-Nonce", h.hall.Nonce())
		if in != nil && in.message.Has(proof.FieldDPoP) {
			v += `, error="use_dpop_nonce"`
		}
	}
	w.Header().Set("Www-Authenticate", v)
}

// status returns the HTTP status of a denial. SPEC HTTPGW-5.
func status(c op.Code) int {
	switch c {
	case op.CredentialInvalid, op.ProofRequired, op.ProofInvalid, op.ProofInsufficient:
		return http.StatusUnauthorized
	case op.Replayed, op.IdemConflict, op.IdemDone:
		return http.StatusConflict
	case op.IdemInProgress:
		return http.StatusTooEarly
	case op.QuotaExceeded:
		return http.StatusTooManyRequests
	case op.OperationInvalid:
		return http.StatusBadRequest
	case op.PolicyStale, op.StateUnavailable:
		return http.StatusServiceUnavailable
	case op.SecretUnavailable, op.TargetRefused, op.OutcomeUnknown, op.ResponseStopped:
		return http.StatusBadGateway
	}
	return http.StatusForbidden
}
