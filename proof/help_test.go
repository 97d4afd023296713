package proof_test

import (
	"bytes"
	"crypto/elliptic"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/proof"
	"github.com/writhq/writ/sign"
)

const targetURI = "https://gate.example/t/shop/v1/refunds?dry=0"

var world testkit.Zone // its keys alone

// jti is that of every proof here; a holder's is random.
var jti = []byte("0123456789abcdef")

func usual() *proof.Invocation {
	d := canon.Digest{1, 2, 3}
	return &proof.Invocation{
		Purpose: "refund", Lineage: []canon.Digest{{9}, {8}}, JTI: jti, IssuedAt: testkit.Now, Expires: testkit.Now + 60,
		Audience: testkit.Domain, Idem: "ord-8831-refund-1", Policy: &d,
	}
}

// chain is what stands for a credential here: proof does not parse it.
var chain = []byte("the bytes of a credential")

// post returns a request with a body, not signed yet.
func post() *proof.Message {
	return &proof.Message{
		Method: "POST", TargetURI: targetURI, HasBody: true, Body: []byte(`{"order":"8831","amount":100}`),
		Fields: [][2]string{
			{"host", "gate.example"}, {"content-type", "application/json"}, {"x-reason", "customer's request"},
			{proof.FieldCredential, proof.ByteSequence(chain)},
		},
	}
}

// covered is what the operation of [post] has.
var covered = []string{"@method", "@target-uri", "content-type", "content-digest", "x-reason"}

func signedPost(t testing.TB, k sign.Signer) *proof.Message {
	t.Helper()
	m := post()
	if err := proof.SignHTTP(m, usual(), k, covered); err != nil {
		t.Fatal(err)
	}
	return m
}

// field returns a pointer to the value of the first field of the name.
func field(m *proof.Message, name string) *string {
	for i := range m.Fields {
		if m.Fields[i][0] == name {
			return &m.Fields[i][1]
		}
	}
	m.Fields = append(m.Fields, [2]string{name, ""})
	return &m.Fields[len(m.Fields)-1][1]
}

// remove takes all fields of the name away.
func remove(m *proof.Message, name string) {
	m.Fields = slices.DeleteFunc(m.Fields, func(f [2]string) bool { return f[0] == name })
}

func add(m *proof.Message, name, value string) { m.Fields = append(m.Fields, [2]string{name, value}) }

// A signature is what a client with code of its own signs: whatever components
// and parameters, correctly.
type signature struct {
	names  []string
	params string
	key    sign.Signer
}

func usualSignature() signature {
	k := testkit.Fixed(world.Key("holder"))
	return signature{
		names: []string{"@method", "@target-uri", "writ-context", "writ-credential", "content-digest", "content-type", "x-reason"},
		params: fmt.Sprintf(`;created=%d;expires=%d;nonce=%q;keyid=%q;tag="writ-invoke-1"`, testkit.Now, testkit.Now+60,
			base64.RawURLEncoding.EncodeToString(jti), k.Public().ID()),
		key: k,
	}
}

// unsigned returns [post] with context and digest, before Signature-Input.
func unsigned() *proof.Message {
	m := post()
	add(m, proof.FieldContext, proof.Context(usual()))
	add(m, proof.FieldDigest, proof.ContentDigest(m.Body))
	return m
}

// by adds the signature to m, after RFC 9421, section 2.5.
func (s signature) by(t testing.TB, m *proof.Message) *proof.Message {
	t.Helper()
	var base strings.Builder
	var list []string
	for _, n := range s.names {
		value := map[string]string{"@method": m.Method, "@target-uri": m.TargetURI}[n]
		if n[0] != '@' {
			value = *field(m, n)
		}
		fmt.Fprintf(&base, "%q: %s\n", n, value)
		list = append(list, fmt.Sprintf("%q", n))
	}
	input := "(" + strings.Join(list, " ") + ")" + s.params
	base.WriteString(`"@signature-params": ` + input)
	sig, err := s.key.Sign([]byte(base.String()))
	if err != nil {
		t.Fatal(err)
	}
	add(m, proof.FieldInput, "writ="+input)
	add(m, proof.FieldSignature, "writ="+proof.ByteSequence(sig))
	return m
}

// refused fails the test unless err is of package proof.
func refused(t testing.TB, what string, v *proof.Invocation, err error) {
	t.Helper()
	if !errors.Is(err, proof.ErrProof) {
		t.Errorf("%s: %+v, %v", what, v, err)
	}
}

// highS returns a signature by P-256 with the higher s.
func highS(sig []byte) []byte {
	s := new(big.Int).Sub(elliptic.P256().Params().N, new(big.Int).SetBytes(sig[32:]))
	return append(bytes.Clone(sig[:32]), s.FillBytes(make([]byte, 32))...)
}
