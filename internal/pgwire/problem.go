package pgwire

import (
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/writhq/writ/op"
)

// Codes of refusals. Source: PostgreSQL, appendix A "Error Codes".
const (
	CodeDenied      = "42501" // insufficient_privilege
	CodeSyntax      = "42601" // syntax_error
	CodeAuth        = "28000" // invalid_authorization_specification
	CodeUnavailable = "58000" // system_error
	CodeShutdown    = "57P01" // admin_shutdown
	CodeConnection  = "08006" // connection_failure
)

// hints are what clients of this protocol can do, where nothing better is known.
var hints = map[op.Code]string{
	op.ProofRequired:     "connect with a TLS client certificate over the credential's key (writ key tls), or over the local socket of writ connect",
	op.ProofInsufficient: "nothing here: this protocol proves the holder's key by its connection (level 2), and the policy asks for more",
	op.PurposeInvalid:    "name a purpose that both policy and credential list: options='-c writ.purpose=NAME'; writ policy show ALIAS, writ show FILE",
	op.OperationInvalid:  "ask in another form, or at the server itself: docs/postgres.md says what goes through a gate",
	op.TargetRefused:     "try again; if it stays, whoever runs the gate finds in its log what is wrong",
}

// stated is an error with a SQLSTATE of its own.
type stated struct {
	error
	state string
}

func (s *stated) Unwrap() error { return s.error }

// WithState returns err for [Problem] to give it that SQLSTATE, if it is a denial.
func WithState(err error, state string) error { return &stated{err, state} }

// Wordless returns an error of the server without its words, which could show what is
// masked.
func Wordless(m *pgproto3.ErrorResponse) *pgproto3.ErrorResponse {
	return &pgproto3.ErrorResponse{
		Severity: m.Severity, SeverityUnlocalized: m.SeverityUnlocalized, Code: m.Code, Message: "writ: the server refused; its words could show what is masked",
	}
}

// Problem returns err as the server would say it: in detail if it is a denial.
// SPEC PGGW-5.
func Problem(err error) *pgproto3.ErrorResponse {
	d, ok := errors.AsType[*op.Denial](err)
	if !ok {
		return &pgproto3.ErrorResponse{
			Severity: "ERROR", SeverityUnlocalized: "ERROR", Code: CodeUnavailable, Message: "writ: not decided, so not done",
			Hint: "try again, and see the gate's log",
		}
	}
	e := &pgproto3.ErrorResponse{Severity: "ERROR", SeverityUnlocalized: "ERROR", Code: CodeDenied, Message: "writ: " + d.Reason, Hint: d.Next}
	detail := []string{"code " + string(d.Code)}
	if d.Rule != "" {
		detail = append(detail, "rule "+d.Rule)
	}
	if d.Control != "" {
		detail = append(detail, "control "+d.Control)
	}
	if !d.Receipt.IsZero() {
		detail = append(detail, "receipt "+d.Receipt.String())
	}
	e.Detail = strings.Join(detail, ", ")
	if h, ok := hints[d.Code]; ok && (d.Next == "" || d.Next == d.Code.Advice()) {
		e.Hint = h
	}
	if s, ok := errors.AsType[*stated](err); ok {
		e.Code = s.state
		return e
	}
	switch d.Code {
	case op.CredentialInvalid, op.ProofRequired, op.ProofInvalid, op.ProofInsufficient:
		e.Code = CodeAuth
	}
	return e
}
