package control

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/writhq/writ/api"
	"github.com/writhq/writ/internal/identity"
	"github.com/writhq/writ/internal/ledger"
	"github.com/writhq/writ/internal/polog"
)

// A refusal is a no of the API, said in detail.
type refusal struct {
	status int
	code   string
	detail string
	field  string
	next   string
}

// Error returns code and detail.
func (r *refusal) Error() string { return r.code + ": " + r.detail }

func sealed() error {
	return &refusal{http.StatusServiceUnavailable, api.CodeSealed, "the keys are not open", "", "writ unseal"}
}

func tooMany(detail string) error {
	return &refusal{http.StatusTooManyRequests, api.CodeTooMany, detail, "", "try again in a minute"}
}

func malformed(field string, err error) error {
	return &refusal{http.StatusBadRequest, api.CodeMalformed, detail(err), field, nextWhole[field]}
}

// nextWhole says how what is malformed comes about whole, by field.
var nextWhole = map[string]string{
	"envelope": "hand in what writ policy sign, writ root sign or writ revoke made, as it is",
	"record":   "hand in what writ secret or writ revoke made, as it is",
	"body":     "writ secret put makes and sends one",
	"sealed":   "writ secret put makes and sends them",
	"head":     "name a signed head of the policy log: writ log head --out FILE writes one",
	"after":    "writ receipt show lists places",
	"ref":      "writ receipt show lists the newest, with their places",
}

// detail returns what err says to people.
func detail(err error) string {
	return api.Detail(err, polog.ErrLog, errors.New("publish"), identity.ErrNobody, identity.ErrIdentity)
}

// problem answers with err. An error that is not about the request is logged, and
// shown without detail. SPEC CTRL-9.
func (a *API) problem(w http.ResponseWriter, err error) {
	r, ok := errors.AsType[*refusal](err)
	if !ok {
		r = a.classify(err)
	}
	p := api.Problem{
		Type: "urn:writ:control:" + r.code, Title: http.StatusText(r.status), Status: r.status,
		Detail: r.detail, Code: r.code, Field: r.field, Next: r.next,
	}
	b, err := json.Marshal(p)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	if r.status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "12")
	}
	w.WriteHeader(r.status)
	w.Write(b)
}

// classify returns an error of the rooms below as a refusal.
func (a *API) classify(err error) *refusal {
	switch {
	case errors.Is(err, ledger.ErrUnknown):
		return &refusal{http.StatusNotFound, api.CodeNotFound, "there is no such receipt", "ref", "writ receipt show lists the newest"}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return &refusal{http.StatusServiceUnavailable, api.CodeUnavailable, "it took too long", "", "try again"}
	}
	a.c.Log.Error("control request failed", "err", err)
	return &refusal{http.StatusServiceUnavailable, api.CodeUnavailable, "the server could not do it; its log says why", "", "writ doctor"}
}

func reply(w http.ResponseWriter, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Write(append(b, '\n'))
	return nil
}

// A bucket allows burst requests at once and one more each time every has passed.
type bucket struct {
	burst int
	every time.Duration
	mu    sync.Mutex
	used  int       // guarded by mu
	since time.Time // guarded by mu; when used was last reckoned
}

// take reports whether one more request is allowed at the time now.
func (b *bucket) take(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if back := int(now.Sub(b.since) / b.every); back > 0 {
		b.used, b.since = max(0, b.used-back), now
	}
	if b.used >= b.burst {
		return false
	}
	b.used++
	return true
}
