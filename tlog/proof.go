package tlog

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
)

const proofHeader = "c2sp.org/tlog-proof@v1"

// A Proof shows offline that a log has an entry: the path from the entry's leaf
// to a checkpoint. Nothing in it is trusted until [Proof.Verify]; Extra never
// is.
//
// Source: C2SP tlog-proof, "Format".
type Proof struct {
	Extra      []byte // at most 16 KiB; nil if none
	Index      uint64
	Path       []Hash
	Checkpoint *Checkpoint
}

// Encode returns the proof as text.
func (p *Proof) Encode() []byte {
	var b bytes.Buffer
	b.WriteString(proofHeader + "\n")
	if len(p.Extra) > 0 {
		b.WriteString("extra " + base64.StdEncoding.EncodeToString(p.Extra) + "\n")
	}
	b.WriteString("index " + strconv.FormatUint(p.Index, 10) + "\n")
	for _, h := range p.Path {
		b.WriteString(h.String() + "\n")
	}
	b.WriteString("\n")
	b.Write(p.Checkpoint.Encode())
	return b.Bytes()
}

// ParseProof returns the proof that Encode wrote as b. It checks neither path
// nor signature. Errors wrap [ErrForm]. SPEC TLOG-7.
func ParseProof(b []byte) (*Proof, error) {
	head, note, ok := strings.Cut(string(b), "\n\n")
	if !ok || len(head) > 2*maxExtraBytes+maxPath*64 {
		return nil, fmt.Errorf("%w: proof without a checkpoint, or too long", ErrForm)
	}
	c, err := ParseCheckpoint([]byte(note))
	if err != nil {
		return nil, fmt.Errorf("parse proof: %w", err)
	}
	p := &Proof{Checkpoint: c}
	lines := strings.Split(head, "\n")
	if len(lines) > 1 && strings.HasPrefix(lines[1], "extra ") {
		p.Extra, err = base64.StdEncoding.Strict().DecodeString(lines[1][len("extra "):])
		if err != nil || len(p.Extra) > maxExtraBytes {
			return nil, fmt.Errorf("%w: proof: extra", ErrForm)
		}
		lines = append(lines[:1], lines[2:]...)
	}
	if len(lines) < 2 || len(lines) > 2+maxPath || lines[0] != proofHeader {
		return nil, fmt.Errorf("%w: proof: header, or number of lines", ErrForm)
	}
	if p.Index, err = strconv.ParseUint(strings.TrimPrefix(lines[1], "index "), 10, 62); err != nil {
		return nil, fmt.Errorf("%w: proof: index", ErrForm)
	}
	for i, line := range lines[2:] {
		raw, err := base64.StdEncoding.Strict().DecodeString(line)
		if err != nil || len(raw) != len(Hash{}) {
			return nil, fmt.Errorf("%w: proof: hash %d", ErrForm, i)
		}
		p.Path = append(p.Path, Hash(raw))
	}
	if !bytes.Equal(p.Encode(), b) { //guard:R57 proof-roundtrip
		return nil, fmt.Errorf("%w: proof: differs from its own encoding", ErrForm)
	}
	return p, nil
}

// Verify returns the head of the log with key k in which the proof shows leaf.
// Errors wrap [ErrSignature] or [ErrProof]. SPEC TLOG-7.
func (p *Proof) Verify(k Key, leaf Hash) (Head, error) {
	h, err := p.Checkpoint.Verify(k)
	if err != nil {
		return Head{}, err
	}
	if err := CheckInclusion(Leaf{p.Index, leaf}, p.Path, h.Size, h.Root); err != nil { //guard:R57 proof-inclusion
		return Head{}, err
	}
	return h, nil
}
