package house

import (
	"bytes"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"
)

// The patterns are written so that they do not match themselves.
var (
	// machine finds paths of the machine that somebody worked on, and the hosts
	// that its tools download from.
	machine = regexp.MustCompile(`(?:^|[^A-Za-z0-9_./-])/(?:work|farm|root|tmp)/[A-Za-z0-9._-]` +
		`|\b(?:proxy|sum)[.]golang[.]org\b|\bregistry[.]npmjs[.]org\b|\b(?:files[.])?pypi[.]org\b`)
	// unfinished finds what says that code is not done.
	unfinished = regexp.MustCompile(`\b(?:TO[D]O|FIX[M]E|X[X]X)\b`)
)

// words checks that no tracked text file names one machine's paths, and that no
// Go file other than a test says that it is unfinished. It also returns how
// many files it read.
func words(fsys fs.FS) (found []Finding, n int, err error) {
	err = Walk(fsys, func(name string) error {
		src, err := fs.ReadFile(fsys, name)
		if err != nil || bytes.IndexByte(src, 0) >= 0 {
			return err
		}
		n++
		code := path.Ext(name) == ".go" && !strings.HasSuffix(name, "_test.go")
		for i, line := range strings.Split(string(src), "\n") {
			if m := machine.FindString(line); m != "" {
				found = append(found, Finding{name, i + 1, fmt.Sprintf("%q belongs to one machine", m)})
			}
			if m := unfinished.FindString(line); code && m != "" {
				found = append(found, Finding{name, i + 1, fmt.Sprintf("%q: finish it, or open an issue", m)})
			}
		}
		return nil
	})
	return sorted(found), n, err
}
