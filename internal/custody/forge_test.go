package custody_test

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hpke"
	"crypto/sha256"
	"encoding/binary"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/seal"
)

// forge seals the zone's secret as spec/seal.md says, with a header of its own.
func (w *world) forge(st *seal.Signed, group string) []byte {
	w.t.Helper()
	k := w.Gate.Public()
	header, err := canon.EncodeCBOR(&seal.Header{
		Typ: "writ-seal/1", Alias: testkit.Alias, ID: testkit.SecretID, Version: 1, Kind: testkit.Kind, Statement: st.Digest(), T: 1,
		Recipients: []seal.Recipient{{KeyID: k.ID, KEM: k.KEM, Group: group}},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	zd, pd, hd := w.Policy.Zone(), w.Policy.ID(), canon.Hash(header)
	h0 := canon.Sum("writ-seal/1", zd[:], pd[:], hd[:])
	dek := make([]byte, 32)
	derive := func(info string) []byte {
		b, err := hkdf.Key(sha256.New, dek, h0[:], "writ-seal/1 "+info, 32)
		if err != nil {
			w.t.Fatal(err)
		}
		return b
	}
	key, commit := derive("key"), derive("commit")
	pub, err := hpke.MLKEM768X25519().NewPublicKey(k.Public)
	if err != nil {
		w.t.Fatal(err)
	}
	enc, sender, err := hpke.NewSender(pub, hpke.HKDFSHA256(), hpke.AES256GCM(), append([]byte("writ-seal/1"), h0[:]...))
	if err != nil {
		w.t.Fatal(err)
	}
	wrapped, err := sender.Seal(binary.BigEndian.AppendUint16(append([]byte(nil), commit...), 0), dek)
	if err != nil {
		w.t.Fatal(err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		w.t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		w.t.Fatal(err)
	}
	v := testkit.Value(testkit.Plain)
	type wrap struct {
		Enc []byte `cbor:"1,keyasint"`
		Key []byte `cbor:"2,keyasint"`
	}
	wraps, err := canon.EncodeCBOR([]wrap{{enc, wrapped}})
	if err != nil {
		w.t.Fatal(err)
	}
	wd := canon.Hash(wraps)
	text := gcm.Seal(nil, make([]byte, 12), append(append([]byte(nil), v.Salt...), testkit.Plain...), append(append(h0[:], commit...), wd[:]...))
	b, err := canon.EncodeCBOR(&struct {
		Header []byte `cbor:"1,keyasint"`
		Commit []byte `cbor:"2,keyasint"`
		Wraps  []wrap `cbor:"3,keyasint"`
		Text   []byte `cbor:"4,keyasint"`
	}{header, commit, []wrap{{enc, wrapped}}, text})
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}
