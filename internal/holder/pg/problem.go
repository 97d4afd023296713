package pg

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"strings"
	"time"

	"github.com/writhq/writ/api"
)

// What may be wrong with a gate that was reached.
var (
	errClosed = errors.New("the gate closed the connection")
	errNoGate = errors.New("what answers is no gate for PostgreSQL")
)

// Explain returns what err, of a gate that did not let a client in, says happened, and
// what to do next. Both are for people.
func Explain(err error) (what, next string) {
	next = "gates[].address in the server's configuration names the listener, for --gate; writ status there says how it is"
	if x, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		why, _, _ := strings.Cut(strings.TrimPrefix(x.Err.Error(), "x509: "), " (possibly because")
		return "the gate's certificate is not trusted: " + why, "name its certificate, or its authority's: writ connect --ca FILE"
	}
	if x, ok := errors.AsType[*net.OpError](err); ok && x.Op == "remote error" { // an alert of TLS
		return errNoGate.Error() + ", or it is sealed: " + strings.TrimPrefix(x.Err.Error(), "tls: "),
			"--gate wants a listener of protocol postgres, of a server that is unsealed: writ status says how it is"
	}
	if x, ok := errors.AsType[*net.OpError](err); ok && x.Op == "dial" {
		why := x.Err
		if s, ok := errors.AsType[*os.SyscallError](why); ok {
			why = s.Err
		}
		if x.Addr == nil { // the name was not found
			return "the gate is not reached: " + why.Error(), next
		}
		return "no gate answers at " + x.Addr.String() + ": " + why.Error(), next
	}
	if errors.Is(err, errClosed) {
		return errClosed.Error(), next
	}
	return api.Detail(err, ErrRelay), next
}

// Codes of refusals. Source: PostgreSQL, appendix A "Error Codes".
const (
	codeUnreached = "08001" // sqlclient_unable_to_establish_sqlconnection
	codeUser      = "28000" // invalid_authorization_specification
	codePassword  = "28P01" // invalid_password
	codeFull      = "53300" // too_many_connections
)

// refuse tells a client why it is not let in, as a server would. SPEC HPG-6.
func refuse(c net.Conn, code, text, hint string) {
	var b []byte
	for _, f := range []struct {
		field byte
		value string
	}{{'S', "FATAL"}, {'V', "FATAL"}, {'C', code}, {'M', "writ: " + text}, {'H', hint}} {
		b = append(append(append(b, f.field), f.value...), 0)
	}
	head := binary.BigEndian.AppendUint32([]byte{'E'}, uint32(4+len(b)+1))
	c.SetWriteDeadline(time.Now().Add(maxStartup))
	c.Write(append(append(head, b...), 0))
}
