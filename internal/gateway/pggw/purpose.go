package pggw

import (
	"slices"
	"strings"

	"github.com/writhq/writ/internal/gateway"
	"github.com/writhq/writ/internal/sqlanalyze"
	"github.com/writhq/writ/internal/sqltree"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/op/sql"
	"github.com/writhq/writ/proof"
)

// purposeSetting is the setting by which a session names the purpose of what it does
// from then on, where the policy declares that setting. SPEC PGGW-12.
const purposeSetting = "writ.purpose"

// purposed gives u the purpose that its statement names: in a comment, where the
// declaration of its action allows that, or by SET before it. SPEC PGGW-12.
func (x *session) purposed(u *use) error {
	_, comment := sqltree.Tail(u.text)
	purpose, err := sqltree.Purpose(comment)
	if err != nil {
		return op.Deny(op.PurposeInvalid, err.Error())
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
	return x.holder.ProveChannel(x.client.SPKI, &proof.Invocation{Audience: x.hall.Domain(), Purpose: u.purpose})
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
