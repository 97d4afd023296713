package api

import (
	"fmt"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/sign"
	"github.com/writhq/writ/zone"
)

// The codes of refusals by the control API. They never change their meaning.
// SPEC CTRL-9.
const (
	CodeSealed      = "sealed"           // the keys are not open: writ unseal
	CodeNotReady    = "not_ready"        // the ledger or the policy log cannot be written
	CodeRestored    = "restored"         // the folder was restored, and nobody has confirmed it: writ restore --confirm
	CodePassphrase  = "wrong_passphrase" // or a damaged keyring
	CodeOpenFailed  = "open_failed"      // the keys opened, the folder did not: the server ends
	CodeTooLarge    = "too_large"        //
	CodeTooMany     = "too_many"         // a rate limit; try again later
	CodeMalformed   = "malformed"        // not a document in its one form
	CodeRefused     = "refused"          // the document does not carry its authority
	CodeTaken       = "taken"            // the document is in the log already
	CodeNotReader   = "not_reader"       // a read without the Unix socket or a reader's certificate
	CodeNotFound    = "not_found"        //
	CodeUnavailable = "unavailable"      // a fault of the server
)

// A Problem is a refusal by the control API. Source: RFC 9457; spec/control.md.
type Problem struct {
	Type   string `json:"type"` // urn:writ:control: and the code
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Code   string `json:"code"`
	Field  string `json:"field,omitempty"` // of the request that is wrong
	Next   string `json:"next,omitempty"`  // a command that helps
}

// Error returns code, detail and what to do next.
func (p *Problem) Error() string {
	s := p.Code + ": " + p.Detail
	if p.Next != "" {
		s += "; next: " + p.Next
	}
	return s
}

// Unwrap returns [ErrAPI].
func (p *Problem) Unwrap() error { return ErrAPI }

// The states of a server.
const (
	StateStarting = "starting" // the keys are in the clear and are being opened
	StateSealed   = "sealed"
	StateRestored = "restored" // the keys are open, and nothing is decided until someone confirms
	StateReady    = "ready"
	StateFailed   = "failed"
)

// A Status is what a server says of itself. Of a sealed one only State, Insecure
// and Build are known.
type Status struct {
	State         string       `json:"state"`
	Reason        string       `json:"reason,omitempty"` // why it is not ready
	Build         string       `json:"build"`
	Insecure      bool         `json:"insecure_keys"` // the keyring is in the clear
	Gate          string       `json:"gate,omitempty"`
	Group         string       `json:"group,omitempty"`
	Domain        string       `json:"domain,omitempty"`
	Zone          canon.Digest `json:"zone"`
	RootVersion   int64        `json:"root_version,omitempty"`
	RootExpires   int64        `json:"root_expires,omitempty"` // Unix seconds
	Epoch         uint64       `json:"epoch,omitempty"`
	Receipts      uint64       `json:"receipts"`
	ReceiptFloor  int64        `json:"receipt_floor,omitempty"` // Unix seconds: the newest durable receipt
	Now           int64        `json:"now"`                     // Unix seconds: the server's clock
	PolicyEntries uint64       `json:"policy_entries"`
	Policies      int          `json:"policies"`
	Secrets       int          `json:"secrets"`
}

// A Confirmed is the answer to the word that a restored folder has caught up.
type Confirmed struct {
	State     string `json:"state"`
	Confirmed bool   `json:"confirmed"` // false: there was nothing to confirm
}

// A PolicyInfo is one line of policies.
type PolicyInfo struct {
	Alias   string       `json:"alias"`
	Version int64        `json:"version"`
	Policy  canon.Digest `json:"policy"`
	Expires int64        `json:"expires"` // Unix seconds
	Signers []string     `json:"signers"`
	Revoked bool         `json:"revoked"`
}

// A SessionInfo is a session that is open at a gate.
type SessionInfo struct {
	ID      canon.Digest `json:"id"` // of the receipt of its beginning
	Subject string       `json:"subject"`
	Target  string       `json:"target"`
	Purpose string       `json:"purpose,omitempty"`
	Remote  string       `json:"remote"`
	Since   int64        `json:"since"` // Unix seconds
	Until   int64        `json:"until"` // Unix seconds: when its credential, policy or root expires
}

// An Ended is the answer to the word that a session is to end.
type Ended struct {
	ID canon.Digest `json:"id"`
}

// A SecretInfo is the current version of one secret, without its bytes.
type SecretInfo struct {
	Alias   string       `json:"alias"`
	ID      string       `json:"id"`
	Version int64        `json:"version"`
	State   zone.State   `json:"state"`
	Policy  canon.Digest `json:"policy"` // sealed under
	InForce bool         `json:"under_policy_in_force"`
	Sealed  canon.Digest `json:"sealed"`
}

// The results of a check of a secret.
const (
	CheckOpens     = "opens"         // the gate's key opens it, as far as that is known without the value
	CheckDoesNot   = "does_not_open" // Detail says why
	CheckElsewhere = "elsewhere"     // it is sealed to another group of gates
)

// A SecretCheck says whether a gate could open the active version of a secret. No
// value is decrypted for it.
type SecretCheck struct {
	Alias   string `json:"alias"`
	ID      string `json:"id"`
	Version int64  `json:"version"`
	Result  string `json:"result"`
	Detail  string `json:"detail,omitempty"`
}

// A SecretUpload is a new version of a secret: sealed bytes, which the server
// cannot read, and the signed record that names them.
type SecretUpload struct {
	Record *sign.Envelope `json:"record"`
	Sealed []byte         `json:"sealed"`
}

// A ReceiptItem is one receipt. Signed and Evidence are CBOR.
type ReceiptItem struct {
	Epoch    uint64       `json:"epoch"`
	Seq      uint64       `json:"seq"`
	ID       canon.Digest `json:"id"`
	Signed   []byte       `json:"signed"`
	Evidence []byte       `json:"evidence,omitempty"` // absent: not asked for, or there is none
}

// Place returns the receipt's place as text, such as "1.42".
func (r *ReceiptItem) Place() string { return fmt.Sprintf("%d.%d", r.Epoch, r.Seq) }

// A ReceiptPage is a run of receipts in the ledger's order.
type ReceiptPage struct {
	Receipts []ReceiptItem `json:"receipts"`
	Next     string        `json:"next,omitempty"` // the after of the next page; "" at the end
}

// A Published is the answer to a document that was taken.
type Published struct {
	Index    uint64       `json:"index"` // in the policy log
	Document canon.Digest `json:"document"`
}
