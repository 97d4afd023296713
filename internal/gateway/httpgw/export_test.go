package httpgw

import (
	"encoding/json"
	"time"

	"github.com/writhq/writ/internal/gateway"
)

// Quick is the protocol with times that tests can wait for.
var Quick = gateway.Protocol{Name: "http", New: func(cfg json.RawMessage, h *gateway.Hall) (gateway.Handler, error) {
	d, err := New(cfg, h)
	if err != nil {
		return nil, err
	}
	d.(*handler).times = times{header: 800 * time.Millisecond, body: 400 * time.Millisecond, idle: 400 * time.Millisecond, stall: 200 * time.Millisecond}
	return d, nil
}}

// Small is the protocol with room for the bodies of n bytes.
func Small(n int64) gateway.Protocol {
	return gateway.Protocol{Name: "http", New: func(cfg json.RawMessage, h *gateway.Hall) (gateway.Handler, error) {
		d, err := New(cfg, h)
		if err != nil {
			return nil, err
		}
		d.(*handler).bodies.left = n
		return d, nil
	}}
}
