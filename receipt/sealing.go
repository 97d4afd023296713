package receipt

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"sync"

	"github.com/writhq/writ/canon"
)

const (
	rowDomain  = "writ-evidence/1"
	wrapDomain = "writ-evidence-wrap/1"
	nonceSize  = 12 // of AES-GCM
	tagSize    = 16 // likewise
)

// A KeyWrap encrypts the keys of a gate's segments for the disk. It is safe for
// concurrent use.
type KeyWrap struct {
	aead cipher.AEAD
	gate string
	zone canon.Digest
}

// NewKeyWrap returns the wrap under a gate's evidence key, which is 32 uniform
// bytes. It keeps what is derived from key, not key. SPEC LEDG-7.
func NewKeyWrap(key []byte, gate string, zone canon.Digest) (*KeyWrap, error) {
	k, err := hkdf.Expand(sha256.New, key, wrapDomain, sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEvidence, err)
	}
	defer clear(k)
	aead, err := gcm(k)
	return &KeyWrap{aead, gate, zone}, err
}

// aad binds a key to its place.
func (w *KeyWrap) aad(segment uint64) []byte {
	d := canon.Sum(wrapDomain, w.zone[:], binary.BigEndian.AppendUint64(nil, segment), []byte(w.gate))
	return d[:]
}

// Wrap returns the key of a segment encrypted: a random nonce and the ciphertext.
// SPEC LEDG-7.
func (w *KeyWrap) Wrap(segment uint64, key []byte) []byte {
	nonce := make([]byte, nonceSize)
	rand.Read(nonce)
	return w.aead.Seal(nonce, nonce, key, w.aad(segment))
}

// Unwrap returns the key of a segment. Errors wrap [ErrEvidence]. SPEC LEDG-7.
func (w *KeyWrap) Unwrap(segment uint64, wrapped []byte) ([]byte, error) {
	if len(wrapped) < nonceSize {
		return nil, fmt.Errorf("%w: the segment's key is cut short", ErrEvidence)
	}
	key, err := w.aead.Open(nil, wrapped[:nonceSize], wrapped[nonceSize:], w.aad(segment))
	if err != nil { //guard:A37 segment-key-authentic
		return nil, fmt.Errorf("%w: the segment's key does not open", ErrEvidence)
	}
	return key, nil
}

// RowKeys makes a key for the evidence of each receipt out of one key. It is not
// safe for concurrent use.
type RowKeys struct {
	mac  hash.Hash
	info [64]byte // room for a row's
}

// NewRowKeys returns the keys under key, which is 32 uniform bytes. It keeps what
// is derived from key, not key.
func NewRowKeys(key []byte) *RowKeys { return &RowKeys{mac: hmac.New(sha256.New, key)} }

// row sets to to HKDF-Expand(key, "writ-evidence/1" ‖ epoch ‖ seq): one HMAC, as
// the length is that of one hash. Source: RFC 5869, section 2.3. SPEC LEDG-7.
func (k *RowKeys) row(epoch, seq uint64, to *[sha256.Size]byte) {
	b := append(k.info[:0], rowDomain...)
	b = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, epoch), seq)
	k.mac.Reset()
	k.mac.Write(append(b, 1))
	k.mac.Sum(to[:0])
}

// A Sealing is evidence that is about to be encrypted, and then is. It is not
// safe for concurrent use.
type Sealing struct {
	b      []byte
	key    [sha256.Size]byte
	nonce  [nonceSize]byte // zero: the key serves once
	sealed bool            // b is ciphertext
}

var sealings = sync.Pool{New: func() any { return new(Sealing) }}

// Begin encodes e and gives it the key of its receipt; without e, it returns nil.
// Errors wrap [ErrForm].
func (k *RowKeys) Begin(e *Evidence, epoch, seq uint64) (*Sealing, error) {
	if e == nil {
		return nil, nil
	}
	s := sealings.Get().(*Sealing)
	s.sealed = false
	var err error
	if s.b, err = e.AppendTo(s.b[:0]); err != nil {
		return nil, err
	}
	k.row(epoch, seq, &s.key)
	return s, nil
}

// Size returns the length of the ciphertext. It is called before Seal.
func (s *Sealing) Size() int { return len(s.b) + tagSize }

// Seal encrypts by AES-256-GCM, once.
func (s *Sealing) Seal() {
	if aead, err := gcm(s.key[:]); err == nil && !s.sealed {
		s.b = aead.Seal(s.b[:0], s.nonce[:], s.b, nil)
		s.sealed = true
	}
	clear(s.key[:])
}

// AppendSealed appends the ciphertexts of all to b. Errors wrap [ErrEvidence]: one
// of them is not encrypted.
func AppendSealed(b []byte, all []*Sealing) ([]byte, error) {
	for _, s := range all {
		if !s.sealed { //guard:A37 evidence-encrypted
			return b, fmt.Errorf("%w: it is not encrypted", ErrEvidence)
		}
		b = append(b, s.b...)
	}
	return b, nil
}

// Free ends the use of s, whose buffer is used again unless it is a large one.
func (s *Sealing) Free() {
	if cap(s.b) <= maxSpareBytes {
		sealings.Put(s)
	}
}

// Open returns the evidence of one receipt. Errors wrap [ErrEvidence] if it does
// not open under the receipt's key, or [ErrForm].
func (k *RowKeys) Open(ciphertext []byte, epoch, seq uint64) (*Evidence, error) {
	var s Sealing
	k.row(epoch, seq, &s.key)
	aead, err := gcm(s.key[:])
	if err != nil {
		return nil, err
	}
	b, err := aead.Open(nil, s.nonce[:], ciphertext, nil)
	if err != nil { //guard:A37 evidence-authentic
		return nil, fmt.Errorf("%w: it does not open", ErrEvidence)
	}
	return ParseEvidence(b)
}

func gcm(key []byte) (cipher.AEAD, error) {
	b, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("evidence: %w", err)
	}
	return cipher.NewGCM(b)
}
