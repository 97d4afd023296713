package api_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/writhq/writ/api"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/sign"
	"github.com/writhq/writ/tlog"
	"github.com/writhq/writ/zone"
)

// history returns what an honest server says of the zone: its policy is in force.
func history(t *testing.T, z *testkit.Zone) api.History {
	t.Helper()
	h := api.History{Roots: []*sign.Envelope{z.RootEnvelope}}
	alias := testkit.Envelope(t, zone.AliasType, zone.AliasRecord{Zone: z.Root.Zone(), Alias: testkit.Alias, Version: 1, Policy: z.Policy.ID()}, z.Key("ana"), z.Key("bo"))
	add(t, &h, z.Envelope)
	add(t, &h, alias)
	signHead(t, z, &h, "log")
	return h
}

func add(t *testing.T, h *api.History, e *sign.Envelope) {
	t.Helper()
	b, err := (&zone.Entry{LoggedAt: testkit.Now, Envelope: e}).Encode()
	if err != nil {
		t.Fatal(err)
	}
	h.Entries = append(h.Entries, b)
}

// signHead signs the head of h's entries with a key of z.
func signHead(t *testing.T, z *testkit.Zone, h *api.History, by string) {
	t.Helper()
	var tree tlog.Tree
	for _, b := range h.Entries {
		tree.Append(tlog.LeafHash(b))
	}
	pl := z.Root.Document().PolicyLog
	key, err := tlog.NewKey(pl.Origin, z.Key(by).Public().Bytes())
	if err != nil {
		t.Fatal(err)
	}
	head := tlog.Head{Origin: pl.Origin, Size: tree.Size(), Root: tree.Root(), Time: testkit.Now}
	if h.Head, err = tlog.SignCheckpoint(head, key, z.Key(by)); err != nil {
		t.Fatal(err)
	}
}

// A server that offers its own key for the gate gets nothing: recipients come
// from the pinned root. SPEC CTRL-11.
//
// A1: the same names, other keys
// A2
// guard: client-root-pin, client-log-complete, client-head-root
func TestReplayTrustsThePinAlone(t *testing.T) {
	t.Parallel()
	z := testkit.NewZone(t)
	evil := testkit.NewZoneWith(t, testkit.Config{Seed: "evil"})
	pin := z.Root.Zone()
	good := history(t, z)
	st, err := api.Replay(good, pin, testkit.Now)
	if err != nil {
		t.Fatal(err)
	}
	if p, ok := st.InForce(testkit.Alias); !ok || p.ID() != z.Policy.ID() {
		t.Fatal("the policy is not in force")
	}
	for name, forge := range map[string]func(h *api.History){
		"another zone":      func(h *api.History) { *h = history(t, evil) },
		"an entry held":     func(h *api.History) { h.Entries = h.Entries[:1] },
		"an entry put in":   func(h *api.History) { h.Entries = append([][]byte{h.Entries[0]}, h.Entries...) },
		"an entry replaced": func(h *api.History) { h.Entries = [][]byte{h.Entries[0], h.Entries[0]} },
		"another log's key": func(h *api.History) { signHead(t, z, h, "ana") },
		"no head":           func(h *api.History) { h.Head = nil },
		"no root":           func(h *api.History) { h.Roots = nil },
	} {
		h := history(t, z)
		forge(&h)
		if _, err := api.Replay(h, pin, testkit.Now); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	expired := testkit.Now + 10*365*86400
	if _, err := api.Replay(good, pin, expired); !errors.Is(err, policy.ErrAuthority) {
		t.Errorf("after the root's end: %v", err)
	}
	offersOwnKey(t, z, evil)
}

// offersOwnKey appends a successor of the root with the attacker's gate, signed by
// the attacker, and looks at who would get a secret.
func offersOwnKey(t *testing.T, z, evil *testkit.Zone) {
	t.Helper()
	d := *evil.Root.Document()
	d.Version, d.Prev = 2, z.Root.ID()
	h := history(t, z)
	add(t, &h, testkit.Envelope(t, policy.RootType, &d, evil.Key("ana"), evil.Key("bo")))
	signHead(t, z, &h, "log")
	st, err := api.Replay(h, z.Root.Zone(), testkit.Now)
	if err != nil {
		t.Fatal(err)
	}
	keys := st.Root().Group(testkit.Group)
	if len(keys) != 1 || !bytes.Equal(keys[0].Public, z.Gate.Public().Public) {
		t.Error("a secret would be sealed to a key that the pinned root does not list")
	}
}

// A client gives the server's refusal as it is, and none of a server's nonsense.
// SPEC CTRL-9.
func TestClientErrors(t *testing.T) {
	t.Parallel()
	for _, server := range []string{"", "http://x", "ftp://x"} {
		if _, err := api.NewClient(api.ClientConfig{Server: server}); !errors.Is(err, api.ErrAPI) {
			t.Errorf("%q: %v", server, err)
		}
	}
	socket := filepath.Join(t.TempDir(), "s")
	l, err := new(net.ListenConfig).Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v1/status":
			w.WriteHeader(503)
			w.Write([]byte(`{"type":"urn:writ:control:sealed","code":"sealed","detail":"the keys are not open","next":"writ unseal"}`))
		case "/v1/secrets":
			w.WriteHeader(500)
			w.Write([]byte(`<html>`))
		case "/v1/policies":
			w.Write([]byte(`<html>`))
		default:
			w.Header().Set("Location", "https://elsewhere.example/")
			w.WriteHeader(302)
		}
	})}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	c, err := api.NewClient(api.ClientConfig{Server: socket})
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	_, err = c.Status(ctx)
	if p, ok := errors.AsType[*api.Problem](err); !ok || p.Code != api.CodeSealed || p.Next == "" || !errors.Is(err, api.ErrAPI) {
		t.Errorf("a refusal: %v", err)
	}
	for name, call := range map[string]func() error{
		"no problem": func() error { _, err := c.Secrets(ctx); return err },
		"no JSON":    func() error { _, err := c.Policies(ctx); return err },
		"a redirect": func() error { _, err := c.Roots(ctx); return err },
		"no head":    func() error { _, err := c.Head(ctx); return err },
	} {
		if err := call(); !errors.Is(err, api.ErrAPI) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
