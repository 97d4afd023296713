package receipt

import (
	"fmt"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/sign"
	"github.com/writhq/writ/tlog"
)

const (
	batchType = "writ-batch/1"
	// BatchTyp is the typ of a batch's COSE_Sign1 block.
	BatchTyp = "application/writ-batch+cbor"
)

// A Batch is what one signature covers: a run of receipts of one epoch.
// SPEC RCPT-7.
type Batch struct {
	Typ    string       `cbor:"1,keyasint"`
	Gate   string       `cbor:"2,keyasint"`
	Epoch  uint64       `cbor:"3,keyasint"`
	First  uint64       `cbor:"4,keyasint"`          // sequence of the first receipt
	Count  uint64       `cbor:"5,keyasint"`          // 1 to 4096
	Root   tlog.Hash    `cbor:"6,keyasint"`          // over the payloads
	Prev   canon.Digest `cbor:"7,keyasint,omitzero"` // of the gate's batch before this; absent in its first
	TimeMS int64        `cbor:"8,keyasint"`          // Unix milliseconds; not before the receipts'
}

// Sign returns the batch as a signed block by s, and its digest, which the next
// batch names. Errors wrap [ErrForm] or are s's. SPEC RCPT-7.
func (b *Batch) Sign(s sign.Signer) (block []byte, id canon.Digest, err error) {
	b.Typ = batchType
	if err := b.check(); err != nil {
		return nil, canon.Digest{}, err
	}
	payload, err := canon.EncodeCBOR(b)
	if err != nil {
		return nil, canon.Digest{}, fmt.Errorf("%w: batch: %w", ErrForm, err)
	}
	block, err = sign.Sign1(s, BatchTyp, payload)
	if err != nil {
		return nil, canon.Digest{}, fmt.Errorf("sign batch: %w", err)
	}
	return block, batchID(payload), nil
}

func batchID(payload []byte) canon.Digest { return canon.Sum(batchType, payload) }

func (b *Batch) check() error {
	if b.Typ != batchType || b.Gate == "" || len(b.Gate) > maxText || b.Epoch == 0 || b.First == 0 || b.TimeMS <= 0 {
		return fault("batch")
	}
	if b.Count == 0 || b.Count > MaxBatch || b.First+b.Count < b.First {
		return fault("batch: count")
	}
	return nil
}

// VerifyBatch returns the batch in block, if key signed it, and its digest.
// Errors wrap [ErrVerify] or [ErrForm]. SPEC RCPT-7.
func VerifyBatch(key sign.PublicKey, block []byte) (*Batch, canon.Digest, error) {
	if len(block) > maxBatchBytes {
		return nil, canon.Digest{}, fault("batch is too long")
	}
	payload, err := sign.Verify1(key, BatchTyp, block)
	if err != nil { //guard:R57 batch-signature
		return nil, canon.Digest{}, fmt.Errorf("%w: batch: %w", ErrVerify, err)
	}
	return parseBatch(payload)
}

// ParseBatchUnverified returns the batch in block and its digest, without
// checking who signed it: for its own gate, reading its own log. Errors wrap
// [ErrForm].
func ParseBatchUnverified(block []byte) (*Batch, canon.Digest, error) {
	if len(block) > maxBatchBytes {
		return nil, canon.Digest{}, fault("batch is too long")
	}
	payload, err := sign.PayloadUnverified(block)
	if err != nil {
		return nil, canon.Digest{}, fmt.Errorf("%w: batch: %w", ErrForm, err)
	}
	return parseBatch(payload)
}

func parseBatch(payload []byte) (*Batch, canon.Digest, error) {
	b := new(Batch)
	if err := canon.DecodeCBOR(payload, b); err != nil {
		return nil, canon.Digest{}, fmt.Errorf("%w: batch: %w", ErrForm, err)
	}
	if err := b.check(); err != nil {
		return nil, canon.Digest{}, err
	}
	return b, batchID(payload), nil
}

// A Signed is a receipt for handing out: payload, path and signed batch. Nothing
// in it is trusted until [Signed.Verify]. SPEC RCPT-8.
type Signed struct {
	Payload []byte      `cbor:"1,keyasint"`
	Index   uint64      `cbor:"2,keyasint"`           // of the receipt in its batch
	Path    []tlog.Hash `cbor:"3,keyasint,omitempty"` // from the receipt's sibling up
	Batch   []byte      `cbor:"4,keyasint"`           // COSE_Sign1
}

// Encode returns s in CBOR.
func (s *Signed) Encode() ([]byte, error) {
	b, err := canon.EncodeCBOR(s)
	if err != nil {
		return nil, fmt.Errorf("%w: signed: %w", ErrForm, err)
	}
	return b, nil
}

// ParseSigned returns the signed receipt that Encode wrote as b, at most 20 KiB.
// It checks no signature. Errors wrap [ErrForm]. SPEC RCPT-8.
func ParseSigned(b []byte) (*Signed, error) {
	if len(b) > maxSignedBytes {
		return nil, fmt.Errorf("%w: signed: %d bytes; at most %d", ErrForm, len(b), maxSignedBytes)
	}
	s := new(Signed)
	if err := canon.DecodeCBOR(b, s); err != nil {
		return nil, fmt.Errorf("%w: signed: %w", ErrForm, err)
	}
	if len(s.Path) > maxPathHashes {
		return nil, fault("signed: path")
	}
	return s, nil
}

// Verify returns the receipt in s if key signed the batch and the batch has
// exactly this payload at this place. Errors wrap [ErrVerify] or [ErrForm].
// SPEC RCPT-8.
func (s *Signed) Verify(key sign.PublicKey) (*Receipt, error) {
	b, _, err := VerifyBatch(key, s.Batch)
	if err != nil {
		return nil, err
	}
	leaf := tlog.Leaf{Index: s.Index, Hash: tlog.LeafHash(s.Payload)}
	if err := tlog.CheckInclusion(leaf, s.Path, b.Count, b.Root); err != nil { //guard:R1 receipt-inclusion
		return nil, fmt.Errorf("%w: %w", ErrVerify, err)
	}
	r, err := Parse(s.Payload)
	if err != nil {
		return nil, err
	}
	if r.Gate != b.Gate || r.Epoch != b.Epoch || r.Seq != b.First+s.Index || r.TimeMS > b.TimeMS { //guard:R57 receipt-in-its-batch
		return nil, fmt.Errorf("%w: receipt: gate, epoch, sequence or time are not its batch's", ErrVerify)
	}
	return r, nil
}

// ID returns the id of the receipt in s.
func (s *Signed) ID() canon.Digest { return ID(s.Payload) }
