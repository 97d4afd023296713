package seal

import (
	"bytes"
	"crypto/aes"
	"encoding/binary"
	"testing"

	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/secret"
)

// An element of GF(2^128) as GCM writes it: bit 0 is the highest of hi.
type element struct{ hi, lo uint64 }

func load(b []byte) element {
	return element{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])}
}

func (x element) bytes() []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, x.hi), x.lo)
}

func (x element) add(y element) element { return element{x.hi ^ y.hi, x.lo ^ y.lo} }

// mul is the product. Source: NIST SP 800-38D, algorithm 1.
func (x element) mul(y element) (z element) {
	for i := range 128 {
		word, bit := x.hi, 63-i
		if i >= 64 {
			word, bit = x.lo, 127-i
		}
		if word>>bit&1 == 1 {
			z = z.add(y)
		}
		odd := y.lo & 1
		y.lo = y.lo>>1 | y.hi<<63
		y.hi >>= 1
		if odd == 1 {
			y.hi ^= 0xe1 << 56
		}
	}
	return z
}

// inverse is x^(2^128−2).
func (x element) inverse() element {
	z := element{hi: 1 << 63} // one
	for range 127 {
		x = x.mul(x)
		z = z.mul(x)
	}
	return z
}

// ghash returns GHASH of blocks under h, and h to the power that the block at
// index is multiplied with.
func ghash(h element, blocks []element, index int) (sum, factor element) {
	factor = element{hi: 1 << 63}
	for i, b := range blocks {
		sum = sum.add(b).mul(h)
		if i >= index {
			factor = factor.mul(h)
		}
	}
	return sum, factor
}

// A side is what one of two keys makes of the common ciphertext.
type side struct {
	hash, mask element
	aad        []byte
	stream     []byte
}

func newSide(t *testing.T, key, aad []byte, size int) side {
	c, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	block := func(counter uint32) []byte {
		b := make([]byte, 16)
		binary.BigEndian.PutUint32(b[12:], counter)
		c.Encrypt(b, b)
		return b
	}
	zero := make([]byte, 16)
	c.Encrypt(zero, zero)
	s := side{hash: load(zero), mask: load(block(1)), aad: aad}
	for i := range size / 16 {
		s.stream = append(s.stream, block(uint32(i+2))...)
	}
	return s
}

// tag returns the tag of text less its first block, and the factor of that.
func (s side) tag(text []byte) (tag, factor element) {
	var blocks []element
	for _, b := range [][]byte{s.aad, text} {
		for i := 0; i < len(b); i += 16 {
			blocks = append(blocks, load(b[i:]))
		}
	}
	blocks = append(blocks, element{uint64(len(s.aad)) * 8, uint64(len(text)) * 8})
	sum, factor := ghash(s.hash, blocks, len(s.aad)/16)
	return sum.add(s.mask), factor
}

// salamander returns one AES-GCM ciphertext that is authentic under both sides;
// the first opens it to plain but for its first block.
func salamander(one, two side, plain []byte) []byte {
	text := make([]byte, len(plain))
	for i := 16; i < len(plain); i++ {
		text[i] = plain[i] ^ one.stream[i]
	}
	tag1, factor1 := one.tag(text)
	tag2, factor2 := two.tag(text)
	free := tag1.add(tag2).mul(factor1.add(factor2).inverse())
	copy(text, free.bytes())
	tag, _ := one.tag(text)
	return append(text, tag.bytes()...)
}

// TestSalamander wraps another data key for each of two gates over a text that
// AES-GCM finds authentic under both: the gates would use different secrets, from
// one blob in the log. The key commitment refuses the second.
//
// SPEC SEAL-2
// R1
// guard: open-key-commitment
func TestSalamander(t *testing.T) {
	t.Parallel()
	p := policy.UnverifiedBytes([]byte("{}"), [32]byte{1})
	var gates [2]GateKey
	var sides [2]side
	var commits, deks, keys [2][]byte
	header := []byte("header")
	h0 := binding(p, header)
	b := &blob{Header: header}
	plain := append(bytes.Repeat([]byte{9}, saltSize), "the attacker's  "...)
	for i := range gates {
		k, err := NewGateKey("g", secret.Take(bytes.Repeat([]byte{byte(i + 1)}, seedBytes)))
		if err != nil {
			t.Fatal(err)
		}
		gates[i] = k
		deks[i] = bytes.Repeat([]byte{byte(i + 0x40)}, keySize)
		key, commit, err := derive(deks[i], h0)
		if err != nil {
			t.Fatal(err)
		}
		commits[i], keys[i] = commit, key
	}
	b.Commit = commits[0]
	for i, k := range gates {
		w, err := wrapTo(k.Public(), h0, wrapAAD(b.Commit, i), deks[i])
		if err != nil {
			t.Fatal(err)
		}
		b.Wraps = append(b.Wraps, w)
	}
	var aads [2][]byte // what each gate authenticates with: the commitment to the key that it found
	for i := range sides {
		aad, err := textAAD(h0, commits[i], b.Wraps)
		if err != nil {
			t.Fatal(err)
		}
		aads[i], sides[i] = aad, newSide(t, keys[i], aad, len(plain))
	}
	b.Text = salamander(sides[0], sides[1], plain)
	for i := range gates {
		// The control: AES-GCM itself takes the text under either key.
		key, _, _ := derive(deks[i], h0)
		a, err := gcm(key)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.Open(nil, make([]byte, a.NonceSize()), b.Text, aads[i]); err != nil {
			t.Fatalf("the forgery does not open under key %d", i)
		}
	}
	if v, err := decrypt(gates[0], h0, b, 0); err != nil {
		t.Fatalf("gate 0: %v", err)
	} else if !v.Secret.Equal(secret.Take([]byte("the attacker's  "))) {
		t.Error("gate 0 opens something else")
	}
	if _, err := decrypt(gates[1], h0, b, 1); err == nil {
		t.Error("gate 1 opens another secret from the same blob")
	}
}
