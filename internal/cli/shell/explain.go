package shell

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"regexp"
	"strings"
	"syscall"

	"github.com/writhq/writ/api"
	"github.com/writhq/writ/internal/holder/pg"
	"github.com/writhq/writ/internal/identity"
	"github.com/writhq/writ/internal/pgrole"
	"github.com/writhq/writ/internal/server"
)

// own are errors of packages, which say nothing to people.
var own = []error{
	ErrShell, server.ErrServer, pg.ErrRelay, identity.ErrKeyFile, identity.ErrNobody, identity.ErrIdentity, pgrole.ErrRole,
	errors.New("custody: keyring"), errors.New("custody"), errors.New("store"), errors.New("file under a passphrase"),
}

// A failure says what happened and what to do next.
type failure struct {
	text string
	next string
	errs []error
}

// Error returns what happened.
func (f *failure) Error() string { return f.text }

// Next returns what to do.
func (f *failure) Next() string { return f.next }

// Unwrap returns [ErrShell] and the cause.
func (f *failure) Unwrap() []error { return f.errs }

// Fail returns an error that says what happened and what to do next.
func Fail(next, format string, args ...any) error {
	return &failure{fmt.Sprintf(format, args...), next, []error{ErrShell}}
}

// usageNext is [Usage] with what to do next.
func usageNext(next, format string, args ...any) error {
	return &failure{fmt.Sprintf("usage: "+format, args...), next, []error{ErrUsage}}
}

// because is Fail with a cause, which the text has said.
func because(cause error, next, format string, args ...any) error {
	return &failure{fmt.Sprintf(format, args...), next, []error{ErrShell, cause}}
}

// Advise returns err with what to do next, unless it says that itself or is about
// the words of the command line.
func Advise(err error, next string) error {
	if err == nil || errors.Is(err, ErrUsage) {
		return err
	}
	if what, n := Explain(err); n == "" {
		return because(err, next, "%s", what)
	}
	return err
}

// plain returns what err says, without operations, paths and packages.
func plain(err error) string {
	if p, ok := errors.AsType[*os.PathError](err); ok {
		err = p.Err
	}
	return detail(err)
}

// detail returns what err says. What a decoder says of bytes, by the names of the
// program's own types, tells people no more than that they are not whole.
func detail(err error) string {
	text := api.Detail(err, own...)
	if at := decoder.FindStringIndex(text); at != nil {
		return text[:at[0]] + "bytes are changed, or missing"
	}
	return text
}

// decoder finds where a decoder's words begin.
var decoder = regexp.MustCompile(`(^parse: )?(CBOR: |cbor: )`)

// Explain returns what err says happened and why, and what to do next, "" if
// nothing is known that helps. Both are for people.
func Explain(err error) (what, next string) {
	what = detail(err)
	if x, ok := errors.AsType[interface {
		error
		Next() string
	}](err); ok && x.Next() != "" {
		return what, x.Next()
	}
	if p, ok := errors.AsType[*api.Problem](err); ok {
		return what, p.Next
	}
	if x, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		why, _, _ := strings.Cut(strings.TrimPrefix(x.Err.Error(), "x509: "), " (possibly because")
		return "the server's certificate is not trusted: " + why,
			"name its certificate, or its authority's: --ca DIR/tls.crt, or WRIT_CA"
	}
	if x, ok := errors.AsType[*net.OpError](err); ok && x.Op == "dial" {
		return unreachable(x)
	}
	switch {
	case errors.Is(err, api.ErrNotControl):
		return what, "--server wants the control API: control in the server's configuration says where it listens, or DATA/control.sock"
	case errors.Is(err, context.DeadlineExceeded):
		return what, "writ status says how the server is; then try again"
	case errors.Is(err, server.ErrNoPin):
		return what, "writ server --config FILE --root sha256:… --root-file root.json"
	}
	return what, ""
}

// unreachable explains that nobody listens where the server should be.
func unreachable(x *net.OpError) (what, next string) {
	why := x.Err
	if s, ok := errors.AsType[*os.SyscallError](x.Err); ok {
		why = s.Err
	}
	if x.Net == "unix" {
		if errors.Is(why, os.ErrPermission) {
			return fmt.Sprintf("the socket %s may not be used by this user", x.Addr), "run the command as the user that the server runs as"
		}
		reason := why.Error()
		switch {
		case errors.Is(why, os.ErrNotExist):
			reason = "it is not there"
		case errors.Is(why, syscall.ECONNREFUSED):
			reason = "the one that made it has ended"
		}
		return fmt.Sprintf("no server listens on the socket %s: %s", x.Addr, reason),
			"start the server, writ server --config FILE, or name its socket: --server DATA/control.sock"
	}
	if x.Addr == nil { // the name was not found
		return "the server is not reached: " + why.Error(), "check the name in --server or WRIT_SERVER"
	}
	return fmt.Sprintf("no server answers at %s: %s", x.Addr, why),
		"check --server; control in the server's configuration says where it listens, and writ status there how it is"
}
