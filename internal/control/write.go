package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/writhq/writ/api"
	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/polog"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/seal"
	"github.com/writhq/writ/secret"
	"github.com/writhq/writ/sign"
	"github.com/writhq/writ/tlog"
	"github.com/writhq/writ/zone"
)

// body reads a request's body of at most n bytes. SPEC CTRL-7.
func body(w http.ResponseWriter, r *http.Request, n int64) ([]byte, error) {
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, n))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok { //guard:R11 control-body-bound
		return nil, &refusal{http.StatusRequestEntityTooLarge, api.CodeTooLarge, fmt.Sprintf("more than %d bytes", n), "body", ""}
	}
	if err != nil {
		return nil, &refusal{http.StatusBadRequest, api.CodeMalformed, "the body did not arrive", "body", "send it again"}
	}
	return b, nil
}

// publish takes a signed document into the policy log. SPEC CTRL-4.
func (a *API) publish(w http.ResponseWriter, r *http.Request) error {
	b, err := body(w, r, maxEnvelopeBody)
	if err != nil {
		return err
	}
	e, err := sign.ParseEnvelope(b)
	if err != nil {
		return malformed("envelope", err)
	}
	switch e.PayloadType {
	case zone.SecretType: // its sealed bytes must come first
		return a.record(w, r, e)
	case zone.RevokeType:
		return a.revoke(w, r, e)
	}
	_, err = a.append(r.Context(), w, e)
	return err
}

// refused returns err, of a document that was handed in, with what to do about it.
func (a *API) refused(e *sign.Envelope, err error) error {
	switch {
	case errors.Is(err, zone.ErrAgain):
		return &refusal{http.StatusConflict, api.CodeTaken, detail(err), "", "nothing: it is there"}
	case errors.Is(err, zone.ErrRefused):
		return &refusal{http.StatusForbidden, api.CodeRefused, detail(err), "", a.authority().next(e, a.c.Now().Unix(), err)}
	}
	return err
}

func (a *API) append(ctx context.Context, w http.ResponseWriter, e *sign.Envelope) (uint64, error) {
	i, err := a.authority().Publisher.Publish(ctx, e)
	if err != nil {
		return 0, a.refused(e, err)
	}
	a.c.Log.Info("document taken into the policy log", "index", i, "type", e.PayloadType, "document", e.Digest().String())
	return i, reply(w, api.Published{Index: i, Document: e.Digest()})
}

// record takes a secret's record without new bytes: its end.
func (a *API) record(w http.ResponseWriter, r *http.Request, e *sign.Envelope) error {
	var rec zone.SecretRecord
	if err := canon.DecodeJSON(e.Payload, &rec); err != nil {
		return malformed("record", err)
	}
	if rec.State == zone.Active { //guard:R44 record-with-bytes
		return &refusal{http.StatusBadRequest, api.CodeMalformed, "a new version comes with its sealed bytes", "sealed", "writ secret put"}
	}
	_, err := a.append(r.Context(), w, e)
	return err
}

// putSecret takes a new version of a secret: the record and the sealed bytes that
// it names. The bytes are stored only if the sealers signed the record.
// SPEC CTRL-5.
func (a *API) putSecret(w http.ResponseWriter, r *http.Request) error {
	b, err := body(w, r, maxUploadBody)
	if err != nil {
		return err
	}
	var u api.SecretUpload
	if err := canon.DecodeJSON(b, &u); err != nil {
		return malformed("body", err)
	}
	if u.Record == nil || len(u.Sealed) == 0 || len(u.Sealed) > seal.MaxBlobBytes {
		return malformed("sealed", fmt.Errorf("record or sealed bytes are missing, or these are more than %d", seal.MaxBlobBytes))
	}
	var rec zone.SecretRecord
	if err := canon.DecodeJSON(u.Record.Payload, &rec); err != nil {
		return malformed("record", err)
	}
	if rec.Sealed != canon.Hash(u.Sealed) { //guard:R1 upload-digest
		return malformed("sealed", errors.New("the record names other bytes"))
	}
	x := a.authority()
	if err := x.bySealers(u.Record, &rec); err != nil { //guard:R44 upload-by-sealers
		return a.refused(u.Record, err)
	}
	if err := x.Publisher.PutSealed(r.Context(), u.Sealed); err != nil {
		return err
	}
	_, err = a.append(r.Context(), w, u.Record)
	return err
}

// bySealers returns nil if the sealers of the policy in force signed the record:
// the log asks again, but bytes are stored before it does.
func (x *Authority) bySealers(e *sign.Envelope, rec *zone.SecretRecord) (err error) {
	verr := x.Log.View(func(z *zone.Zone) {
		p, ok := z.InForce(rec.Alias)
		if !ok {
			err = fmt.Errorf("%w: %s has no policy in force", zone.ErrRefused, rec.Alias)
			return
		}
		d, ok := p.Document().Secret(rec.ID)
		if !ok {
			err = fmt.Errorf("%w: %s does not list secret %s", zone.ErrRefused, rec.Alias, rec.ID)
			return
		}
		if _, verr := e.Verify(zone.SecretType, d.Sealers, z.Root().Keys(policy.UseSealer)); verr != nil {
			err = fmt.Errorf("%w: secret %s: %w", zone.ErrRefused, rec.ID, verr)
		}
	})
	return errors.Join(verr, err)
}

// opened answers with the state that the server is in once its keys are open.
func (a *API) opened(w http.ResponseWriter) error {
	state, _ := a.state()
	return reply(w, map[string]string{"state": state})
}

// nextConfirm is the command that says that a restored folder has caught up.
const nextConfirm = "publish again what was published since the backup, then: writ restore --confirm --server DATA/control.sock"

// confirm takes the word that a folder that was restored has caught up. The body is
// empty, or a head that the policy log must contain. SPEC CTRL-21.
func (a *API) confirm(w http.ResponseWriter, r *http.Request) error {
	b, err := body(w, r, maxHeadBody)
	if err != nil {
		return err
	}
	var head *tlog.Checkpoint
	if len(b) > 0 {
		if head, err = tlog.ParseCheckpoint(b); err != nil {
			return malformed("head", err)
		}
	}
	was, err := a.authority().Confirm(r.Context(), head)
	if errors.Is(err, polog.ErrHead) {
		return &refusal{http.StatusConflict, api.CodeRefused, detail(err), "head", "restore a newer backup; or publish again what was published since, compare with writ log entries, and confirm without --head: what is published again is another log"}
	}
	if err != nil {
		return err
	}
	if was {
		a.c.Log.Warn("a restored folder was confirmed: uses of limits since the backup are forgotten")
	}
	state, _ := a.state()
	return reply(w, api.Confirmed{State: state, Confirmed: was})
}

// unseal opens the keys. A wrong passphrase and a damaged keyring give the same
// answer. SPEC CTRL-6.
func (a *API) unseal(w http.ResponseWriter, r *http.Request) error {
	if a.authority() != nil {
		return a.opened(w)
	}
	if !a.guesses.take(a.c.Now()) { //guard:R11 unseal-rate
		return tooMany("too many tries to unseal")
	}
	b, err := body(w, r, maxPassphraseBody)
	if err != nil {
		return err
	}
	pass := secret.Take(b)
	defer pass.Wipe()
	a.sealing.Lock()
	defer a.sealing.Unlock()
	if a.authority() == nil {
		err = a.c.Unseal(r.Context(), pass)
	}
	switch {
	case err == nil:
		return a.opened(w)
	case errors.Is(err, ErrPassphrase):
		a.c.Log.Warn("wrong passphrase")
		return &refusal{http.StatusForbidden, api.CodePassphrase, "the passphrase does not open the keyring, or the keyring is damaged", "", "writ unseal, once more, with the right passphrase"}
	}
	next := "the server ends; its log says the same, and docs/operations.md what to do"
	if x, ok := errors.AsType[interface {
		error
		Next() string
	}](err); ok {
		next = x.Next()
	}
	return &refusal{http.StatusServiceUnavailable, api.CodeOpenFailed, detail(err), "", next}
}
