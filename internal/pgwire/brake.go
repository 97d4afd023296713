package pgwire

import (
	"context"
	"crypto/tls"
	"sync"
	"sync/atomic"
	"time"
)

// A Brake asks the server to stop what it does: when it is pulled, or after a time.
// Whoever has it calls End, which waits until the server was asked: a request that
// comes late would stop the next statement. SPEC PGGW-6.
type Brake struct {
	ctx context.Context
	up  *Upstream
	cfg *tls.Config

	timer    *time.Timer // nil: no time
	overtime atomic.Bool
	mu       sync.Mutex
	asked    chan struct{} // guarded by mu; nil: not asked
	over     bool          // guarded by mu
}

// NewBrake returns the brake of what up does now, which is given so many seconds; 0
// is any number.
func NewBrake(ctx context.Context, up *Upstream, cfg *tls.Config, seconds int64) *Brake {
	b := &Brake{ctx: ctx, up: up, cfg: cfg}
	if seconds > 0 { //guard:R7/sql seconds-bound
		b.timer = time.AfterFunc(time.Duration(seconds)*time.Second, func() {
			b.overtime.Store(true)
			b.Pull()
		})
	}
	return b
}

// Late reports whether the time is over.
func (b *Brake) Late() bool { return b.overtime.Load() }

// Pull asks the server to stop.
func (b *Brake) Pull() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.over || b.asked != nil {
		return
	}
	done := make(chan struct{})
	b.asked = done
	go func() {
		defer close(done)
		b.up.Cancel(b.ctx, b.cfg) // it takes a bounded time
	}()
}

// End ends the brake: what the server does from now on is not stopped.
func (b *Brake) End() {
	if b.timer != nil {
		b.timer.Stop()
	}
	b.mu.Lock()
	b.over = true
	asked := b.asked
	b.mu.Unlock()
	if asked != nil {
		<-asked
	}
}

// Least returns the less of two numbers of seconds, of which 0 is any.
func Least(a, b int64) int64 {
	if a == 0 || b > 0 && b < a {
		return b
	}
	return a
}
