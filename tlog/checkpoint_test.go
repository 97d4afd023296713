package tlog_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"flag"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/tlog"
)

var update = flag.Bool("update", false, "write vectors/tlog from the cases in this package")

const origin = "writ-ledger/gate-1"

func signed(t testing.TB, unix int64) (*tlog.Checkpoint, tlog.Key) {
	t.Helper()
	s, pub := key(1)
	k, err := tlog.NewKey(origin, pub)
	if err != nil {
		t.Fatal(err)
	}
	c, err := tlog.SignCheckpoint(tlog.Head{Origin: origin, Size: 7, Root: leaf(1), Time: unix}, k, s)
	if err != nil {
		t.Fatal(err)
	}
	return c, k
}

// Another's implementation of notes reads ours. SPEC TLOG-5.
func TestCheckpointIsASignedNote(t *testing.T) {
	t.Parallel()
	c, k := signed(t, 1_700_000_000)
	_, pub := key(1)
	vkey, err := note.NewEd25519VerifierKey(origin, ed25519.PublicKey(pub))
	if err != nil || vkey != k.String() {
		t.Fatalf("verifier key %q, want %q", k, vkey)
	}
	v, err := note.NewVerifier(vkey)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := note.Open(c.Encode(), note.VerifierList(v)); err != nil {
		t.Fatal(err)
	}
	again, err := tlog.ParseKey(k.String())
	if err != nil || again != k {
		t.Error("key does not come back")
	}
	h, err := c.Verify(k)
	if err != nil || h.Size != 7 || h.Root != leaf(1) || h.Time != 1_700_000_000 || h.Origin != origin {
		t.Errorf("%+v, %v", h, err)
	}
}

// R57
// guard: checkpoint-origin, checkpoint-signature, witness-signature
// SPEC TLOG-5, TLOG-6
func TestCheckpointRefusesOtherSigners(t *testing.T) {
	t.Parallel()
	c, k := signed(t, 0)
	s2, pub2 := key(2)
	other, err := tlog.NewKey(origin, pub2)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Verify(other); !errors.Is(err, tlog.ErrSignature) {
		t.Error("another key verifies")
	}
	if _, err := c.Verify(tlog.Key{}); !errors.Is(err, tlog.ErrSignature) {
		t.Error("the zero key verifies")
	}
	w, err := tlog.NewWitnessKey("witness.example/1", pub2)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.VerifyWitness(w); !errors.Is(err, tlog.ErrSignature) {
		t.Error("witnessed by nobody")
	}
	if err := c.Cosign(1_700_000_001, w, s2); err != nil {
		t.Fatal(err)
	}
	if at, err := c.VerifyWitness(w); err != nil || at != 1_700_000_001 {
		t.Errorf("%d, %v", at, err)
	}
	if _, err := c.VerifyWitness(k); err == nil {
		t.Error("a log's key is no witness's")
	}
	// A good signature under another log's name.
	stranger, err := tlog.NewKey("other.example/log", pub2)
	if err != nil {
		t.Fatal(err)
	}
	text, _, _ := strings.Cut(string(c.Encode()), "\n\n")
	sig, _ := s2.Sign([]byte(text + "\n"))
	id := binary.BigEndian.AppendUint32(nil, keyID(t, stranger))
	note := text + "\n\n— other.example/log " + base64.StdEncoding.EncodeToString(append(id, sig...)) + "\n"
	p, err := tlog.ParseCheckpoint([]byte(note))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Verify(stranger); !errors.Is(err, tlog.ErrSignature) {
		t.Error("another log's signature counts")
	}
}

func keyID(t *testing.T, k tlog.Key) uint32 {
	t.Helper()
	v, err := note.NewVerifier(k.String())
	if err != nil {
		t.Fatal(err)
	}
	return v.KeyHash()
}

// Every flip of a bit of a checkpoint's text or signature is refused.
// R57
// SPEC TLOG-5
func TestCheckpointBitFlips(t *testing.T) {
	t.Parallel()
	c, k := signed(t, 0)
	b := c.Encode()
	for i := range 8 * len(b) {
		m := bytes.Clone(b)
		m[i/8] ^= 1 << (i % 8)
		p, err := tlog.ParseCheckpoint(m)
		if err != nil {
			continue
		}
		if _, err := p.Verify(k); err == nil {
			t.Errorf("bit %d", i)
		}
	}
}

// A proof for each of some leaves, with extra data and without.
// R57
// guard: proof-inclusion
// SPEC TLOG-7
func TestProof(t *testing.T) {
	t.Parallel()
	g := &grown{tiles: make(map[string][]byte)}
	g.grow(300)
	s, pub := key(1)
	k, err := tlog.NewKey(origin, pub)
	if err != nil {
		t.Fatal(err)
	}
	c, err := tlog.SignCheckpoint(tlog.Head{Origin: origin, Size: 300, Root: g.tree.Root()}, k, s)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range []uint64{0, 1, 255, 256, 299} {
		path, err := tlog.Inclusion(300, i, g.read)
		if err != nil {
			t.Fatal(err)
		}
		p := &tlog.Proof{Index: i, Path: path, Checkpoint: c, Extra: bytes.Repeat([]byte{1}, int(i))}
		again, err := tlog.ParseProof(p.Encode())
		if err != nil {
			t.Fatal(err)
		}
		if h, err := again.Verify(k, leaf(int(i))); err != nil || h.Size != 300 {
			t.Errorf("leaf %d: %v", i, err)
		}
		if _, err := again.Verify(k, leaf(int(i+1))); !errors.Is(err, tlog.ErrProof) {
			t.Errorf("leaf %d: another leaf verifies", i)
		}
	}
}

// A vector is one document and whether it is one.
type vector struct {
	Name  string `json:"name"`
	Kind  string `json:"kind"` // checkpoint or proof
	Text  string `json:"text"`
	Key   string `json:"key"`
	Leaf  string `json:"leaf,omitempty"` // base64; of a proof
	Valid bool   `json:"valid"`
	Why   string `json:"why,omitempty"`
}

func makeVectors(t testing.TB) []vector {
	c, k := signed(t, 0)
	timed, _ := signed(t, 1_700_000_000)
	text := string(c.Encode())
	proof := string((&tlog.Proof{Index: 0, Checkpoint: oneLeaf(t)}).Encode())
	b64 := leaf(1).String()
	cp := func(name, text string, valid bool, why string) vector {
		return vector{name, "checkpoint", text, k.String(), "", valid, why}
	}
	pf := func(name, text string, valid bool, why string) vector {
		return vector{name, "proof", text, k.String(), leaf(0).String(), valid, why}
	}
	return []vector{
		cp("plain", text, true, ""),
		cp("with-time", string(timed.Encode()), true, ""),
		cp("size-leading-zero", strings.Replace(text, "\n7\n", "\n07\n", 1), false, "size in another spelling"),
		cp("no-last-newline", strings.TrimSuffix(text, "\n"), false, "signature line does not end"),
		cp("other-size", strings.Replace(text, "\n7\n", "\n8\n", 1), false, "signature is over another text"),
		cp("no-signature", strings.SplitAfter(text, "\n\n")[0], false, "no signature line"),
		cp("root-short", strings.Replace(text, b64, b64[:40], 1), false, "root is not 32 bytes"),
		cp("origin-with-plus", strings.Replace(text, origin, "a+b", 1), false, "name with a plus"),
		cp("origin-cosignature", strings.ReplaceAll(text, origin, "cosignature/v1"), false, "name that begins a cosigned message"),
		cp("empty-extension", strings.Replace(text, "\n\n", "\n\n\n", 1), false, "empty extension line"),
		pf("plain", proof, true, ""),
		pf("index-leading-zero", strings.Replace(proof, "index 0", "index 00", 1), false, "index in another spelling"),
		pf("empty-extra", strings.Replace(proof, "index 0", "extra \nindex 0", 1), false, "an empty extra line is left out"),
		pf("path-too-long", strings.Replace(proof, "index 0\n", "index 0\n"+b64+"\n", 1), false, "a tree of one has no path"),
	}
}

func oneLeaf(t testing.TB) *tlog.Checkpoint {
	t.Helper()
	s, pub := key(1)
	k, err := tlog.NewKey(origin, pub)
	if err != nil {
		t.Fatal(err)
	}
	c, err := tlog.SignCheckpoint(tlog.Head{Origin: origin, Size: 1, Root: leaf(0)}, k, s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// guard: checkpoint-roundtrip, proof-roundtrip
// SPEC TLOG-5, TLOG-6, TLOG-7
func TestVectors(t *testing.T) {
	t.Parallel()
	refused := 0
	for _, v := range testkit.Vectors(t, *update, "../vectors/tlog/notes.json", makeVectors(t)) {
		if err := v.try(); (err == nil) != v.Valid {
			t.Errorf("%s %s: %v", v.Kind, v.Name, err)
		}
		if !v.Valid {
			refused++
		}
	}
	if refused < 8 {
		t.Fatalf("only %d negative vectors", refused)
	}
}

func (v vector) try() error {
	k, err := tlog.ParseKey(v.Key)
	if err != nil {
		return err
	}
	if v.Kind == "checkpoint" {
		c, err := tlog.ParseCheckpoint([]byte(v.Text))
		if err == nil {
			_, err = c.Verify(k)
		}
		return err
	}
	p, err := tlog.ParseProof([]byte(v.Text))
	if err != nil {
		return err
	}
	raw, err := base64.StdEncoding.DecodeString(v.Leaf)
	if err == nil {
		_, err = p.Verify(k, tlog.Hash(raw))
	}
	return err
}

// What parses encodes back to the same bytes.
func FuzzParseCheckpoint(f *testing.F) {
	for _, v := range makeVectors(f) {
		f.Add([]byte(v.Text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := tlog.ParseCheckpoint(b); err == nil && !bytes.Equal(c.Encode(), b) {
			t.Error("differs")
		}
	})
}

// What parses encodes back to the same bytes.
func FuzzParseProof(f *testing.F) {
	for _, v := range makeVectors(f) {
		f.Add([]byte(v.Text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, err := tlog.ParseProof(b); err == nil && !bytes.Equal(p.Encode(), b) {
			t.Error("differs")
		}
	})
}
