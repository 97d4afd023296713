// Package testkit is a small world for tests: a zone with people who have keys, a
// root, a policy in force, a sealed secret and credentials. Everything in it is
// the same in every run, except what HPKE and P-256 signatures draw at random.
package testkit

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"testing"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/seal"
	"github.com/writhq/writ/secret"
	"github.com/writhq/writ/sign"
)

// Names in the world.
const (
	Alias    = "payments/refunds"
	SecretID = "shop-key"
	Kind     = "http-bearer"
	Group    = "prod"
	Domain   = "prod/1" // replay domain of the gate
	Target   = "shop"
	Origin   = "https://shop.example"
	Subject  = op.Subject("svc/refunds")
)

// Now is the present of the world, in Unix seconds.
const Now int64 = 1_795_000_000

// A Config says how a zone differs from the usual one. Its zero value is the
// usual one.
type Config struct {
	Seed   string                     // other keys for the same names
	Root   func(*policy.RootDocument) // changes the root before it is signed
	Policy func(*policy.Document)     // changes the first policy before it is signed
}

// A Zone is a root and a line of policies with one version.
type Zone struct {
	Seed         string
	RootEnvelope *sign.Envelope
	Root         *policy.Root
	Envelope     *sign.Envelope   // of the policy
	Policy       *policy.Verified // in force
	Gate         seal.GateKey
}

// NewZone returns the usual zone.
func NewZone(t testing.TB) *Zone { return NewZoneWith(t, Config{}) }

// NewZoneWith returns a zone that differs as c says.
//
// Its principals: ana and bo sign roots and policies and revoke, ana with two
// keys ("ana", "ana2"); sam and sue seal; iris and ivo issue grants, ivo with a
// key of P-256. Its one gate has the key that Gate opens.
func NewZoneWith(t testing.TB, c Config) *Zone {
	t.Helper()
	z := &Zone{Seed: c.Seed, Gate: GateKey(t, c.Seed+"gate", "prod/2026-11/1")}
	root := z.rootDocument()
	if c.Root != nil {
		c.Root(root)
	}
	z.RootEnvelope = Envelope(t, policy.RootType, root, z.Key("ana"), z.Key("bo"))
	var err error
	if z.Root, err = policy.VerifyRoots(z.RootEnvelope.Digest(), []*sign.Envelope{z.RootEnvelope}, Now); err != nil {
		t.Fatalf("root: %v", err)
	}
	doc := Document(z.Root.Zone())
	if c.Policy != nil {
		c.Policy(doc)
	}
	z.Envelope = Envelope(t, policy.PayloadType, doc, z.Key("ana"), z.Key("bo"))
	if z.Policy, err = policy.Verify(z.Envelope, z.Root, nil); err != nil {
		t.Fatalf("policy: %v", err)
	}
	return z
}

// Key returns the Ed25519 key of a name in z.
func (z *Zone) Key(name string) sign.PrivateKey {
	seed := sha256.Sum256([]byte("testkit ed25519 " + z.Seed + name))
	k, err := sign.FromSeed(seed[:])
	if err != nil {
		panic(err)
	}
	return k
}

// KeyP256 returns the P-256 key of a name in z.
func (z *Zone) KeyP256(name string) sign.PrivateKey {
	d := sha256.Sum256([]byte("testkit p256 " + z.Seed + name))
	k, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), d[:])
	if err != nil {
		panic(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		panic(err)
	}
	p, err := sign.ParsePrivateKey(secret.Take(der))
	if err != nil {
		panic(err)
	}
	return p
}

// GateKey returns the gate key with the id that grows from a name.
func GateKey(t testing.TB, name, id string) seal.GateKey {
	t.Helper()
	seed := GateSeed(name)
	k, err := seal.NewGateKey(id, secret.Take(seed[:]))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// GateSeed returns the seed of the gate key of a name.
func GateSeed(name string) [32]byte { return sha256.Sum256([]byte("testkit x-wing " + name)) }

// Envelope returns doc in JCS in an envelope signed by the signers.
func Envelope(t testing.TB, payloadType string, doc any, by ...sign.Signer) *sign.Envelope {
	t.Helper()
	payload, err := canon.EncodeJSON(doc)
	if err != nil {
		t.Fatal(err)
	}
	e := &sign.Envelope{PayloadType: payloadType, Payload: payload}
	for _, s := range by {
		if err := e.Sign(s); err != nil {
			t.Fatal(err)
		}
	}
	return e
}

func (z *Zone) rootDocument() *policy.RootDocument {
	both := sign.Quorum{Members: []string{"ana", "bo"}, Threshold: 2}
	one := func(k sign.PrivateKey, uses ...policy.Use) policy.Principal {
		return policy.Principal{Keys: []policy.RootKey{{Key: k.Public(), Use: uses}}}
	}
	ana := one(z.Key("ana"), policy.UseRoot, policy.UsePolicy, policy.UseRevoke)
	ana.Keys = append(ana.Keys, policy.RootKey{Key: z.Key("ana2").Public(), Use: ana.Keys[0].Use})
	return &policy.RootDocument{
		Version: 1,
		Expires: Now + 180*86400,
		Root:    both,
		Principals: map[string]policy.Principal{
			"ana":  ana,
			"bo":   one(z.Key("bo"), policy.UseRoot, policy.UsePolicy, policy.UseRevoke),
			"sam":  one(z.Key("sam"), policy.UseSealer),
			"sue":  one(z.Key("sue"), policy.UseSealer),
			"iris": one(z.Key("iris"), policy.UseIssuer),
			"ivo":  one(z.KeyP256("ivo"), policy.UseIssuer),
		},
		Namespaces: []policy.Namespace{{
			Prefix:  "payments/",
			Genesis: both,
			Revoke:  sign.Quorum{Members: []string{"ana", "bo"}, Threshold: 1},
		}},
		PolicyLog: policy.Log{Origin: "log.example/policy", Key: z.Key("log").Public()},
		Gates: []policy.Gate{{
			ID: "gate-1", Group: Group, Domain: Domain, Region: "eu",
			SignKey: z.Key("gate-1").Public(), KEMKeys: []policy.KEMKey{z.Gate.Public()},
		}},
		Ceilings:   policy.Ceilings{MaxStalenessS: 60, MaxTTLS: 7 * 86400, MaxDepth: 8, MinSigners: 2},
		Algorithms: []string{"ed25519", "p256"},
	}
}
