package shell

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"slices"

	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/sign"
)

// Roots are the roots of a zone, verified from the pinned genesis. The newest may
// have expired: what is past is verified under the roots of its time.
type Roots struct {
	Chain []*sign.Envelope // from the genesis on
	all   []*policy.Root
}

// InForce returns the newest root.
func (r *Roots) InForce() *policy.Root { return r.all[len(r.all)-1] }

// ThatLists returns the newest root that lists the gate; the newest of all if none
// does, or no gate is named.
func (r *Roots) ThatLists(gate string) *policy.Root { return ThatLists(r.all, gate) }

// ThatLists is [Roots.ThatLists] of roots in their order.
func ThatLists(roots []*policy.Root, gate string) *policy.Root {
	for _, x := range slices.Backward(roots) {
		if _, ok := x.Gate(gate); ok {
			return x
		}
	}
	return roots[len(roots)-1]
}

// Roots returns the roots out of the file that is named, else as the server has
// them. The file holds the genesis, or a list of roots that begins with it.
func (s *Shell) Roots(ctx context.Context) (*Roots, error) {
	pin, err := s.Pin()
	if err != nil {
		return nil, err
	}
	what, r := s.set.RootFile, &Roots{}
	if what != "" {
		r.Chain, err = s.rootFile(what)
	} else {
		what = "the server's root"
		r.Chain, err = s.chain(ctx)
	}
	if err != nil {
		return nil, err
	}
	if _, err := policy.VerifyRoots(pin, r.Chain, 0); err != nil {
		return nil, NotPinned(err, what)
	}
	x, err := policy.VerifyRoots(pin, r.Chain[:1], 0)
	for _, e := range r.Chain[1:] {
		if r.all = append(r.all, x); err == nil {
			x, err = x.Next(e)
		}
	}
	if err != nil {
		return nil, NotPinned(err, what)
	}
	r.all = append(r.all, x)
	return r, nil
}

// rootFile returns the roots in a file; nothing of them is verified.
func (s *Shell) rootFile(name string) ([]*sign.Envelope, error) {
	b, err := s.Read(name, RootFile)
	if err != nil {
		return nil, err
	}
	b = bytes.TrimSpace(b)
	list := []json.RawMessage{b}
	if b[0] == '[' {
		err = json.Unmarshal(b, &list)
	}
	var chain []*sign.Envelope
	for _, one := range list {
		e, perr := sign.ParseEnvelope(one)
		if chain, err = append(chain, e), errors.Join(err, perr); err != nil {
			break
		}
	}
	if err != nil {
		return nil, RootFile.Bad(name, err)
	}
	return chain, nil
}

// chain returns the server's roots. A root's file stands in for a server that is
// not there.
func (s *Shell) chain(ctx context.Context) (chain []*sign.Envelope, err error) {
	c, err := s.Client()
	if err == nil {
		chain, err = c.Roots(ctx)
	}
	if _, dialled := errors.AsType[*net.OpError](err); dialled || errors.Is(err, errNoServer) {
		what, next := Explain(err)
		return nil, because(err, "to work without a server, name the root's file: --root-file root.json, or set WRIT_ROOT_FILE. With one: "+next, "the root is not at hand: %s", what)
	}
	return chain, err
}
