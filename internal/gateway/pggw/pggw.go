// Package pggw is the PostgreSQL door: any client connects to the gate as if it
// were the database. Connecting is one operation, which opens the password;
// each execution of a statement is another, decided by what the statement does.
//
// The credential comes as the password, and the holder's key as the client's TLS
// certificate. The name of the database is the target's in the policy.
package pggw

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/writhq/writ/internal/gateway"
	"github.com/writhq/writ/internal/pgwire"
	"github.com/writhq/writ/internal/sqlmeaning"
	"github.com/writhq/writ/internal/sqlparser"
)

// Protocol is the registration of this door.
var Protocol = gateway.Protocol{Name: "postgres", New: New}

// Config is the configuration of a listener: there is nothing to say.
type Config struct{}

type handler struct {
	hall    *gateway.Hall
	parsers *sqlparser.Pool
	servers sqlmeaning.Servers
	cancels pgwire.Cancels
	drains  gateway.Drains
	startup time.Duration // for a client to be known; tests shorten it
	stall   time.Duration // for a client to take what it is sent; tests shorten it
	age     time.Duration // of what is known of a server, before a series; tests shorten it
	within  time.Duration // the same in one
}

// New returns a handler for one listener. Unknown fields in cfg are refused.
func New(cfg json.RawMessage, h *gateway.Hall) (gateway.Handler, error) {
	var c Config
	d := json.NewDecoder(bytes.NewReader(cfg))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return nil, fmt.Errorf("postgres: configuration: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	command := func() *exec.Cmd {
		cmd := exec.Command(self, sqlparser.Command)
		cmd.Env, cmd.Dir = []string{}, "/" // it needs nothing
		return cmd
	}
	return &handler{hall: h, parsers: sqlparser.New(parserProcesses, command), startup: maxStartup, stall: maxStall, age: catalogAge, within: catalogAge}, nil
}

// Serve implements [gateway.Handler]. A session without a statement under way ends
// when ctx does, another with its statement, or after a time.
func (h *handler) Serve(ctx context.Context, l net.Listener) error {
	l = h.hall.Listener(l)
	defer h.parsers.Close()
	hard, cut := context.WithCancel(context.WithoutCancel(ctx))
	var sessions sync.WaitGroup
	defer sessions.Wait()
	defer context.AfterFunc(ctx, func() {
		l.Close()
		h.drains.Stop()
		time.AfterFunc(maxDrain, cut)
	})()
	for {
		c, err := l.Accept()
		if ctx.Err() != nil {
			sessions.Wait()
			cut()
			return nil
		}
		if err != nil {
			if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
				continue
			}
			cut()
			return fmt.Errorf("postgres: accept: %w", err)
		}
		sessions.Go(func() {
			defer c.Close()
			defer h.guard()
			h.serve(hard, c)
		})
	}
}

// guard keeps a fault in one session from ending the others.
func (h *handler) guard() {
	if r := recover(); r != nil {
		h.hall.Panicked(r)
	}
}
