package demo

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A place is somewhere the real key must not be.
type place struct {
	name string
	data []byte
}

// streams returns what the holders have and what they received.
func (s *story) streams() []place {
	var out []place
	for i, h := range s.holders {
		h.wire.mu.Lock()
		got := bytes.Clone(h.wire.got.Bytes())
		h.wire.mu.Unlock()
		out = append(out, place{fmt.Sprintf("what holder %d received", i+1), got},
			place{fmt.Sprintf("the credential of holder %d", i+1), h.chain.Bytes()},
			place{fmt.Sprintf("the credential of holder %d as text", i+1), []byte(h.chain.Text())})
	}
	if s.reports != nil {
		out = append(out, place{"what psql printed", s.printed}, place{"the credential of reports", s.reports.Bytes()}, place{"the credential of reports as text", []byte(s.reports.Text())})
	}
	return out
}

// files returns every file of a folder, as a place; for the kept one the gate's log
// is among them.
func files(dir string) (out []place, err error) {
	err = fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := fs.ReadFile(os.DirFS(dir), name)
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
		"url": []byte(url.QueryEscape(text)), "path": []byte(url.PathEscape(text)), "reversed": rev,
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

// sightings counts the forms of key that are found in the places; where says in
// which.
func sightings(places []place, key []byte) (n int, where []string) {
	all := forms(key)
	for _, p := range places {
		before := n
		for _, f := range all {
			if bytes.Contains(p.data, f) {
				n++
			}
		}
		if n > before {
			where = append(where, p.name)
		}
	}
	return n, where
}

// search looks for key in the files of a folder and in the streams.
func search(dir string, streams []place, key []byte) (places, n int, where []string, err error) {
	all, err := files(dir)
	if err != nil {
		return 0, 0, nil, err
	}
	all = append(all, streams...)
	n, where = sightings(all, key)
	return len(all), n, where, nil
}

// control plants another key in a copy of the folder's files and in a copy of each
// stream, in one writing after the other, and returns how many were planted and
// how many the search found: a search that finds nothing shows something only if
// it would find what is there.
func control(dir string, streams []place, other []byte) (planted, found int, err error) {
	top, err := os.MkdirTemp("", "writ-demo-control-")
	if err != nil {
		return 0, 0, err
	}
	defer os.RemoveAll(top)
	for i, w := range writings(other) {
		fake := filepath.Join(top, strconv.Itoa(i))
		if err := os.CopyFS(fake, os.DirFS(dir)); err != nil {
			return 0, 0, err
		}
		all, err := files(fake)
		if err != nil {
			return 0, 0, err
		}
		for _, p := range all {
			if err := os.WriteFile(filepath.Join(fake, p.name), plant(p.data, w), 0o600); err != nil {
				return 0, 0, err
			}
		}
		var grown []place
		for _, p := range streams {
			grown = append(grown, place{p.name, plant(p.data, w)})
		}
		_, _, where, err := search(fake, grown, other)
		if err != nil {
			return 0, 0, err
		}
		planted += len(all) + len(streams)
		found += len(where)
	}
	return planted, found, nil
}

// plant returns data with w in the midst of it.
func plant(data, w []byte) []byte {
	at := len(data) / 2
	return slices.Concat(data[:at], w, data[at:])
}

// writings returns key as programs write it. It shares nothing with forms, or what
// is wrong there would be wrong here.
func writings(key []byte) [][]byte {
	text := string(key)
	var backwards []byte
	for i := range key {
		backwards = append(backwards, key[len(key)-1-i])
	}
	out := [][]byte{
		bytes.Clone(key), fmt.Appendf(nil, "%x", key), fmt.Appendf(nil, "%X", key), backwards,
		[]byte(url.Values{"key": {text}}.Encode()), []byte("/" + url.PathEscape(text) + "/"),
		[]byte(text[:len(text)/2] + "\r\n2a\r\n" + text[len(text)/2:]), // in two chunks of HTTP
	}
	for _, before := range []string{"", "u", "u:"} { // each place that base64 can begin at
		for _, after := range []string{"", "\n"} {
			whole := []byte(before + text + after)
			out = append(out, []byte(base64.StdEncoding.EncodeToString(whole)), []byte(base64.URLEncoding.EncodeToString(whole)))
		}
	}
	return out
}
