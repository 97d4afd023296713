package sign_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/sign"
)

const blockType = "application/writ-test+cbor"

type blockVector struct {
	Name    string `json:"name"`
	Key     string `json:"key"`
	Type    string `json:"type"` // demanded
	Block   string `json:"block"`
	Payload string `json:"payload,omitempty"`
	Error   string `json:"error,omitempty"` // form, or signature
}

type blockFile struct {
	Format string        `json:"format"`
	Cases  []blockVector `json:"cases"`
}

func encode(t testing.TB, v any) []byte {
	b, err := canon.EncodeCBOR(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A part is what a block is made of, where a test makes one by hand.
type part struct {
	header, unprotected, payload any
	context                      string
	external                     []byte
	sign                         func(msg []byte) []byte
}

func (p part) block(t testing.TB) []byte {
	header := encode(t, p.header)
	tbs := encode(t, []any{p.context, header, p.external, p.payload})
	return encode(t, []any{header, p.unprotected, p.payload, p.sign(tbs)})
}

// usual returns what Sign1 makes of payload by ana.
func usual(t testing.TB) part {
	return part{
		header:      map[int]any{1: int(sign.Ed25519), 16: blockType},
		unprotected: map[int]any{},
		payload:     []byte("payload"),
		context:     "Signature1",
		external:    []byte{},
		sign:        signer(t, world.Key("ana")),
	}
}

func signer(t testing.TB, k sign.PrivateKey) func([]byte) []byte {
	return func(msg []byte) []byte {
		if k.Public().Algorithm() == sign.P256 {
			return detP256(t, k, msg)
		}
		sig, err := k.Sign(msg)
		if err != nil {
			t.Fatal(err)
		}
		return sig
	}
}

func blockCases(t *testing.T) blockFile {
	var cases []blockVector
	ana, ivo := world.Key("ana").Public(), world.KeyP256("ivo").Public()
	add := func(name string, k sign.PublicKey, failure string, change func(*part)) {
		p := usual(t)
		change(&p)
		v := blockVector{Name: name, Key: k.String(), Type: blockType, Block: hex.EncodeToString(p.block(t)), Error: failure}
		if b, ok := p.payload.([]byte); ok && failure == "" {
			v.Payload = hex.EncodeToString(b)
		}
		cases = append(cases, v)
	}
	add("ed25519", ana, "", func(*part) {})
	add("p256", ivo, "", func(p *part) {
		p.header, p.sign = map[int]any{1: int(sign.P256), 16: blockType}, signer(t, world.KeyP256("ivo"))
	})
	add("empty payload", ana, "", func(p *part) { p.payload = []byte{} })
	add("another's", world.Key("bo").Public(), "signature", func(*part) {})
	add("key of another algorithm", ivo, "signature", func(*part) {})
	add("another type", ana, "signature", func(p *part) { p.header = map[int]any{1: int(sign.Ed25519), 16: "application/writ-other+cbor"} })
	add("header of another algorithm", ana, "signature", func(p *part) { p.header = map[int]any{1: int(sign.P256), 16: blockType} })
	add("polymorphic algorithm", ana, "signature", func(p *part) { p.header = map[int]any{1: -8, 16: blockType} })
	add("no algorithm", ana, "form", func(p *part) { p.header = map[int]any{16: blockType} })
	add("no type", ana, "form", func(p *part) { p.header = map[int]any{1: int(sign.Ed25519)} })
	add("key id in the header", ana, "form", func(p *part) {
		p.header = map[int]any{1: int(sign.Ed25519), 4: []byte("kid"), 16: blockType}
	})
	add("crit in the header", ana, "form", func(p *part) {
		p.header = map[int]any{1: int(sign.Ed25519), 2: []int{16}, 16: blockType}
	})
	add("something unprotected", ana, "form", func(p *part) { p.unprotected = map[int]any{4: []byte("kid")} })
	add("null unprotected", ana, "form", func(p *part) { p.unprotected = nil })
	add("null payload", ana, "form", func(p *part) { p.payload = nil })
	add("text payload", ana, "form", func(p *part) { p.payload = "payload" })
	add("array payload", ana, "form", func(p *part) { p.payload = []int{1, 2} })
	add("null signature", ana, "form", func(p *part) { p.sign = func([]byte) []byte { return nil } })
	add("COSE_Sign's context", ana, "signature", func(p *part) { p.context = "Signature" })
	add("external data", ana, "signature", func(p *part) { p.external = []byte("x") })
	add("empty signature", ana, "signature", func(p *part) { p.sign = func([]byte) []byte { return []byte{} } })
	add("p256 high s", ivo, "signature", func(p *part) {
		p.header = map[int]any{1: int(sign.P256), 16: blockType}
		p.sign = func(b []byte) []byte { return highS(detP256(t, world.KeyP256("ivo"), b)) }
	})
	good := usual(t).block(t)
	raw := func(name string, b []byte) {
		cases = append(cases, blockVector{Name: name, Key: ana.String(), Type: blockType, Block: hex.EncodeToString(b), Error: "form"})
	}
	raw("nothing", nil)
	raw("tagged", append([]byte{0xd2}, good...))
	raw("indefinite length", append(append([]byte{0x9f}, good[1:]...), 0xff))
	raw("something after", append(bytes.Clone(good), 0))
	raw("three parts", append([]byte{0x83}, good[1:]...))
	raw("long form of a length", bytes.Replace(good, []byte{0x47, 'p', 'a', 'y'}, []byte{0x58, 7, 'p', 'a', 'y'}, 1))
	return blockFile{"COSE_Sign1 blocks", cases}
}

// TestBlockVectors sees that a block is of one type, by one key, and has one
// form; nothing outside the signature can be added.
//
// SPEC SIGN-6
// A22: the unprotected header is empty
// R63: the algorithm is the key's, never the message's
// guard: block-type, cose-unprotected-empty, signature
func TestBlockVectors(t *testing.T) {
	t.Parallel()
	f := testkit.Vectors(t, *update, "../vectors/sign/block.json", blockCases(t))
	refused := 0
	for _, v := range f.Cases {
		k, err := sign.ParsePublicKey(v.Key)
		if err != nil {
			t.Fatal(err)
		}
		block := testkit.Unhex(t, v.Block)
		payload, err := sign.Verify1(k, v.Type, block)
		unverified, uErr := sign.PayloadUnverified(block)
		if v.Error == "" {
			if err != nil || uErr != nil || hex.EncodeToString(payload) != v.Payload || !bytes.Equal(unverified, payload) {
				t.Errorf("%s: %v, %v, %x", v.Name, err, uErr, payload)
			}
			continue
		}
		refused++
		if payload != nil || v.Error == "form" && !errors.Is(err, canon.ErrForm) || v.Error == "signature" && !errors.Is(err, sign.ErrSignature) {
			t.Errorf("%s: %v with payload %x", v.Name, err, payload)
		}
		if (uErr != nil) != (v.Error == "form") {
			t.Errorf("%s: PayloadUnverified: %v", v.Name, uErr)
		}
	}
	if refused < 20 {
		t.Errorf("%d blocks refused", refused)
	}
}

// TestBlockBits flips every bit of a block.
//
// R1
// guard: signature
func TestBlockBits(t *testing.T) {
	t.Parallel()
	for _, k := range []sign.PrivateKey{world.Key("ana"), world.KeyP256("ivo")} {
		block, err := sign.Sign1(k, blockType, []byte("payload"))
		if err != nil {
			t.Fatal(err)
		}
		if p, err := sign.Verify1(k.Public(), blockType, block); err != nil || string(p) != "payload" {
			t.Fatal(err)
		}
		n := testkit.Flips(block, func(b []byte, bit int) {
			if _, err := sign.Verify1(k.Public(), blockType, b); err == nil {
				t.Errorf("%s: bit %d does not matter", k.Public().Algorithm(), bit)
			}
		})
		if n < 800 {
			t.Errorf("%d bits", n)
		}
	}
}

// TestBlockBounds signs nothing, too much, and without a key.
func TestBlockBounds(t *testing.T) {
	t.Parallel()
	k := world.Key("ana")
	block, err := sign.Sign1(k, blockType, nil)
	if err != nil {
		t.Fatal(err)
	}
	if p, err := sign.Verify1(k.Public(), blockType, block); err != nil || p == nil || len(p) != 0 {
		t.Errorf("an empty payload: %v", err)
	}
	block, err = sign.Sign1(k, blockType, make([]byte, 64<<10))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sign.Verify1(k.Public(), blockType, block); !errors.Is(err, canon.ErrForm) {
		t.Errorf("oversized: %v", err)
	}
	if _, err := sign.Sign1(sign.PrivateKey{}, blockType, nil); !errors.Is(err, sign.ErrKey) {
		t.Errorf("signed by the zero key: %v", err)
	}
	if _, err := sign.Verify1(sign.PublicKey{}, blockType, usual(t).block(t)); !errors.Is(err, sign.ErrSignature) {
		t.Errorf("verified by the zero key: %v", err)
	}
}

// FuzzBlock: what parses encodes back to the same bytes, and does not verify
// under a key that signed nothing.
func FuzzBlock(f *testing.F) {
	var v blockFile
	testkit.ReadVectors(f, "../vectors/sign/block.json", &v)
	for _, c := range v.Cases {
		f.Add(testkit.Unhex(f, c.Block))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		payload, err := sign.PayloadUnverified(b)
		if err != nil {
			return
		}
		var parts struct {
			_           struct{} `cbor:",toarray"`
			Protected   []byte
			Unprotected map[int]any
			Payload     []byte
			Signature   []byte
		}
		if err := canon.DecodeCBOR(b, &parts); err != nil || !bytes.Equal(parts.Payload, payload) {
			t.Fatalf("%x: %v", b, err)
		}
		if again := encode(t, &parts); !bytes.Equal(again, b) {
			t.Errorf("%x encodes to %x", b, again)
		}
		if _, err := sign.Verify1(world.Key("nobody").Public(), blockType, b); err == nil {
			t.Errorf("%x holds under a key that signed nothing", b)
		}
	})
}
