package sign_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/secret"
	"github.com/writhq/writ/sign"
)

var update = flag.Bool("update", false, "write vectors/sign from the cases in this package")

var world testkit.Zone // its keys alone: a zone without a seed

type keyVector struct {
	Name      string `json:"name"`
	Algorithm string `json:"algorithm,omitempty"`
	Raw       string `json:"raw,omitempty"` // hexadecimal
	Text      string `json:"text"`
	ID        string `json:"id,omitempty"`
	Error     bool   `json:"error,omitempty"`
}

type keyFile struct {
	Format string      `json:"format"`
	Cases  []keyVector `json:"cases"`
}

func algorithm(name string) sign.Algorithm {
	switch name {
	case "ed25519":
		return sign.Ed25519
	case "p256":
		return sign.P256
	}
	return 0
}

// smallOrder holds the eight points of small order, and their other encodings.
var smallOrder = []string{
	"0100000000000000000000000000000000000000000000000000000000000000",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0000000000000000000000000000000000000000000000000000000000000080",
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
}

var otherEncodings = []string{
	"0100000000000000000000000000000000000000000000000000000000000080", // identity with a sign
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // y = p+1
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // y = p
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	"f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // y = p+3
	"f1ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
}

func keyCases(t *testing.T) keyFile {
	var cases []keyVector
	good := func(name string, k sign.PublicKey) {
		cases = append(cases, keyVector{name, k.Algorithm().String(), hex.EncodeToString(k.Bytes()), k.String(), k.ID().String(), false})
	}
	bad := func(name, alg string, raw []byte) {
		cases = append(cases, keyVector{name, alg, hex.EncodeToString(raw), alg + ":" + base64.RawURLEncoding.EncodeToString(raw), "", true})
	}
	text := func(name, s string) { cases = append(cases, keyVector{Name: name, Text: s, Error: true}) }
	good("ed25519", world.Key("ana").Public())
	good("p256", world.KeyP256("ivo").Public())
	good("p256 odd", world.KeyP256("odd").Public())
	for i, h := range smallOrder {
		bad(fmt.Sprintf("small order %d", i), "ed25519", testkit.Unhex(t, h))
	}
	for i, h := range otherEncodings {
		bad(fmt.Sprintf("other encoding %d", i), "ed25519", testkit.Unhex(t, h))
	}
	ed, p := world.Key("ana").Public(), world.KeyP256("ivo").Public()
	bad("ed25519 short", "ed25519", ed.Bytes()[:31])
	bad("ed25519 long", "ed25519", append(ed.Bytes(), 0))
	notOnCurve := bytes.Repeat([]byte{2}, 32)
	bad("ed25519 not on the curve", "ed25519", notOnCurve)
	point, err := p.Crypto().(*ecdsa.PublicKey).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	bad("p256 uncompressed", "p256", point)
	bad("p256 hybrid", "p256", append([]byte{6}, p.Bytes()[1:]...))
	bad("p256 without prefix", "p256", p.Bytes()[1:])
	bad("p256 infinity", "p256", []byte{0})
	bad("p256 not on the curve", "p256", append([]byte{2}, bytes.Repeat([]byte{0}, 31)...))
	bad("p256 x beyond the field", "p256", append([]byte{2}, bytes.Repeat([]byte{0xff}, 32)...))
	bad("p256 as ed25519", "ed25519", p.Bytes())
	bad("ed25519 as p256", "p256", ed.Bytes())
	text("no key", "")
	text("no algorithm", strings.TrimPrefix(ed.String(), "ed25519:"))
	text("unknown algorithm", "rsa:"+strings.TrimPrefix(ed.String(), "ed25519:"))
	text("upper case", strings.ToUpper(ed.String()[:7])+ed.String()[7:])
	text("padded", ed.String()+"=")
	text("line break", ed.String()[:20]+"\n"+ed.String()[20:])
	text("line break at the end", ed.String()+"\n")
	text("stray bits", ed.String()[:len(ed.String())-1]+"9")
	text("too long", "ed25519:"+strings.Repeat("A", 100))
	return keyFile{"public keys", cases}
}

// TestKeyVectors sees that a key has one form, and that keys under which one
// signature could hold for many messages are refused.
//
// SPEC SIGN-1
// A22
// guard: key-small-order
func TestKeyVectors(t *testing.T) {
	t.Parallel()
	f := testkit.Vectors(t, *update, "../vectors/sign/key.json", keyCases(t))
	refused := 0
	for _, v := range f.Cases {
		k, err := sign.ParsePublicKey(v.Text)
		check := func(api string, got sign.PublicKey, err error) {
			if (err != nil) != v.Error {
				t.Errorf("%s: %s: error %v", v.Name, api, err)
			}
			if err != nil && (!errors.Is(err, sign.ErrKey) || !errors.Is(err, sign.ErrSign) || !got.IsZero()) {
				t.Errorf("%s: %s: %v with key %v", v.Name, api, err, got)
			}
			if err == nil && (got.String() != v.Text || got.ID().String() != v.ID || hex.EncodeToString(got.Bytes()) != v.Raw) {
				t.Errorf("%s: %s gives %s with id %s", v.Name, api, got, got.ID())
			}
		}
		check("ParsePublicKey", k, err)
		if v.Algorithm != "" {
			k, err = sign.NewPublicKey(algorithm(v.Algorithm), testkit.Unhex(t, v.Raw))
			check("NewPublicKey", k, err)
		}
		var u sign.PublicKey
		err = u.UnmarshalText([]byte(v.Text))
		check("UnmarshalText", u, err)
		if v.Error {
			refused++
			continue
		}
		c, err := sign.FromCrypto(k.Crypto())
		check("FromCrypto", c, err)
	}
	if refused < 30 {
		t.Errorf("%d keys refused", refused)
	}
}

type signatureVector struct {
	Name      string `json:"name"`
	Key       string `json:"key"`
	Message   string `json:"message"`   // hexadecimal
	Signature string `json:"signature"` // hexadecimal
	Valid     bool   `json:"valid,omitempty"`
}

type signatureFile struct {
	Format string            `json:"format"`
	Cases  []signatureVector `json:"cases"`
}

// detP256 returns the signature of RFC 6979 as r ‖ s, with the lower s.
func detP256(t testing.TB, k sign.PrivateKey, msg []byte) []byte {
	sig, err := testkit.Fixed(k).Sign(msg)
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

func highS(sig []byte) []byte {
	s := new(big.Int).SetBytes(sig[32:])
	s.Sub(elliptic.P256().Params().N, s)
	return append(bytes.Clone(sig[:32]), s.FillBytes(make([]byte, 32))...)
}

func signatureCases(t *testing.T) signatureFile {
	var cases []signatureVector
	msg := []byte("refund 8831")
	add := func(name string, k sign.PublicKey, sig []byte, ok bool) {
		cases = append(cases, signatureVector{name, k.String(), hex.EncodeToString(msg), hex.EncodeToString(sig), ok})
	}
	ana, ivo := world.Key("ana"), world.KeyP256("ivo")
	ed, err := ana.Sign(msg)
	if err != nil {
		t.Fatal(err)
	}
	p := detP256(t, ivo, msg)
	add("ed25519", ana.Public(), ed, true)
	add("p256", ivo.Public(), p, true)
	add("p256 high s", ivo.Public(), highS(p), false)
	h := sha256.Sum256(msg)
	der, err := ivo.Crypto().Sign(nil, h[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	add("p256 in ASN.1", ivo.Public(), der, false)
	add("p256 zero", ivo.Public(), make([]byte, 64), false)
	n := elliptic.P256().Params().N
	add("p256 r of the order", ivo.Public(), append(n.FillBytes(make([]byte, 32)), p[32:]...), false)
	add("another's", world.Key("bo").Public(), ed, false)
	add("of the other algorithm", ivo.Public(), ed, false)
	add("empty", ana.Public(), nil, false)
	add("short", ana.Public(), ed[:63], false)
	add("long", ana.Public(), append(bytes.Clone(ed), 0), false)
	s := new(big.Int).SetBytes(reversed(ed[32:]))
	order, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	s.Add(s, order)
	add("ed25519 s beyond the order", ana.Public(), append(bytes.Clone(ed[:32]), reversed(s.FillBytes(make([]byte, 32)))...), false)
	add("ed25519 r of small order", ana.Public(), append(testkit.Unhex(t, smallOrder[0]), ed[32:]...), false)
	return signatureFile{"signatures", cases}
}

func reversed(b []byte) []byte {
	out := make([]byte, len(b))
	for i := range b {
		out[len(b)-1-i] = b[i]
	}
	return out
}

// TestSignatureVectors sees that a message has, by a signature, no second one
// that anybody could make: neither high s nor another encoding holds.
//
// SPEC SIGN-2
// A22
// R63: a signature under another algorithm than the key's does not hold
// guard: signature, signature-low-s
func TestSignatureVectors(t *testing.T) {
	t.Parallel()
	f := testkit.Vectors(t, *update, "../vectors/sign/signature.json", signatureCases(t))
	for _, v := range f.Cases {
		k, err := sign.ParsePublicKey(v.Key)
		if err != nil {
			t.Fatal(err)
		}
		err = k.Verify(testkit.Unhex(t, v.Message), testkit.Unhex(t, v.Signature))
		if (err == nil) != v.Valid || err != nil && !errors.Is(err, sign.ErrSignature) {
			t.Errorf("%s: %v", v.Name, err)
		}
	}
	if err := (sign.PublicKey{}).Verify(nil, nil); !errors.Is(err, sign.ErrSignature) {
		t.Errorf("the zero key verifies: %v", err)
	}
}

// TestSignatureBits flips every bit of a signature and of its message.
//
// R1
// guard: signature
func TestSignatureBits(t *testing.T) {
	t.Parallel()
	for _, k := range []sign.PrivateKey{world.Key("ana"), world.KeyP256("ivo")} {
		msg := []byte("refund 8831")
		sig, err := k.Sign(msg)
		if err != nil || k.Public().Verify(msg, sig) != nil {
			t.Fatalf("sign: %v", err)
		}
		n := testkit.Flips(sig, func(b []byte, bit int) {
			if k.Public().Verify(msg, b) == nil {
				t.Errorf("%s: bit %d of the signature does not matter", k.Public().Algorithm(), bit)
			}
		})
		n += testkit.Flips(msg, func(b []byte, bit int) {
			if k.Public().Verify(b, sig) == nil {
				t.Errorf("%s: bit %d of the message does not matter", k.Public().Algorithm(), bit)
			}
		})
		if n != 8*(64+len(msg)) {
			t.Errorf("%d bits", n)
		}
	}
}

// TestPrivateKeyRoundTrip writes keys in PKCS #8 and reads them back.
func TestPrivateKeyRoundTrip(t *testing.T) {
	t.Parallel()
	for _, a := range []sign.Algorithm{sign.Ed25519, sign.P256} {
		k, err := sign.Generate(a)
		if err != nil {
			t.Fatal(err)
		}
		s, err := k.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		again, err := sign.ParsePrivateKey(s)
		if err != nil || again.Public() != k.Public() {
			t.Fatalf("%s: %v", a, err)
		}
		sig, err := again.Sign([]byte("m"))
		if err != nil || k.Public().Verify([]byte("m"), sig) != nil {
			t.Errorf("%s: the key read back does not sign: %v", a, err)
		}
	}
}

// TestPrivateKeyForm reads keys that the standard library takes and that are not in
// their one form.
//
// SPEC SIGN-7
// guard: private-key-form
func TestPrivateKeyForm(t *testing.T) {
	t.Parallel()
	der := func(k sign.PrivateKey) (out []byte) {
		s, err := k.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		s.Use(func(b []byte) error {
			out = bytes.Clone(b)
			return nil
		})
		return out
	}
	ed, p := der(world.Key("ana")), der(world.KeyP256("ana"))
	others := bytes.Clone(p)
	copy(others[len(p)-65:], der(world.KeyP256("ivo"))[len(p)-65:]) // the public key, uncompressed
	for name, b := range map[string][]byte{"ed25519, something after": append(bytes.Clone(ed), 0), "p256, something after": append(bytes.Clone(p), 0), "p256, another's public key": others} {
		if _, err := x509.ParsePKCS8PrivateKey(b); err != nil {
			t.Fatalf("%s shows nothing: %v", name, err)
		}
		if _, err := sign.ParsePrivateKey(secret.Take(b)); !errors.Is(err, sign.ErrKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, b := range [][]byte{ed, p} {
		if _, err := sign.ParsePrivateKey(secret.Take(b)); err != nil {
			t.Error(err)
		}
	}
}

// TestPrivateKeyRefusals gives ParsePrivateKey what is not a key of ours, and the
// zero key something to do.
func TestPrivateKeyRefusals(t *testing.T) {
	t.Parallel()
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	big, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]any{"p384": p384, "rsa": big} {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := sign.ParsePrivateKey(secret.Take(der)); !errors.Is(err, sign.ErrKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, b := range []string{"", "x", strings.Repeat("0", 4096)} {
		if _, err := sign.ParsePrivateKey(secret.Take([]byte(b))); !errors.Is(err, sign.ErrKey) {
			t.Errorf("%d bytes: %v", len(b), err)
		}
	}
	var zero sign.PrivateKey
	if _, err := zero.Sign([]byte("m")); !errors.Is(err, sign.ErrKey) {
		t.Errorf("the zero key signs: %v", err)
	}
	if _, err := zero.Marshal(); !errors.Is(err, sign.ErrKey) {
		t.Errorf("the zero key has a form: %v", err)
	}
	if zero.Crypto() != nil || !zero.Public().IsZero() || zero.Public().Crypto() != nil {
		t.Error("the zero key has keys")
	}
	if _, err := sign.Generate(0); !errors.Is(err, sign.ErrKey) {
		t.Errorf("a key without algorithm: %v", err)
	}
	if _, err := sign.FromSeed(make([]byte, 31)); !errors.Is(err, sign.ErrKey) {
		t.Errorf("a short seed: %v", err)
	}
}

// TestPrivateKeyDoesNotPrint looks for the key in what every verb makes of it, of
// structs and pointers around it, and of JSON.
//
// SPEC SIGN-7
func TestPrivateKeyDoesNotPrint(t *testing.T) {
	t.Parallel()
	seed := bytes.Repeat([]byte{0xa7}, 32)
	k, err := sign.FromSeed(seed)
	if err != nil {
		t.Fatal(err)
	}
	type around struct {
		key    sign.PrivateKey
		signer sign.Signer
		Named  map[string]sign.PrivateKey
	}
	values := []any{k, &k, around{k, k, map[string]sign.PrivateKey{"a": k}}, []sign.PrivateKey{k}}
	looked := 0
	for _, v := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%b", "%o", "%c", "%U", "%e", "%t", "%p", "%08v", "%-9s", "%w"} {
			out := fmt.Sprintf(verb, v)
			for _, leak := range []string{"a7a7a7a7", "A7A7A7A7", "167 167", "0xa7, 0xa7", "p6enp6en", "\xa7\xa7", `\xa7\xa7`, "247 247", "10100111 10100111"} {
				looked++
				if strings.Contains(out, leak) {
					t.Errorf("%s of %T prints %q", verb, v, out)
				}
			}
		}
		if b, err := json.Marshal(v); err == nil && bytes.Contains(b, []byte("p6en")) {
			t.Errorf("JSON of %T: %s", v, b)
		}
	}
	if looked < 500 {
		t.Errorf("looked %d times", looked)
	}
	// The control: a key of the standard library does print.
	if out := fmt.Sprintf("%x", struct{ k ed25519.PrivateKey }{k.Crypto().(ed25519.PrivateKey)}); !strings.Contains(out, "a7a7") {
		t.Errorf("the search finds nothing: %s", out)
	}
}
