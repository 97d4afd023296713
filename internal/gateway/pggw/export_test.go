package pggw

import (
	"context"
	"encoding/json"
	"net"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/writhq/writ/internal/gateway"
)

// Quick is the protocol with times that tests can wait for.
var Quick = gateway.Protocol{Name: "postgres", New: func(cfg json.RawMessage, h *gateway.Hall) (gateway.Handler, error) {
	d, err := New(cfg, h)
	if err != nil {
		return nil, err
	}
	d.(*handler).startup, d.(*handler).stall = 400*time.Millisecond, 300*time.Millisecond
	return d, nil
}}

// Watchful is the protocol that looks at the server's catalog before each series,
// Restless also in one, and Steady one that looks at it once: what reaches the server is the client's alone.
var (
	Watchful = aged(0, time.Hour)
	Restless = aged(0, 0)
	Steady   = aged(time.Hour, time.Hour)
)

func aged(age, within time.Duration) gateway.Protocol {
	return gateway.Protocol{Name: "postgres", New: func(cfg json.RawMessage, h *gateway.Hall) (gateway.Handler, error) {
		d, err := New(cfg, h)
		if err != nil {
			return nil, err
		}
		d.(*handler).age, d.(*handler).within = age, within
		return d, nil
	}}
}

// Cancel sends a request to cancel, with any key.
func Cancel(ctx context.Context, addr string, pid uint32, key []byte) error {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	b, err := (&pgproto3.CancelRequest{ProcessID: pid, SecretKey: key}).Encode(nil)
	if err != nil {
		return err
	}
	if _, err := c.Write(b); err != nil {
		return err
	}
	c.Read(make([]byte, 1))
	return nil
}
