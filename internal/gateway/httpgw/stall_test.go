package httpgw_test

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/writhq/writ/internal/gateway/httpgw"
	"github.com/writhq/writ/internal/testgate"
)

// TestNobodyReads shows clients that take no answer: over HTTP/2 by a window of
// nothing, which holds even a refusal of a stranger back.
//
// SPEC HTTPGW-4
// R11
// guard: answer-stall
func TestNobodyReads(t *testing.T) {
	t.Parallel()
	g := testgate.New(t, testgate.Config{
		Upstream: testgate.NewUpstream(t, nil), Doors: []testgate.Door{{Protocol: httpgw.Quick, Config: config}},
	})
	c := way{http2: true}.dial(t, g)
	defer c.Close()
	window := binary.BigEndian.AppendUint32([]byte{0, 4}, 0) // SETTINGS_INITIAL_WINDOW_SIZE
	hello := append([]byte(preface), frame(frameSetting, 0, 0, window)...)
	hello = append(hello, frame(frameHeaders, endHeaders|endStream, 1, request2("GET"))...)
	if _, err := c.Write(hello); err != nil {
		t.Fatal(err)
	}
	c.SetReadDeadline(time.Now().Add(5 * time.Second))
	next(t, c, func(typ byte, s uint32) bool { return s == 1 && typ == frameReset })
}
