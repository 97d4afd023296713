package api

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/credential"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/policy/law"
	"github.com/writhq/writ/proof"
	"github.com/writhq/writ/receipt"
	"github.com/writhq/writ/seal"
	"github.com/writhq/writ/sign"
	"github.com/writhq/writ/tlog"
	"github.com/writhq/writ/zone"
)

// empty are errors that say no more to people than what follows them.
var empty = []error{
	canon.ErrForm, canon.ErrJSON, policy.ErrDocument, policy.ErrAuthority, policy.ErrRules, law.ErrRules, sign.ErrKey, zone.ErrRefused,
	errors.New("parse envelope"),
}

// full are errors of which people read what is after the package's name.
var full = []error{
	ErrNotControl, ErrZone, credential.ErrIssuer, credential.ErrWider, policy.ErrUnsupported, proof.ErrTime, receipt.ErrEvidence, receipt.ErrExport, receipt.ErrForm,
	receipt.ErrVerify, errors.New("json: unknown field"), seal.ErrOpen, sign.ErrSignature, sign.ErrThreshold, tlog.ErrProof, tlog.ErrSignature, zone.ErrOrder,
}

// first are words that a text begins with, and people need not read. Elsewhere they
// may be somebody's names.
var first = []error{
	ErrAPI, credential.ErrCredential, policy.ErrPolicy, proof.ErrProof, receipt.ErrReceipt, seal.ErrSeal, sign.ErrSign, tlog.ErrTlog, zone.ErrZone,
	errors.New("json"), errors.New("JSON"), errors.New("CBOR"),
}

// Detail returns what err says to people: without the names of the packages that
// it came through, and without what else is empty of meaning where more follows.
// more are errors of the caller's own packages that a text may begin with.
func Detail(err error, more ...error) string {
	text := err.Error()
	if p, ok := errors.AsType[*Problem](err); ok { // its next is shown apart
		text = strings.Replace(text, p.Error(), p.Code+": "+p.Detail, 1)
	}
	if t, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		text = strings.Replace(text, t.Error(), fmt.Sprintf("field %q holds a %s", strings.TrimPrefix(t.Field, "Document."), t.Value), 1)
	}
	if c, ok := errors.AsType[base64.CorruptInputError](err); ok {
		text = strings.Replace(text, c.Error(), "not base64", 1)
	}
	text = strings.Replace(text, "parser error: parse error at <input>:", "at line ", 1) // of rules
	for before := ""; before != text; {
		before = text
		for _, e := range slices.Concat(empty, first, more) {
			text = strings.TrimPrefix(text, e.Error()+": ")
		}
		for _, e := range empty {
			text = strings.ReplaceAll(text, ": "+e.Error()+": ", ": ")
		}
		for _, e := range full {
			_, meaning, _ := strings.Cut(e.Error(), ": ")
			text = strings.ReplaceAll(text, e.Error(), meaning)
		}
	}
	text = strings.TrimSuffix(text, ": []") // of nobody who signed
	for _, end := range []string{"unexpected EOF", "EOF", "unexpected end of JSON input"} {
		if rest, ok := strings.CutSuffix(text, end); ok {
			return rest + "it ends too early"
		}
	}
	return text
}
