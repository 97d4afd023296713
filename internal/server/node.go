package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/control"
	"github.com/writhq/writ/internal/custody"
	"github.com/writhq/writ/internal/gateway"
	"github.com/writhq/writ/internal/ledger"
	"github.com/writhq/writ/internal/polog"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/secret"
	"github.com/writhq/writ/sign"
)

// The errors of a node's start; all wrap [ErrServer].
var (
	// ErrNoPin is wrapped by the error for a keyring that belongs to no zone yet.
	ErrNoPin = fmt.Errorf("%w: the keyring has no pinned root", ErrServer)
	// ErrOtherPin is wrapped by the error for a keyring of another zone.
	ErrOtherPin = fmt.Errorf("%w: the keyring is pinned to another root", ErrServer)
)

// NodeConfig is what a server process runs with. Every field is required but Pin
// and RootFile.
type NodeConfig struct {
	File      *File
	Protocols []gateway.Protocol
	Now       func() time.Time
	Log       *slog.Logger
	Build     string
	Pin       canon.Digest // digest of the genesis root; the first start names it
	RootFile  string       // envelope of that root
}

// A Node is a server process: it starts sealed, and opens when it is given the
// passphrase of its keyring.
type Node struct {
	c       NodeConfig
	api     *control.API
	metrics *control.Metrics
	certs   *certificates
	ring    []byte
	opened  chan *Server // one slot
	failed  chan error   // one slot; why the folder did not open
	porches []*porch     // set before anyone can unseal
	doors   []Listener   // set before opened is sent to
}

// NewNode returns a node that has read its keyring and certificate.
func NewNode(c NodeConfig) (*Node, error) {
	if c.File == nil || c.Now == nil || c.Log == nil {
		return nil, fmt.Errorf("%w: incomplete configuration", ErrServer)
	}
	n := &Node{c: c, metrics: &control.Metrics{}, certs: &certificates{files: c.File.TLS}, opened: make(chan *Server, 1), failed: make(chan error, 1)}
	var err error
	if n.ring, err = readBounded(filepath.Join(c.File.Data, keyringName), maxKeyringBytes); err != nil {
		return nil, &advice{err, "writ init makes a server's folder, and writ restore puts one back; data in " + c.File.name + " names it", nil}
	}
	if err := checkPrivate(c.File); err != nil {
		return nil, err
	}
	if err := n.certs.load(); err != nil {
		return nil, err
	}
	n.api, err = control.New(control.Config{
		Now: c.Now, Log: c.Log, Build: c.Build, Insecure: custody.Insecure(n.ring), Unseal: n.unseal, Metrics: n.metrics,
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrServer, err)
	}
	return n, nil
}

func readBounded(name string, limit int) ([]byte, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, unread(name, err)
	}
	if len(b) > limit {
		return nil, fmt.Errorf("%w: %s: %d bytes; at most %d", ErrServer, name, len(b), limit)
	}
	return b, nil
}

// unread returns err, of reading a file, as people read it.
func unread(name string, err error) error {
	switch {
	case errors.Is(err, os.ErrNotExist):
		return &advice{error: fmt.Errorf("%w: %s is not there", ErrServer, name), cause: err}
	case errors.Is(err, os.ErrPermission):
		return &advice{fmt.Errorf("%w: %s may not be read by this user", ErrServer, name), "run the server as the user that owns it", err}
	}
	return fmt.Errorf("%w: %w", ErrServer, err)
}

// checkPrivate refuses files with keys that others may read.
func checkPrivate(f *File) error {
	for _, name := range []string{f.Data, filepath.Join(f.Data, keyringName), f.TLS.Key} {
		st, err := os.Stat(name)
		if err != nil {
			return &advice{unread(name, err), "data and tls in " + f.name + " name it; writ init makes it", nil}
		}
		if st.Mode().Perm()&0o077 != 0 { //guard:R16 private-files
			return advise("chmod go-rwx "+name, "%s may be read by others", name)
		}
	}
	return nil
}

// Run serves until ctx ends, and returns when all it started has ended. It
// starts sealed unless the keyring is in the clear, with every address taken that
// the configuration names. SPEC CTRL-6, CTRL-14, CTRL-19.
func (n *Node) Run(ctx context.Context) error {
	unlock, err := lockData(n.c.File.Data)
	if err != nil {
		return err
	}
	defer unlock()
	defer n.closeDoors()
	if err := n.openDoors(ctx); err != nil {
		return err
	}
	local, err := n.listenLocal(ctx)
	if err != nil {
		return err
	}
	remote, err := n.listenRemote(ctx)
	if err != nil {
		local.Close()
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	errs := make(chan error, 2)
	wg.Go(func() { errs <- end(cancel, control.Serve(ctx, local, n.api.Local())) })
	if remote != nil {
		wg.Go(func() { errs <- end(cancel, control.Serve(ctx, remote, n.api.Remote())) })
	}
	wg.Go(func() { n.reload(ctx) })
	err = end(cancel, n.work(ctx))
	wg.Wait()
	err = errors.Join(err, n.abandon()) // unsealed in the moment of the end
	close(errs)
	for e := range errs {
		err = errors.Join(err, e)
	}
	return err
}

// end ends the rest of a node with the part that returned err.
func end(cancel context.CancelFunc, err error) error {
	cancel()
	return err
}

// work waits until the node is open, and then serves operations.
func (n *Node) work(ctx context.Context) error {
	if custody.Insecure(n.ring) {
		n.c.Log.Warn("THE KEYS ARE IN THE CLEAR: anyone who reads the data folder can open every secret")
		if err := n.unseal(ctx, secret.Bytes{}); err != nil {
			return err
		}
	} else {
		n.c.Log.Info("sealed: waiting for writ unseal", "socket", n.c.File.Socket())
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-n.failed:
		return err
	case s := <-n.opened:
		n.c.Log.Info("open", "gate", s.Member().ID, "epoch", s.Ledger().Epoch(), "receipts", s.Ledger().Len())
		return s.Serve(ctx, n.doors)
	}
}

// abandon closes what was opened and never served.
func (n *Node) abandon() error {
	select {
	case s := <-n.opened:
		return s.Close()
	default:
		return nil
	}
}

// unseal opens the keyring, the folder and the doors. Only a wrong passphrase can
// be tried again; any other error ends the node.
func (n *Node) unseal(ctx context.Context, passphrase secret.Bytes) error {
	k, err := custody.Unwrap(n.ring, passphrase)
	if err != nil {
		if custody.Insecure(n.ring) {
			return fmt.Errorf("%w: %w", ErrServer, err)
		}
		return fmt.Errorf("%w: %w", control.ErrPassphrase, err)
	}
	if err := n.start(context.WithoutCancel(ctx), k, passphrase); err != nil { // whoever asked may hang up
		n.failed <- err
		return err
	}
	return nil
}

func (n *Node) start(ctx context.Context, k *custody.Keyring, passphrase secret.Bytes) error {
	root, err := n.pin(k, passphrase)
	if err != nil {
		return err
	}
	s, err := Open(ctx, Config{
		Dir: n.c.File.Data, Keyring: k, Roots: []*sign.Envelope{root}, Now: n.c.Now, Log: n.c.Log, Build: n.c.Build,
		TLS: &tls.Config{GetCertificate: n.certs.get, MinVersion: tls.VersionTLS13}, Observe: n.metrics.Observe,
	})
	if err != nil {
		return notOpened(err)
	}
	n.metrics.Tally(s.Tallied)
	n.metrics.Panics(s.hall.Panics)
	if n.doors, err = n.passDoors(); err != nil {
		return errors.Join(err, s.Close())
	}
	n.api.Open(control.Authority{Publisher: s, Log: s.log, Ledger: s.ledger, Gate: s.member, Backup: s.Backup, Reach: s.Reach, Held: s.Held, Confirm: s.Confirm, Sessions: s.Sessions, End: s.hall.End})
	n.opened <- s
	return nil
}

// notOpened returns err, of opening the folder, with what to do about it.
func notOpened(err error) error {
	const again = "restore the newest backup, all of it, into a new folder: writ restore --in FILE --data FOLDER"
	switch {
	case errors.Is(err, polog.ErrBehind):
		return &advice{err, "a part of the folder was restored; " + again, nil}
	case errors.Is(err, ledger.ErrCorrupt):
		return &advice{err, "bytes on the disk have changed; " + again, nil}
	case errors.Is(err, ledger.ErrLocked):
		return &advice{err, "another process has the ledger open: stop it", nil}
	}
	return err
}

// pin returns the genesis root that the keyring is pinned to. On the first start
// it pins the keyring to the root that was named. SPEC CTRL-14.
func (n *Node) pin(k *custody.Keyring, passphrase secret.Bytes) (*sign.Envelope, error) {
	if k.Pin.IsZero() && n.c.Pin.IsZero() { // no root verifies from no pin either; this says what to do
		return nil, &advice{ErrNoPin, "name it once: writ server --config FILE --root sha256:… --root-file root.json", nil}
	}
	if !k.Pin.IsZero() && !n.c.Pin.IsZero() && k.Pin != n.c.Pin { //guard:A1 node-pin-fixed
		return nil, &advice{fmt.Errorf("%w: %s", ErrOtherPin, k.Pin), "start it without --root, or with that one; a gate joins another zone with new keys: writ init", nil}
	}
	stored := filepath.Join(n.c.File.Data, rootName)
	if !k.Pin.IsZero() {
		return readRoot(stored)
	}
	if n.c.RootFile == "" {
		return nil, &advice{ErrNoPin, "name the root's file too: --root-file root.json", nil}
	}
	e, err := readRoot(n.c.RootFile)
	if err != nil {
		return nil, err
	}
	if err := n.join(k, e); err != nil {
		return nil, err
	}
	b, err := e.Encode()
	if err != nil {
		return nil, fmt.Errorf("%w: root: %w", ErrServer, err)
	}
	if err := writeFile(stored, b, 0o600); err != nil {
		return nil, err
	}
	k.Pin = n.c.Pin
	ring, err := wrap(k, passphrase, custody.Insecure(n.ring))
	if err != nil {
		return nil, fmt.Errorf("%w: pin: %w", ErrServer, err)
	}
	n.c.Log.Info("keyring pinned", "root", k.Pin.String())
	return e, writeFile(filepath.Join(n.c.File.Data, keyringName), ring, 0o600)
}

// join checks that the root lists this gate with this keyring's keys.
func (n *Node) join(k *custody.Keyring, e *sign.Envelope) error {
	r, err := policy.VerifyRoots(n.c.Pin, []*sign.Envelope{e}, n.c.Now().Unix())
	if err != nil {
		return advise("writ root show FILE prints its digest, and who has signed; name that digest: --root", "the root in %s does not verify: %w", n.c.RootFile, err)
	}
	gk, err := k.GateKey()
	if err != nil {
		return fmt.Errorf("%w: root: %w", ErrServer, err)
	}
	g, ok := r.Gate(k.Gate)
	has := slices.ContainsFunc(g.KEMKeys, func(x policy.KEMKey) bool {
		return x.ID == gk.ID() && string(x.Public) == string(gk.Public().Public)
	})
	if !ok || g.SignKey != k.Sign.Public() || !has { //guard:A1 node-in-root
		return advise("make the root from this gate's "+InfoName+": writ root new --gate DIR/"+InfoName, "the root does not list gate %s with this keyring's keys", k.Gate)
	}
	return nil
}

func readRoot(name string) (*sign.Envelope, error) {
	b, err := readBounded(name, maxRootBytes)
	if err != nil {
		return nil, &advice{err, "name a root: --root-file root.json, which writ root new writes", nil}
	}
	e, err := sign.ParseEnvelope(b)
	if err != nil {
		return nil, advise("name a root: writ root new --out root.json makes one", "%s is no root: %w", name, err)
	}
	return e, nil
}

// reload reads the certificate anew on SIGHUP.
func (n *Node) reload(ctx context.Context) {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	for {
		select {
		case <-ctx.Done():
			return
		case <-hup:
			if err := n.certs.load(); err != nil {
				n.c.Log.Error("certificate not read; the one before stays", "err", err)
				continue
			}
			n.c.Log.Info("certificate read anew")
		}
	}
}
