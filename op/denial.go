package op

import "github.com/writhq/writ/canon"

// A Code says why an operation was refused. Codes are wire values: they are
// shown to callers, written to the ledger, and never change their meaning.
type Code string

// The codes of denials. SPEC OP-6.
const (
	CredentialInvalid Code = "credential_invalid" // chain, signature, form, expiry or audience
	ProofRequired     Code = "pop_required"       // no proof of the holder's key
	ProofInvalid      Code = "pop_invalid"        // the proof does not hold
	ProofInsufficient Code = "pop_insufficient"   // a stronger proof is demanded
	Replayed          Code = "replayed"           // this invocation was used before
	IdemConflict      Code = "idem_conflict"      // other operation under the same idempotency key
	IdemInProgress    Code = "idem_in_progress"   // the first use of the key has not ended
	IdemDone          Code = "idem_done"          // the key was used for this operation, which is not done again
	OperationInvalid  Code = "operation_invalid"  // cannot be mapped to one operation
	NotDeclared       Code = "not_declared"       // outside the policy's lists of operations, targets, members
	PurposeInvalid    Code = "purpose_invalid"    // absent, or not in the policy and every block
	NotPermitted      Code = "not_permitted"      // no rule permits it
	Forbidden         Code = "forbidden"          // a rule forbids it
	RuleError         Code = "rule_error"         // a rule could not be evaluated
	QuotaExceeded     Code = "quota_exceeded"     // a limit of the policy or of a block is used up
	ApprovalRequired  Code = "approval_required"
	LineageMissing    Code = "lineage_missing"
	Revoked           Code = "revoked"
	PolicyUnknown     Code = "policy_unknown" // the alias does not resolve
	PolicyChanged     Code = "policy_changed" // not the policy that the holder signed for
	PolicyExpired     Code = "policy_expired"
	PolicyStale       Code = "policy_stale"      // no proof that the policy is still in force
	StateUnavailable  Code = "state_unavailable" // could not be recorded or reserved
	SecretUnavailable Code = "secret_unavailable"
	TargetRefused     Code = "target_refused"   // the target cannot be reached as the policy demands
	OutcomeUnknown    Code = "outcome_unknown"  // permitted and begun; it cannot be known whether it was done
	ResponseStopped   Code = "response_stopped" // permitted and done; what the target answered is held back
)

// advice is what the holder of a credential can do about a denial, where the place
// that denies knows nothing better.
var advice = map[Code]string{
	CredentialInvalid: "get a new credential from its issuer; writ show FILE says what is in this one",
	ProofRequired:     "sign the request, use a TLS client certificate over the holder's key, or send a DPoP proof with the nonce that this answer offers",
	ProofInvalid:      "sign the request again, with the key that the credential's last block names",
	ProofInsufficient: "sign the whole request (level 3)",
	Replayed:          "sign a new proof for each request",
	IdemConflict:      "use a new idempotency key for another operation",
	IdemInProgress:    "wait for the first use to end",
	IdemDone:          "nothing: it was done under this key",
	OperationInvalid:  "send the request in its plain form; the reason says what cannot be mapped",
	NotDeclared:       "keep to the operations, targets and members that the policy lists; writ policy show ALIAS",
	PurposeInvalid:    "name a purpose that both policy and credential list; writ policy show ALIAS, writ show FILE",
	NotPermitted:      "see which rules there are, writ policy show ALIAS, and ask for what one permits",
	Forbidden:         "see the rule that is named, writ policy show ALIAS; ask its owners if it should be otherwise",
	RuleError:         "tell the policy's owners which rule it is: it cannot be evaluated for this request",
	QuotaExceeded:     "wait until the limit's window ends, ask for less, or get a new credential",
	ApprovalRequired:  "have the approval that is named given first",
	LineageMissing:    "do first what the policy demands, and cite its receipt",
	Revoked:           "get a new credential: this one does not come back",
	PolicyUnknown:     "ask for a policy of this alias to be put in force",
	PolicyChanged:     "read the policy that is in force, writ policy show ALIAS, and sign again",
	PolicyExpired:     "ask the policy's owners for a successor",
	PolicyStale:       "try again; if it stays, the gate cannot reach its policy log",
	StateUnavailable:  "try again; if it stays, see the gate's log",
	SecretUnavailable: "ask a sealer to seal the secret: writ secret put",
	TargetRefused:     "try again; if it stays, the target is down or is not what the policy pins",
	OutcomeUnknown:    "look at the target before you repeat the call",
	ResponseStopped:   "look at the target before you repeat the call",
}

// Advice returns what a holder can do about c, in one sentence without a point.
func (c Code) Advice() string { return advice[c] }

// A Denial is a no: a valid, recorded result. It is the only error that is
// shown to a caller in detail; every other error is shown as "not decided", and
// is a no as well.
type Denial struct {
	Code    Code
	Rule    string       // id of the rule that decided, or the quota or requirement; "" if none did
	Control string       // the regulatory requirement that the rule serves; may be ""
	Reason  string       // one sentence for people; never input that may hold a secret
	Next    string       // what the holder can do; may be ""
	Receipt canon.Digest // id of the receipt; zero if the holder could not be told apart
}

// Error returns the code, and the rule if one decided.
func (d *Denial) Error() string {
	if d.Rule == "" {
		return "denied: " + string(d.Code)
	}
	return "denied: " + string(d.Code) + " by " + d.Rule
}

// Deny returns a Denial with the code and reason.
func Deny(c Code, reason string) *Denial { return &Denial{Code: c, Reason: reason} }
