package pggw

import (
	"net/url"
	"slices"
	"strings"

	"github.com/writhq/writ/internal/gateway"
	"github.com/writhq/writ/internal/sqlanalyze"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/op/sql"
	"github.com/writhq/writ/proof"
)

// purposeSetting is the setting by which a session names the purpose of what it does
// from then on, where the policy declares that setting. SPEC PGGW-12.
const purposeSetting = "writ.purpose"

// purposeKey is the key of a purpose in a comment.
const purposeKey = "writ_purpose"

// split returns a text without the comment that ends it, and that comment. If the
// text ends within one, what is before it is a statement by itself; else it is no
// statement, and neither is the text.
func split(text string) (rest, comment string) {
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

// commented returns the purpose that a comment names, "" for none. Source: the format
// of sqlcommenter, key='value' joined by commas, both percent-encoded.
func commented(comment string) (purpose string, err error) {
	for _, pair := range strings.Split(comment, ",") {
		k, v, ok := strings.Cut(strings.TrimSpace(pair), "=")
		if !ok || k != purposeKey {
			continue
		}
		inner, quoted := strings.CutPrefix(v, "'")
		inner, closed := strings.CutSuffix(inner, "'")
		value, bad := url.PathUnescape(inner)
		if !quoted || !closed || bad != nil || value == "" || purpose != "" { //guard:A15 purpose-once
			return "", op.Deny(op.PurposeInvalid, "the comment's purpose stands twice, or is not writ_purpose='NAME'")
		}
		purpose = value
	}
	return purpose, nil
}

// purposed gives u the purpose that its statement names: in a comment, where the
// declaration of its action allows that, or by SET before it. SPEC PGGW-12.
func (x *session) purposed(u *use) error {
	_, comment := split(u.text)
	purpose, err := commented(comment)
	if err != nil {
		return err
	}
	if purpose != "" {
		d, _, ok := x.holder.Lookup(u.mapped.Action(), x.target)
		if !ok || d.SQL == nil || !d.SQL.PurposeComment { //guard:A15 comment-declared
			return op.Deny(op.PurposeInvalid, "the policy does not let a comment name the purpose of "+u.mapped.Action())
		}
		u.purpose, u.source = purpose, sql.ByComment
		return nil
	}
	if x.purpose != "" {
		u.purpose, u.source = x.purpose, sql.BySetting
	}
	return nil
}

// proofOf returns the proof of u: that of the connection, or for its own purpose.
func (x *session) proofOf(u *use) (gateway.Proof, error) {
	if u.purpose == "" {
		return x.proof, nil
	}
	return x.holder.ProveChannel(x.client.spki, &proof.Invocation{Audience: x.hall.Domain(), Purpose: u.purpose})
}

// setPurpose keeps the purpose that u has set.
func (n *names) setPurpose(u *use) {
	switch s := u.mapped.Set; {
	case u.effect.Kind == sqlanalyze.DiscardAll, strings.HasPrefix(u.mapped.Text, "RESET ALL"):
		n.purpose = ""
	case s != nil && s.Name == purposeSetting && slices.Contains(u.mapped.Kinds, "set"):
		n.purpose = s.Value
	}
}

// local reports whether u sets the purpose for a transaction only: a gate would have
// to follow the server's transactions for that.
func local(m *sqlanalyze.Mapped) bool {
	return m.Set != nil && m.Set.Name == purposeSetting && strings.HasPrefix(m.Text, "SET LOCAL")
}
