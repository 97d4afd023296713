package canon

import (
	"bytes"
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

var (
	cborEncode = mustEncMode()
	cborDecode = mustDecMode(maxCBORArray)
	cborList   = mustDecMode(maxCBORList)
)

func mustEncMode() cbor.EncMode {
	o := cbor.CoreDetEncOptions()
	o.TagsMd = cbor.TagsForbidden
	m, err := o.EncMode()
	if err != nil {
		panic(err)
	}
	return m
}

// mustDecMode returns what decodes documents with arrays of up to so many elements.
func mustDecMode(array int) cbor.DecMode {
	m, err := cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		UTF8:              cbor.UTF8RejectInvalid,
		MaxNestedLevels:   maxCBORDepth,
		MaxArrayElements:  array,
		MaxMapPairs:       maxCBORMap,
	}.DecMode()
	if err != nil {
		panic(err)
	}
	return m
}

// EncodeCBOR returns v in deterministic CBOR.
//
// Source: RFC 8949, section 4.2.1 "Core Deterministic Encoding Requirements".
func EncodeCBOR(v any) ([]byte, error) {
	b, err := cborEncode.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode CBOR: %w", err)
	}
	return b, nil
}

// DecodeCBOR sets *v to what b says.
//
// It accepts b only if encoding *v gives b again, byte for byte: the decoder
// alone takes unsorted keys and long forms of integers. No tags, no indefinite
// lengths, no duplicate or unknown keys; depth and counts are bounded. Errors
// wrap [ErrForm]. SPEC CANON-6.
func DecodeCBOR(b []byte, v any) error { return decodeCBOR(cborDecode, b, v) }

// DecodeCBORList is [DecodeCBOR] for a document that lists what a protocol counts in
// 16 bits: an array may have 65,535 elements. SPEC CANON-6.
func DecodeCBORList(b []byte, v any) error { return decodeCBOR(cborList, b, v) }

func decodeCBOR(m cbor.DecMode, b []byte, v any) error {
	if err := m.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%w: CBOR: %w", ErrForm, err)
	}
	again, err := cborEncode.Marshal(v)
	if err != nil {
		return fmt.Errorf("%w: CBOR: %w", ErrForm, err)
	}
	if !bytes.Equal(again, b) { //guard:R1 cbor-roundtrip
		return fmt.Errorf("%w: CBOR: differs from its own encoding at byte %d", ErrForm, firstDifference(again, b))
	}
	return nil
}
