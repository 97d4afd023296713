package records

import (
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/writhq/writ/internal/testkit"
)

var update = flag.Bool("update", false, "write vectors/audit from the cases in this package")

const bundleFile = "../../../vectors/audit/bundle.json"

// A bundleVector is what a tar has in it, and whether an auditor takes it for a
// bundle.
type bundleVector struct {
	Name    string           `json:"name"`
	Members []testkit.Member `json:"members"`
	Error   string           `json:"error,omitempty"` // bundle
}

type bundleVectors struct {
	Format string         `json:"format"`
	Cases  []bundleVector `json:"cases"`
}

func bundleCases() bundleVectors {
	f := bundleVectors{Format: "members of bundles for an audit"}
	whole := func() (out []testkit.Member) {
		for i, name := range []string{"roots.json", "head.txt", "entries.jsonl", "receipts.export", "evidence.jsonl"} {
			out = append(out, testkit.Member{Name: name, Size: i})
		}
		return out
	}
	put := func(failure, name string, change func([]testkit.Member) []testkit.Member) {
		f.Cases = append(f.Cases, bundleVector{name, change(whole()), failure})
	}
	put("", "whole", func(m []testkit.Member) []testkit.Member { return m })
	put("bundle", "nothing", func([]testkit.Member) []testkit.Member { return nil })
	put("bundle", "the end left out", func(m []testkit.Member) []testkit.Member { return m[:4] })
	put("bundle", "the begin left out", func(m []testkit.Member) []testkit.Member { return m[1:] })
	put("bundle", "another order", func(m []testkit.Member) []testkit.Member { m[0], m[1] = m[1], m[0]; return m })
	put("bundle", "a member twice", func(m []testkit.Member) []testkit.Member { return slices.Insert(m, 1, m[0]) })
	put("bundle", "a member more", func(m []testkit.Member) []testkit.Member { return append(m, testkit.Member{Name: "stranger"}) })
	put("bundle", "a member of a hole", func(m []testkit.Member) []testkit.Member { m[4].Hole = 1 << 20; return m })
	for _, name := range []string{"../roots.json", "/roots.json", "./roots.json", "x/roots.json", "ROOTS.JSON", "roots.json\n", ""} {
		put("bundle", "a member "+name, func(m []testkit.Member) []testkit.Member { m[0].Name = name; return m })
	}
	for _, typ := range []string{"1", "2", "3", "5", "6"} {
		put("bundle", "a member of type "+typ, func(m []testkit.Member) []testkit.Member {
			m[0].Type = typ
			if typ < "3" {
				m[0].Link = "../stranger"
			}
			return m
		})
	}
	return f
}

// unbundle unpacks b into a folder of its own, and fails the test if it writes more
// than b has, or anything but the parts.
func unbundle(t testing.TB, b []byte) (dir string, err error) {
	t.Helper()
	base := t.TempDir()
	file, dir := filepath.Join(base, "b.tar"), filepath.Join(base, "parts")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	err = unpack(file, dir)
	total := int64(0)
	walk := fs.WalkDir(os.DirFS(base), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && (path == "." || path == "parts") || path == "b.tar" {
			return err
		}
		st, err := d.Info()
		if err != nil || !st.Mode().IsRegular() || filepath.Dir(path) != "parts" || !slices.Contains(parts, filepath.Base(path)) {
			t.Errorf("%s was written: %v", path, err)
			return err
		}
		total += st.Size()
		return nil
	})
	if walk != nil {
		t.Fatal(walk)
	}
	if total > int64(len(b)) {
		t.Errorf("%d bytes out of %d", total, len(b))
	}
	return dir, err
}

// TestBundleVectors unpacks what vectors/audit/bundle.json lists.
//
// SPEC AUDIT-4
// guard: bundle-parts
func TestBundleVectors(t *testing.T) {
	t.Parallel()
	refused := 0
	for _, v := range testkit.Vectors(t, *update, bundleFile, bundleCases()).Cases {
		if _, err := unbundle(t, testkit.Tar(t, v.Members)); (err != nil) != (v.Error != "") {
			t.Errorf("%s: %v", v.Name, err)
		}
		if v.Error != "" {
			refused++
		}
	}
	if refused < 15 {
		t.Errorf("%d refused", refused)
	}
}

// FuzzBundle: whatever an operator hands out as a bundle, an auditor writes its parts
// and nothing else, and counts each decision of a ledger that verifies once.
func FuzzBundle(f *testing.F) {
	var v bundleVectors
	testkit.ReadVectors(f, bundleFile, &v)
	for _, c := range v.Cases {
		f.Add(testkit.Tar(f, c.Members))
	}
	g, sh := newWorld(f)
	dir, file := f.TempDir(), filepath.Join(f.TempDir(), "genuine.tar")
	if err := fetch(f.Context(), sh, dir); err != nil {
		f.Fatal(err)
	}
	if err := pack(dir, file); err != nil {
		f.Fatal(err)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		dir, err := unbundle(t, b)
		if err != nil {
			return
		}
		r := &replay{pin: g.Root.Zone(), dir: dir}
		if r.run() != nil {
			return
		}
		if n := r.Recomputed + r.Counted + r.GateWord + r.Missing + len(r.Differ); n != r.Decisions || r.HolderSigned > r.Decisions {
			t.Errorf("%d of %d decisions are accounted for: %+v", n, r.Decisions, r)
		}
	})
}
