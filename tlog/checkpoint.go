package tlog

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A Checkpoint is a signed head as it was received. Nothing in it is trusted
// until [Checkpoint.Verify].
//
// Source: C2SP tlog-checkpoint, signed-note.
type Checkpoint struct {
	head       Head
	text       string // the note's text, with its last newline
	extensions []string
	signatures []noteSignature
}

type noteSignature struct {
	name string
	id   uint32
	sig  []byte
}

const signaturePrefix = "— "

// body returns the note's text for h.
func body(h Head) string {
	return h.Origin + "\n" + strconv.FormatUint(h.Size, 10) + "\n" + h.Root.String() + "\n"
}

// SignCheckpoint returns the checkpoint of h, signed by s with the private key
// of k, whose name must be h's origin. If h.Time is not zero, a second signature
// line by the same key attests the time, in the form of a cosignature. Errors
// wrap [ErrKey] or [ErrForm], or are s's. SPEC TLOG-5, TLOG-6.
func SignCheckpoint(h Head, k Key, s Signer) (*Checkpoint, error) {
	if k.name != h.Origin || k.typ != noteEd25519 {
		return nil, fmt.Errorf("%w: want a log's key with the name of the origin", ErrKey)
	}
	if h.Size > maxSize || h.Time < 0 {
		return nil, fmt.Errorf("%w: head: size or time out of range", ErrForm)
	}
	c := &Checkpoint{head: Head{Origin: h.Origin, Size: h.Size, Root: h.Root}, text: body(h)}
	sig, err := s.Sign([]byte(c.text))
	if err != nil {
		return nil, fmt.Errorf("sign checkpoint: %w", err)
	}
	c.signatures = append(c.signatures, noteSignature{k.name, k.id(noteEd25519), sig})
	if h.Time != 0 {
		if err := c.cosign(h.Time, k, s); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// Cosign adds the cosignature of a witness at a time in Unix seconds, above
// zero. The witness has checked that c's head follows from the one before.
//
// Source: C2SP tlog-cosignature, "Ed25519 signed message". SPEC TLOG-6.
func (c *Checkpoint) Cosign(unix int64, k Key, s Signer) error {
	if k.typ != noteCosignature {
		return fmt.Errorf("%w: want a witness's key", ErrKey)
	}
	if unix <= 0 {
		return fmt.Errorf("%w: cosignature without a time", ErrForm)
	}
	return c.cosign(unix, k, s)
}

func (c *Checkpoint) cosign(unix int64, k Key, s Signer) error {
	sig, err := s.Sign(c.cosigned(uint64(unix)))
	if err != nil {
		return fmt.Errorf("cosign checkpoint: %w", err)
	}
	stamped := append(binary.BigEndian.AppendUint64(nil, uint64(unix)), sig...)
	id := k.id(noteCosignature)
	c.signatures = slices.DeleteFunc(c.signatures, func(o noteSignature) bool { return o.name == k.name && o.id == id })
	c.signatures = append(c.signatures, noteSignature{k.name, id, stamped})
	return nil
}

// cosigned returns what a cosignature at a time signs.
func (c *Checkpoint) cosigned(unix uint64) []byte {
	return []byte("cosignature/v1\ntime " + strconv.FormatUint(unix, 10) + "\n" + c.text)
}

// Encode returns c as a signed note.
func (c *Checkpoint) Encode() []byte {
	var b bytes.Buffer
	b.WriteString(c.text)
	b.WriteByte('\n')
	for _, s := range c.signatures {
		raw := append(binary.BigEndian.AppendUint32(nil, s.id), s.sig...)
		b.WriteString(signaturePrefix + s.name + " " + base64.StdEncoding.EncodeToString(raw) + "\n")
	}
	return b.Bytes()
}

// ParseCheckpoint returns the checkpoint that Encode wrote as b; at most 64 KiB,
// 64 signatures and 16 extension lines. It checks no signature. Errors wrap
// [ErrForm]. SPEC TLOG-5.
func ParseCheckpoint(b []byte) (*Checkpoint, error) {
	if len(b) > maxNoteBytes {
		return nil, fmt.Errorf("%w: checkpoint of %d bytes; at most %d", ErrForm, len(b), maxNoteBytes)
	}
	text, sigs, ok := strings.Cut(string(b), "\n\n")
	if !ok || sigs == "" {
		return nil, fmt.Errorf("%w: checkpoint without signatures", ErrForm)
	}
	c := &Checkpoint{text: text + "\n"}
	if err := c.parseText(strings.Split(text, "\n")); err != nil {
		return nil, err
	}
	lines := strings.Split(strings.TrimSuffix(sigs, "\n"), "\n")
	if len(lines) > maxNoteSignatures {
		return nil, fmt.Errorf("%w: checkpoint with %d signatures; at most %d", ErrForm, len(lines), maxNoteSignatures)
	}
	for i, line := range lines {
		s, err := parseSignature(line)
		if err != nil {
			return nil, fmt.Errorf("%w: checkpoint: signature %d", err, i)
		}
		c.signatures = append(c.signatures, s)
	}
	if !bytes.Equal(c.Encode(), b) { //guard:R57 checkpoint-roundtrip
		return nil, fmt.Errorf("%w: checkpoint: differs from its own encoding", ErrForm)
	}
	return c, nil
}

func (c *Checkpoint) parseText(lines []string) error {
	if len(lines) < 3 || len(lines) > 3+maxNoteExtensions || !validName(lines[0]) {
		return fmt.Errorf("%w: checkpoint: origin, or number of lines", ErrForm)
	}
	size, err := strconv.ParseUint(lines[1], 10, 62)
	if err != nil || size > maxSize {
		return fmt.Errorf("%w: checkpoint: size", ErrForm)
	}
	root, err := base64.StdEncoding.Strict().DecodeString(lines[2])
	if err != nil || len(root) != len(Hash{}) {
		return fmt.Errorf("%w: checkpoint: root", ErrForm)
	}
	c.head = Head{Origin: lines[0], Size: size, Root: Hash(root)}
	if !strings.HasPrefix(c.text, body(c.head)) {
		return fmt.Errorf("%w: checkpoint: size or root in another spelling", ErrForm)
	}
	for _, e := range lines[3:] {
		if e == "" || strings.ContainsFunc(e, func(r rune) bool { return r < ' ' || r == '\ufffd' }) {
			return fmt.Errorf("%w: checkpoint: extension line", ErrForm)
		}
	}
	c.extensions = lines[3:]
	return nil
}

func parseSignature(line string) (noteSignature, error) {
	rest, ok := strings.CutPrefix(line, signaturePrefix)
	name, b64, ok2 := strings.Cut(rest, " ")
	raw, err := base64.StdEncoding.Strict().DecodeString(b64)
	if !ok || !ok2 || err != nil || len(raw) < 5 || !validName(name) {
		return noteSignature{}, ErrForm
	}
	return noteSignature{name, binary.BigEndian.Uint32(raw), raw[4:]}, nil
}

// HeadUnverified returns what c says, without checking who signed it.
func (c *Checkpoint) HeadUnverified() Head { return c.head }

// Verify returns c's head if k, the key of c's log, signed it. Head.Time is set
// if the log attests one. Errors wrap [ErrSignature]. SPEC TLOG-5.
func (c *Checkpoint) Verify(k Key) (Head, error) {
	if k.name != c.head.Origin || k.typ != noteEd25519 { //guard:R57 checkpoint-origin
		return Head{}, fmt.Errorf("%w: checkpoint is not of this log", ErrSignature)
	}
	id := k.id(noteEd25519)
	signed := slices.ContainsFunc(c.signatures, func(s noteSignature) bool {
		return s.name == k.name && s.id == id && k.verify([]byte(c.text), s.sig)
	})
	if !signed { //guard:R57 checkpoint-signature
		return Head{}, fmt.Errorf("%w: checkpoint", ErrSignature)
	}
	h := c.head
	if t, ok := c.attested(k); ok {
		h.Time = t
	}
	return h, nil
}

// VerifyWitness returns when the witness with key k cosigned c, in Unix seconds.
// Errors wrap [ErrSignature]. SPEC TLOG-6.
func (c *Checkpoint) VerifyWitness(k Key) (int64, error) {
	t, ok := c.attested(k)
	if k.typ != noteCosignature || !ok { //guard:R57 witness-signature
		return 0, fmt.Errorf("%w: checkpoint: no cosignature", ErrSignature)
	}
	return t, nil
}

// attested returns the newest time at which k cosigned c.
func (c *Checkpoint) attested(k Key) (newest int64, ok bool) {
	id := k.id(noteCosignature)
	for _, s := range c.signatures {
		if s.name != k.name || s.id != id || len(s.sig) != 8+ed25519.SignatureSize {
			continue
		}
		at := binary.BigEndian.Uint64(s.sig)
		if at == 0 || at > 1<<62 || !k.verify(c.cosigned(at), s.sig[8:]) {
			continue
		}
		newest, ok = max(newest, int64(at)), true
	}
	return newest, ok
}

func (k Key) verify(msg, sig []byte) bool {
	return k.valid && len(sig) == ed25519.SignatureSize && ed25519.Verify(ed25519.PublicKey(k.key), msg, sig)
}
