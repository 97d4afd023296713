package testkit

import (
	"archive/tar"
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// A Member is one member of a tar, as vectors list it. Its content is so many
// letters x.
type Member struct {
	Name string `json:"name"`
	Type string `json:"type,omitempty"` // the tar's type flag; "": a regular file
	Link string `json:"link,omitempty"`
	Size int    `json:"size,omitempty"`
	Hole int    `json:"hole,omitempty"` // instead of content: so many bytes of zero that are not in the tar
}

// Tar returns a tar of the members.
func Tar(t testing.TB, members []Member) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, m := range members {
		if m.Hole > 0 {
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
			b.Write(m.sparse())
			continue
		}
		h := &tar.Header{Name: m.Name, Typeflag: tar.TypeReg, Linkname: m.Link, Size: int64(m.Size), Mode: 0o600}
		if m.Type != "" {
			h.Typeflag = m.Type[0]
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(bytes.Repeat([]byte("x"), m.Size)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// sparse returns m as a sparse member, which package tar reads and does not write.
// Source: GNU tar, "Storing Sparse Files", PAX format version 1.0.
func (m Member) sparse() (b []byte) {
	block := func(typ byte, name, content string) {
		h := make([]byte, 512)
		copy(h, name)
		copy(h[100:], fmt.Sprintf("%07o\x00%07o\x00%07o\x00%011o\x00%011o\x00        ", 0o600, 0, 0, len(content), 0))
		h[156] = typ
		copy(h[257:], "ustar\x0000")
		sum := 0
		for _, c := range h {
			sum += int(c)
		}
		copy(h[148:], fmt.Sprintf("%06o\x00 ", sum))
		b = append(append(b, h...), content...)
		b = append(b, make([]byte, -len(b)&511)...)
	}
	var records strings.Builder
	for _, r := range []string{"GNU.sparse.major=1", "GNU.sparse.minor=0", "GNU.sparse.name=" + m.Name, fmt.Sprintf("GNU.sparse.realsize=%d", m.Hole)} {
		fmt.Fprintf(&records, "%d %s\n", len(r)+4, r) // two digits, a space and a line's end
	}
	block('x', "records", records.String())
	block('0', m.Name, "0\n"+strings.Repeat("\x00", 510)) // a map of no parts
	return b
}
