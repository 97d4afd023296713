package proof_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/proof"
	"github.com/writhq/writ/secret"
	"github.com/writhq/writ/sign"
)

// nonceKey is a gate's.
func nonceKey() secret.Bytes { return secret.Take([]byte("0123456789abcdef0123456789abcdef")) }

func nonceAt(at int64) string { return proof.NewNonce(nonceKey(), testkit.Domain, at) }

func usualDPoP() *proof.DPoP {
	return &proof.DPoP{JTI: "-BwC3ESc6acc2lTc", IssuedAt: testkit.Now, Nonce: nonceAt(testkit.Now)}
}

func checkFor(k sign.PublicKey) *proof.DPoPCheck {
	return &proof.DPoPCheck{Holder: k, Credential: canon.Hash(chain), Audience: testkit.Domain, NonceKey: nonceKey(), At: testkit.Now}
}

// dpop returns [post] with the proof, which change may change before it is signed.
func dpop(t testing.TB, k sign.Signer, change func(*proof.DPoP)) *proof.Message {
	t.Helper()
	d := usualDPoP()
	if change != nil {
		change(d)
	}
	m := post()
	token, err := d.Sign(m, canon.Hash(chain), k)
	if err != nil {
		t.Fatal(err)
	}
	add(m, proof.FieldDPoP, token)
	return m
}

// jwt is a proof that a client with code of its own signs: header and payload as
// they stand in a good one, with one text replaced.
func jwt(t testing.TB, k sign.Signer, old, text string) *proof.Message {
	t.Helper()
	m := dpop(t, k, nil)
	f := field(m, proof.FieldDPoP)
	var parts []string
	changed := false
	for _, p := range strings.Split(*f, ".")[:2] {
		b, err := base64.RawURLEncoding.DecodeString(p)
		if err != nil {
			t.Fatal(err)
		}
		changed = changed || strings.Contains(string(b), old)
		parts = append(parts, base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(b), old, text, 1))))
	}
	if !changed {
		t.Fatalf("%s is not in the proof", old)
	}
	signed := strings.Join(parts, ".")
	sig, err := k.Sign([]byte(signed))
	if err != nil {
		t.Fatal(err)
	}
	*f = signed + "." + base64.RawURLEncoding.EncodeToString(sig)
	return m
}

type dpopVector struct {
	Name       string   `json:"name"`
	Key        string   `json:"key"`
	At         int64    `json:"at"`
	Method     string   `json:"method"`
	TargetURI  string   `json:"target_uri"`
	Credential string   `json:"credential"` // digest
	Audience   string   `json:"audience"`
	NonceKey   string   `json:"nonce_key"` // of the gate, as text
	Proofs     []string `json:"dpop"`      // values of the field
	ReplayID   string   `json:"replay_id,omitempty"`
	ReplayEnd  int64    `json:"replay_end,omitempty"`
	Error      string   `json:"error,omitempty"` // nonce, time, or proof for all else
}

type dpopFile struct {
	Format string       `json:"format"`
	Cases  []dpopVector `json:"cases"`
}

func dpopFailure(err error) string {
	if errors.Is(err, proof.ErrNonce) {
		return "nonce"
	}
	return failure(err)
}

// dpopCases writes the vectors.
type dpopCases struct {
	t *testing.T
	f dpopFile
	k sign.Signer
}

func (c *dpopCases) put(name, want string, m *proof.Message) {
	v := dpopVector{Name: name, Key: c.k.Public().String(), At: testkit.Now, Method: m.Method, TargetURI: m.TargetURI,
		Credential: canon.Hash(chain).String(), Audience: testkit.Domain, NonceKey: "0123456789abcdef0123456789abcdef", Error: want}
	for _, f := range m.Fields {
		if f[0] == proof.FieldDPoP {
			v.Proofs = append(v.Proofs, f[1])
		}
	}
	if d, err := proof.VerifyDPoP(m, checkFor(c.k.Public())); err == nil {
		v.ReplayID, v.ReplayEnd = d.ReplayID(testkit.Domain, c.k.Public()).String(), d.ReplayUntil()
	}
	c.f.Cases = append(c.f.Cases, v)
}

// with puts a case whose proof has one text replaced.
func (c *dpopCases) with(name, want string, replace [2]string) {
	c.put(name, want, jwt(c.t, c.k, replace[0], replace[1]))
}

func newDPoPCases(t *testing.T) dpopFile {
	c := &dpopCases{t, dpopFile{Format: "DPoP proofs"}, testkit.Fixed(world.KeyP256("holder"))}
	c.put("p256", "", dpop(t, c.k, nil))
	c.k = testkit.Fixed(world.Key("holder"))
	c.put("ed25519", "", dpop(t, c.k, nil))
	c.with("white space in the payload", "", [2]string{`,"htm"`, `, "htm"`})
	c.put("old nonce, still good", "", dpop(t, c.k, func(d *proof.DPoP) { d.Nonce = nonceAt(testkit.Now - 119) }))
	c.put("expired nonce", "nonce", dpop(t, c.k, func(d *proof.DPoP) { d.Nonce = nonceAt(testkit.Now - 120) }))
	c.put("nonce from later", "nonce", dpop(t, c.k, func(d *proof.DPoP) { d.Nonce = nonceAt(testkit.Now + 31) }))
	c.put("nonce of another gate", "nonce", dpop(t, c.k, func(d *proof.DPoP) {
		d.Nonce = proof.NewNonce(secret.Take([]byte("another")), testkit.Domain, testkit.Now)
	}))
	c.put("nonce of another domain", "nonce", dpop(t, c.k, func(d *proof.DPoP) { d.Nonce = proof.NewNonce(nonceKey(), "prod/2", testkit.Now) }))
	c.with("no nonce", "nonce", [2]string{`"nonce":"` + nonceAt(testkit.Now) + `"`, `"nonce":""`})
	c.with("without the claim nonce", "nonce", [2]string{`,"nonce":"` + nonceAt(testkit.Now) + `"`, ``})
	c.put("made too early", "time", dpop(t, c.k, func(d *proof.DPoP) { d.IssuedAt -= 90 }))
	c.put("made too late", "time", dpop(t, c.k, func(d *proof.DPoP) { d.IssuedAt += 31 }))
	c.put("by another key", "proof", dpop(t, world.Key("other"), nil))
	c.put("short jti", "proof", dpop(t, c.k, func(d *proof.DPoP) { d.JTI = d.JTI[:15] }))
	c.with("another type", "proof", [2]string{`"dpop+jwt"`, `"jwt"`})
	c.with("algorithm none", "proof", [2]string{`"EdDSA"`, `"none"`})
	c.with("algorithm of another key", "proof", [2]string{`"EdDSA"`, `"ES256"`})
	c.with("crit", "proof", [2]string{`"typ":`, `"crit":["b64"],"typ":`})
	c.with("kid", "proof", [2]string{`"typ":`, `"kid":"a","typ":`})
	c.with("typ twice", "proof", [2]string{`"typ":`, `"typ":"jwt","typ":`})
	c.with("no jwk", "proof", [2]string{`,"jwk":{`, `,"jwq":{`})
	c.with("private key in the jwk", "proof", [2]string{`"crv":`, `"d":"AA","crv":`})
	c.with("another curve", "proof", [2]string{`"Ed25519"`, `"X25519"`})
	c.with("another method", "proof", [2]string{`"htm":"POST"`, `"htm":"GET"`})
	c.with("method in lower case", "proof", [2]string{`"htm":"POST"`, `"htm":"post"`})
	c.with("another path", "proof", [2]string{`/v1/refunds`, `/v1/refund`})
	c.with("another host", "proof", [2]string{`https://gate.example`, `https://gate2.example`})
	c.with("with the query", "proof", [2]string{`/v1/refunds`, `/v1/refunds?dry=0`})
	c.with("another credential", "proof", [2]string{`"ath":"E`, `"ath":"F`})
	c.with("iat as text", "proof", [2]string{fmt.Sprintf(`"iat":%d`, testkit.Now), fmt.Sprintf(`"iat":"%d"`, testkit.Now)})
	c.with("iat as fraction", "proof", [2]string{fmt.Sprintf(`"iat":%d`, testkit.Now), fmt.Sprintf(`"iat":%d.0`, testkit.Now)})
	c.with("a claim more", "proof", [2]string{`"jti":`, `"exp":9999999999,"jti":`})
	c.with("a claim twice", "proof", [2]string{`"htm":"POST"`, `"htm":"GET","htm":"POST"`})
	m := dpop(t, c.k, nil)
	add(m, proof.FieldDPoP, *field(m, proof.FieldDPoP))
	c.put("two proofs", "proof", m)
	m = dpop(t, c.k, nil)
	*field(m, proof.FieldDPoP) += "="
	c.put("padded", "proof", m)
	m = dpop(t, c.k, nil)
	f := field(m, proof.FieldDPoP)
	*f = (*f)[:strings.LastIndex(*f, ".")+1]
	c.put("no signature", "proof", m)
	c.put("none", "proof", post())
	return c.f
}

// TestDPoPVectors verifies what vectors/proof/dpop.json holds.
//
// SPEC PROOF-8, PROOF-9, PROOF-10
// A12 A14
// guard: dpop-request, dpop-credential, dpop-time, dpop-nonce, dpop-header, dpop-signature, nonce-mac, nonce-age
func TestDPoPVectors(t *testing.T) {
	t.Parallel()
	f := testkit.Vectors(t, *update, "../vectors/proof/dpop.json", newDPoPCases(t))
	refused := 0
	for _, v := range f.Cases {
		k, err := sign.ParsePublicKey(v.Key)
		if err != nil {
			t.Fatal(err)
		}
		d, err := canon.ParseDigest(v.Credential)
		if err != nil {
			t.Fatal(err)
		}
		m := &proof.Message{Method: v.Method, TargetURI: v.TargetURI}
		for _, p := range v.Proofs {
			add(m, proof.FieldDPoP, p)
		}
		got, err := proof.VerifyDPoP(m, &proof.DPoPCheck{Holder: k, Credential: d, Audience: v.Audience, NonceKey: secret.Take([]byte(v.NonceKey)), At: v.At})
		if dpopFailure(err) != v.Error {
			t.Errorf("%s: %v, want %q", v.Name, err, v.Error)
		}
		if v.Error != "" {
			refused++
		} else if err == nil && (got.ReplayID(v.Audience, k).String() != v.ReplayID || got.ReplayUntil() != v.ReplayEnd) {
			t.Errorf("%s: %+v", v.Name, got)
		}
	}
	if refused < 30 {
		t.Errorf("%d refused", refused)
	}
}

// TestDPoPReplay shows that a proof is remembered for as long as it could be
// accepted, by its time and by its nonce's.
//
// A14 A12
func TestDPoPReplay(t *testing.T) {
	t.Parallel()
	k := world.Key("holder")
	for _, nonce := range []int64{testkit.Now - 119, testkit.Now - 30, testkit.Now, testkit.Now + 29} {
		m := dpop(t, k, func(d *proof.DPoP) { d.Nonce = nonceAt(nonce) })
		c := checkFor(k.Public())
		d, err := proof.VerifyDPoP(m, c)
		if err != nil {
			t.Fatal(err)
		}
		if want := max(testkit.Now+60, nonce+120) + 30; d.ReplayUntil() != want {
			t.Errorf("kept until %d, want %d", d.ReplayUntil(), want)
		}
		for c.At = testkit.Now - 200; c.At < testkit.Now+400; c.At++ {
			if _, err := proof.VerifyDPoP(m, c); err == nil && c.At >= d.ReplayUntil() {
				t.Fatalf("accepted at %d, forgotten at %d", c.At, d.ReplayUntil())
			}
		}
		v := &proof.Invocation{Audience: testkit.Domain, JTI: []byte(d.JTI)}
		if d.ReplayID(testkit.Domain, k.Public()) == v.ReplayID(k.Public()) {
			t.Error("a proof and an invocation with the same jti are one")
		}
	}
}

// TestDPoPIsNoInvocation puts a proof where an invocation belongs, and a
// signature where a proof belongs.
//
// A12
func TestDPoPIsNoInvocation(t *testing.T) {
	t.Parallel()
	k := world.Key("holder")
	m := dpop(t, k, nil)
	token := *field(m, proof.FieldDPoP)
	v, _, err := proof.VerifyHTTP(m, k.Public(), nil, testkit.Now)
	refused(t, "a proof alone", v, err)
	signed := signedPost(t, k)
	*field(signed, proof.FieldInput) = "writ=" + token
	v, _, err = proof.VerifyHTTP(signed, k.Public(), nil, testkit.Now)
	refused(t, "a proof as signature", v, err)
	if _, err := proof.VerifyDPoP(signedPost(t, k), checkFor(k.Public())); !errors.Is(err, proof.ErrProof) {
		t.Errorf("a signature as proof: %v", err)
	}
}

// TestDPoPHighS takes the other s of a signature by P-256, which JOSE libraries
// make half of the time, for the same proof.
func TestDPoPHighS(t *testing.T) {
	t.Parallel()
	k := world.KeyP256("holder")
	low := dpop(t, k, nil)
	token := *field(low, proof.FieldDPoP)
	at := strings.LastIndex(token, ".") + 1
	sig, err := base64.RawURLEncoding.DecodeString(token[at:])
	if err != nil {
		t.Fatal(err)
	}
	high := post()
	add(high, proof.FieldDPoP, token[:at]+base64.RawURLEncoding.EncodeToString(highS(sig)))
	a, errA := proof.VerifyDPoP(low, checkFor(k.Public()))
	b, errB := proof.VerifyDPoP(high, checkFor(k.Public()))
	if errA != nil || errB != nil || a.ReplayID(testkit.Domain, k.Public()) != b.ReplayID(testkit.Domain, k.Public()) {
		t.Errorf("low %v, high %v, or two proofs", errA, errB)
	}
}

// TestHTTPHighS is the same for message signatures: RFC 9421 asks for no lower s.
//
// SPEC PROOF-6
func TestHTTPHighS(t *testing.T) {
	t.Parallel()
	k := world.KeyP256("holder")
	m := signedPost(t, k)
	low, _, err := proof.VerifyHTTP(m, k.Public(), nil, testkit.Now)
	if err != nil {
		t.Fatal(err)
	}
	text := field(m, proof.FieldSignature)
	b64 := strings.TrimSuffix(strings.TrimPrefix(*text, "writ=:"), ":")
	sig, err := base64.StdEncoding.DecodeString(b64)
	if err != nil {
		t.Fatal(err)
	}
	*text = "writ=:" + base64.StdEncoding.EncodeToString(highS(sig)) + ":"
	high, _, err := proof.VerifyHTTP(m, k.Public(), nil, testkit.Now)
	if err != nil || high.ReplayID(k.Public()) != low.ReplayID(k.Public()) {
		t.Errorf("%v, or two proofs", err)
	}
	*text = "writ=:" + base64.StdEncoding.EncodeToString(append(sig[:63:63], sig[63]^1)) + ":"
	if _, _, err := proof.VerifyHTTP(m, k.Public(), nil, testkit.Now); !errors.Is(err, proof.ErrProof) {
		t.Errorf("a signature that does not hold: %v", err)
	}
}

// TestContextUnverified reads what no signature covers, within the same bounds.
//
// SPEC PROOF-11
func TestContextUnverified(t *testing.T) {
	t.Parallel()
	m := unsigned()
	if v, err := m.ContextUnverified(); err != nil || v.Context() != usual().Context() {
		t.Errorf("%+v, %v", v, err)
	}
	for _, bad := range []string{"", `pur="refund"`, `aud=""`, `aud="` + strings.Repeat("a", 129) + `"`, `aud="prod/1",pur="refund"`} {
		*field(m, proof.FieldContext) = bad
		v, err := m.ContextUnverified()
		refused(t, bad, v, err)
	}
	for _, text := range []string{`a", idem="b`, "a\nb", "é", `\`} { // a value that would become more
		v := usual()
		v.Purpose = text
		*field(m, proof.FieldContext) = v.Context()
		v, err := m.ContextUnverified()
		refused(t, text, v, err)
		w := usual()
		w.Purpose = text
		refused(t, text, nil, proof.SignHTTP(post(), w, world.Key("holder"), nil))
	}
	remove(m, proof.FieldContext)
	v, err := m.ContextUnverified()
	refused(t, "none", v, err)
}

// FuzzDPoP sees that what is accepted is signed by the holder: nothing but the
// proofs that the seeds hold.
func FuzzDPoP(f *testing.F) {
	k := testkit.Fixed(world.Key("holder"))
	good := *field(dpop(f, k, nil), proof.FieldDPoP)
	f.Add(good)
	f.Add(*field(jwt(f, k, `"typ":`, `"crit":["b64"],"typ":`), proof.FieldDPoP))
	f.Fuzz(func(t *testing.T, token string) {
		m := post()
		add(m, proof.FieldDPoP, token)
		d, err := proof.VerifyDPoP(m, checkFor(k.Public()))
		if err == nil && strings.Trim(token, " \t") != good {
			t.Errorf("accepted: %+v", d)
		}
		if err != nil && !errors.Is(err, proof.ErrProof) {
			t.Errorf("error of another package: %v", err)
		}
	})
}
