package httpgw_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/writhq/writ/internal/testgate"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/op/release"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/receipt"
)

// TestRelease shows a secret in the clear over HTTP: not by default, only to one
// who signs, and marked in every receipt from then on, also after a restart.
// SPEC RELEASE-4.
//
// R61
func TestRelease(t *testing.T) {
	t.Parallel()
	releasing := func(d *policy.Document) {
		d.Operations = append(d.Operations, policy.Operation{Declaration: op.Declaration{
			Type: "release", Targets: []string{testkit.Target}, Actions: []string{release.Action},
		}})
		d.Language.Mappers = map[string]int{"http": 1, "release": 1}
		d.Rules += `@id("release") permit (principal, action == Action::"release:secret", resource);`
	}
	post := func(g *testgate.Gate, h *http.Client, path string) (int, string, http.Header) {
		t.Helper()
		resp, err := h.Post("https://"+g.Addrs[0]+path, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var b strings.Builder
		resp.Write(&b)
		return resp.StatusCode, b.String(), resp.Header
	}
	g := testgate.New(t, testgate.Config{Upstream: testgate.NewUpstream(t, nil), Doors: []testgate.Door{door}})
	if status, body, _ := post(g, g.Client(g.Wide(1), g.Holder(0), "refund"), "/r/shop"); status != 403 || strings.Contains(body, testkit.Plain) {
		t.Errorf("a policy that does not speak of releases: status %d", status)
	}
	g = testgate.New(t, testgate.Config{Upstream: testgate.NewUpstream(t, nil), Doors: []testgate.Door{door}, Policy: releasing})
	h := g.Client(g.Wide(1), g.Holder(0), "refund")
	for _, path := range []string{"/r/shop/x", "/r/shop?a=b", "/r/bank", "/r/"} {
		if status, body, _ := post(g, h, path); status == 200 || strings.Contains(body, testkit.Plain) {
			t.Errorf("%s: status %d", path, status)
		}
	}
	status, body, header := post(g, h, "/r/shop")
	if status != 200 || !strings.HasSuffix(body, testkit.Plain) || header.Get("Writ-Ungoverned") != "true" {
		t.Errorf("release: status %d", status)
	}
	if err := g.Stop(); err != nil {
		t.Fatal(err)
	}
	g.Start()
	resp, err := g.Client(g.Wide(1), g.Holder(0), "refund").Get("https://" + g.Addrs[0] + "/t/shop/v1/orders/1")
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("a use after the release: %v, %v", resp, err)
	}
	resp.Body.Close()
	marked := 0
	for _, r := range g.Receipts(receipt.Intent, receipt.Outcome) {
		if len(r.Labels) != 1 || r.Labels[0] != "ungoverned" {
			t.Errorf("receipt %d/%d (%s) is not marked", r.Epoch, r.Seq, r.Kind)
		}
		marked++
	}
	if marked != 4 || len(g.Upstream.Seen()) != 1 {
		t.Errorf("%d marked receipts, %d requests upstream", marked, len(g.Upstream.Seen()))
	}
}
