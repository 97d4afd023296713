package canon_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"testing"

	"github.com/writhq/writ/canon"
)

// FuzzJSON: what parses is written in one form, which parses to the same; it is
// JSON to encoding/json as well; and a document that decodes encodes to the same
// bytes.
func FuzzJSON(f *testing.F) {
	for _, name := range []string{"json", "document"} {
		for _, v := range vectorsOf(f, name) {
			f.Add(v.in(f))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := canon.ParseJSON(b)
		if err != nil {
			if !errors.Is(err, canon.ErrJSON) {
				t.Fatalf("error of another package: %v", err)
			}
			return
		}
		if !json.Valid(b) {
			t.Fatal("encoding/json refuses it")
		}
		again := canon.AppendJSON(nil, v)
		w, err := canon.ParseExactJSON(again)
		if err != nil || !reflect.DeepEqual(v, w) {
			t.Fatalf("what is written is another value: %v", err)
		}
		if _, err := canon.ParseExactJSON(b); (err == nil) != bytes.Equal(again, b) {
			t.Fatalf("exact: %v", err)
		}
		var d document
		if canon.DecodeJSON(b, &d) != nil {
			return
		}
		if e, err := canon.EncodeJSON(&d); err != nil || !bytes.Equal(e, b) {
			t.Fatalf("a document encodes to other bytes: %v", err)
		}
	})
}

// FuzzCBOR: a document that decodes encodes to the same bytes.
func FuzzCBOR(f *testing.F) {
	for _, v := range vectorsOf(f, "cbor") {
		f.Add(v.in(f))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var d document
		if err := canon.DecodeCBOR(b, &d); err != nil {
			if !errors.Is(err, canon.ErrForm) {
				t.Fatalf("error of another package: %v", err)
			}
			return
		}
		if e, err := canon.EncodeCBOR(&d); err != nil || !bytes.Equal(e, b) {
			t.Fatalf("encodes to other bytes: %v", err)
		}
	})
}
