package control

import (
	"net/http"

	"github.com/writhq/writ/api"
	"github.com/writhq/writ/canon"
)

// sessions lists the sessions that are open.
func (a *API) sessions(w http.ResponseWriter, _ *http.Request) error {
	out := a.authority().Sessions()
	if out == nil {
		out = []api.SessionInfo{}
	}
	return reply(w, out)
}

// endSession ends one.
func (a *API) endSession(w http.ResponseWriter, r *http.Request) error {
	id, err := canon.ParseDigest(r.PathValue("id"))
	if err != nil || !a.authority().End(id) {
		return &refusal{http.StatusNotFound, api.CodeNotFound, "no such session is open", "", "writ sessions ls"}
	}
	return reply(w, api.Ended{ID: id})
}
