package server_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/writhq/writ/internal/server"
	"github.com/writhq/writ/internal/testkit"
)

var update = flag.Bool("update", false, "write vectors/backup from the cases in this package")

const membersFile = "../../vectors/backup/members.json"

// A membersVector is what a tar has in it, and whether that is a backup.
type membersVector struct {
	Name    string           `json:"name"`
	Members []testkit.Member `json:"members"`
	Error   string           `json:"error,omitempty"` // backup
}

type membersVectors struct {
	Format string          `json:"format"`
	Cases  []membersVector `json:"cases"`
}

func membersCases() membersVectors {
	f := membersVectors{Format: "members of backups"}
	files := func(names ...string) (out []testkit.Member) {
		for _, n := range names {
			out = append(out, testkit.Member{Name: n, Size: 1})
		}
		return out
	}
	const first = "ledger/00000001."
	whole := files("ledger/checkpoint", first+"key", first+"wal", first+"evd", "ledger/00000002.key", "ledger/00000002.wal", "ledger/00000002.evd", "keyring", "root.json", "writ.db")
	put := func(failure, name string, m ...testkit.Member) {
		f.Cases = append(f.Cases, membersVector{name, m, failure})
	}
	put("", "whole", whole...)
	put("", "in another order", files("writ.db", "keyring", first+"wal")...)
	put("", "of a gate that never ran", files("keyring", "writ.db")...)
	put("", "an empty member", testkit.Member{Name: first + "evd"}, whole[7], whole[9])
	put("", "a long number", append(files("ledger/123456789012.wal"), whole...)...)
	put("backup", "nothing")
	put("backup", "without keyring", files("root.json", "writ.db")...)
	put("backup", "without store", files("root.json", "keyring")...)
	put("backup", "a member of a hole", append([]testkit.Member{{Name: "keyring", Hole: 1 << 20}}, files("writ.db", "root.json")...)...)
	put("backup", "a member twice", append(files("keyring"), whole...)...)
	for _, name := range []string{
		"../stranger", "ledger/../../stranger", "/stranger", "./keyring", "ledger/../keyring", "stranger", "ledger/stranger", "ledger/lock", "control.sock", "writ.db-wal", "keyring.old",
		"ledger/tree.0", "ledger/00000001.tmp", "ledger/x.wal", "ledger/.wal", "ledger/00000001.wal/x", "LEDGER/00000001.wal", "keyring\n", "ledger\\00000001.wal", "",
	} {
		put("backup", fmt.Sprintf("a member %q", name), append(files(name), whole...)...)
	}
	for _, m := range []testkit.Member{
		{Name: "keyring", Type: "2", Link: "stranger"}, {Name: "keyring", Type: "1", Link: "writ.db"}, {Name: "ledger", Type: "5"}, {Name: "ledger/", Type: "5"},
		{Name: "keyring", Type: "6"}, {Name: "keyring", Type: "3"},
	} {
		put("backup", "type "+m.Type+" "+m.Name, append([]testkit.Member{m}, files("writ.db", "root.json")...)...)
	}
	return f
}

var restored = regexp.MustCompile(`^(?:\.|restored|ledger|keyring|root\.json|writ\.db|ledger/(?:checkpoint|[0-9]+\.(?:wal|evd|key)))$`)

// restore restores b below a folder of its own, and fails the test if what is
// written is not a backup's, or stands anywhere else.
func restore(t testing.TB, b []byte) error {
	t.Helper()
	base := t.TempDir()
	err := server.Restore(bytes.NewReader(b), filepath.Join(base, "data"))
	if err != nil && !errors.Is(err, server.ErrServer) {
		t.Errorf("an error of another package: %v", err)
	}
	files, total := map[string]bool{}, int64(0)
	walk := fs.WalkDir(os.DirFS(base), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == "." {
			return err
		}
		name, below := strings.CutPrefix(path, "data/")
		if path != "data" && (!below || !restored.MatchString(name)) {
			t.Errorf("%q was written", path)
		}
		if files[name] = true; !d.IsDir() {
			st, err := d.Info()
			if err != nil || !st.Mode().IsRegular() || st.Mode().Perm() != 0o600 {
				t.Errorf("%q is a %v: %v", path, st, err)
				return err
			}
			total += st.Size()
		}
		return nil
	})
	if walk != nil {
		t.Fatal(walk)
	}
	if err == nil && (!files["keyring"] || !files["writ.db"]) {
		t.Error("half a backup was restored")
	}
	if total > int64(len(b)) {
		t.Errorf("%d bytes out of %d", total, len(b))
	}
	return err
}

// TestRestoreVectors restores what vectors/backup/members.json lists.
//
// SPEC CTRL-15
// guard: restore-names
func TestRestoreVectors(t *testing.T) {
	t.Parallel()
	refused := 0
	for _, v := range testkit.Vectors(t, *update, membersFile, membersCases()).Cases {
		if err := restore(t, testkit.Tar(t, v.Members)); (err != nil) != (v.Error != "") {
			t.Errorf("%s: %v", v.Name, err)
		}
		if v.Error != "" {
			refused++
		}
	}
	if refused < 25 {
		t.Errorf("%d refused", refused)
	}
}

// FuzzRestore: whatever a tar holds, nothing is written but the files of a backup,
// and no more bytes than there are in the tar.
func FuzzRestore(f *testing.F) {
	var v membersVectors
	testkit.ReadVectors(f, membersFile, &v)
	for _, c := range v.Cases {
		f.Add(testkit.Tar(f, c.Members))
	}
	f.Fuzz(func(t *testing.T, b []byte) { _ = restore(t, b) })
}
