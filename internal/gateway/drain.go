package gateway

import "sync"

// Drains are what ends the sessions of a gateway that have nothing under way, when it
// stops. The zero value is ready for use.
type Drains struct {
	mu      sync.Mutex
	next    int
	of      map[int]func() // guarded by mu
	stopped bool           // guarded by mu
}

// Add takes stop, which is called at once if that was asked for, and returns how to
// forget it.
func (d *Drains) Add(stop func()) (forget func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stopped {
		stop()
	}
	if d.of == nil {
		d.of = make(map[int]func())
	}
	d.next++
	id := d.next
	d.of[id] = stop
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.of, id)
	}
}

// Stop calls all of them, and those that come.
func (d *Drains) Stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stopped = true
	for _, f := range d.of {
		f()
	}
}
