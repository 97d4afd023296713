package http

import (
	"net/netip"
	"strings"
)

// checkOrigin refuses an origin that is not in its one form: lower case, no
// default port, no user, path or trailing dot. SPEC HTTP-5.
func checkOrigin(o string) error {
	scheme, host, ok := strings.Cut(o, "://")
	if !ok || len(o) > maxOriginBytes || scheme != "https" && scheme != "http" {
		return refuse(BadOrigin, "origin")
	}
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		if !validPort(host[i+1:], scheme) {
			return refuse(BadOrigin, "origin")
		}
		host = host[:i]
	}
	if !validHost(host) { //guard:A10 origin-one-form
		return refuse(BadOrigin, "origin")
	}
	return nil
}

func validPort(p, scheme string) bool {
	if p == "" || len(p) > 5 || p[0] == '0' {
		return false
	}
	n := 0
	for i := range len(p) {
		if p[i] < '0' || p[i] > '9' {
			return false
		}
		n = n*10 + int(p[i]-'0')
	}
	return n <= 65535 && !(scheme == "https" && n == 443) && !(scheme == "http" && n == 80)
}

// validHost reports whether h is a lower-case DNS name or an IP address in its
// one form. Source: RFC 3986, section 3.2.2; RFC 5952 for IPv6.
func validHost(h string) bool {
	if v6, ok := strings.CutPrefix(h, "["); ok {
		v6, ok = strings.CutSuffix(v6, "]")
		a, err := netip.ParseAddr(v6)
		return ok && err == nil && a.Is6() && a.Zone() == "" && a.String() == v6
	}
	if h == "" || len(h) > 253 {
		return false
	}
	last := ""
	for label := range strings.SplitSeq(h, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			if c := label[i]; !alnum(c) && c != '-' || c >= 'A' && c <= 'Z' {
				return false
			}
		}
		last = label
	}
	if last[0] >= '0' && last[0] <= '9' { // a number at the end means IPv4 to some readers
		a, err := netip.ParseAddr(h)
		return err == nil && a.String() == h
	}
	return true
}
