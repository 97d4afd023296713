package http

import (
	"slices"
	"strings"
)

// listableHeader reports whether a declaration may list the header: a name in
// lower case that the gate does not write itself, that does not end at the
// first hop, and that carries no credential or proof. SPEC HTTP-10.
func listableHeader(name string) bool {
	if name == "" || len(name) > maxNameBytes || name[0] < 'a' || name[0] > 'z' {
		return false
	}
	for i := range len(name) {
		if c := name[i]; !alnum(c) && c != '-' || c >= 'A' && c <= 'Z' {
			return false
		}
	}
	switch name {
	case "host", "content-type", "content-length", "content-encoding", "content-digest", "repr-digest", "digest",
		"accept-encoding", "expect",
		"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "http2-settings",
		"authorization", "proxy-authorization", "authentication-info", "cookie", "cookie2", "dpop",
		"signature", "signature-input", "accept-signature", "client-cert", "client-cert-chain",
		"forwarded", "via", "x-real-ip":
		return false
	}
	return !strings.HasPrefix(name, "writ-") && !strings.HasPrefix(name, "x-forwarded-")
}

// overrides reports whether some servers take the method or path from the
// header. CGI and its heirs read _ and - alike.
func overrides(name string) bool {
	switch strings.ReplaceAll(name, "_", "-") {
	case "x-http-method-override", "x-http-method", "x-method-override", "x-original-url", "x-rewrite-url":
		return true
	}
	return false
}

// headerValue returns v without white space around it, or refuses it: only
// printable ASCII and spaces, so also no folded lines. Source: RFC 9110,
// section 5.5 "Field Values", without obs-text and tabs.
func headerValue(v string) (string, error) {
	v = strings.Trim(v, " \t")
	if len(v) > maxTextBytes { //guard:A18 header-length
		return "", refuse(TooLong, "header")
	}
	for i := range len(v) {
		if v[i] < 0x20 || v[i] >= 0x7f { //guard:R15 header-value
			return "", refuse(BadHeader, "header")
		}
	}
	return v, nil
}

// headers is what Map takes from the header lines of a request.
type headers struct {
	listed      []Pair
	contentType string // "" if there is none
	coded       bool   // the body is under a content coding
}

// readHeaders sorts out the header lines of a request: takes the listed ones,
// refuses those that change what the request means, drops the rest. SPEC HTTP-9.
func readHeaders(lines [][2]string, list []string) (*headers, error) {
	if len(lines) > maxHeaders { //guard:R15 header-count
		return nil, refuse(TooLong, "headers")
	}
	h := new(headers)
	for _, line := range lines {
		if !token(line[0]) || strings.ContainsFunc(line[1], lineBreaker) { //guard:R15 header-form
			return nil, refuse(BadHeader, "header")
		}
		name := strings.ToLower(line[0])
		listed := slices.Contains(list, name)
		if k := refusedHeader(name, line[1], listed); k != "" {
			return nil, refuse(k, "header")
		}
		if err := h.take(name, line[1], listed); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(h.listed, func(a, b Pair) int { return strings.Compare(a.Name, b.Name) })
	return h, nil
}

func (h *headers) take(name, raw string, listed bool) error {
	if !listed && name != "content-type" && name != "content-encoding" {
		return nil
	}
	v, err := headerValue(raw)
	if err != nil {
		return err
	}
	switch name {
	case "content-type":
		if h.contentType != "" { //guard:R15 content-type-twice
			return refuse(Duplicate, "content-type")
		}
		if v == "" {
			return refuse(BadContentType, "content-type")
		}
		h.contentType = v
		return nil
	case "content-encoding":
		h.coded = h.coded || !strings.EqualFold(v, "identity")
		return nil
	}
	for i := range h.listed {
		if h.listed[i].Name == name { //guard:R15 header-twice
			return refuse(Duplicate, name)
		}
	}
	h.listed = append(h.listed, Pair{Name: name, Value: v})
	return nil
}

// refusedHeader returns why a request with the header is refused, "" if not.
func refusedHeader(name, value string, listed bool) Kind {
	switch {
	case overrides(name) && !listed: //guard:R15 header-override
		return MethodOverride
	case name == "range" && !listed: //guard:A16 range-listed
		return Range
	case name == "upgrade": //guard:A16 header-upgrade
		return Upgrade
	case name == "te": //guard:R15 header-te
		return TransferCodings
	case name == "expect" && !strings.EqualFold(strings.Trim(value, " \t"), "100-continue"): //guard:R15 header-expect
		return Expect
	}
	return ""
}

// lineBreaker reports whether r ends or folds a line for some reader, or is
// otherwise a control character.
func lineBreaker(r rune) bool { return r < 0x20 && r != '\t' || r == 0x7f }

// token: RFC 9110, section 5.6.2.
func token(s string) bool {
	for i := range len(s) {
		if c := s[i]; !alnum(c) && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != "" && len(s) <= maxNameBytes
}
