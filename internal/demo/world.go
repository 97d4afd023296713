package demo

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/custody"
	"github.com/writhq/writ/internal/gateway"
	"github.com/writhq/writ/internal/pgstart"
	"github.com/writhq/writ/internal/server"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/seal"
	"github.com/writhq/writ/secret"
	"github.com/writhq/writ/sign"
	"github.com/writhq/writ/zone"
)

const (
	gateID   = "gate-1"
	group    = "prod"
	domain   = "prod/gate-1"
	alias    = "payments/refunds"
	secretID = "orders-api-key"
	target   = "orders"
)

// A world is everything of the story: people with keys, the gate, the API.
type world struct {
	dir      string
	people   map[string]sign.PrivateKey
	keyring  *custody.Keyring
	genesis  *sign.Envelope
	root     *policy.Root
	upstream *upstream
	server   *server.Server
	origin   string // of the gate
	roots    *x509.CertPool
	cert     []byte // of the gate, DER
	logFile  *os.File
	stop     context.CancelFunc
	ended    chan error
	law      *policy.Verified        // in force
	payloads map[canon.Digest][]byte // signed bytes of policies, by id
	doors    []gateway.Protocol      // HTTP, and PostgreSQL if there is a database

	database     *database // nil where PostgreSQL is not installed
	postgresAddr string    // of the gate's door for it
}

// newKey returns a key such as an API provider gives out. It has characters that
// look otherwise when they are URL-encoded, and in each alphabet of base64 wherever
// that begins.
func newKey() []byte {
	b := make([]byte, 24)
	rand.Read(b)
	return []byte("rk_live/" + base64.RawStdEncoding.EncodeToString(b) + "+eu~~~")
}

// newWorld makes people, root and server, with everything in c.Dir; and a database, if
// PostgreSQL is installed.
func newWorld(ctx context.Context, c Config) (*world, error) {
	w := &world{dir: c.Dir, people: make(map[string]sign.PrivateKey), payloads: make(map[canon.Digest][]byte), doors: []gateway.Protocol{c.HTTP}}
	for _, name := range []string{"ana", "bo", "sam", "iris"} {
		k, err := sign.Generate(sign.Ed25519)
		if err != nil {
			return nil, err
		}
		w.people[name] = k
	}
	var err error
	if w.keyring, err = custody.NewKeyring(gateID, group+"/1"); err != nil {
		return nil, err
	}
	if err := w.makeRoot(); err != nil {
		return nil, err
	}
	if c.Postgres.New != nil && installed() {
		w.database, err = newDatabase(ctx)
		if err != nil && !errors.Is(err, pgstart.ErrMissing) {
			return nil, err
		}
		if err == nil {
			w.doors = append(w.doors, c.Postgres)
		}
	}
	return w, w.startServer(ctx)
}

func (w *world) makeRoot() error {
	gk, err := w.keyring.GateKey()
	if err != nil {
		return err
	}
	principal := func(name string, use ...policy.Use) policy.Principal {
		return policy.Principal{Keys: []policy.RootKey{{Key: w.people[name].Public(), Use: use}}}
	}
	two := sign.Quorum{Members: []string{"ana", "bo"}, Threshold: 2}
	doc := &policy.RootDocument{
		Version: 1, Expires: time.Now().AddDate(1, 0, 0).Unix(), Root: two,
		Principals: map[string]policy.Principal{
			"ana": principal("ana", policy.UseRoot, policy.UsePolicy, policy.UseRevoke, policy.UseReader), "bo": principal("bo", policy.UseRoot, policy.UsePolicy),
			"sam": principal("sam", policy.UseSealer), "iris": principal("iris", policy.UseIssuer),
		},
		Namespaces: []policy.Namespace{{Prefix: "payments/", Genesis: two, Revoke: sign.Quorum{Members: []string{"ana"}, Threshold: 1}}},
		PolicyLog:  policy.Log{Origin: "demo.example/policy-log", Key: w.keyring.Log.Public()},
		Gates: []policy.Gate{{ID: gateID, Group: group, Domain: domain, Region: "eu", SignKey: w.keyring.Sign.Public(),
			KEMKeys: []policy.KEMKey{gk.Public()}}},
		Ceilings:   policy.Ceilings{MaxStalenessS: 300, MaxTTLS: 30 * 86400, MaxDepth: 4, MinSigners: 2},
		Algorithms: []string{"ed25519", "p256", "x-wing"},
	}
	payload, err := canon.EncodeJSON(doc)
	if err != nil {
		return err
	}
	w.genesis = &sign.Envelope{PayloadType: policy.RootType, Payload: payload}
	if err := w.signAs(w.genesis, "ana", "bo"); err != nil {
		return err
	}
	w.keyring.Pin = w.genesis.Digest()
	w.root, err = policy.VerifyRoots(w.keyring.Pin, []*sign.Envelope{w.genesis}, time.Now().Unix())
	return err
}

func (w *world) signAs(e *sign.Envelope, names ...string) error {
	for _, n := range names {
		if err := e.Sign(w.people[n]); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) startServer(ctx context.Context) (err error) {
	if w.logFile, err = os.OpenFile(filepath.Join(w.dir, "gate.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600); err != nil {
		return err
	}
	ring, err := w.keyring.WrapInsecure()
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(w.dir, "keyring"), ring, 0o600); err != nil {
		return err
	}
	cert, err := selfSigned("127.0.0.1")
	if err != nil {
		return err
	}
	w.roots = x509.NewCertPool()
	w.roots.AddCert(cert.Leaf)
	w.cert = cert.Leaf.Raw
	doors, err := w.listen()
	if err != nil {
		return err
	}
	w.server, err = server.Open(ctx, server.Config{
		Dir: w.dir, Keyring: w.keyring, Roots: []*sign.Envelope{w.genesis}, Now: time.Now,
		Log:   slog.New(slog.NewJSONHandler(w.logFile, &slog.HandlerOptions{Level: slog.LevelDebug})),
		TLS:   &tls.Config{Certificates: []tls.Certificate{cert}},
		Build: "demo",
	})
	if err != nil {
		return err
	}
	ctx, w.stop = context.WithCancel(context.WithoutCancel(ctx))
	w.ended = make(chan error, 1)
	go func() { w.ended <- w.server.Serve(ctx, doors) }()
	return nil
}

// listen opens the gate's doors.
func (w *world) listen() (doors []server.Listener, err error) {
	for _, p := range w.doors {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		cfg := []byte("{}")
		if p.Name == "http" {
			w.origin = "https://" + l.Addr().String()
			if cfg, err = json.Marshal(map[string]string{"origin": w.origin}); err != nil {
				return nil, err
			}
		} else {
			w.postgresAddr = l.Addr().String()
		}
		doors = append(doors, server.Listener{Protocol: p, Config: cfg, Net: l})
	}
	return doors, nil
}

// publish checks, signs by two people and publishes a policy, and puts it in
// force.
func (w *world) publish(ctx context.Context, d *policy.Document) (law *policy.Verified, err error) {
	payload, err := canon.EncodeJSON(d)
	if err != nil {
		return nil, err
	}
	if _, err := policy.Parse(payload); err != nil { // what writ policy check does first
		return nil, err
	}
	e := &sign.Envelope{PayloadType: policy.PayloadType, Payload: payload}
	a, err := zone.NewEnvelope(zone.AliasType, zone.AliasRecord{Zone: w.root.Zone(), Alias: d.Alias, Version: d.Version, Policy: e.Digest()})
	if err != nil {
		return nil, err
	}
	w.payloads[e.Digest()] = payload
	for _, env := range []*sign.Envelope{e, a} {
		if err := w.signAs(env, "ana", "bo"); err != nil {
			return nil, err
		}
		if _, err := w.server.Publish(ctx, env); err != nil {
			return nil, err
		}
	}
	return law, w.server.View(func(z *zone.Zone) { law, _ = z.InForce(d.Alias) })
}

// A sealing is a value that is to be sealed under a policy.
type sealing struct {
	law   *policy.Verified
	id    string
	value []byte
}

// sealSecret seals a value on the author's side, with public keys alone, and
// publishes the record. The server gets sealed bytes.
func (w *world) sealSecret(ctx context.Context, x sealing) error {
	v := seal.NewValue(secret.Take(append([]byte(nil), x.value...)))
	defer v.Secret.Wipe()
	st, err := seal.NewStatement(x.law, seal.Name{ID: x.id, Version: 1, IssuedAt: time.Now().Unix()}, v)
	if err != nil {
		return err
	}
	if err := w.signAs(st.Envelope(), "sam"); err != nil {
		return err
	}
	sealed, err := seal.Seal(x.law, st, w.root.Group(group), v)
	if err != nil {
		return err
	}
	rec, err := zone.NewEnvelope(zone.SecretType, zone.SecretRecord{
		Zone: w.root.Zone(), Alias: x.law.Document().Alias, ID: x.id, Version: 1, Policy: x.law.ID(), Sealed: canon.Hash(sealed),
		Statement: st.Envelope(), State: zone.Active,
	})
	if err != nil {
		return err
	}
	if err := w.signAs(rec, "sam"); err != nil {
		return err
	}
	if err := w.server.PutSealed(ctx, sealed); err != nil {
		return err
	}
	_, err = w.server.Publish(ctx, rec)
	return err
}

func (w *world) close() error {
	w.upstream.server.Close()
	w.stop()
	err := <-w.ended
	if cerr := w.logFile.Close(); err == nil {
		err = cerr
	}
	if w.database != nil {
		err = errors.Join(err, w.database.close())
	}
	if err != nil {
		return fmt.Errorf("stop: %w", err)
	}
	return nil
}
