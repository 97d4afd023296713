package pggw

import (
	"github.com/writhq/writ/internal/gateway"
	"github.com/writhq/writ/internal/sqlnames"
	"github.com/writhq/writ/internal/sqltree"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/op/sql"
	"github.com/writhq/writ/proof"
)

// purposed gives u the purpose that its statement names: in a comment, where the
// declaration of its action allows that, or by SET before it, of which n knows. SPEC
// PGGW-12.
func (x *session) purposed(u *use, n *sqlnames.Names) error {
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
	u.purpose = n.Purpose
	if set, ok := u.done(true).SetsPurpose(); ok { // for that it is decided: one that is refused is not set
		u.purpose = set
	}
	if u.purpose != "" {
		u.source = sql.BySetting
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
