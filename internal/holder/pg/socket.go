package pg

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
)

// socketName is how clients find a server's socket in a folder, by the usual port.
// Source: PostgreSQL, "unix_socket_directories".
const socketName = ".s.PGSQL.5432"

// Listen opens the socket that clients find when dir is their host. It makes the
// folder if there is none; one that others may look into is refused, and so is one
// where another relay or server listens. SPEC HPG-1.
func Listen(ctx context.Context, dir string) (*net.UnixListener, error) {
	name := filepath.Join(dir, socketName)
	if len(name) > maxSocketBytes {
		return nil, fmt.Errorf("%w: socket: %s has %d bytes, and the name of a Unix socket at most %d", ErrRelay, name, len(name), maxSocketBytes)
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, fmt.Errorf("%w: socket: %w", ErrRelay, err)
	}
	st, err := os.Lstat(dir)
	if err != nil {
		return nil, fmt.Errorf("%w: socket: %w", ErrRelay, err)
	}
	if !st.IsDir() || st.Mode().Perm()&0o077 != 0 || !owned(st) { //guard:R4 relay-folder
		return nil, fmt.Errorf("%w: socket: %s must be a folder of this user alone, as chmod 700 makes it", ErrRelay, dir)
	}
	if c, err := new(net.Dialer).DialContext(ctx, "unix", name); err == nil {
		c.Close()
		return nil, fmt.Errorf("%w: socket: another program listens on %s", ErrRelay, name)
	}
	if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) { // left by one that is dead
		return nil, fmt.Errorf("%w: socket: %w", ErrRelay, err)
	}
	l, err := new(net.ListenConfig).Listen(ctx, "unix", name)
	if err != nil {
		return nil, fmt.Errorf("%w: socket: %w", ErrRelay, err)
	}
	return l.(*net.UnixListener), nil
}
