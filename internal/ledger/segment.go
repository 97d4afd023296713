package ledger

import (
	"crypto/rand"
	"fmt"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/ledger/disk"
	"github.com/writhq/writ/receipt"
	"github.com/writhq/writ/secret"
)

const (
	walType = "writ-wal/1"
	keySize = 32
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
	var wrapped []byte
	s.key.Use(func(b []byte) error {
		wrapped = l.keys.Wrap(s.n, b)
		return nil
	})
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

// rowKeys returns the keys of segment n's evidence. Errors wrap [ErrErased].
// SPEC LEDG-7.
func (l *Ledger) rowKeys(n uint64) (*receipt.RowKeys, error) {
	wrapped, err := l.disk.Read(disk.Numbered(n, "key"))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrErased, err)
	}
	key, err := l.keys.Unwrap(n, wrapped)
	if err != nil {
		return nil, fmt.Errorf("%w: segment %d: %w", ErrErased, n, err)
	}
	defer clear(key)
	return receipt.NewRowKeys(key), nil
}
