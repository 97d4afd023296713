// Package storetest is what every store must do.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/writhq/writ/internal/store"
)

// Run checks a store. open returns the store of one place, which is empty at
// first; opening it again after Close finds what was committed.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	ctx := t.Context()
	s := open(t)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	get := func(k string) (v string, ok bool) {
		t.Helper()
		must(s.View(ctx, func(tx store.Tx) error {
			b, found, err := tx.Get("b", []byte(k))
			v, ok = string(b), found
			return err
		}))
		return v, ok
	}
	must(s.Update(ctx, func(tx store.Tx) error {
		return errors.Join(tx.Put("b", []byte("k"), []byte("v")), tx.Insert("b", []byte("l"), nil), tx.Put("c", []byte("k"), []byte("other")))
	}))
	if v, ok := get("k"); !ok || v != "v" {
		t.Errorf("get: %q, %v", v, ok)
	}
	boom := errors.New("boom")
	if err := s.Update(ctx, func(tx store.Tx) error { return errors.Join(tx.Put("b", []byte("k"), []byte("w")), boom) }); !errors.Is(err, boom) {
		t.Errorf("the function's error: %v", err)
	}
	if v, _ := get("k"); v != "v" {
		t.Errorf("a failed update left %q", v)
	}
	if err := s.Update(ctx, func(tx store.Tx) error { return tx.Insert("b", []byte("k"), nil) }); !errors.Is(err, store.ErrExists) {
		t.Errorf("insert of a key that is there: %v", err)
	}
	if err := s.View(ctx, func(tx store.Tx) error { return tx.Put("b", []byte("x"), nil) }); !errors.Is(err, store.ErrReadOnly) {
		t.Errorf("write in a view: %v", err)
	}
	if err := s.Update(ctx, func(tx store.Tx) error { return tx.Put("b", nil, nil) }); err == nil {
		t.Error("an empty key was taken")
	}
	must(s.Update(ctx, func(tx store.Tx) error { return tx.Delete("b", []byte("l")) }))
	if _, ok := get("l"); ok {
		t.Error("a deleted key is there")
	}
	order(t, s)
	concurrent(t, s)
	must(s.Close())
	s = open(t)
	defer s.Close()
	if v, ok := get("k"); !ok || v != "v" {
		t.Errorf("after reopening: %q, %v", v, ok)
	}
}

// order checks that a scan goes by bytes, from its start.
func order(t *testing.T, s store.Store) {
	t.Helper()
	keys := [][]byte{{0}, {0, 0}, {1}, {0x7f}, {0x80}, {0xff}, {0xff, 0}}
	err := s.Update(t.Context(), func(tx store.Tx) error {
		for i := len(keys) - 1; i >= 0; i-- {
			if err := tx.Put("o", keys[i], keys[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for from := range keys {
		var got [][]byte
		err := s.View(t.Context(), func(tx store.Tx) error {
			return tx.Scan("o", keys[from], func(k, v []byte) (bool, error) {
				if !bytes.Equal(k, v) {
					t.Errorf("key %x has value %x", k, v)
				}
				got = append(got, bytes.Clone(k))
				return len(got) < 3, nil
			})
		})
		want := keys[from:min(from+3, len(keys))]
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("scan from %x: %x, %v; want %x", keys[from], got, err, want)
		}
	}
}

// concurrent checks that updates happen one after the other.
func concurrent(t *testing.T, s store.Store) {
	t.Helper()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 10 {
				err := s.Update(context.WithoutCancel(t.Context()), func(tx store.Tx) error {
					v, _, err := tx.Get("n", []byte("n"))
					if err != nil {
						return err
					}
					return tx.Put("n", []byte("n"), append(v, 'x'))
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	err := s.View(t.Context(), func(tx store.Tx) error {
		v, _, err := tx.Get("n", []byte("n"))
		if len(v) != 80 {
			t.Errorf("%d of 80 updates were kept", len(v))
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
