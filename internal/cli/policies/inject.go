package policies

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/writhq/writ/internal/cli/shell"
	"github.com/writhq/writ/policy"
)

// An injection is one way of putting a secret into what is sent.
type injection struct {
	how   string
	form  string // as --inject takes it
	kind  string // of the secret, unless --kind says another
	value string // what is sealed
	goes  string // where it goes, with the name and the prefix
	to    string // kind of its targets; "": http
}

// injections are all ways that a policy has.
var injections = []injection{
	{"header", "header:NAME[:PREFIX]", "http-bearer", "the key as it stands in the header, without the prefix", "in header %[1]s, after %[2]q", ""},
	{"basic", "basic:USER", "http-basic", "the password of the user", "as password of user %[1]s", ""},
	{"query", "query:NAME", "http-query", "the key as it stands in the query, not escaped", "in query member %[1]s", ""},
	{"sigv4", "sigv4:REGION/SERVICE", "aws-key", `an AWS key, as ID:SECRET or as {"AccessKeyId":…,"SecretAccessKey":…,"SessionToken":…}`, "signs each request for AWS, %[1]s, and is never sent", ""},
	{"client_certificate", "client_certificate", "tls-client", "the certificate, its chain and its key, in PEM", "is the client's certificate and key in TLS, and is never sent", ""},
	{"password", "password:USER", "postgres-password", "the password of the user", "as password of user %[1]s, by SCRAM-SHA-256", "postgres"},
	{"md5", "md5:USER", "postgres-password", "the password of the user", "as password of user %[1]s, by MD5 or SCRAM-SHA-256", "postgres"},
	{"client_certificate", "client_certificate:USER", "tls-client", "the certificate, its chain and its key, in PEM", "is user %[1]s's certificate and key in TLS, and is never sent", "postgres"},
	{"none", "none", "", "", "", ""},
}

// forms returns what --inject takes for targets of a kind, or "" for all.
func forms(kind string) string {
	var out []string
	for _, i := range injections {
		if kind == "" || cmp.Or(i.to, "http") == kind {
			out = append(out, i.form)
		}
	}
	return strings.Join(out, ", ")
}

// injectHelp is the part of the help about --inject.
func injectHelp() string {
	s := "--inject says how the secret is sent, and so what is sealed:\n\n"
	for _, i := range injections[:len(injections)-1] {
		s += fmt.Sprintf("  %-22s %s\n", i.form, i.value)
	}
	return s + "  none                   no secret is sent"
}

// parseInject returns what --inject says for a target of a kind, and the way that it is.
func parseInject(s, kind string) (policy.Inject, injection, error) {
	part := strings.SplitN(s, ":", 3)
	at := slices.IndexFunc(injections, func(i injection) bool { return i.how == part[0] && cmp.Or(i.to, "http") == kind })
	if at < 0 || len(part) > 1 != strings.Contains(injections[at].form, ":") || len(part) > 2 && part[0] != "header" {
		return policy.Inject{}, injection{}, shell.Usage("--inject %q: a target of kind %s takes %s", s, kind, forms(kind))
	}
	part = append(part, "", "")
	return policy.Inject{How: part[0], Name: part[1], Prefix: part[2]}, injections[at], nil
}

// sent says how a target gets its secret.
func sent(t *policy.Target) string {
	for _, i := range injections {
		if i.how != t.Inject.How || cmp.Or(i.to, "http") != t.Kind || i.goes == "" {
			continue
		}
		goes := i.goes
		if t.Inject.Prefix == "" {
			goes, _, _ = strings.Cut(goes, ", after ")
		}
		if strings.Contains(goes, "%") {
			goes = fmt.Sprintf(goes, t.Inject.Name, t.Inject.Prefix)
		}
		return fmt.Sprintf("secret %s %s; sealed is %s", t.Secret, goes, i.value)
	}
	return "no secret"
}
