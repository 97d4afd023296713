package audit

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/credential"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/op/http"
	"github.com/writhq/writ/op/release"
	"github.com/writhq/writ/permit"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/proof"
	"github.com/writhq/writ/receipt"
)

// A claim is what a receipt of level 3 says that a holder signed.
type claim struct {
	r       *receipt.Receipt
	proof   []byte
	context *permit.Context
	chain   *credential.Chain
	op      *op.Operation
	policy  *policy.Verified
}

// signed reports whether the holder's signature covers what was asked. A proof
// that does not hold, or holds for something else, gives an error that wraps
// [ErrDiffers]: the gate had no such proof. SPEC AUDIT-5.
func (c *claim) signed() (bool, error) {
	m, v, err := proof.VerifySigned(c.proof, c.chain.Holder())
	if err != nil { //guard:A32 holder-signature
		return false, fmt.Errorf("%w: the proof of level 3 does not hold: %w", ErrDiffers, err)
	}
	at := c.context.At
	for _, f := range []struct {
		name string
		same bool
	}{
		{"credential", v.Credential == c.chain.Digest()},
		{"purpose", v.Purpose == c.context.Purpose},
		{"lineage", slices.Equal(v.Lineage, c.r.Lineage)},
		{"policy", v.Policy == nil || *v.Policy == c.r.Policy || c.r.Decision == string(op.PolicyChanged)},
		{"time", at >= v.IssuedAt-proof.Skew && at < v.Expires+proof.Skew},
		{"replay id", c.r.Replay.IsZero() || c.r.Replay == v.ReplayID(c.chain.Holder())},
	} {
		if !f.same { //guard:A32 signed-claims
			return false, fmt.Errorf("%w: the holder signed for another %s", ErrDiffers, f.name)
		}
	}
	d, ok := c.policy.Document().Operation(c.r.Action, c.r.Target)
	t, ok2 := c.policy.Document().Target(c.r.Target)
	if !ok || !ok2 || m.HasBody && m.Body == nil {
		return false, nil // nothing says how to map it again, or the body was too long to be kept
	}
	same, err := c.asked(m, &d.Declaration, t.Origin)
	if err != nil || !same { //guard:A32 A9 signed-operation
		return false, fmt.Errorf("%w: the holder signed another request", ErrDiffers)
	}
	return true, nil
}

// asked reports whether m, mapped again under d, is the operation.
func (c *claim) asked(m *proof.Message, d *op.Declaration, origin string) (bool, error) {
	_, rest, _ := strings.Cut(m.TargetURI, "://")
	_, rest, _ = strings.Cut(rest, "/")
	if c.op.Type == release.DocumentType {
		want, err := canon.EncodeCBOR(&release.Asked{Target: c.r.Target})
		return m.Method == "POST" && rest == "r/"+c.r.Target && bytes.Equal(want, c.op.Asked), err
	}
	path, ok := strings.CutPrefix(rest, "t/"+c.r.Target)
	if !ok {
		return false, nil
	}
	path, query, _ := strings.Cut(path, "?")
	again, err := http.Map(http.Wire{
		Method: m.Method, Target: c.r.Target, Origin: origin, RawPath: path, RawQuery: query, Header: m.Fields, Body: m.Body, HasBody: m.HasBody,
	}, d)
	if err != nil {
		return false, err
	}
	b, err := again.Encode()
	return bytes.Equal(b, c.op.Asked), err
}
