package control

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/writhq/writ/api"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/receipt"
)

// appendBounds are the upper bounds of the histogram of appends, in seconds.
var appendBounds = []float64{0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2}

// Metrics counts what a server does. Its labels are codes and kinds out of closed
// lists: nothing of an operation or a holder is in them. The zero Metrics stands
// at zero. SPEC CTRL-10.
type Metrics struct {
	mu        sync.Mutex
	decisions map[string]uint64 // guarded by mu; by permit or the code of the denial
	receipts  map[string]uint64 // guarded by mu; by kind
	appends   []uint64          // guarded by mu; by bound, the last is what is above all
	seconds   float64           // guarded by mu; of all appends
	tallied   func() map[op.Code]uint64
	panics    func() uint64
}

// Tally makes m show refusals without receipt, by code; it is called before m is
// served.
func (m *Metrics) Tally(fn func() map[op.Code]uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tallied = fn
}

// Panics makes m show the panics of the gate; it is called before m is served.
func (m *Metrics) Panics(fn func() uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.panics = fn
}

// gatePanics returns how many panics of the gate there were.
func (m *Metrics) gatePanics() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.panics == nil {
		return 0
	}
	return m.panics()
}

// Observe counts a receipt that the gate appended, which took that long.
func (m *Metrics) Observe(kind receipt.Kind, decision string, took time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.decisions == nil {
		m.decisions, m.receipts = make(map[string]uint64), make(map[string]uint64)
		m.appends = make([]uint64, len(appendBounds)+1)
	}
	m.receipts[string(kind)]++
	if kind == receipt.Intent || kind == receipt.Denial {
		m.decisions[decision]++
	}
	at, _ := slices.BinarySearch(appendBounds, took.Seconds())
	m.appends[at]++
	m.seconds += took.Seconds()
}

// write writes the counters in the text format of Prometheus.
//
// Source: Prometheus, "Exposition formats", text format 0.0.4.
func (m *Metrics) write(w io.Writer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	family{"writ_decisions_total", "Recorded decisions, by result: permit, or the code of the denial.", "result"}.write(w, m.decisions)
	family{"writ_receipts_total", "Receipts that the gate appended since it started, by kind.", "kind"}.write(w, m.receipts)
	tallied := map[string]uint64{}
	if m.tallied != nil {
		for code, n := range m.tallied() {
			tallied[string(code)] = n
		}
	}
	family{"writ_tallied_total", "Refusals of those who could not be told apart, by code.", "code"}.write(w, tallied)
	const name = "writ_ledger_append_seconds"
	head(w, name, "histogram", "Time until an appended receipt kept its mode's promise.")
	var sum uint64
	for i, n := range m.appends {
		sum += n
		bound := "+Inf"
		if i < len(appendBounds) {
			bound = strconv.FormatFloat(appendBounds[i], 'g', -1, 64)
		}
		fmt.Fprintf(w, "%s_bucket{le=%q} %d\n", name, bound, sum)
	}
	if m.appends == nil {
		fmt.Fprintf(w, "%s_bucket{le=\"+Inf\"} 0\n", name)
	}
	fmt.Fprintf(w, "%s_sum %g\n%s_count %d\n", name, m.seconds, name, sum)
}

func head(w io.Writer, name, kind, help string) {
	fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
}

// A family is a counter by one label.
type family struct{ name, help, label string }

func (f family) write(w io.Writer, values map[string]uint64) {
	head(w, f.name, "counter", f.help)
	for _, k := range slices.Sorted(maps.Keys(values)) {
		fmt.Fprintf(w, "%s{%s=%q} %d\n", f.name, f.label, k, values[k])
	}
}

func gauge(w io.Writer, name, help string, v any) {
	head(w, name, "gauge", help)
	fmt.Fprintf(w, "%s %v\n", name, v)
}

func (a *API) metrics(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	ready := 0
	if s, _ := a.state(); s == api.StateReady {
		ready = 1
	}
	gauge(w, "writ_ready", "1 if operations can be decided and recorded.", ready)
	head(w, "writ_build_info", "gauge", "1; the label says which build runs.")
	fmt.Fprintf(w, "writ_build_info{build=%q} 1\n", a.c.Build)
	if x := a.authority(); x != nil {
		gauge(w, "writ_ledger_receipts", "Receipts in the ledger, of all epochs.", x.Ledger.Len())
	}
	panics := map[string]uint64{"control": a.panics.Load(), "gate": a.c.Metrics.gatePanics()}
	family{"writ_panics_total", "Panics that were recovered, by where; each one is a fault of this program.", "where"}.write(w, panics)
	a.c.Metrics.write(w)
	return nil
}
