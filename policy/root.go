package policy

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/policy/law"
	"github.com/writhq/writ/sign"
)

// RootType is the DSSE payload type of a root.
const RootType = "application/vnd.writ.root.v1+json"

// A Use is what a root allows a key to do. A key does nothing that its entry
// does not list.
type Use string

// The uses of keys.
const (
	UseRoot   Use = "root"   // sign roots
	UsePolicy Use = "policy" // sign policies and alias records
	UseSealer Use = "sealer" // vouch for secrets
	UseIssuer Use = "issuer" // sign grants
	UseRevoke Use = "revoke" // revoke
	UseReader Use = "reader" // read receipts and listings
)

var uses = []Use{UseRoot, UsePolicy, UseSealer, UseIssuer, UseRevoke, UseReader}

// A RootDocument is the content of a root. Source: spec/root.md.
type RootDocument struct {
	Version    int64                `json:"version"`
	Prev       canon.Digest         `json:"prev"` // digest of version−1; "" for the genesis
	Expires    int64                `json:"expires"`
	Root       sign.Quorum          `json:"root"` // who signs roots
	Principals map[string]Principal `json:"principals"`
	Namespaces []Namespace          `json:"namespaces"`
	PolicyLog  Log                  `json:"policy_log"`
	Gates      []Gate               `json:"gates"`
	Ceilings   Ceilings             `json:"ceilings"`
	Algorithms []string             `json:"algorithms"`       // that artifacts of the zone may use
	Barred     []string             `json:"barred,omitempty"` // versions of mappers that decide nothing any more, such as http/1
}

// A Principal is a person or service, with its keys and the subjects it is.
type Principal struct {
	Keys     []RootKey `json:"keys"`
	Subjects []string  `json:"subjects,omitempty"`
}

// A RootKey is a public key and what it may be used for.
type RootKey struct {
	Key sign.PublicKey `json:"key"`
	Use []Use          `json:"use"`
}

// A Namespace says who may start lines of policies under a prefix, and who may
// revoke there.
type Namespace struct {
	Prefix  string      `json:"prefix"` // ends in /
	Genesis sign.Quorum `json:"genesis"`
	Revoke  sign.Quorum `json:"revoke"`
}

// A Log is a transparency log of the zone.
type Log struct {
	Origin string         `json:"origin"`
	Key    sign.PublicKey `json:"key"`
}

// A Gate is a gate that the zone knows.
type Gate struct {
	ID      string         `json:"id"`
	Group   string         `json:"group"`
	Domain  string         `json:"domain"` // replay domain: gates that share their state
	Region  string         `json:"region,omitempty"`
	SignKey sign.PublicKey `json:"sign_key"`
	KEMKeys []KEMKey       `json:"kem_keys"`
}

// A KEMKey is a key that secrets are sealed to.
type KEMKey struct {
	ID     string `json:"id"`     // such as prod/2026-11/1
	KEM    string `json:"kem"`    // "x-wing"
	Public []byte `json:"public"` // base64; 1,216 bytes
}

// Ceilings bound what any policy of the zone may allow.
type Ceilings struct {
	MaxStalenessS int64 `json:"max_staleness_s"`
	MaxTTLS       int64 `json:"max_ttl_s"`
	MaxDepth      int   `json:"max_depth"`
	MinSigners    int   `json:"min_signers"` // least threshold of any policy's successor quorum
}

// A Root is a verified root: the newest of a chain that starts at a pinned
// digest. It is immutable.
type Root struct {
	doc  RootDocument
	zone canon.Digest
	id   canon.Digest
	gone map[sign.KeyID]bool // revoked keys
}

// Zone returns the digest of the chain's genesis, which names the zone.
func (r *Root) Zone() canon.Digest { return r.zone }

// ID returns the root's own digest.
func (r *Root) ID() canon.Digest { return r.id }

// Document returns the root's content. The caller does not change it.
func (r *Root) Document() *RootDocument { return &r.doc }

// ParseRoot returns the root document in payload without verifying it. Errors
// wrap [ErrDocument].
func ParseRoot(payload []byte) (*RootDocument, error) {
	if len(payload) > MaxPolicyBytes {
		return nil, fmt.Errorf("%w: root of %d bytes; at most %d", ErrDocument, len(payload), MaxPolicyBytes)
	}
	var d RootDocument
	if err := canon.DecodeJSON(payload, &d); err != nil {
		return nil, fmt.Errorf("%w: root: %w", ErrDocument, err)
	}
	if err := d.check(); err != nil {
		return nil, fmt.Errorf("root: %w", err)
	}
	return &d, nil
}

func (d *RootDocument) check() error {
	return firstFault([]fieldCheck{
		{"version", d.checkVersion},
		{"expires", func() error { return atLeast(d.Expires, 1) }},
		{"root", func() error { return checkQuorum(d.Root) }},
		{"principals", d.checkPrincipals},
		{"namespaces", d.checkNamespaces},
		{"policy_log", d.checkLog},
		{"gates", d.checkGates},
		{"ceilings", d.checkCeilings},
		{"algorithms", d.checkAlgorithms},
		{"barred", d.checkBarred},
	})
}

func (d *RootDocument) checkVersion() error {
	if d.Version < 1 || d.Version > maxRoots || (d.Version == 1) != d.Prev.IsZero() {
		return fmt.Errorf("want 1 to %d, and prev from 2 on", maxRoots)
	}
	return nil
}

// checkPrincipals refuses a key that two principals have: it would count for
// two people.
func (d *RootDocument) checkPrincipals() error {
	owner := make(map[sign.KeyID]bool)
	for _, name := range sortedKeys(d.Principals) {
		if err := law.CheckName(name); err != nil {
			return err
		}
		for _, k := range d.Principals[name].Keys {
			if k.Key.IsZero() {
				return fmt.Errorf("%s: a key is missing", name)
			}
			if owner[k.Key.ID()] { //guard:R35 key-has-one-owner
				return fmt.Errorf("%s: key %s is another's or stands twice", name, k.Key.ID())
			}
			owner[k.Key.ID()] = true
			if i := slices.IndexFunc(k.Use, func(u Use) bool { return !slices.Contains(uses, u) }); i >= 0 {
				return fmt.Errorf("%s: use %q is unknown", name, k.Use[i])
			}
		}
	}
	return nil
}

// checkNamespaces refuses a prefix that stands twice: which of the two had the
// authority would depend on their order.
func (d *RootDocument) checkNamespaces() error {
	for i, n := range d.Namespaces {
		alias, slash := strings.CutSuffix(n.Prefix, "/")
		if !slash || checkAlias(alias) != nil || slices.ContainsFunc(d.Namespaces[:i], func(o Namespace) bool { return o.Prefix == n.Prefix }) { //guard:R22 namespace-prefix
			return fmt.Errorf("%q: a prefix is an alias and /, and stands once", n.Prefix)
		}
		if err := checkQuorum(n.Genesis); err != nil {
			return fmt.Errorf("%s: genesis: %w", n.Prefix, err)
		}
		if err := checkQuorum(n.Revoke); err != nil {
			return fmt.Errorf("%s: revoke: %w", n.Prefix, err)
		}
	}
	return nil
}

func (d *RootDocument) checkLog() error {
	if d.PolicyLog.Origin == "" || d.PolicyLog.Key.Algorithm() != sign.Ed25519 {
		return fmt.Errorf("origin and an ed25519 key are needed")
	}
	return nil
}

// checkGates refuses two keys to seal to under one id: readers of the root could
// take different ones.
func (d *RootDocument) checkGates() error {
	kem := make(map[string]string)
	for i := range d.Gates {
		g := &d.Gates[i]
		if law.CheckName(g.Group) != nil || law.CheckName(g.Domain) != nil || g.SignKey.IsZero() {
			return fmt.Errorf("%s: group, domain or sign_key is missing", g.ID)
		}
		for _, k := range g.KEMKeys {
			if have, ok := kem[k.ID]; ok && have != string(k.Public) { //guard:A2 kem-key-once
				return fmt.Errorf("%s: kem_keys: %s is another key elsewhere", g.ID, k.ID)
			}
			if law.CheckName(k.ID) != nil || k.KEM != kemXWing || len(k.Public) != kemPublicBytes {
				return fmt.Errorf("%s: kem_keys: want an id, %s, and %d bytes", g.ID, kemXWing, kemPublicBytes)
			}
			kem[k.ID] = string(k.Public)
		}
	}
	return uniqueNames(d.Gates, func(g *Gate) string { return g.ID })
}

func (d *RootDocument) checkCeilings() error {
	if c := d.Ceilings; c.MaxStalenessS < 1 || c.MaxTTLS < 1 || c.MaxDepth < 0 || c.MinSigners < 1 {
		return fmt.Errorf("want max_staleness_s, max_ttl_s and min_signers of 1 or more, max_depth of 0 or more")
	}
	return nil
}

func (d *RootDocument) checkAlgorithms() error {
	if len(d.Algorithms) == 0 {
		return fmt.Errorf("none is permitted, so no key counts")
	}
	return uniqueNames(d.Algorithms, func(a *string) string { return *a })
}

func (d *RootDocument) checkBarred() error {
	for i, b := range d.Barred {
		typ, version, ok := strings.Cut(b, "/")
		n, err := strconv.Atoi(version)
		if !ok || law.CheckName(typ) != nil || err != nil || n < 1 || strconv.Itoa(n) != version || i >= maxListed || slices.Contains(d.Barred[:i], b) {
			return fmt.Errorf("entry %d: want an operation type and a version, such as http/1, each once", i)
		}
	}
	return nil
}

// Bars returns the version of a mapper that l names and r bars, "" if there is
// none. A fault in a mapper cannot be mended under the same version: receipts
// would no longer be recomputed (A40). SPEC ROOT-6.
func (r *Root) Bars(l Language) string {
	for _, b := range r.doc.Barred {
		typ, version, _ := strings.Cut(b, "/")
		if n, ok := l.Mappers[typ]; ok && strconv.Itoa(n) == version {
			return b
		}
	}
	return ""
}

func sortedKeys[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for n := range m {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// Keys returns a lookup of the keys that a principal has for a use.
func (r *Root) Keys(u Use) sign.Keys {
	return func(principal string) []sign.PublicKey {
		var out []sign.PublicKey
		for _, k := range r.doc.Principals[principal].Keys {
			if r.gone[k.Key.ID()] && u != UseRoot { //guard:R35 R28 key-revoked
				continue
			}
			if !slices.Contains(k.Use, u) { //guard:A22 key-use
				continue
			}
			if !contains(r.doc.Algorithms, k.Key.Algorithm().String()) { //guard:R63 key-algorithm
				continue
			}
			out = append(out, k.Key)
		}
		return out
	}
}

// Without returns r as it is once the key is revoked: nothing that the key signs
// counts, under this root or one that follows. Roots are the exception: a key
// leaves their quorum by a new root alone, or one who may revoke could lock the
// zone for ever. SPEC ROOT-5.
func (r *Root) Without(id sign.KeyID) *Root {
	c := *r
	c.gone = maps.Clone(r.gone)
	if c.gone == nil {
		c.gone = make(map[sign.KeyID]bool)
	}
	c.gone[id] = true
	return &c
}

// Owner returns the principal that has the key, or "".
func (r *Root) Owner(id sign.KeyID) string {
	for _, name := range sortedKeys(r.doc.Principals) {
		for _, k := range r.doc.Principals[name].Keys {
			if k.Key.ID() == id {
				return name
			}
		}
	}
	return ""
}

// HasUse reports whether the key is listed for the use, by whomever.
func (r *Root) HasUse(id sign.KeyID, u Use) bool {
	owner := r.Owner(id)
	return owner != "" && slices.ContainsFunc(r.Keys(u)(owner), func(k sign.PublicKey) bool { return k.ID() == id })
}

// SubjectOf reports whether the principal is the subject.
func (r *Root) SubjectOf(principal string, s op.Subject) bool {
	return contains(r.doc.Principals[principal].Subjects, string(s))
}

// Namespace returns the namespace with the longest prefix of alias.
func (r *Root) Namespace(alias string) (Namespace, bool) {
	var best Namespace
	for _, n := range r.doc.Namespaces {
		if strings.HasPrefix(alias, n.Prefix) && len(n.Prefix) > len(best.Prefix) {
			best = n
		}
	}
	return best, best.Prefix != ""
}

// Gate returns the gate with the id.
func (r *Root) Gate(id string) (Gate, bool) {
	i := slices.IndexFunc(r.doc.Gates, func(g Gate) bool { return g.ID == id })
	if i < 0 {
		return Gate{}, false
	}
	return r.doc.Gates[i], true
}

// Group returns the KEM keys of the gates of a group, each key once, in the
// root's order. Recipients of secrets come from here alone. SPEC ROOT-4.
func (r *Root) Group(group string) []KEMKey {
	var out []KEMKey
	for _, g := range r.doc.Gates {
		for _, k := range g.KEMKeys {
			if g.Group == group && !slices.ContainsFunc(out, func(o KEMKey) bool { return o.ID == k.ID }) {
				out = append(out, k)
			}
		}
	}
	return out
}

// VerifyRoots returns the newest root of a chain whose genesis has the digest
// pin.
//
// Version N+1 must carry the threshold of N and its own, and name N as prev. The
// newest must not have expired at the time at, in Unix seconds; 0 asks for no
// time. Errors wrap [ErrAuthority] or [ErrDocument]. SPEC ROOT-1, ROOT-2,
// ROOT-3.
func VerifyRoots(pin canon.Digest, chain []*sign.Envelope, at int64) (*Root, error) {
	if len(chain) == 0 || len(chain) > maxRoots {
		return nil, fmt.Errorf("%w: root: chain of %d", ErrDocument, len(chain))
	}
	if pin.IsZero() || chain[0].Digest() != pin { //guard:A1 root-pin
		return nil, fmt.Errorf("%w: root: the genesis is not the pinned one", ErrAuthority)
	}
	var cur *Root
	for _, e := range chain {
		next, err := cur.next(e)
		if err != nil {
			return nil, err
		}
		cur = next
	}
	if err := cur.CheckTime(at); err != nil {
		return nil, err
	}
	return cur, nil
}

// CheckTime returns an error that wraps [ErrAuthority] if r has expired at the
// time at, in Unix seconds. Who decides or publishes under a root asks; who
// replays a log does not, since the log may hold the root that follows.
// SPEC ROOT-3.
func (r *Root) CheckTime(at int64) error {
	if r.doc.Expires <= at { //guard:R47 root-expired
		return fmt.Errorf("%w: root: version %d has expired; a root that follows is needed: writ root new --after FILE, signed, then writ root publish", ErrAuthority, r.doc.Version)
	}
	return nil
}

// Next returns the root in e, if it follows r. It may follow one that has
// expired. Errors are those of [VerifyRoots]. SPEC ROOT-2.
func (r *Root) Next(e *sign.Envelope) (*Root, error) {
	if r == nil {
		return nil, fmt.Errorf("%w: root: there is none to follow", ErrAuthority)
	}
	return r.next(e)
}

// next returns the root in e as the one that follows r, or as a genesis if r is
// nil.
func (r *Root) next(e *sign.Envelope) (*Root, error) {
	d, err := ParseRoot(e.Payload)
	if err != nil {
		return nil, err
	}
	next := &Root{doc: *d, zone: e.Digest(), id: e.Digest()}
	if r != nil {
		next.zone, next.gone = r.zone, r.gone
	}
	if _, err := e.Verify(RootType, d.Root, next.Keys(UseRoot)); err != nil { //guard:R22 root-own-quorum
		return nil, fmt.Errorf("%w: root version %d: %w", ErrAuthority, d.Version, err)
	}
	if r == nil {
		if d.Version != 1 {
			return nil, fmt.Errorf("%w: root: the chain starts at version %d", ErrAuthority, d.Version)
		}
		return next, nil
	}
	if d.Version != r.doc.Version+1 || d.Prev != r.id { //guard:R22 root-link
		return nil, fmt.Errorf("%w: root version %d does not follow %d", ErrAuthority, d.Version, r.doc.Version)
	}
	if _, err := e.Verify(RootType, r.doc.Root, r.Keys(UseRoot)); err != nil { //guard:R36 root-prev-quorum
		return nil, fmt.Errorf("%w: root version %d, by the quorum of %d: %w", ErrAuthority, d.Version, r.doc.Version, err)
	}
	return next, nil
}
