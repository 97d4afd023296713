package credential

import (
	"fmt"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/sign"
)

// Issue returns the credential of one block: g signed by the issuers, the first
// of whom signs the block and the others beside it. It fills in g's type, and
// its id if there is none. SPEC CRED-1.
func Issue(g Grant, issuers ...sign.Signer) (*Chain, error) {
	if len(issuers) == 0 {
		return nil, fmt.Errorf("%w: issue: no issuer", ErrCredential)
	}
	g.Typ = grantTyp
	if g.ID == nil {
		g.ID = NewID()
	}
	payload, err := canon.EncodeCBOR(&g)
	if err != nil {
		return nil, fmt.Errorf("%w: issue: %w", ErrCredential, err)
	}
	w := wire{Version: formVersion, Cosigns: [][]byte{}}
	for i, s := range issuers {
		block, err := sign.Sign1(s, blockType, payload)
		if err != nil {
			return nil, fmt.Errorf("%w: issue: %w", ErrCredential, err)
		}
		if i == 0 {
			w.Blocks = [][]byte{block}
		} else {
			w.Cosigns = append(w.Cosigns, block)
		}
	}
	return seal(w)
}

// Narrow returns c with one more block, signed by the holder of c's last block.
// It needs nobody else and no connection. Terms that are wider than c's give
// [ErrWider]; label names the delegate, for people.
func (c *Chain) Narrow(holder sign.Signer, label string, t Terms) (*Chain, error) {
	if holder.Public() != c.Holder() { //guard:R44 narrow-holder
		return nil, fmt.Errorf("%w: narrow: the key is not the one that the last block names", ErrCredential)
	}
	if err := narrower(c.terms(), &t); err != nil {
		return nil, err
	}
	if err := t.check(); err != nil {
		return nil, fmt.Errorf("%w: narrow: %w", ErrCredential, err)
	}
	payload, err := canon.EncodeCBOR(&Delegation{Typ: blockTyp, Prev: c.blocks[len(c.blocks)-1], Label: label, Terms: t})
	if err != nil {
		return nil, fmt.Errorf("%w: narrow: %w", ErrCredential, err)
	}
	block, err := sign.Sign1(holder, blockType, payload)
	if err != nil {
		return nil, fmt.Errorf("%w: narrow: %w", ErrCredential, err)
	}
	var w wire
	if err := canon.DecodeCBOR(c.raw, &w); err != nil {
		return nil, fmt.Errorf("%w: narrow: %w", ErrCredential, err)
	}
	w.Blocks = append(w.Blocks, block)
	return seal(w)
}

// seal encodes w and reads it back, so that what is minted is what is accepted.
func seal(w wire) (*Chain, error) {
	b, err := canon.EncodeCBOR(&w)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCredential, err)
	}
	return Parse(b)
}

// Last returns the terms of the last block, as a start for narrower ones. The
// caller sets the holder and changes what it wants.
func (c *Chain) Last() Terms {
	all := c.terms()
	t := *all[len(all)-1]
	t.Depth--
	t.Pop = strictest(all)
	t.Rules, t.Language, t.Limits, t.Task = "", nil, nil, ""
	t.Audience, t.Purposes, t.Secrets = nil, nil, nil
	return t
}
