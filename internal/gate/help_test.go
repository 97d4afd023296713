package gate_test

import (
	"context"
	"errors"
	"testing"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/credential"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/permit"
	"github.com/writhq/writ/sign"
	"github.com/writhq/writ/zone"
)

func issue(t testing.TB, g credential.Grant, issuers ...sign.Signer) *credential.Chain {
	t.Helper()
	c, err := credential.Issue(g, issuers...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// noCustodian cannot seal again.
type noCustodian struct{}

func (noCustodian) Reseal(context.Context, *permit.Permit) ([]byte, *zone.SecretRecord, error) {
	return nil, nil, errors.New("no")
}

// destroy publishes that the secret is destroyed.
func (w *world) destroy() {
	w.t.Helper()
	st, blob := w.Sealed(w.t)
	w.apply(testkit.Envelope(w.t, zone.SecretType, zone.SecretRecord{
		Zone: w.Root.Zone(), Alias: testkit.Alias, ID: testkit.SecretID, Version: 1, Policy: w.Policy.ID(),
		Sealed: canon.Hash(blob), Statement: st.Envelope(), State: zone.Destroyed,
	}, w.Key("sam")))
}
