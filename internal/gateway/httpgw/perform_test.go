package httpgw

import (
	"testing"
	"time"

	"github.com/writhq/writ/internal/gateway"
	"github.com/writhq/writ/op"
	ophttp "github.com/writhq/writ/op/http"
)

// TestNothingButTheOperation shows a performance whose parts do not belong
// together: it ends before a connection is asked for.
//
// R5
// guard: origin-of-target, body-of-operation
func TestNothingButTheOperation(t *testing.T) {
	t.Parallel()
	shop := &gateway.Act{Target: gateway.Target{ID: "shop", Origin: "https://shop.example"}}
	for _, url := range []string{"https://shop2.example/v1", "http://shop.example/v1", "https://shop.exampl", "https://shop.example.org/v1", "https://shop.example"} {
		if _, err := render(&ophttp.Request{Method: "GET", URL: url}, shop, time.Time{}); err == nil {
			t.Errorf("%s was rendered", url)
		}
	}
	w := ophttp.Wire{
		Method: "POST", Target: "shop", Origin: "https://shop.example", RawPath: "/v1", Body: []byte("one"), HasBody: true,
		Header: [][2]string{{"content-type", "application/octet-stream"}},
	}
	asked, err := ophttp.Map(w, &op.Declaration{
		Type: "http", Targets: []string{"shop"}, Actions: []string{"http:POST"}, Body: &op.Body{Types: []string{"application/octet-stream"}, Opaque: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	p := &performance{asked: asked, body: []byte("two"), now: time.Now}
	out, err := p.do(t.Context(), shop) // a dial would panic: shop has none
	if err == nil || out.Class != gateway.NotSent {
		t.Errorf("%v, %v", out, err)
	}
}
