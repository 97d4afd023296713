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
	CodeAuth        = "28000" // invalid_authorization_specification
	CodeUnavailable = "58000" // system_error
	CodeShutdown    = "57P01" // admin_shutdown
	CodeConnection  = "08006" // connection_failure
)

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
	switch d.Code {
	case op.CredentialInvalid, op.ProofRequired, op.ProofInvalid, op.ProofInsufficient:
		e.Code = CodeAuth
	}
	return e
}
