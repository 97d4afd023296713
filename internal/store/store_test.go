package store_test

import (
	"database/sql"
	"errors"
	"path/filepath"
	"testing"

	"github.com/writhq/writ/internal/store"
	"github.com/writhq/writ/internal/store/storetest"
)

func TestFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "a.db")
	storetest.Run(t, func(t *testing.T) store.Store {
		s, err := store.OpenFile(t.Context(), file)
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}

// TestNewerSchema shows that what a newer program wrote is not touched.
//
// guard: store-newer
func TestNewerSchema(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "a.db")
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("PRAGMA user_version = 2"); err != nil {
		t.Fatal(err)
	}
	db.Close()
	if s, err := store.OpenFile(t.Context(), file); !errors.Is(err, store.ErrNewer) || s != nil {
		t.Errorf("open: %v", err)
	}
}
