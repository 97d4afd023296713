package demo

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"io/fs"
	"net/url"
	"os"
	"slices"
	"strings"
)

// A place is somewhere the real key must not be.
type place struct {
	name string
	data []byte
}

// places returns everything that the holders received, and every file of the
// kept folder, the gate's log among them.
func (w *world) places(received []byte) ([]place, error) {
	out := []place{{"all that the holders received", received}}
	err := fs.WalkDir(os.DirFS(w.dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := fs.ReadFile(os.DirFS(w.dir), name)
		out = append(out, place{name, b})
		return err
	})
	return out, err
}

// forms returns the ways in which key could be seen. Each is bytes that stand
// together; the halves of the key are how it is seen when it is split.
func forms(key []byte) map[string][]byte {
	text := string(key) //secret:string the demo's own key, made to be searched for
	rev := bytes.Clone(key)
	slices.Reverse(rev)
	m := map[string][]byte{
		"raw": key, "hex": []byte(hex.EncodeToString(key)), "HEX": []byte(strings.ToUpper(hex.EncodeToString(key))),
		"url": []byte(url.QueryEscape(text)), "reversed": rev,
		"first half": key[:len(key)/2], "second half": key[len(key)/2:],
	}
	for off := range 3 {
		for name, enc := range map[string]*base64.Encoding{"base64": base64.RawStdEncoding, "base64url": base64.RawURLEncoding} {
			b := []byte(enc.EncodeToString(append(make([]byte, off), key...)))
			end := len(b)
			if (off+len(key))%3 != 0 {
				end--
			}
			m[name+string(rune('0'+off))] = b[(off*8+5)/6 : end]
		}
	}
	return m
}

// sightings counts the forms of key that are found in the places.
func sightings(places []place, key []byte) int {
	n := 0
	for _, p := range places {
		for _, f := range forms(key) {
			if bytes.Contains(p.data, f) {
				n++
			}
		}
	}
	return n
}

// control plants each form of another key in each place, one at a time, and
// returns how many were planted and how many the search found: a search that
// finds nothing shows something only if it would find what is there.
func control(places []place, other []byte) (planted, found int) {
	for _, p := range places {
		for name, f := range forms(other) {
			at := len(p.data) / 2
			data := slices.Concat(p.data[:at], f, p.data[at:])
			planted++
			if bytes.Contains(data, forms(other)[name]) && sightings([]place{{p.name, data}}, other) > 0 {
				found++
			}
		}
	}
	return planted, found
}
