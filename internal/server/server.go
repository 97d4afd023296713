// Package server assembles one gate with everything it needs into one process:
// store, policy log, ledger, state, custody, hall and listeners. It has no logic
// of its own but the order in which they start and end.
package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/writhq/writ/api"
	"github.com/writhq/writ/internal/custody"
	"github.com/writhq/writ/internal/gate"
	"github.com/writhq/writ/internal/gateway"
	"github.com/writhq/writ/internal/ledger"
	"github.com/writhq/writ/internal/polog"
	"github.com/writhq/writ/internal/restored"
	"github.com/writhq/writ/internal/state"
	"github.com/writhq/writ/internal/store"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/proof"
	"github.com/writhq/writ/receipt"
	"github.com/writhq/writ/seal"
	"github.com/writhq/writ/sign"
	"github.com/writhq/writ/zone"
)

// ErrServer is wrapped by every error of this package.
var ErrServer = errors.New("server")

// Config is what a Server needs. Every field is required but where it says
// otherwise.
type Config struct {
	Dir     string           // data folder; only its owner may read it
	Keyring *custody.Keyring // with its pin
	Roots   []*sign.Envelope // from the genesis on
	Now     func() time.Time
	Log     *slog.Logger
	TLS     *tls.Config                                              // optional; of listeners
	Build   string                                                   // optional; in receipts
	Machine string                                                   // optional, for tests: names one run of the machine
	Resolve func(ctx context.Context, host string) ([]net.IP, error) // optional
	Faults  func(ledger.Call) error                                  // optional, for tests: see [ledger.Config]
	Opener  func(gateway.Opener) gateway.Opener                      // optional, for tests: stands before custody
	Observe Observer                                                 // optional; of receipts that the gate appends
}

// A Server is a gate and its authority in one process. It is safe for concurrent
// use.
type Server struct {
	c       Config
	rows    rows
	log     *polog.Log
	ledger  *ledger.Ledger
	state   *state.State
	mark    *restored.Mark // set once the folder is open
	custody *custody.Custody
	gate    *gate.Gate
	hall    *gateway.Hall
	member  policy.Gate // this gate, as the root has it
	tallies tallies
}

// Open returns a Server after it has read its folder and brought itself up to
// date: the policy log replayed, the ledger recovered, the state rebuilt from
// it. It starts nothing; see [Server.Serve].
//
// A folder whose policy log is older than its receipts was restored, and is
// refused: what has been decided on must not be forgotten (R29, R50).
func Open(ctx context.Context, c Config) (*Server, error) {
	if c.Dir == "" || c.Keyring == nil || c.Now == nil || c.Log == nil {
		return nil, fmt.Errorf("%w: incomplete configuration", ErrServer)
	}
	if c.Keyring.Pin.IsZero() { // no root verifies under it; this says what to do
		return nil, ErrNoPin
	}
	s := &Server{c: c, state: state.New()}
	db, err := store.OpenFile(ctx, filepath.Join(c.Dir, "writ.db"))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrServer, err)
	}
	s.rows = rows{db}
	if err := s.open(ctx); err != nil {
		if s.ledger != nil {
			s.ledger.Close()
		}
		db.Close()
		return nil, fmt.Errorf("%w: %w", ErrServer, err)
	}
	return s, nil
}

func (s *Server) open(ctx context.Context) (err error) {
	if s.mark, err = restored.Open(s.c.Dir); err != nil {
		return err
	}
	k := s.c.Keyring
	now := func() int64 { return s.c.Now().Unix() }
	s.log, err = polog.Open(ctx, polog.Config{Entries: s.rows, Pin: k.Pin, Roots: s.c.Roots, Signer: k.Log, Now: now})
	if err != nil {
		return err
	}
	root, err := s.log.Root()
	if err != nil {
		return err
	}
	var ok bool
	if s.member, ok = root.Gate(k.Gate); !ok || s.member.SignKey != k.Sign.Public() { //guard:A1 gate-in-root
		return fmt.Errorf("the root does not list this gate (%s) with this key", k.Gate)
	}
	s.ledger, err = ledger.Open(ctx, ledger.Config{
		Dir: filepath.Join(s.c.Dir, "ledger"), Gate: k.Gate, Zone: k.Pin, Signer: k.Sign, Evidence: k.Evidence,
		Now: s.c.Now, Log: s.c.Log, Faults: s.c.Faults,
	})
	if err != nil {
		return err
	}
	if err := s.restore(ctx); err != nil {
		return err
	}
	return s.assemble(now)
}

// restore rebuilds the state from the receipts, and demands the policy log that
// they were decided on.
func (s *Server) restore(ctx context.Context) error {
	var seen polog.Position
	at, clean := s.c.Now().Unix(), true
	err := s.ledger.Replay(ctx, func(r *receipt.Receipt) error {
		s.state.Restore(r, at)
		if r.Boot != nil {
			clean = r.Boot.Clean // of the last: this start
		}
		if p := r.PolicyLog; p != nil && p.Size > seen.Size {
			seen = polog.Position{Size: p.Size, Root: p.Root}
		}
		return nil
	})
	if err != nil {
		return err
	}
	machine, err := s.machine()
	if err != nil {
		return err
	}
	known, err := os.ReadFile(filepath.Join(s.c.Dir, machineFile))
	if errors.Is(err, os.ErrNotExist) { // a first start, or a backup of a gate that ran
		err = nil
	}
	switch {
	case err != nil:
	case clean && s.mark.Held() != "": //guard:R18 A34 restored-proofs
		s.state.Lost(at - 1) // what was signed since the backup, which ended well
	case clean:
		err = s.settle()
	case machine == nil || !bytes.Equal(known, machine): //guard:A33 power-lost
		s.state.Lost(at + proof.Skew) // what a holder's fast clock can have said; until a clean end, each start is one more
	}
	if err != nil {
		return err
	}
	return s.log.Require(ctx, seen)
}

// machineFile names the run of the machine in which nothing was lost so far: a
// process that is killed loses no receipt that the kernel had, a machine may.
const machineFile = "machine"

// machine returns what names this run of the machine; nil where nothing does.
func (s *Server) machine() ([]byte, error) {
	if s.c.Machine != "" {
		return []byte(s.c.Machine), nil
	}
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	return b, err
}

// settle notes that nothing was lost up to now in this run of the machine.
func (s *Server) settle() error {
	machine, err := s.machine()
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(s.c.Dir, machineFile), machine, 0o600)
}

func (s *Server) assemble(now func() int64) error {
	key, err := s.c.Keyring.GateKey()
	if err != nil {
		return err
	}
	s.custody, err = custody.New(custody.Config{
		Gate: s.member.ID, Keys: []seal.GateKey{key}, Intents: s.ledger, Laws: s.log, Blobs: s.rows, Now: now,
	})
	if err != nil {
		return err
	}
	s.gate, err = gate.New(gate.Config{
		ID: s.member.ID, Group: s.member.Group, Region: s.member.Region, Laws: s.log, Ledger: metered{s.ledger, s.c.Observe}, State: s.state, Marks: s.state,
		Held: s.mark.Held, Build: s.c.Build, Resealer: &gate.Resealer{Custodian: s.custody, Publisher: s, Key: s.c.Keyring.Sign},
	})
	if err != nil {
		return err
	}
	var opener gateway.Opener = s.custody
	if s.c.Opener != nil {
		opener = s.c.Opener(opener)
	}
	s.hall, err = gateway.New(gateway.Config{
		Gate: s.gate, Custody: opener, Laws: s.log, Domain: s.member.Domain, Now: s.c.Now, Log: s.c.Log,
		TLS: s.c.TLS, Resolve: s.c.Resolve, Tally: s.tallies.add,
	})
	return err
}

// A Listener is one open door.
type Listener struct {
	Protocol gateway.Protocol
	Config   json.RawMessage
	Net      net.Listener
}

// Serve opens the doors until ctx ends, lets what is under way end, and then
// closes the ledger and the store. It returns when all it started has ended.
func (s *Server) Serve(ctx context.Context, doors []Listener) error {
	var handlers []gateway.Handler
	for _, d := range doors {
		h, err := d.Protocol.New(d.Config, s.hall)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrServer, err)
		}
		handlers = append(handlers, h)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make(chan error, len(handlers)+1)
	var wg sync.WaitGroup
	for i, h := range handlers {
		wg.Go(func() {
			if err := h.Serve(ctx, doors[i].Net); err != nil {
				errs <- err
				cancel()
			}
		})
	}
	wg.Go(func() { s.tallies.run(ctx, s.ledger) })
	<-ctx.Done()
	wg.Wait()
	close(errs)
	var all []error
	for err := range errs {
		all = append(all, err)
	}
	return errors.Join(append(all, s.Close())...)
}

// Close closes the ledger and the store. Serve does so itself.
func (s *Server) Close() error {
	s.hall.Close()
	s.custody.Forget()
	return errors.Join(s.ledger.Close(), s.rows.s.Close())
}

// Publish appends a signed document to the policy log, and makes what follows
// from it happen at once: acts that are no longer allowed end, and the secrets
// of a line are sealed under its new policy.
func (s *Server) Publish(ctx context.Context, e *sign.Envelope) (uint64, error) {
	i, err := s.log.Publish(ctx, e)
	if err != nil {
		return 0, err
	}
	s.custody.Forget()
	s.hall.Changed()
	if e.PayloadType == zone.AliasType {
		s.reseal(ctx)
	}
	return i, nil
}

// reseal seals every secret under the policy in force of its line. What fails is
// tried again at its first use.
func (s *Server) reseal(ctx context.Context) {
	var records []zone.SecretRecord
	s.log.View(func(z *zone.Zone) {
		for _, rec := range z.Secrets() {
			if p, ok := z.InForce(rec.Alias); ok && rec.State == zone.Active && rec.Policy != p.ID() {
				records = append(records, rec)
			}
		}
	})
	for _, rec := range records {
		if _, err := s.gate.Reseal(ctx, rec.Alias, rec.ID, s.c.Now()); err != nil {
			s.c.Log.Warn("secret not sealed under the new policy; it is tried again at its first use", "alias", rec.Alias, "secret", rec.ID, "err", err)
		}
	}
}

// PutSealed stores sealed bytes. They mean nothing until a record names them.
func (s *Server) PutSealed(ctx context.Context, b []byte) error { return s.rows.PutSealed(ctx, b) }

// View calls fn with the zone, which fn does not keep.
func (s *Server) View(fn func(*zone.Zone)) error { return s.log.View(fn) }

// PolicyLog returns the policy log.
func (s *Server) PolicyLog() *polog.Log { return s.log }

// Hall returns the hall of the gate's doors.
func (s *Server) Hall() *gateway.Hall { return s.hall }

// Sessions returns the sessions that are open.
func (s *Server) Sessions() (out []api.SessionInfo) {
	for _, o := range s.hall.Sessions() {
		out = append(out, api.SessionInfo{
			ID: o.ID, Subject: o.Subject, Target: o.Target, Purpose: o.Purpose, Remote: o.Remote, Since: o.Since.Unix(), Until: o.Until.Unix(),
		})
	}
	return out
}

// Ledger returns the gate's ledger.
func (s *Server) Ledger() *ledger.Ledger { return s.ledger }

// Sealed returns the sealed bytes that the zone's record of the secret names.
func (s *Server) Sealed(ctx context.Context, rec zone.SecretRecord) ([]byte, error) {
	return s.rows.Sealed(ctx, rec.Sealed)
}

// Reach returns nil if this gate's key opens the active version of the secret; see
// [custody.Custody.Reach].
func (s *Server) Reach(ctx context.Context, alias, id string) error {
	return s.custody.Reach(ctx, alias, id)
}

// Member returns this gate as the root has it.
func (s *Server) Member() policy.Gate { return s.member }

// Tallied returns how many refusals without receipt there were, by code.
func (s *Server) Tallied() map[op.Code]uint64 { return s.tallies.total() }
