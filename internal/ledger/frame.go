package ledger

import (
	"bufio"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"os"

	"github.com/writhq/writ/receipt"
)

// A frame is one entry of a log file: 72 bytes of header and a payload.
//
//	0  magic "Wr"    8  CRC-32C      16 epoch   40 offset of evidence
//	2  type          12 length of    24 seq     48 epoch of the intent
//	3  kind             evidence     32 time    56 seq of the intent
//	4  length                                   64 synced
//
// The fields repeat what the payload says, so that a start need not decode every
// receipt. SPEC LEDG-2.
type frame struct {
	typ, kind byte
	evLen     uint32
	epoch     uint64
	seq       uint64
	timeMS    int64
	evOff     uint64
	intent    place
	synced    uint64 // bytes of this file that were on the disk when the frame was made
	payload   []byte // valid until the next read
}

// place is an epoch and a sequence.
type place struct{ epoch, seq uint64 }

func (p place) before(q place) bool { return p.epoch < q.epoch || p.epoch == q.epoch && p.seq < q.seq }

const (
	frameSize = 72

	typeHeader  = 1
	typeReceipt = 2
	typeBatch   = 3

	kindOther   = 0
	kindIntent  = 1
	kindOutcome = 2
	kindClose   = 3
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func kindOf(r *receipt.Receipt) byte {
	switch {
	case r.Kind == receipt.Intent:
		return kindIntent
	case r.Kind == receipt.Outcome:
		return kindOutcome
	case r.Kind == receipt.Boot && r.Note == receipt.NoteClose:
		return kindClose
	}
	return kindOther
}

// fits reports whether the frame says of its receipt what that says itself. A
// checksum is no signature: whoever can write the file can make one. SPEC LEDG-2.
func (f *frame) fits(r *receipt.Receipt) bool {
	var intent place
	if r.Intent != nil {
		intent = place{r.Intent.Epoch, r.Intent.Seq}
	}
	return f.epoch == r.Epoch && f.seq == r.Seq && f.timeMS == r.TimeMS && f.kind == kindOf(r) && f.intent == intent
}

// append adds the frame's bytes to b.
func (f *frame) append(b []byte) []byte {
	var h [frameSize]byte
	h[0], h[1], h[2], h[3] = 'W', 'r', f.typ, f.kind
	be := binary.BigEndian
	be.PutUint32(h[4:], uint32(len(f.payload)))
	be.PutUint32(h[12:], f.evLen)
	be.PutUint64(h[16:], f.epoch)
	be.PutUint64(h[24:], f.seq)
	be.PutUint64(h[32:], uint64(f.timeMS))
	be.PutUint64(h[40:], f.evOff)
	be.PutUint64(h[48:], f.intent.epoch)
	be.PutUint64(h[56:], f.intent.seq)
	be.PutUint64(h[64:], f.synced)
	be.PutUint32(h[8:], checksum(h[:], f.payload))
	return append(append(b, h[:]...), f.payload...)
}

// checksum is over all of the header but its place in it, and the payload.
func checksum(h, payload []byte) uint32 {
	c := crc32.Update(0, castagnoli, h[:8])
	c = crc32.Update(c, castagnoli, h[12:frameSize])
	return crc32.Update(c, castagnoli, payload)
}

func (f *frame) size() int64 { return frameSize + int64(len(f.payload)) }

// decode reads a header. It returns the length of the payload, or -1.
func (f *frame) decode(h []byte) int {
	be := binary.BigEndian
	n := be.Uint32(h[4:])
	if h[0] != 'W' || h[1] != 'r' || h[2] < typeHeader || h[2] > typeBatch || n > maxFrameBytes {
		return -1
	}
	*f = frame{
		typ: h[2], kind: h[3], evLen: be.Uint32(h[12:]),
		epoch: be.Uint64(h[16:]), seq: be.Uint64(h[24:]), timeMS: int64(be.Uint64(h[32:])), evOff: be.Uint64(h[40:]),
		intent: place{be.Uint64(h[48:]), be.Uint64(h[56:])}, synced: be.Uint64(h[64:]),
	}
	return int(n)
}

// errTorn says that at the reader's offset there is no whole frame.
var errTorn = errors.New("ledger: no whole frame here")

// A frameReader reads the frames of one file in order.
type frameReader struct {
	f   *os.File
	r   *bufio.Reader
	off int64 // of the next frame
	buf []byte
}

func newFrameReader(f *os.File, off int64) *frameReader {
	const ahead = 256 << 10
	return &frameReader{f: f, r: bufio.NewReaderSize(io.NewSectionReader(f, off, 1<<62), ahead), off: off}
}

// next reads the next frame into f. It returns io.EOF at the end of the file,
// errTorn if what is there is not a frame, or an error of reading.
func (r *frameReader) next(f *frame) error {
	var h [frameSize]byte
	if _, err := io.ReadFull(r.r, h[:]); err != nil {
		return short(err)
	}
	n := f.decode(h[:])
	if n < 0 {
		return errTorn
	}
	if cap(r.buf) < n {
		r.buf = make([]byte, max(n, 4<<10))
	}
	f.payload = r.buf[:n]
	if _, err := io.ReadFull(r.r, f.payload); err != nil {
		if errors.Is(err, io.EOF) {
			return errTorn
		}
		return short(err)
	}
	if checksum(h[:], f.payload) != binary.BigEndian.Uint32(h[8:]) { //guard:R57 frame-checksum
		return errTorn
	}
	r.off += f.size()
	return nil
}

// short tells a file that ends from one that cannot be read.
func short(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return errTorn
	}
	return err
}

// provenAfter reports whether a whole frame stands after off that was made when
// the byte at off was already on the disk: then what is wrong at off is not a
// write that a crash cut short. SPEC LEDG-4.
func provenAfter(f *os.File, off int64) (bool, error) {
	const step = 1 << 20
	var fr frame
	buf := make([]byte, step+frameSize)
	for base := off; ; base += step {
		n, err := f.ReadAt(buf, base)
		for i := 0; i+frameSize <= n && i < step; i++ {
			if buf[i] != 'W' || buf[i+1] != 'r' || fr.decode(buf[i:]) < 0 || fr.synced <= uint64(off) {
				continue
			}
			if newFrameReader(f, base+int64(i)).next(&fr) == nil {
				return true, nil
			}
		}
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
}
