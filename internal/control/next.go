package control

import (
	"errors"
	"fmt"
	"strings"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/sign"
	"github.com/writhq/writ/zone"
)

// next returns what helps whoever handed in e, which the zone refused for err: a
// command that can be run, and who can run it. SPEC CTRL-9.
func (x *Authority) next(e *sign.Envelope, now int64, err error) (next string) {
	x.Log.View(func(z *zone.Zone) { // of a log that failed there is no refusal
		switch {
		case e.PayloadType == policy.RootType:
			next = nextRoot(z, e, err)
		case e.PayloadType == zone.RevokeType:
			next = nextRevocation(z, e, err)
		case z.CheckRoot(now) != nil:
			next = "a root that follows comes first: writ root new --after root.json --answers FILE --out root-2.json, which the quorum signs, then writ root publish root-2.json"
		case e.PayloadType == policy.PayloadType:
			next = nextPolicy(z, e, err)
		case e.PayloadType == zone.AliasType:
			next = nextAlias(z, e, err)
		case e.PayloadType == zone.SecretType:
			next = nextSecret(z, e, err)
		default:
			next = "writ root publish, writ policy publish, writ secret and writ revoke hand in what a log takes"
		}
	})
	return next
}

// of says whom a quorum takes.
func of(q sign.Quorum) string {
	return fmt.Sprintf("%d of %s", q.Threshold, strings.Join(q.Members, ", "))
}

// prefixes returns the namespaces of the root.
func prefixes(z *zone.Zone) string {
	var out []string
	for _, n := range z.Root().Document().Namespaces {
		out = append(out, n.Prefix)
	}
	return strings.Join(out, ", ")
}

func nextRoot(z *zone.Zone, e *sign.Envelope, err error) string {
	cur := z.Root().Document()
	d, perr := policy.ParseRoot(e.Payload)
	switch {
	case perr != nil:
		return "writ root new --answers FILE --out root.json writes one"
	case d.Version != cur.Version+1 || d.Prev != z.Root().ID():
		return fmt.Sprintf("version %d is in force: writ root new --after FILE-OF-IT --answers FILE --out root-%d.json writes version %d", cur.Version, cur.Version+1, cur.Version+1)
	case errors.Is(err, sign.ErrThreshold):
		return fmt.Sprintf("it takes %s by the root in force, and %s by itself: writ root sign FILE --key NAME.key", of(cur.Root), of(d.Root))
	}
	return "writ root show FILE, and a later end or other content: writ root new --days N"
}

func nextPolicy(z *zone.Zone, e *sign.Envelope, err error) string {
	d, perr := policy.Parse(e.Payload)
	if perr != nil {
		return "writ policy check FILE says what is wrong"
	}
	if d.Zone != z.Root().Zone() {
		return "make it for this zone: take zone out of its source, and sign it with --root " + z.Root().Zone().String()
	}
	ns, ok := z.Root().Namespace(d.Alias)
	if !ok {
		return fmt.Sprintf("take an alias below a prefix of the root (%s), or have a root that follows add one: writ root show", prefixes(z))
	}
	demanded := ns.Genesis
	if cur, ok := z.InForce(d.Alias); ok {
		demanded = cur.Document().Governance.Successor
		if v := cur.Document().Version; cur.ID() == e.Digest() {
			return "nothing: it is in force; writ policy show " + d.Alias
		} else if d.Version != v+1 || d.Prev != cur.ID() {
			return fmt.Sprintf("version %d is in force: writ policy new --after %s --out NAME writes version %d, to sign and publish", v, d.Alias, v+1)
		}
	} else if d.Version != 1 {
		return "nothing is in force there, and the first has version 1: writ policy new --alias " + d.Alias + " --out NAME"
	}
	if errors.Is(err, sign.ErrThreshold) {
		return toSign(demanded, d.Governance.Successor)
	}
	return "writ policy check FILE; the root's ceilings bind too: writ root show"
}

// toSign says who signs a policy, and how.
func toSign(demanded, own sign.Quorum) string {
	who := of(demanded)
	if of(own) != who {
		who += ", and " + of(own) + " by its own word"
	}
	return "it takes " + who + ", with keys that the root lists for policies: writ policy sign NAME.signed.json --key NAME.key"
}

func nextAlias(z *zone.Zone, e *sign.Envelope, err error) string {
	var rec zone.AliasRecord
	if canon.DecodeJSON(e.Payload, &rec) != nil || !errors.Is(err, sign.ErrThreshold) {
		return "writ policy publish NAME.signed.json hands in the policy and its record, in that order"
	}
	ns, _ := z.Root().Namespace(rec.Alias)
	demanded := ns.Genesis
	if cur, ok := z.InForce(rec.Alias); ok {
		demanded = cur.Document().Governance.Successor
	}
	return toSign(demanded, demanded)
}

func nextRevocation(z *zone.Zone, e *sign.Envelope, err error) string {
	var rec zone.RevokeRecord
	if canon.DecodeJSON(e.Payload, &rec) != nil {
		return "writ revoke --help"
	}
	ns, ok := z.Root().Namespace(rec.Alias)
	switch {
	case z.Revoked(rec.Kind, rec.ID):
		return "nothing: it is revoked"
	case rec.Zone != z.Root().Zone():
		return "it is for the zone of another root; this one's is " + z.Root().Zone().String()
	case !ok:
		return fmt.Sprintf("take an alias below a prefix of the root: %s; writ root show says who revokes there", prefixes(z))
	}
	who := fmt.Sprintf("%s takes revocations by %s, with keys that the root lists with the use revoke: writ revoke … --key NAME.key", ns.Prefix, of(ns.Revoke))
	if rec.Credential != "" {
		return "a holder revokes with the key of a block before the revoked one, which writ show FILE lists: --as-holder --key NAME.key; else " + who
	}
	return who
}

func nextSecret(z *zone.Zone, e *sign.Envelope, err error) string {
	var rec zone.SecretRecord
	if canon.DecodeJSON(e.Payload, &rec) != nil {
		return "writ secret put --help"
	}
	p, ok := z.InForce(rec.Alias)
	if !ok {
		return "a policy comes first: writ policy publish NAME.signed.json; writ policy show lists what is in force"
	}
	d, ok := p.Document().Secret(rec.ID)
	switch again := fmt.Sprintf("writ secret put %s %s --key SEALER.key", rec.Alias, rec.ID); {
	case !ok:
		return fmt.Sprintf("writ policy show %s says which it lists; writ policy new --after %s --out NAME writes a successor with more", rec.Alias, rec.Alias)
	case rec.Policy != p.ID():
		return "another policy is in force by now; seal it under that one: " + again
	case errors.Is(err, sign.ErrThreshold):
		return fmt.Sprintf("it takes %s, with keys that the root lists with the use sealer: --key NAME.key for each", of(d.Sealers))
	case z.Root().Zone() != rec.Zone:
		return "it is for the zone of another root; this one's is " + z.Root().Zone().String()
	default:
		return fmt.Sprintf("writ secret show %s %s says which version there is; then %s", rec.Alias, rec.ID, again)
	}
}
