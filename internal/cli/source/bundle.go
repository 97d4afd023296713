package source

import (
	"bytes"
	"errors"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/cli/shell"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/sign"
	"github.com/writhq/writ/zone"
)

// A Bundle is a policy with the record that puts it in force: people sign both.
type Bundle struct {
	Policy *sign.Envelope `json:"policy"`
	Alias  *sign.Envelope `json:"alias"`
}

// ReadBundle returns the bundle in a file, and the document in it. Nothing of it
// is verified but that the two belong together.
func ReadBundle(sh *shell.Shell, name string) (*Bundle, *policy.Document, error) {
	b, err := sh.Read(name, shell.Signed)
	if err != nil {
		return nil, nil, err
	}
	var x Bundle
	if err := canon.DecodeJSON(bytes.TrimSpace(b), &x); err != nil {
		return nil, nil, shell.Signed.Bad(name, err)
	}
	if x.Policy == nil || x.Alias == nil || x.Policy.PayloadType != policy.PayloadType || x.Alias.PayloadType != zone.AliasType {
		return nil, nil, shell.Signed.Bad(name, errors.New("a policy and its alias record are needed"))
	}
	d, err := policy.Parse(x.Policy.Payload)
	if err != nil {
		return nil, nil, shell.Signed.Bad(name, err)
	}
	want, err := x.Record(d)
	if err != nil {
		return nil, nil, err
	}
	if !bytes.Equal(want.Payload, x.Alias.Payload) { //guard:R21 bundle-belongs-together
		return nil, nil, shell.Fail("sign the policy's source anew", "%s: the alias record is for another policy", name)
	}
	return &x, d, nil
}

// Record returns the unsigned record that puts the bundle's policy in force.
func (x *Bundle) Record(d *policy.Document) (*sign.Envelope, error) {
	return zone.NewEnvelope(zone.AliasType, zone.AliasRecord{Zone: d.Zone, Alias: d.Alias, Version: d.Version, Policy: x.Policy.Digest()})
}
