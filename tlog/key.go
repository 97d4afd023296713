package tlog

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The types of note signatures. Source: C2SP signed-note, "Signature types".
const (
	noteEd25519     = 0x01
	noteCosignature = 0x04
)

// A Key verifies the notes of one log or witness: an Ed25519 key and its name.
// The zero Key verifies nothing.
type Key struct {
	name  string
	key   string // 32 bytes
	typ   byte
	valid bool
}

// NewKey returns the key by which the log of that name signs its checkpoints.
// Errors wrap [ErrKey]. The caller has checked that public is a sound point.
func NewKey(name string, public []byte) (Key, error) { return newKey(name, public, noteEd25519) }

// NewWitnessKey returns the key by which the witness of that name cosigns.
// Errors wrap [ErrKey].
func NewWitnessKey(name string, public []byte) (Key, error) {
	return newKey(name, public, noteCosignature)
}

func newKey(name string, public []byte, typ byte) (Key, error) {
	if !validName(name) {
		return Key{}, fmt.Errorf("%w: name of %d bytes is empty, too long, or has a space or +", ErrKey, len(name))
	}
	if len(public) != ed25519.PublicKeySize {
		return Key{}, fmt.Errorf("%w: %d bytes; want %d of Ed25519", ErrKey, len(public), ed25519.PublicKeySize)
	}
	return Key{name, string(public), typ, true}, nil
}

// validName reports whether name may be an origin or a key's name. The names
// that begin a cosigned message are barred, so that no checkpoint reads as one.
func validName(name string) bool {
	return name != "" && len(name) <= maxNameBytes && utf8.ValidString(name) &&
		!strings.ContainsFunc(name, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) || r == '+' }) &&
		name != "cosignature/v1"
}

// Name returns the name of the log or witness.
func (k Key) Name() string { return k.name }

// id returns the first four bytes of the key's hash with type typ.
func (k Key) id(typ byte) uint32 {
	h := sha256.Sum256([]byte(k.name + "\n" + string(typ) + k.key))
	return binary.BigEndian.Uint32(h[:])
}

// String returns the key as a vkey: name, key id and key, joined by '+'.
//
// Source: C2SP signed-note, "Verifier keys".
func (k Key) String() string {
	if !k.valid {
		return ""
	}
	b64 := base64.StdEncoding.EncodeToString([]byte(string(k.typ) + k.key))
	return fmt.Sprintf("%s+%08x+%s", k.name, k.id(k.typ), b64)
}

// ParseKey returns the key that String wrote as s. Errors wrap [ErrKey].
func ParseKey(s string) (Key, error) {
	name, rest, _ := strings.Cut(s, "+")
	id, b64, _ := strings.Cut(rest, "+")
	raw, err := base64.StdEncoding.Strict().DecodeString(b64)
	if err != nil || len(raw) == 0 || len(s) > 2*maxNameBytes {
		return Key{}, fmt.Errorf("%w: not a verifier key", ErrKey)
	}
	if raw[0] != noteEd25519 && raw[0] != noteCosignature {
		return Key{}, fmt.Errorf("%w: unknown type %d", ErrKey, raw[0])
	}
	k, err := newKey(name, raw[1:], raw[0])
	if err != nil {
		return Key{}, err
	}
	if n, err := strconv.ParseUint(id, 16, 32); err != nil || uint32(n) != k.id(k.typ) || k.String() != s {
		return Key{}, fmt.Errorf("%w: its id is another key's", ErrKey)
	}
	return k, nil
}

// A Signer signs with the Ed25519 private key of a Key. Implementations are safe
// for concurrent use.
type Signer interface {
	// Sign returns the 64 bytes of the signature over msg.
	Sign(msg []byte) ([]byte, error)
}
