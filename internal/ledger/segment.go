package ledger

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/ledger/disk"
	"github.com/writhq/writ/receipt"
	"github.com/writhq/writ/secret"
)

const (
	walType    = "writ-wal/1"
	wrapDomain = "writ-evidence-wrap/1"
	keySize    = 32
)

// A segment is one log file with its evidence and the key of that.
type segment struct {
	n     uint64
	key   secret.Bytes     // of the evidence; only in fresh
	rows  *receipt.RowKeys // under key; guarded by mu
	end   int64            // bytes in the log file
	evEnd uint64           // bytes in the evidence file
	fresh *segment         // itself, until a group has taken it to make the files
}

// walHeader is the payload of a log file's first frame. SPEC LEDG-1.
type walHeader struct {
	Typ     string       `cbor:"1,keyasint"`
	Gate    string       `cbor:"2,keyasint"`
	Zone    canon.Digest `cbor:"3,keyasint"`
	Segment uint64       `cbor:"4,keyasint"`
}

// headerFrame returns the first frame of segment n.
func (l *Ledger) headerFrame(n uint64) ([]byte, error) {
	p, err := canon.EncodeCBOR(walHeader{walType, l.cfg.Gate, l.cfg.Zone, n})
	if err != nil {
		return nil, fmt.Errorf("%w: header: %w", ErrLedger, err)
	}
	f := frame{typ: typeHeader, payload: p}
	return f.append(nil), nil
}

// newSegment returns segment n, which is in memory only.
func (l *Ledger) newSegment(n uint64) segment {
	key := make([]byte, keySize)
	rand.Read(key)
	h, _ := l.headerFrame(n) // a failure shows again in rotate
	s := segment{n: n, rows: receipt.NewRowKeys(key), end: int64(len(h))}
	s.fresh = &segment{n: n, key: secret.Take(key)}
	return s
}

// rotate makes the files of s and writes there from now on. The log file comes
// last: without it, the others are nothing. The caller holds fmu and wmu.
func (l *Ledger) rotate(s *segment) error {
	if l.files.Log != nil {
		if err := l.files.Sync(true); err != nil {
			return err
		}
		l.files.Close()
		l.files = disk.Pair{}
	}
	wrapped, err := l.wrap(s)
	if err != nil {
		return err
	}
	key, err := l.disk.CreateWith(disk.Numbered(s.n, "key"), wrapped)
	if err != nil {
		return err
	}
	key.Close()
	if l.files.Evidence, err = l.disk.CreateWith(disk.Numbered(s.n, "evd"), nil); err != nil {
		return err
	}
	h, err := l.headerFrame(s.n)
	if err != nil {
		return err
	}
	if l.files.Log, err = l.disk.CreateWith(disk.Numbered(s.n, "wal"), h); err != nil {
		return err
	}
	return l.disk.SyncDir(".")
}

// wrapper returns the cipher that wraps the keys of segments.
func (l *Ledger) wrapper() (aead cipher.AEAD, err error) {
	err = l.cfg.Evidence.Use(func(b []byte) error {
		k, err := hkdf.Expand(sha256.New, b, wrapDomain, keySize)
		if err != nil {
			return fmt.Errorf("derive key: %w", err)
		}
		c, err := aes.NewCipher(k)
		if err == nil {
			aead, err = cipher.NewGCM(c)
		}
		return err
	})
	return aead, err
}

// wrapAAD binds a wrapped key to its place.
func (l *Ledger) wrapAAD(n uint64) []byte {
	d := canon.Sum(wrapDomain, l.cfg.Zone[:], binary.BigEndian.AppendUint64(nil, n), []byte(l.cfg.Gate))
	return d[:]
}

// wrap returns s's key under the ledger's: nonce and ciphertext. SPEC LEDG-7.
func (l *Ledger) wrap(s *segment) (wrapped []byte, err error) {
	aead, err := l.wrapper()
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, aead.NonceSize())
	rand.Read(nonce)
	err = s.key.Use(func(b []byte) error {
		wrapped = aead.Seal(nonce, nonce, b, l.wrapAAD(s.n))
		return nil
	})
	return wrapped, err
}

// unwrap returns the key of segment n. Errors wrap [ErrErased].
func (l *Ledger) unwrap(n uint64) (secret.Bytes, error) {
	wrapped, err := l.disk.Read(disk.Numbered(n, "key"))
	if err != nil {
		return secret.Bytes{}, fmt.Errorf("%w: %w", ErrErased, err)
	}
	aead, err := l.wrapper()
	if err != nil {
		return secret.Bytes{}, err
	}
	if len(wrapped) < aead.NonceSize() {
		return secret.Bytes{}, fmt.Errorf("%w: key of segment %d is cut short", ErrErased, n)
	}
	key, err := aead.Open(nil, wrapped[:aead.NonceSize()], wrapped[aead.NonceSize():], l.wrapAAD(n))
	if err != nil {
		return secret.Bytes{}, fmt.Errorf("%w: key of segment %d does not open", ErrErased, n)
	}
	return secret.Take(key), nil
}

// decrypt returns the evidence of the receipt at a place. Errors wrap
// [ErrErased].
func decrypt(k secret.Bytes, at place, ct []byte) (e *receipt.Evidence, err error) {
	err = k.Use(func(key []byte) error {
		e, err = receipt.NewRowKeys(key).Open(ct, at.epoch, at.seq)
		return err
	})
	if errors.Is(err, receipt.ErrEvidence) {
		err = fmt.Errorf("%w: %w", ErrErased, err)
	}
	return e, err
}
