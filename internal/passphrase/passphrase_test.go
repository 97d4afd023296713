package passphrase_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/writhq/writ/internal/passphrase"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/secret"
)

const typ = "writ-test/1"

func pass(s string) secret.Bytes { return secret.Take([]byte(s)) }

func content(s secret.Bytes) (out string) {
	s.Use(func(b []byte) error {
		out = string(b)
		return nil
	})
	return out
}

// TestSeal writes a file and opens it: with the parameters that it must have, a salt
// of its own, and nothing in the clear.
//
// SPEC WRAP-1, WRAP-2, WRAP-4
func TestSeal(t *testing.T) {
	t.Parallel()
	plain := []byte("hunter2-SENTINEL")
	one, err := passphrase.Seal(typ, pass("right"), plain)
	if err != nil {
		t.Fatal(err)
	}
	two, err := passphrase.Seal(typ, pass("right"), plain)
	if err != nil || bytes.Equal(one, two) || bytes.Contains(one, plain) || string(plain) != "hunter2-SENTINEL" {
		t.Errorf("%x, %x, %v", one, two, err)
	}
	f, err := passphrase.Parse(one, typ)
	if err != nil || f.Passes != 3 || f.Memory != 65536 || f.Lanes != 4 {
		t.Fatalf("%+v, %v", f, err)
	}
	if s, err := f.Open(pass("right")); err != nil || content(s) != string(plain) {
		t.Errorf("it opens to %q, %v", content(s), err)
	}
	for _, p := range []secret.Bytes{pass("wrong"), pass("right ")} {
		if s, err := f.Open(p); !errors.Is(err, passphrase.ErrOpen) || content(s) != "" {
			t.Errorf("a wrong passphrase: %v", err)
		}
	}
	if _, err := f.Open(secret.Bytes{}); !errors.Is(err, passphrase.ErrFile) {
		t.Errorf("an empty passphrase opens: %v", err)
	}
	if b, err := passphrase.Seal(typ, secret.Bytes{}, plain); !errors.Is(err, passphrase.ErrFile) || b != nil {
		t.Errorf("an empty passphrase seals: %v", err)
	}
}

// TestOthersFiles opens what is written by the primitives alone, at both ends of
// what is allowed, and refuses all that is not.
//
// SPEC WRAP-1, WRAP-3, WRAP-4
// A18: what would take too long is refused before it is begun
// guard: wrapped-type, wrapped-passes, wrapped-memory, wrapped-salt, wrapped-authentic
func TestOthersFiles(t *testing.T) {
	t.Parallel()
	plain := []byte("plain")
	for name, change := range map[string]func(*testkit.Wrapped){
		"the least":      func(*testkit.Wrapped) {},
		"most passes":    func(w *testkit.Wrapped) { w.Passes = 64 },
		"most lanes":     func(w *testkit.Wrapped) { w.Memory, w.Lanes = 512, 64 },
		"no whole block": func(w *testkit.Wrapped) { w.Memory, w.Lanes = 1023, 3 },
	} {
		w := testkit.Wrap(t, typ, "p", plain)
		change(w)
		w.Seal(t, "p", plain)
		f, err := passphrase.Parse(w.Encode(t), typ)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if s, err := f.Open(pass("p")); err != nil || content(s) != "plain" {
			t.Errorf("%s: %v", name, err)
		}
	}
	w := testkit.Wrap(t, typ, "p", plain)
	w.Memory = 1 << 20 // allowed, and too much for a test to use
	if _, err := passphrase.Parse(w.Encode(t), typ); err != nil {
		t.Errorf("most memory: %v", err)
	}
	refused := 0
	for _, c := range testkit.WrapCases(t, typ, plain) {
		f, err := passphrase.Parse(c.File, typ)
		if (err != nil) != (c.Error == "form") {
			t.Errorf("%s: parse: %v", c.Name, err)
			continue // and do not compute what it asks for
		}
		if err == nil {
			_, err = f.Open(pass(c.Passphrase))
		}
		if !errors.Is(err, passphrase.ErrFile) {
			t.Errorf("%s: %v", c.Name, err)
		}
		refused++
	}
	if refused < 30 {
		t.Errorf("%d refused", refused)
	}
}
