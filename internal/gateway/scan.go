package gateway

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/writhq/writ/secret"
)

// ErrSecretSeen is returned by a [Scanner] that found the secret.
var ErrSecretSeen = fmt.Errorf("%w: the response holds the secret", ErrGateway)

// A Scanner looks for a secret in a stream, however it is cut: as it is, in
// base64 at each of its three offsets, in hexadecimal, percent-encoded, and
// reversed. It is not safe for concurrent use. Wipe it when the stream ends.
//
// It stops accidents and simple reflection, not a target that transforms the
// secret on purpose.
type Scanner struct {
	patterns [][]byte
	held     []byte // the end of what came so far, if a pattern may begin in it
}

// NewScanner returns a Scanner for the forms in which the secret is sent: the
// secret itself, and the same between prefix and suffix, such as user:secret in
// base64. A secret shorter than six bytes is not looked for.
func NewScanner(forms ...secret.Bytes) *Scanner {
	s := &Scanner{}
	for _, f := range forms {
		f.Use(func(b []byte) error {
			if len(b) >= minScannedSecret {
				s.add(b)
			}
			return nil
		})
	}
	return s
}

func (s *Scanner) add(b []byte) {
	s.pattern(bytes.Clone(b))
	s.pattern([]byte(hex.EncodeToString(b)))                                      //secret:string hex package takes no buffer of ours
	s.pattern(bytes.ToUpper([]byte(hex.EncodeToString(b))))                       //secret:string as above
	s.pattern([]byte(url.QueryEscape(string(b))))                                 //secret:string url package takes strings
	s.pattern([]byte(strings.ReplaceAll(url.QueryEscape(string(b)), "+", "%20"))) //secret:string url package takes strings
	rev := bytes.Clone(b)
	slices.Reverse(rev)
	s.pattern(rev)
	for off := range 3 {
		for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			s.pattern(base64At(enc, b, off))
		}
	}
}

// base64At returns the characters that b gives in base64 wherever it begins at
// an offset of off modulo 3, without those that its neighbours take part in.
func base64At(enc *base64.Encoding, b []byte, off int) []byte {
	padded := append(make([]byte, off), b...)
	defer clear(padded)
	out := make([]byte, enc.EncodedLen(len(padded)))
	enc.Encode(out, padded)
	from := (off*8 + 5) / 6
	to := len(out)
	if len(padded)%3 != 0 {
		to-- // the last character has bits of what follows
	}
	return out[from:to]
}

func (s *Scanner) pattern(p []byte) {
	if len(p) >= minScannedSecret && !slices.ContainsFunc(s.patterns, func(q []byte) bool { return bytes.Equal(p, q) }) {
		s.patterns = append(s.patterns, p)
	}
}

// Next takes the next bytes of the stream and returns those that can be passed
// on: all, but for an end in which a form of the secret may begin. The result is
// valid until the next call. It returns [ErrSecretSeen] if a form is whole.
func (s *Scanner) Next(b []byte) ([]byte, error) {
	data := b
	if len(s.held) > 0 {
		data = append(s.held, b...)
	}
	for _, p := range s.patterns {
		if bytes.Contains(data, p) { //guard:R2 scan-stream
			return nil, ErrSecretSeen
		}
	}
	keep := s.partial(data)
	out := data[:len(data)-keep]
	s.held = bytes.Clone(data[len(data)-keep:])
	return out, nil
}

// Rest returns what is held at the end of the stream.
func (s *Scanner) Rest() []byte {
	r := s.held
	s.held = nil
	return r
}

// partial returns the length of the longest end of data that is the beginning of
// a pattern.
func (s *Scanner) partial(data []byte) int {
	longest := 0
	for _, p := range s.patterns {
		for k := min(len(p)-1, len(data)); k > longest; k-- {
			if data[len(data)-k] == p[0] && bytes.HasPrefix(p, data[len(data)-k:]) {
				longest = k
			}
		}
	}
	return longest
}

// Text returns [ErrSecretSeen] if a form of the secret is in t: a header, an
// error.
func (s *Scanner) Text(t string) error {
	for _, p := range s.patterns {
		if strings.Contains(t, string(p)) { //guard:R2 scan-text
			return ErrSecretSeen
		}
	}
	return nil
}

// Wipe overwrites the forms of the secret.
func (s *Scanner) Wipe() {
	for _, p := range s.patterns {
		clear(p)
	}
	s.patterns = nil
}

// IsSecretSeen reports whether err is a Scanner's.
func IsSecretSeen(err error) bool { return errors.Is(err, ErrSecretSeen) }
