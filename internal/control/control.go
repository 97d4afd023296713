// Package control is the API of the authority: it takes in documents that carry
// their own signatures, from anyone, and answers reads to readers.
//
// Its types are safe for concurrent use.
package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/writhq/writ/api"
	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/identity"
	"github.com/writhq/writ/internal/ledger"
	"github.com/writhq/writ/internal/polog"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/secret"
	"github.com/writhq/writ/sign"
	"github.com/writhq/writ/tlog"
	"github.com/writhq/writ/zone"
)

// The errors of this package; all wrap [ErrControl].
var (
	ErrControl = errors.New("control")
	// ErrPassphrase is wrapped by the error of [Config].Unseal for a passphrase that
	// does not open the keyring: the caller may try again.
	ErrPassphrase = fmt.Errorf("%w: wrong passphrase, or a damaged keyring", ErrControl)
)

// A Publisher takes in documents.
type Publisher interface {
	// Publish appends a signed document to the policy log. Errors wrap
	// [zone.ErrRefused] if it carries no authority; then nothing has changed.
	Publish(ctx context.Context, e *sign.Envelope) (uint64, error)
	// PutSealed stores sealed bytes durably. They mean nothing until a record names
	// them.
	PutSealed(ctx context.Context, b []byte) error
}

// An Authority is what is behind the API once the keys are open. Every field is
// required.
type Authority struct {
	Publisher Publisher
	Log       *polog.Log
	Ledger    *ledger.Ledger
	Gate      policy.Gate
	Backup    func(ctx context.Context, w io.Writer) error
	// Reach returns nil if the gate's key opens the active version of a secret. It
	// decrypts no value. Errors wrap [custody.ErrElsewhere] for one of another group.
	Reach func(ctx context.Context, alias, id string) error
	// Sessions returns the sessions that are open, and End ends one, if it is open.
	Sessions func() []api.SessionInfo
	End      func(id canon.Digest) bool
	// Held says why nothing is decided; "" if the folder was not restored.
	Held func() string
	// Confirm says that a folder that was restored has caught up, and reports whether
	// there was that to say. With a head it demands that the policy log contains it:
	// else the error wraps [polog.ErrHead].
	Confirm func(ctx context.Context, head *tlog.Checkpoint) (bool, error)
}

// Config is what an API needs. Every field is required but Insecure.
type Config struct {
	Now      func() time.Time
	Log      *slog.Logger
	Build    string
	Insecure bool // the keyring is in the clear; shown by status
	// Unseal opens the keys, and calls [API.Open] before it returns nil.
	Unseal  func(ctx context.Context, passphrase secret.Bytes) error
	Metrics *Metrics
}

// An API answers requests. It begins sealed; [API.Open] ends that.
type API struct {
	c       Config
	writes  [2]bucket // by whether it came over the socket: strangers cannot take its share
	guesses bucket
	revoked revocations
	sealing sync.Mutex // one guess of the passphrase at a time
	panics  atomic.Uint64
	mu      sync.RWMutex
	open    *Authority // guarded by mu; nil: sealed
}

// New returns an API that is sealed.
func New(c Config) (*API, error) {
	if c.Now == nil || c.Log == nil || c.Unseal == nil || c.Metrics == nil {
		return nil, fmt.Errorf("%w: incomplete configuration", ErrControl)
	}
	a := &API{c: c}
	for i := range a.writes {
		a.writes[i] = bucket{burst: maxWritesBurst, every: maxWriteEvery}
	}
	a.guesses = bucket{burst: maxUnsealBurst, every: maxUnsealEvery}
	return a, nil
}

// Open ends the sealed state.
func (a *API) Open(x Authority) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.open = &x
}

// authority returns what is open, or nil.
func (a *API) authority() *Authority {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.open
}

// An access says who may call a route.
type access int

const (
	localOnly access = iota // the Unix socket: whoever may open it
	readers                 // the Unix socket, or a reader's certificate
	public                  // anyone who reaches the listener
)

// A route is one entry of the API. With sealed it answers before the keys are
// open too.
type route struct {
	pattern string
	who     access
	sealed  bool
	writes  bool // counts as a signed write
	max     time.Duration
	answer  func(a *API, w http.ResponseWriter, r *http.Request) error
}

// routes is the whole API. SPEC CTRL-1, CTRL-2.
var routes = []route{
	{"GET /healthz", public, true, false, maxAnswerTime, (*API).healthz},
	{"GET /readyz", public, true, false, maxAnswerTime, (*API).readyz},
	{"GET /v1/root", public, false, false, maxAnswerTime, (*API).root},
	{"POST /v1/log", public, false, true, maxAnswerTime, (*API).publish},
	{"POST /v1/secrets", public, false, true, maxAnswerTime, (*API).putSecret},
	{"POST /v1/unseal", localOnly, true, false, maxReadTime, (*API).unseal},
	{"GET /v1/backup", localOnly, false, false, maxStreamTime, (*API).backup},
	{"POST /v1/restored", localOnly, false, false, maxAnswerTime, (*API).confirm},
	{"GET /v1/status", readers, true, false, maxAnswerTime, (*API).status},
	{"GET /metrics", readers, true, false, maxAnswerTime, (*API).metrics},
	{"GET /v1/log/head", readers, false, false, maxAnswerTime, (*API).head},
	{"GET /v1/log/entries", readers, false, false, maxStreamTime, (*API).entries},
	{"GET /v1/policies", readers, false, false, maxAnswerTime, (*API).policies},
	{"GET /v1/secrets", readers, false, false, maxAnswerTime, (*API).secrets},
	{"GET /v1/secrets/check", localOnly, false, false, maxAnswerTime, (*API).checkSecrets},
	{"GET /v1/sessions", readers, false, false, maxAnswerTime, (*API).sessions},
	{"DELETE /v1/sessions/{id}", localOnly, false, false, maxAnswerTime, (*API).endSession},
	{"GET /v1/receipts", readers, false, false, maxAnswerTime, (*API).receipts},
	{"GET /v1/receipts/{ref}", readers, false, false, maxAnswerTime, (*API).receipt},
	{"GET /v1/export", readers, false, false, maxStreamTime, (*API).export},
}

// Local returns the handler for the Unix socket: who may open the socket may
// read.
func (a *API) Local() http.Handler { return a.handler(true) }

// Remote returns the handler for a TLS listener.
func (a *API) Remote() http.Handler { return a.handler(false) }

func (a *API) handler(local bool) http.Handler {
	mux := http.NewServeMux()
	slots := make(chan struct{}, maxRequests) // of each listener: strangers cannot take the socket's
	for _, r := range routes {
		mux.Handle(r.pattern, limited(slots, a, a.serve(r, local)))
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		a.problem(w, &refusal{http.StatusNotFound, api.CodeNotFound, "there is nothing here", "", "see spec/control.md"})
	})
	return a.guarded(mux)
}

// guarded answers with h. A panic is noted by its kind alone, since its value may
// hold a passphrase, and ends the connection. SPEC CTRL-20.
func (a *API) guarded(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if v := recover(); v != nil {
				if v != http.ErrAbortHandler {
					a.panics.Add(1)
					a.c.Log.Error("panic", "kind", fmt.Sprintf("%T", v))
				}
				panic(http.ErrAbortHandler) // the library would log the value itself
			}
		}()
		h.ServeHTTP(w, r)
	})
}

// limited answers with h as long as there is a slot.
func limited(slots chan struct{}, a *API, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
			h.ServeHTTP(w, r)
		default:
			a.problem(w, tooMany("too many requests are under way"))
		}
	})
}

// serve answers one route within its bounds.
func (a *API) serve(rt route, local bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), rt.max)
		defer cancel()
		http.NewResponseController(w).SetWriteDeadline(time.Now().Add(rt.max)) // not every writer has one
		if err := a.admit(rt, r, local); err != nil {
			a.problem(w, err)
			return
		}
		if rt.writes && !a.writes[index(local)].take(a.c.Now()) { //guard:R11 write-rate
			a.problem(w, tooMany("too many documents at once"))
			return
		}
		if err := rt.answer(a, w, r.WithContext(ctx)); err != nil {
			a.problem(w, err)
		}
	})
}

func index(b bool) int {
	if b {
		return 1
	}
	return 0
}

// admit returns nil if the caller may use the route now. SPEC CTRL-2, CTRL-3.
func (a *API) admit(rt route, r *http.Request, local bool) error {
	x := a.authority()
	if !rt.sealed && x == nil { //guard:R11 control-sealed
		return sealed()
	}
	if rt.who == public || local {
		return nil
	}
	if rt.who == localOnly { //guard:R44 local-only
		return &refusal{http.StatusForbidden, api.CodeNotReader, "this takes the Unix socket in the data folder", "", "run the command on the server's machine"}
	}
	if x == nil {
		return sealed()
	}
	var err error
	if verr := x.Log.View(func(z *zone.Zone) { _, err = identity.Reader(r.TLS, z) }); verr != nil {
		return verr
	}
	if err != nil { //guard:R44 reader-only
		return &refusal{http.StatusUnauthorized, api.CodeNotReader, detail(err), "", "use the Unix socket, or --reader NAME.key with a key that the root lists with the use reader: writ root show"}
	}
	return nil
}

// healthz says that the process is up.
func (a *API) healthz(w http.ResponseWriter, _ *http.Request) error {
	return reply(w, map[string]string{"status": "up"})
}

// readyz says whether operations can be decided and recorded. SPEC CTRL-8.
func (a *API) readyz(w http.ResponseWriter, _ *http.Request) error {
	if state, reason := a.state(); state != api.StateReady { //guard:R59 readyz-honest
		code := api.CodeNotReady
		next := "writ doctor"
		switch state {
		case api.StateSealed:
			code, next = api.CodeSealed, "writ unseal"
		case api.StateRestored:
			code, next = api.CodeRestored, nextConfirm
		}
		return &refusal{http.StatusServiceUnavailable, code, reason, "", next}
	}
	return reply(w, map[string]string{"status": api.StateReady})
}

// state returns the state of the server and, unless it is ready, why.
func (a *API) state() (state, reason string) {
	x := a.authority()
	switch {
	case x == nil && a.c.Insecure:
		return api.StateStarting, "the folder is being opened"
	case x == nil:
		return api.StateSealed, "the keys are not open"
	case !x.Ledger.Healthy():
		return api.StateFailed, "the ledger cannot be written: restart after repairing the disk"
	}
	if _, _, err := x.Log.Fresh(); err != nil {
		return api.StateFailed, err.Error()
	}
	if why := x.Held(); why != "" {
		return api.StateRestored, why
	}
	return api.StateReady, ""
}
