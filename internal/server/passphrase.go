package server

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/writhq/writ/internal/custody"
	"github.com/writhq/writ/secret"
)

// A HeldKeyring is the keyring of a data folder on which no server runs, nor can
// start until it is released.
type HeldKeyring struct {
	name   string
	file   []byte
	unlock func()
}

// HoldKeyring returns the keyring of the data folder. The caller releases it.
func HoldKeyring(dir string) (*HeldKeyring, error) {
	name := filepath.Join(dir, keyringName)
	if _, err := os.Stat(name); err != nil { // before the folder is held
		return nil, advise("name the server's data folder: data in its configuration", "%s is no data folder: it has no keyring", dir)
	}
	unlock, err := lockData(dir)
	if err != nil {
		return nil, err
	}
	b, err := readBounded(name, maxKeyringBytes)
	if err != nil {
		unlock()
		return nil, err
	}
	return &HeldKeyring{name, b, unlock}, nil
}

// Insecure reports whether the keyring has no passphrase.
func (h *HeldKeyring) Insecure() bool { return custody.Insecure(h.file) }

// Release lets servers start again.
func (h *HeldKeyring) Release() { h.unlock() }

// Rewrap wraps the keyring under the passphrase fresh, in place of old, which is
// not looked at if there is none. Whatever ends Rewrap, what is on the disk opens
// under one of the two. SPEC KEYR-1.
func (h *HeldKeyring) Rewrap(old, fresh secret.Bytes) error {
	k, err := custody.Unwrap(h.file, old)
	if err != nil {
		return &advice{fmt.Errorf("%w: the passphrase does not open the keyring, or the keyring is damaged", ErrServer), "try again; the keyring is as it was", err}
	}
	defer wipe(k)
	file, err := k.Wrap(fresh)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrServer, err)
	}
	again, err := custody.Unwrap(file, fresh)
	if err != nil { // what does not open must not replace what does
		return fmt.Errorf("%w: %w", ErrServer, err)
	}
	wipe(again)
	if err := writeFile(h.name, file, 0o600); err != nil {
		return err
	}
	h.file = file
	return nil
}

// wipe wipes what can be wiped of the keys.
func wipe(k *custody.Keyring) {
	k.KEM.Wipe()
	k.Evidence.Wipe()
}
