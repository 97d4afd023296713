package sqltree

import (
	"fmt"
	"net/url"
	"strings"
)

// purposeKey is the key of a purpose in a comment.
const purposeKey = "writ_purpose"

// Tail returns a text without the comment that ends it, and that comment. If the
// text ends within one, what is before it is a statement by itself; else it is no
// statement, and neither is the text.
func Tail(text string) (rest, comment string) {
	t := strings.TrimRight(text, " \t\r\n;")
	if !strings.HasSuffix(t, "*/") {
		return text, ""
	}
	at := strings.LastIndex(t[:len(t)-2], "/*")
	if at < 0 {
		return text, ""
	}
	return t[:at], t[at+2 : len(t)-2]
}

// Purpose returns the purpose that a comment names, "" for none. Errors wrap
// [ErrTree]. Source: the format
// of sqlcommenter, key='value' joined by commas, both percent-encoded.
func Purpose(comment string) (purpose string, err error) {
	for _, pair := range strings.Split(comment, ",") {
		k, v, ok := strings.Cut(strings.TrimSpace(pair), "=")
		if !ok || k != purposeKey {
			continue
		}
		inner, quoted := strings.CutPrefix(v, "'")
		inner, closed := strings.CutSuffix(inner, "'")
		value, bad := url.PathUnescape(inner)
		if !quoted || !closed || bad != nil || value == "" || purpose != "" { //guard:A15 purpose-once
			return "", fmt.Errorf("%w: the comment's purpose stands twice, or is not writ_purpose='NAME'", ErrTree)
		}
		purpose = value
	}
	return purpose, nil
}
