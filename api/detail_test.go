package api_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/writhq/writ/api"
	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/sign"
	"github.com/writhq/writ/zone"
)

// TestDetail shows that people do not read the names of packages.
func TestDetail(t *testing.T) {
	t.Parallel()
	var s struct{ Name string }
	root := fmt.Errorf("quorum: %w", sign.Quorum{}.Check())
	_, digest := canon.ParseDigest("abc")
	for _, c := range []struct {
		err  error
		want string
	}{
		{fmt.Errorf("root: %w: root: %w", policy.ErrDocument, root), "root: root: quorum: quorum: threshold 0 of 0 members"},
		{fmt.Errorf("%w: rules: %w: bad rules: no rule", policy.ErrDocument, policy.ErrRules), "rules: no rule"},
		{fmt.Errorf("policy log: publish: %w: %w: 0 of 1: []", zone.ErrRefused, sign.ErrThreshold), "not enough signers: 0 of 1"},
		{digest, "digest: want sha256: and 64 lower-case hexadecimal digits, have 3 characters"},
		{json.Unmarshal([]byte(`{"Name":1}`), &s), `field "Name" holds a number`},
		{fmt.Errorf("x: %w", json.Unmarshal(nil, &s)), "x: it ends too early"},
		{fmt.Errorf("policy: %w", &api.Problem{Code: "refused", Detail: "no", Next: "writ doctor"}), "refused: no"},
		{json.NewDecoder(strings.NewReader("")).Decode(&s), "it ends too early"},
		{json.NewDecoder(strings.NewReader("{")).Decode(&s), "it ends too early"},
		{policy.ErrDocument, "bad document"},
		{fmt.Errorf("%w: targets: api: json: inject: %w: no", policy.ErrDocument, policy.ErrUnsupported), "targets: api: json: inject: not supported by this version: no"},
	} {
		if got := api.Detail(c.err, fmt.Errorf("policy log: publish")); got != c.want {
			t.Errorf("%q: %q, want %q", c.err, got, c.want)
		}
	}
}
