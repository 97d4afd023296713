package httpgw

import (
	"context"
	"net/http"

	"github.com/writhq/writ/internal/gateway"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/op/release"
)

// releaseRoute is where a secret is given out in the clear, if its policy says so.
const releaseRoute = "/r/"

// release takes one release through the gate. Nothing goes upstream; the secret
// goes to the holder, and is ungoverned from then on. SPEC RELEASE-4.
func (h *handler) release(w http.ResponseWriter, r *http.Request) {
	in, s := h.begin(w, r, releaseRoute)
	if s == nil {
		return
	}
	defer h.bodies.give(int64(len(in.wire.Body)))
	var err error
	req := &gateway.Request{Action: release.Action, Target: in.wire.Target}
	if req.Proof, err = h.prove(s, in, nil); err != nil {
		h.problem(w, in, err)
		return
	}
	if in.wire.Method != http.MethodPost || in.wire.RawPath != "" || in.wire.RawQuery != "" || in.wire.HasBody {
		req.Denial = op.Deny(op.OperationInvalid, "a release is POST /r/<target>, without query or body")
	} else if req.Operation, err = release.NewOperation(in.wire.Target, gateway.NewSalt()); err != nil {
		req.Denial = op.Deny(op.OperationInvalid, "the target's name is not one")
	}
	answered := false
	err = s.Use(r.Context(), req, func(_ context.Context, a *gateway.Act) (gateway.Outcome, error) {
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Writ-Ungoverned", "true")
		answered = true
		err := a.Secret.Use(func(b []byte) error {
			_, err := w.Write(b)
			return err
		})
		return gateway.Outcome{Class: gateway.OK, Status: http.StatusOK, Note: "released in the clear"}, err
	})
	if err != nil && !answered {
		h.problem(w, in, err)
	}
}
