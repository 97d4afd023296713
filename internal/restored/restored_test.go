package restored_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/writhq/writ/internal/restored"
)

func open(t *testing.T, dir string) *restored.Mark {
	t.Helper()
	m, err := restored.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// The mark holds until it is lifted, whoever opens the folder meanwhile; it is not
// lifted without a record. SPEC CTRL-21.
//
// guard: lift-recorded
func TestMark(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if m := open(t, dir); m.Held() != "" {
		t.Error("a folder without mark is held")
	} else if was, err := m.Lift(func() error { return errors.New("called") }); was || err != nil {
		t.Errorf("there was nothing to lift: %v, %v", was, err)
	}
	if err := restored.Put(dir); err != nil {
		t.Fatal(err)
	}
	if err := restored.Put(dir); !errors.Is(err, restored.ErrMark) {
		t.Errorf("a second mark: %v", err)
	}
	m, full := open(t, dir), errors.New("the disk is full")
	if was, err := m.Lift(func() error { return full }); was || !errors.Is(err, full) || m.Held() == "" || open(t, dir).Held() == "" {
		t.Errorf("without a record: %v, %v", was, err)
	}
	var during string
	was, err := m.Lift(func() error { // killed here, the next start finds the mark
		during = open(t, dir).Held()
		return nil
	})
	if !was || err != nil || during == "" || m.Held() != "" || open(t, dir).Held() != "" {
		t.Errorf("lifted: %v, %v; during that %q", was, err, during)
	}
	if was, err := m.Lift(func() error { return full }); was || err != nil {
		t.Errorf("once more: %v, %v", was, err)
	}
}

// A folder of which nobody can say whether it is marked does not open.
func TestUnknown(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := restored.Open(file); !errors.Is(err, restored.ErrMark) {
		t.Errorf("a file in the folder's place: %v", err)
	}
}
