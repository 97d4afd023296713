package gateway

import (
	"bytes"
	"crypto/x509"
	"errors"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/proof"
	"github.com/writhq/writ/sign"
)

// A Proof is how the holder proved to have the key, for one operation.
type Proof struct {
	Level     op.Level
	Purpose   string
	Lineage   []canon.Digest
	Idem      string
	Replay    canon.Digest
	ReplayEnd int64
	Issued    int64 // Unix seconds, of the holder's clock; level 3
	Policy    *canon.Digest
	Evidence  []byte // what the holder signed, or the key that the channel proved
}

// channelEvidence begins the evidence of a proof of level 2: a text that the gate
// writes, and no holder signed.
const channelEvidence = "writ-channel/1\n"

// Nonce returns what a proof of level 1 must name, good for
// [proof.NonceLifetime] seconds.
func (h *Hall) Nonce() string { return proof.NewNonce(h.nonces, h.c.Domain, h.Now().Unix()) }

// ProveHTTP verifies a message signature over m that covers every component in
// cover: level 3. A proof that does not hold gives an [*op.Denial] and is
// tallied: nobody is known who could have a receipt.
func (s *Session) ProveHTTP(m *proof.Message, cover []string) (Proof, error) {
	inv, base, err := proof.VerifyHTTP(m, s.Holder(), cover, s.hall.Now().Unix())
	if err != nil { //guard:R5 hall-proof
		d := op.Deny(op.ProofInvalid, err.Error())
		d.Next = "sign the request again with the holder's key"
		return Proof{}, s.hall.Refuse(d)
	}
	if inv.Credential != s.chain.Digest() { // holds already where the message names both; other protocols may take them from two places
		return Proof{}, s.hall.Refuse(op.Deny(op.ProofInvalid, "the proof is for another credential"))
	}
	kept, err := proof.Evidence(m, base)
	if err != nil {
		return Proof{}, s.hall.Refuse(op.Deny(op.ProofInvalid, err.Error()))
	}
	p, err := s.proof(op.Signed, inv, kept)
	p.Replay, p.ReplayEnd, p.Issued = inv.ReplayID(s.Holder()), inv.ReplayUntil(), inv.IssuedAt
	return p, err
}

// ProveDPoP verifies the DPoP proof in m: level 1. The context, which nothing
// covers, comes with m. Refusals are as with ProveHTTP; a proof without a nonce
// that is still good is refused as if there were none.
func (s *Session) ProveDPoP(m *proof.Message) (Proof, error) {
	d, err := proof.VerifyDPoP(m, &proof.DPoPCheck{
		Holder: s.Holder(), Credential: s.chain.Digest(), Audience: s.hall.c.Domain, NonceKey: s.hall.nonces, At: s.hall.Now().Unix(),
	})
	if errors.Is(err, proof.ErrNonce) {
		no := op.Deny(op.ProofRequired, err.Error())
		no.Next = "make a proof with the nonce that this answer offers"
		return Proof{}, s.hall.Refuse(no)
	}
	if err != nil { //guard:R5 hall-dpop
		return Proof{}, s.hall.Refuse(op.Deny(op.ProofInvalid, err.Error()))
	}
	v, err := m.ContextUnverified()
	if err != nil {
		return Proof{}, s.hall.Refuse(op.Deny(op.ProofInvalid, err.Error()))
	}
	p, err := s.proof(op.Presentation, v, nil)
	p.Replay, p.ReplayEnd = d.ReplayID(s.hall.c.Domain, s.Holder()), d.ReplayUntil()
	for _, f := range m.Fields {
		if f[0] == proof.FieldDPoP {
			p.Evidence = []byte(f[1])
		}
	}
	return p, err
}

// ProveChannel holds the key that the client proved on its channel against the
// holder's: level 2. spki is the key as X.509 writes it, out of a certificate of
// which nothing else counts; v is the context that came with the operation,
// which the channel alone keeps from being changed. Refusals are as with
// ProveHTTP. SPEC HALL-6.
func (s *Session) ProveChannel(spki []byte, v *proof.Invocation) (Proof, error) {
	if len(spki) == 0 || !bytes.Equal(spki, s.spki) { //guard:A13 channel-key
		d := op.Deny(op.ProofRequired, "nothing proves the holder's key")
		if len(spki) > 0 {
			d.Reason = "the client's certificate is over another key than that of the credential's holder"
		}
		return Proof{}, s.hall.Refuse(d)
	}
	return s.proof(op.Channel, v, []byte(channelEvidence+s.Holder().String()+"\n"+v.Context()))
}

// proof returns the proof that v is, if it is for this gate.
func (s *Session) proof(level op.Level, v *proof.Invocation, evidence []byte) (Proof, error) {
	if v.Audience != s.hall.c.Domain { //guard:R18 proof-audience
		return Proof{}, s.hall.Refuse(op.Deny(op.ProofInvalid, "the proof is for another gate"))
	}
	return Proof{Level: level, Purpose: v.Purpose, Lineage: v.Lineage, Idem: v.Idem, Policy: v.Policy, Evidence: evidence}, nil
}

// spkiOf returns k as X.509 writes it, in its one encoding.
func spkiOf(k sign.PublicKey) []byte {
	b, err := x509.MarshalPKIXPublicKey(k.Crypto())
	if err != nil {
		return nil // matches no certificate
	}
	return b
}
