// Package policy is the law: policies and roots as signed documents, how they
// are verified and succeed each other, and what they say of one operation.
//
// The package is pure: no I/O and no clock; time is an argument. All evaluation
// is a function of its arguments, so that an auditor can repeat it.
package policy

import (
	"errors"
	"fmt"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/op/release"
	"github.com/writhq/writ/sign"
)

// The errors of this package; all wrap [ErrPolicy].
var (
	ErrPolicy      = errors.New("policy")
	ErrDocument    = fmt.Errorf("%w: bad document", ErrPolicy)
	ErrAuthority   = fmt.Errorf("%w: not authorised", ErrPolicy)
	ErrRules       = fmt.Errorf("%w: bad rules", ErrPolicy)
	ErrUnsupported = fmt.Errorf("%w: not supported by this version", ErrPolicy)
)

// A FieldError names the field of a document that is wrong: its first part as
// it stands in the document, such as "targets".
type FieldError struct {
	Field string
	Err   error
}

// Error returns the field and the cause.
func (e *FieldError) Error() string { return e.Field + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *FieldError) Unwrap() error { return e.Err }

// PayloadType is the DSSE payload type of a policy.
const PayloadType = "application/vnd.writ.policy.v1+json"

// A Document is the content of a policy. Source: spec/policy.md.
type Document struct {
	Alias      string       `json:"alias"`
	Version    int64        `json:"version"` // 1 for the first of a line
	Prev       canon.Digest `json:"prev"`    // id of version−1; "" for the first
	Zone       canon.Digest `json:"zone"`    // digest of the genesis root
	NotBefore  int64        `json:"not_before"`
	Expires    int64        `json:"expires"` // Unix seconds, exclusive
	Language   Language     `json:"language"`
	Rules      string       `json:"rules"` // Cedar; every rule has @id
	Operations []Operation  `json:"operations"`
	Targets    []Target     `json:"targets"`
	Secrets    []Secret     `json:"secrets"`
	Purposes   []Purpose    `json:"purposes,omitempty"`
	Quotas     []Quota      `json:"quotas,omitempty"`
	Approvals  []Approval   `json:"approvals,omitempty"`
	Lineage    []Lineage    `json:"lineage,omitempty"`
	Labels     []Label      `json:"labels,omitempty"`
	Pop        Pop          `json:"pop"`
	Delegation Delegation   `json:"delegation"`
	Receipts   Receipts     `json:"receipts"`
	Requires   []string     `json:"requires,omitempty"`
	Freshness  Freshness    `json:"freshness"`
	Governance Governance   `json:"governance"`
	Crit       []string     `json:"crit,omitempty"`
}

// A Language names the versions in which the rules are written.
type Language struct {
	Cedar   string         `json:"cedar"`   // "4"
	Mappers map[string]int `json:"mappers"` // operation type to mapper version
}

// An Operation is a declaration and what its results may be.
type Operation struct {
	op.Declaration
	Response *Response `json:"response,omitempty"`
}

// A Response is what may come back to the holder.
type Response struct {
	MaxBytes   int64    `json:"max_bytes,omitempty"`   // 0: the gate's own bound
	MaxRows    int64    `json:"max_rows,omitempty"`    // of one execution of a statement; 0: any number
	MaxSeconds int64    `json:"max_seconds,omitempty"` // of one execution of a statement; 0: any number
	Headers    []string `json:"headers,omitempty"`     // passed beside the gate's short list; lower case
	Redact     []string `json:"redact,omitempty"`      // dotted paths of JSON members that are removed
}

// A Target is where a secret may be sent, and how it is put there.
type Target struct {
	ID      string   `json:"id"`
	Kind    string   `json:"kind"`              // "http" or "postgres"
	Origin  string   `json:"origin"`            // such as https://api.example.com
	Pins    []string `json:"pins,omitempty"`    // sha256: of the server key's SPKI; then no authority is asked
	Private bool     `json:"private,omitempty"` // addresses of private networks may be dialled
	Region  string   `json:"region,omitempty"`
	Inject  Inject   `json:"inject"`
	Secret  string   `json:"secret,omitempty"` // id; "" only for inject "none"
}

// An Inject says how the secret is put into what is sent.
type Inject struct {
	How    string `json:"how"`              // none, header, basic, query, sigv4, client_certificate; password for databases
	Name   string `json:"name,omitempty"`   // of the header or query member; user of basic; region/service of sigv4
	Prefix string `json:"prefix,omitempty"` // before the secret in a header, such as "Bearer "
}

// A Secret is a secret that the policy governs.
type Secret struct {
	ID         string      `json:"id"`
	Kind       string      `json:"kind"` // such as http-bearer
	Sealers    sign.Quorum `json:"sealers"`
	Recipients Recipients  `json:"recipients"`
}

// Recipients names the gates a secret is sealed to.
type Recipients struct {
	Group string `json:"group"`
	T     int    `json:"t"` // shares needed; 1 in this version
}

// A Purpose is one entry of the closed list of purposes.
type Purpose struct {
	ID   string `json:"id"`
	Text string `json:"text"`
}

// A Quota is a limit that every use debits.
type Quota struct {
	ID      string `json:"id"`
	Per     string `json:"per"`                // alias, secret, root, block, subject, actor
	WindowS int64  `json:"window_s,omitempty"` // 0: for ever
	Limit   int64  `json:"limit"`
	Unit    string `json:"unit"`             // ops, or what the amount is counted in
	Amount  string `json:"amount,omitempty"` // path in the context, such as body.amount; "": one per operation
	// Actions are those that it counts. Absent: all, or with an amount those whose
	// declaration lists it.
	Actions []string `json:"actions,omitempty"`
	Hard    bool     `json:"hard,omitempty"` // never lost, never leased
}

// An Approval is a requirement that rules read as context.approvals.
type Approval struct {
	ID        string   `json:"id"`
	Members   []string `json:"members"`
	Threshold int      `json:"threshold"`
	MaxAgeS   int64    `json:"max_age_s"`
	SingleUse bool     `json:"single_use"`
	MinPop    op.Level `json:"min_pop"`
}

// A Lineage is a requirement that rules read as context.lineage.
type Lineage struct {
	ID      string     `json:"id"`
	Match   Match      `json:"match"`
	Same    [][]string `json:"same,omitempty"` // pairs: a path here, a path there
	MaxAgeS int64      `json:"max_age_s"`
	Min     int        `json:"min"`
	Consume bool       `json:"consume,omitempty"`
	Groups  []string   `json:"groups"` // gate groups whose receipts count
}

// A Match selects receipts.
type Match struct {
	Action  string `json:"action"`
	Target  string `json:"target"`
	Outcome string `json:"outcome"`
}

// A Label is a taint that an operation leaves on its session.
type Label struct {
	Add  string `json:"add"`
	When Match  `json:"when"`
}

// A Pop is the least proof of possession, by action.
type Pop struct {
	Default op.Level            `json:"default"`
	Actions map[string]op.Level `json:"actions,omitempty"`
}

// A Delegation says who issues grants and how far they may be handed on.
type Delegation struct {
	Issuers   []Issuer `json:"issuers"`
	Threshold int      `json:"threshold"`
	MaxDepth  int      `json:"max_depth"`
	MaxTTLS   int64    `json:"max_ttl_s"`
}

// An Issuer is a principal who may sign grants for subjects of some patterns.
type Issuer struct {
	Principal string   `json:"principal"`
	Subjects  []string `json:"subjects"` // exact, or a prefix and *
}

// A Receipts says what a receipt promises before the act.
type Receipts struct {
	Mode    string `json:"mode"`               // buffered, durable, witnessed
	RetainS int64  `json:"retain_s,omitempty"` // least time that evidence is kept
}

// A Freshness bounds how old the knowledge that the policy is in force may be.
type Freshness struct {
	MaxStalenessS int64 `json:"max_staleness_s"`
}

// A Governance says who may replace the policy.
type Governance struct {
	Successor sign.Quorum `json:"successor"`
	Override  *Override   `json:"override,omitempty"`
	DelayS    int64       `json:"delay_s,omitempty"`
}

// An Override says who may activate the rules marked @tier("override").
type Override struct {
	sign.Quorum
	MaxS int64 `json:"max_s"`
}

// Target returns the target with the id.
func (d *Document) Target(id string) (*Target, bool) {
	for i := range d.Targets {
		if d.Targets[i].ID == id {
			return &d.Targets[i], true
		}
	}
	return nil, false
}

// Secret returns the secret with the id.
func (d *Document) Secret(id string) (*Secret, bool) {
	for i := range d.Secrets {
		if d.Secrets[i].ID == id {
			return &d.Secrets[i], true
		}
	}
	return nil, false
}

// Operation returns the one operation that lists the action for the target.
func (d *Document) Operation(action, target string) (*Operation, bool) {
	for i := range d.Operations {
		if o := &d.Operations[i]; contains(o.Actions, action) && contains(o.Targets, target) {
			return o, true
		}
	}
	return nil, false
}

// MinPop returns the least level of proof for the action. A release takes a
// signature over the whole request, whatever the policy says. SPEC RELEASE-3.
func (d *Document) MinPop(action string) op.Level {
	l, ok := d.Pop.Actions[action]
	if !ok {
		l = d.Pop.Default
	}
	if action == release.Action { //guard:R61 release-signed
		return max(l, op.Signed)
	}
	return l
}
