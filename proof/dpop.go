package proof

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/secret"
	"github.com/writhq/writ/sign"
)

// FieldDPoP is the name of the field that carries a proof of level 1.
const FieldDPoP = "dpop"

const dpopType = "dpop+jwt"

// dpopClaims are the claims of a proof, which has all of them and no others.
var dpopClaims = []string{"jti", "htm", "htu", "iat", "nonce", "ath"}

// A DPoP is a holder's proof that the one who makes a request has the key. It
// covers method and path, but neither query nor body nor purpose: it is a proof
// of level 1, and never an invocation. Source: RFC 9449, section 4.2.
type DPoP struct {
	JTI      string // 16 to 128 printable characters, never used again
	IssuedAt int64  // Unix seconds
	Nonce    string // of the gate, see [NewNonce]

	nonceTime int64
}

// A DPoPCheck is what a DPoP proof is held against; all of it is trusted.
type DPoPCheck struct {
	Holder     sign.PublicKey
	Credential canon.Digest
	Audience   string       // replay domain of the gate
	NonceKey   secret.Bytes // of the gate
	At         int64        // Unix seconds
}

// Sign returns the proof for m and the credential as a JWT in compact form.
func (d *DPoP) Sign(m *Message, credential canon.Digest, holder sign.Signer) (string, error) {
	var jwk []string
	for _, f := range jwkOf(holder.Public()) {
		jwk = append(jwk, `"`+f[0]+`":"`+f[1]+`"`)
	}
	head := fmt.Sprintf(`{"typ":%q,"alg":%q,"jwk":{%s}}`, dpopType, joseAlgorithm(holder.Public()), strings.Join(jwk, ","))
	payload, err := json.Marshal(map[string]any{
		"jti": d.JTI, "htm": m.Method, "htu": withoutQuery(m.TargetURI), "iat": d.IssuedAt, "nonce": d.Nonce, "ath": accessHash(credential),
	})
	if err != nil {
		return "", fmt.Errorf("%w: sign: %w", ErrProof, err)
	}
	b64 := base64.RawURLEncoding
	signed := b64.EncodeToString([]byte(head)) + "." + b64.EncodeToString(payload)
	sig, err := holder.Sign([]byte(signed))
	if err != nil {
		return "", fmt.Errorf("%w: sign: %w", ErrProof, err)
	}
	return signed + "." + b64.EncodeToString(sig), nil
}

// VerifyDPoP returns the proof in m's DPoP field if the holder signed it for
// this method, path and credential, with a nonce of the gate that is still good.
// It does not look at query, body or context. The caller checks that it was not
// used before. Errors wrap [ErrProof]; a nonce that is absent or too old gives
// [ErrNonce], and anything else about time [ErrTime].
//
// Source: RFC 9449, section 4.3. SPEC PROOF-8, PROOF-9.
func VerifyDPoP(m *Message, c *DPoPCheck) (*DPoP, error) {
	token, ok := m.field(FieldDPoP)
	if !ok {
		return nil, fmt.Errorf("%w: %s is absent or stands twice", ErrProof, FieldDPoP)
	}
	payload, err := verifyJWT(token, c.Holder)
	if err != nil {
		return nil, err
	}
	claims, err := claimsOf(payload)
	if err != nil {
		return nil, err
	}
	d := &DPoP{JTI: claims["jti"], Nonce: claims["nonce"]}
	if d.IssuedAt, err = unixTime(claims["iat"]); err != nil {
		return nil, fmt.Errorf("%w: %s: iat is not a number of seconds", ErrProof, FieldDPoP)
	}
	if claims["htm"] != m.Method || claims["htu"] != withoutQuery(m.TargetURI) { //guard:R5 dpop-request
		return nil, fmt.Errorf("%w: %s: made for another method or address", ErrProof, FieldDPoP)
	}
	if claims["ath"] != accessHash(c.Credential) { //guard:A12 dpop-credential
		return nil, fmt.Errorf("%w: %s: made for another credential", ErrProof, FieldDPoP)
	}
	if !printable(d.JTI) || len(d.JTI) < jtiSize || len(d.JTI) > maxTokenBytes {
		return nil, fmt.Errorf("%w: %s: jti: want %d to %d printable characters", ErrProof, FieldDPoP, jtiSize, maxTokenBytes)
	}
	if d.IssuedAt > c.At+Skew || c.At >= d.IssuedAt+MaxLifetime+Skew { //guard:R18 dpop-time
		return nil, fmt.Errorf("%w: made at %d, now %d; check the clock", ErrTime, d.IssuedAt, c.At)
	}
	d.nonceTime, err = nonceTime(d.Nonce, c)
	if err != nil { //guard:A12 dpop-nonce
		return nil, err
	}
	return d, nil
}

// ReplayID returns the id under which a used proof is remembered until
// ReplayUntil. It is no invocation's. SPEC PROOF-10.
func (d *DPoP) ReplayID(audience string, holder sign.PublicKey) canon.Digest {
	a, k := canon.Hash([]byte(audience)), holder.ID()
	return canon.Sum("writ-replay-dpop/1", a[:], k[:], []byte(d.JTI))
}

// ReplayUntil returns the time, in Unix seconds, after which d is refused for
// its age alone, whichever of its two ages is looked at.
func (d *DPoP) ReplayUntil() int64 {
	return max(d.IssuedAt+MaxLifetime, d.nonceTime+NonceLifetime) + Skew
}

// verifyJWT returns the payload of a JWT that k signed. Nothing in its header
// chooses anything: it has to say what k is.
func verifyJWT(token string, k sign.PublicKey) (*canon.Value, error) {
	bad := func(what string) (*canon.Value, error) {
		return nil, fmt.Errorf("%w: %s: %s", ErrProof, FieldDPoP, what)
	}
	parts := strings.Split(token, ".")
	if len(token) > maxDPoPBytes || len(parts) != 3 {
		return bad("not three parts, or too long")
	}
	var raw [3][]byte
	for i, p := range parts {
		var ok bool
		if raw[i], ok = decodeBase64(base64.RawURLEncoding, p); !ok {
			return bad("a part is not base64url")
		}
	}
	head, err := canon.ParseJSON(raw[0])
	if err != nil || head.Kind != canon.Object {
		return bad("its header is not a JSON object")
	}
	if !headerIs(head, k) { //guard:A12 dpop-header
		return bad("its header is not typ, alg and jwk of the holder's key, and nothing else")
	}
	if err := k.Verify([]byte(parts[0]+"."+parts[1]), lowS(k, raw[2])); err != nil { //guard:R5 dpop-signature
		return nil, fmt.Errorf("%w: %s: %w", ErrProof, FieldDPoP, err)
	}
	payload, err := canon.ParseJSON(raw[1])
	if err != nil || payload.Kind != canon.Object {
		return bad("its payload is not a JSON object")
	}
	return payload, nil
}

// headerIs reports whether h is the header of a DPoP proof by k: three members,
// so no crit, kid, or any that a reader might act on.
func headerIs(h *canon.Value, k sign.PublicKey) bool {
	seen := 0
	for _, m := range h.Members {
		switch {
		case m.Name == "typ" && m.Value.Kind == canon.String && m.Value.Text == dpopType:
		case m.Name == "alg" && m.Value.Kind == canon.String && m.Value.Text == joseAlgorithm(k):
		case m.Name == "jwk" && jwkIs(&m.Value, k):
		default:
			return false
		}
		seen++
	}
	return seen == 3 // names are unique
}

func jwkIs(v *canon.Value, k sign.PublicKey) bool {
	want := jwkOf(k)
	if v.Kind != canon.Object || len(v.Members) != len(want) {
		return false
	}
	for _, f := range want {
		i := indexOf(v, f[0])
		if i < 0 || v.Members[i].Value.Kind != canon.String || v.Members[i].Value.Text != f[1] {
			return false
		}
	}
	return true
}

// jwkOf returns the members of k's JWK. Source: RFC 7517; RFC 8037, section 2.
func jwkOf(k sign.PublicKey) [][2]string {
	b64 := base64.RawURLEncoding.EncodeToString
	if p, ok := k.Crypto().(*ecdsa.PublicKey); ok {
		if b, err := p.Bytes(); err == nil {
			n := (len(b) - 1) / 2
			return [][2]string{{"kty", "EC"}, {"crv", "P-256"}, {"x", b64(b[1 : 1+n])}, {"y", b64(b[1+n:])}}
		}
	}
	return [][2]string{{"kty", "OKP"}, {"crv", "Ed25519"}, {"x", b64(k.Bytes())}}
}

func joseAlgorithm(k sign.PublicKey) string {
	if k.Algorithm() == sign.P256 {
		return "ES256"
	}
	return "EdDSA"
}

// lowS returns sig with the lower s of the two that hold: libraries for JOSE and
// browsers make either. A second form of a proof is no second proof, since its jti is the same.
func lowS(k sign.PublicKey, sig []byte) []byte {
	if k.Algorithm() != sign.P256 || len(sig) != 64 {
		return sig
	}
	n, s := elliptic.P256().Params().N, new(big.Int).SetBytes(sig[32:])
	if other := new(big.Int).Sub(n, s); other.Sign() > 0 && other.Cmp(s) < 0 {
		return append(sig[:32:32], other.FillBytes(make([]byte, 32))...)
	}
	return sig
}

// claimsOf returns the texts of v's members: the six claims and no others, iat a
// number and the rest strings. One without nonce is told to get one.
func claimsOf(v *canon.Value) (map[string]string, error) {
	out := make(map[string]string, len(v.Members))
	for _, m := range v.Members {
		switch {
		case m.Name == "iat" && m.Value.Kind == canon.Number:
		case m.Name != "iat" && slices.Contains(dpopClaims, m.Name) && m.Value.Kind == canon.String:
		default: // unknown ones too: whoever reads them would see another proof
			return nil, fmt.Errorf("%w: %s: a claim is unknown or of another type; want %s", ErrProof, FieldDPoP, strings.Join(dpopClaims, ", "))
		}
		out[m.Name] = m.Value.Text
	}
	for _, n := range dpopClaims {
		if _, ok := out[n]; !ok && n != "nonce" {
			return nil, fmt.Errorf("%w: %s: %s is missing", ErrProof, FieldDPoP, n)
		}
	}
	return out, nil
}

func indexOf(v *canon.Value, name string) int {
	for i := range v.Members {
		if v.Members[i].Name == name {
			return i
		}
	}
	return -1
}

func accessHash(d canon.Digest) string { return base64.RawURLEncoding.EncodeToString(d[:]) }

func withoutQuery(uri string) string {
	uri, _, _ = strings.Cut(uri, "?")
	return uri
}

// printable reports whether s is printable ASCII without quotes and backslashes.
func printable(s string) bool {
	_, err := unquote(`"` + s + `"`)
	return err == nil
}
