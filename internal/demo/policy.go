package demo

import (
	_ "embed"
	"strconv"
	"strings"
	"time"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/receipt"
	"github.com/writhq/writ/sign"
)

//go:embed rules.cedar
var rules string

// document returns the policy payments/refunds: read orders; refunds up to limit
// for the purpose refund; everything else no. Amounts are in cents.
func (w *world) document(version, limit int64, prev canon.Digest) *policy.Document {
	two := sign.Quorum{Members: []string{"ana", "bo"}, Threshold: 2}
	now := time.Now().Unix()
	return &policy.Document{
		Alias: alias, Version: version, Prev: prev, Zone: w.root.Zone(),
		NotBefore: now - 60, Expires: now + 90*86400,
		Language: policy.Language{Cedar: "4", Mappers: map[string]int{"http": 1}},
		Rules:    strings.ReplaceAll(rules, "LIMIT", strconv.FormatInt(limit, 10)),
		Operations: []policy.Operation{
			{Declaration: op.Declaration{Type: "http", Targets: []string{target}, Actions: []string{"http:GET"}}},
			{Declaration: op.Declaration{
				Type: "http", Targets: []string{target}, Actions: []string{"http:POST"},
				Body: &op.Body{Types: []string{"application/json"}, Members: []op.Member{
					{Path: "order", Type: "string", Required: true}, {Path: "amount", Type: "int", Required: true},
				}},
			}},
		},
		Targets: []policy.Target{{
			ID: target, Kind: "http", Origin: w.upstream.origin, Pins: []string{w.upstream.pin}, Private: true, Region: "eu",
			Inject: policy.Inject{How: "header", Name: "authorization", Prefix: "Bearer "}, Secret: secretID,
		}},
		Secrets: []policy.Secret{{
			ID: secretID, Kind: "http-bearer", Sealers: sign.Quorum{Members: []string{"sam"}, Threshold: 1},
			Recipients: policy.Recipients{Group: group, T: 1},
		}},
		Purposes: []policy.Purpose{
			{ID: "refund", Text: "Return money for a customer's request"}, {ID: "support", Text: "Answer a customer's question"},
		},
		Pop:        policy.Pop{Default: op.Signed},
		Delegation: policy.Delegation{Issuers: []policy.Issuer{{Principal: "iris", Subjects: []string{"svc/*"}}}, Threshold: 1, MaxDepth: 2, MaxTTLS: 7 * 86400},
		Receipts:   policy.Receipts{Mode: string(receipt.Durable)},
		Freshness:  policy.Freshness{MaxStalenessS: 60},
		Governance: policy.Governance{Successor: two},
	}
}
