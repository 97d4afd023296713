package receipt

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/sign"
	"github.com/writhq/writ/tlog"
)

const exportMagic = "writ-export/1\n"

// LogKey returns the key that verifies the checkpoints of a gate's log, whose
// origin is "writ-ledger/" and the gate's id. Errors wrap [ErrVerify]: k is not
// Ed25519, or the id cannot be part of a name. SPEC RCPT-12.
func LogKey(gate string, k sign.PublicKey) (tlog.Key, error) {
	if k.Algorithm() != sign.Ed25519 {
		return tlog.Key{}, fmt.Errorf("%w: log key: not Ed25519", ErrVerify)
	}
	key, err := tlog.NewKey("writ-ledger/"+gate, k.Bytes())
	if err != nil {
		return tlog.Key{}, fmt.Errorf("%w: log key: %w", ErrVerify, err)
	}
	return key, nil
}

// The frames of an export. SPEC RCPT-12.
const (
	frameHeader     = 'H' // CBOR: gate and zone
	frameReceipt    = 'R' // a payload
	frameLeaves     = 'L' // leaf hashes of the receipts of the batch that follows
	frameBatch      = 'B' // a batch's block
	frameCheckpoint = 'C' // a signed note
	frameEnd        = 'E' // nothing
)

// An ExportHeader says whose log an export is. It is not trusted: the auditor
// compares it with what it was told.
type ExportHeader struct {
	Gate string       `cbor:"1,keyasint"`
	Zone canon.Digest `cbor:"2,keyasint"`
}

// An ExportWriter writes an export in the form that [AuditExport] reads.
// Errors are the writer's, and stick. Not safe for concurrent use.
type ExportWriter struct {
	w   *bufio.Writer
	err error
}

// NewExportWriter returns a writer that has begun an export on w.
func NewExportWriter(w io.Writer, h ExportHeader) (*ExportWriter, error) {
	x := &ExportWriter{w: bufio.NewWriterSize(w, maxExportFrame)}
	b, err := canon.EncodeCBOR(h)
	if err != nil {
		return nil, fmt.Errorf("%w: header: %w", ErrExport, err)
	}
	_, x.err = x.w.WriteString(exportMagic)
	return x, x.frame(frameHeader, b)
}

func (x *ExportWriter) frame(kind byte, b []byte) error {
	if x.err != nil {
		return x.err
	}
	var head [5]byte
	head[0] = kind
	binary.BigEndian.PutUint32(head[1:], uint32(len(b)))
	x.w.Write(head[:]) // a bufio.Writer's error sticks
	if _, err := x.w.Write(b); err != nil {
		x.err = fmt.Errorf("write export: %w", err)
	}
	return x.err
}

// Receipt writes the next receipt.
func (x *ExportWriter) Receipt(payload []byte) error { return x.frame(frameReceipt, payload) }

// Batch writes the next batch; leaves are those of the receipts that it covers,
// and not trusted by who reads them.
func (x *ExportWriter) Batch(block []byte, leaves []tlog.Hash) error {
	b := make([]byte, 0, len(leaves)*len(tlog.Hash{}))
	for _, h := range leaves {
		b = append(b, h[:]...)
	}
	for len(b) > 0 {
		n := min(len(b), maxExportFrame)
		if err := x.frame(frameLeaves, b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return x.frame(frameBatch, block)
}

// End writes the checkpoint of all that was written, and the end.
func (x *ExportWriter) End(c *tlog.Checkpoint) error {
	if err := x.frame(frameCheckpoint, c.Encode()); err != nil {
		return err
	}
	if err := x.frame(frameEnd, nil); err != nil {
		return err
	}
	if x.err = x.w.Flush(); x.err != nil {
		return fmt.Errorf("write export: %w", x.err)
	}
	return nil
}

// AuditExport audits the export in r as cfg says, against cfg's heads and the
// checkpoint in the export itself, signed by log. It calls visit, which may be
// nil, with each receipt, before the receipt's signature has been seen: what
// visit gathers holds only if AuditExport returns no error. Errors are a
// [*Fault], visit's, r's, or wrap [ErrExport]. SPEC RCPT-12.
func AuditExport(r io.Reader, cfg AuditConfig, log tlog.Key, visit func(*Receipt) error) (*Report, error) {
	x := &exportReader{r: bufio.NewReaderSize(r, maxExportFrame), visit: visit, log: log}
	if err := x.begin(cfg); err != nil {
		return nil, err
	}
	for {
		kind, b, err := x.frame()
		if err != nil {
			return nil, err
		}
		if kind == frameEnd {
			break
		}
		if err := x.take(kind, b); err != nil {
			return nil, err
		}
	}
	if _, err := x.r.ReadByte(); !errors.Is(err, io.EOF) || x.head == nil { //guard:R57 export-complete
		return nil, fmt.Errorf("%w: no checkpoint, or bytes after the end", ErrExport)
	}
	return x.a.Finish()
}

type exportReader struct {
	r      *bufio.Reader
	a      *Auditor
	visit  func(*Receipt) error
	log    tlog.Key
	leaves []tlog.Hash
	head   *tlog.Head // of the checkpoint; nothing but the end may follow it
	buf    []byte
}

func (x *exportReader) begin(cfg AuditConfig) (err error) {
	if x.a, err = NewAuditor(cfg); err != nil {
		return err
	}
	magic := make([]byte, len(exportMagic))
	if _, err := io.ReadFull(x.r, magic); err != nil || string(magic) != exportMagic {
		return fmt.Errorf("%w: not an export", ErrExport)
	}
	kind, b, err := x.frame()
	if err != nil {
		return err
	}
	var h ExportHeader
	if kind != frameHeader || len(b) > maxExportHeader || canon.DecodeCBOR(b, &h) != nil {
		return fmt.Errorf("%w: header", ErrExport)
	}
	if h.Gate != cfg.Gate || h.Zone != cfg.Zone {
		return fmt.Errorf("%w: of another gate or zone", ErrExport)
	}
	return nil
}

// frame returns the next frame. Its bytes hold until the next call.
func (x *exportReader) frame() (kind byte, b []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(x.r, head[:]); err != nil {
		return 0, nil, fmt.Errorf("%w: cut short", ErrExport)
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n > maxExportFrame {
		return 0, nil, fmt.Errorf("%w: frame of %d bytes; at most %d", ErrExport, n, maxExportFrame)
	}
	if cap(x.buf) < int(n) {
		x.buf = make([]byte, maxExportFrame)
	}
	b = x.buf[:n]
	if _, err := io.ReadFull(x.r, b); err != nil {
		return 0, nil, fmt.Errorf("%w: cut short", ErrExport)
	}
	return head[0], b, nil
}

func (x *exportReader) take(kind byte, b []byte) error {
	if x.head != nil {
		return fmt.Errorf("%w: something follows the checkpoint", ErrExport)
	}
	switch kind {
	case frameReceipt:
		r, err := x.a.Receipt(b)
		if err == nil && x.visit != nil {
			err = x.visit(r)
		}
		return err
	case frameLeaves:
		return x.takeLeaves(b)
	case frameBatch:
		leaves := x.leaves
		x.leaves = x.leaves[:0]
		return x.a.Batch(b, leaves)
	case frameCheckpoint:
		return x.checkpoint(b)
	}
	return fmt.Errorf("%w: unknown frame", ErrExport)
}

func (x *exportReader) takeLeaves(b []byte) error {
	const size = len(tlog.Hash{})
	if len(b)%size != 0 || len(x.leaves)+len(b)/size > MaxBatch {
		return fmt.Errorf("%w: leaves", ErrExport)
	}
	for ; len(b) > 0; b = b[size:] {
		x.leaves = append(x.leaves, tlog.Hash(b[:size]))
	}
	return nil
}

// checkpoint checks that b is the signed head of all that was read.
func (x *exportReader) checkpoint(b []byte) error {
	c, err := tlog.ParseCheckpoint(b)
	if err != nil {
		return fmt.Errorf("%w: checkpoint: %w", ErrExport, err)
	}
	if _, err := c.Verify(x.log); err != nil { //guard:R57 export-checkpoint-signature
		return fmt.Errorf("%w: checkpoint: %w", ErrExport, err)
	}
	h := c.HeadUnverified()                                     // just verified
	if h.Size != x.a.tree.Size() || h.Root != x.a.tree.Root() { //guard:R57 export-checkpoint-head
		return x.a.failAt(FaultCheckpoint, 0, max(1, x.a.tree.Size()), nil)
	}
	x.head = &h
	return nil
}
