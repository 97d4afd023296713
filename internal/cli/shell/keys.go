package shell

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/writhq/writ/credential"
	"github.com/writhq/writ/internal/identity"
	"github.com/writhq/writ/secret"
	"github.com/writhq/writ/sign"
)

// Key returns the private key in a file. The passphrase comes from the file that
// --passphrase-file names, or is asked for.
func (s *Shell) Key(name string) (sign.PrivateKey, error) {
	if name == "" {
		return sign.PrivateKey{}, Usage("name a key file: --key NAME.key")
	}
	b, err := s.Read(name, PrivateKey)
	if err != nil {
		return sign.PrivateKey{}, err
	}
	defer clear(b)
	if have := sniff(name); name != "-" && have != PrivateKey.Name { // before a passphrase is asked for
		return sign.PrivateKey{}, PrivateKey.Bad(name, errNoKey)
	}
	var pass secret.Bytes
	if !identity.KeyInsecure(b) {
		if pass, err = s.KeyPassphrase("passphrase of "+name, false); err != nil {
			return sign.PrivateKey{}, err
		}
		defer pass.Wipe()
	}
	k, err := identity.UnwrapKey(b, pass)
	if err != nil {
		return k, because(err, "try again with the right passphrase, or with a copy of the file; nobody can find a passphrase that is lost", "%s does not open: %s", name, plain(err))
	}
	return k, nil
}

// errNoKey is the cause when a file does not begin as one with a key does.
var errNoKey = errors.New("it does not begin as one")

// PublicKey returns the key in text form s, or in the file that s names.
func (s *Shell) PublicKey(v string) (sign.PublicKey, error) {
	if strings.HasPrefix(v, "ed25519:") || strings.HasPrefix(v, "p256:") {
		k, err := sign.ParsePublicKey(v)
		if err != nil {
			return k, Usage("%s: %s", v, plain(err))
		}
		return k, nil
	}
	b, err := s.Read(v, PublicKey)
	if err != nil {
		return sign.PublicKey{}, err
	}
	k, err := sign.ParsePublicKey(strings.TrimSpace(string(b)))
	if err != nil {
		return k, PublicKey.Bad(v, err)
	}
	return k, nil
}

// An Ask says which passphrase is wanted, and where it may come from.
type Ask struct {
	What  string // such as: passphrase of ana.key
	File  string // optional; holds it
	Flag  string // that names such a file
	Fresh bool   // a new one: asked for twice
}

// KeyPassphrase returns the passphrase of a key file: from the file that
// --passphrase-file names, else from the terminal.
func (s *Shell) KeyPassphrase(what string, fresh bool) (secret.Bytes, error) {
	return s.Passphrase(Ask{What: what, File: s.set.passphrase, Flag: "--passphrase-file", Fresh: fresh})
}

// Passphrase returns a passphrase: from the file, else from the terminal without
// echo. A line's end after it is not part of it.
func (s *Shell) Passphrase(a Ask) (secret.Bytes, error) {
	if a.File != "" {
		return s.SecretFile(a.File, Passphrase)
	}
	p, err := s.prompt(a.What, a.Flag)
	if err != nil || !a.Fresh {
		return p, err
	}
	again, err := s.prompt("once more", a.Flag)
	if err != nil {
		return again, err
	}
	defer again.Wipe()
	if !p.Equal(again) {
		p.Wipe()
		return secret.Bytes{}, Fail("try again", "the two passphrases differ")
	}
	return p, nil
}

// prompt asks on the terminal, without echo. The flag names a file instead.
func (s *Shell) prompt(what, flag string) (secret.Bytes, error) {
	f, ok := s.In.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return secret.Bytes{}, Fail("name a file with it: "+flag+" FILE", "%s is needed, and there is no terminal to ask on", what)
	}
	fmt.Fprintf(s.Err, "%s: ", what)
	b, err := term.ReadPassword(int(f.Fd()))
	fmt.Fprintln(s.Err)
	if err != nil {
		return secret.Bytes{}, Fail("name a file with it: "+flag+" FILE", "the terminal gave no passphrase: %s", err)
	}
	return secret.Take(b), nil
}

// SecretFile returns the secret in a file of the kind, "-" for standard input. One
// line's end at its end is not part of it.
func (s *Shell) SecretFile(name string, kind Kind) (secret.Bytes, error) {
	r := s.In
	if name != "-" {
		f, err := kind.Open(name)
		if err != nil {
			return secret.Bytes{}, err
		}
		defer f.Close()
		r = f
	}
	b := make([]byte, maxSecretBytes+2) // one buffer, so that no growing copies are left behind
	defer clear(b)
	n, err := io.ReadFull(r, b)
	if err == nil {
		return secret.Bytes{}, Fail(kind.next(), "%s has more than %d bytes", name, maxSecretBytes)
	}
	if err != io.EOF && err != io.ErrUnexpectedEOF {
		return secret.Bytes{}, kind.Missing(name, err)
	}
	v := bytes.TrimSuffix(bytes.TrimSuffix(b[:n], []byte("\n")), []byte("\r"))
	if len(v) == 0 {
		return secret.Bytes{}, Fail(kind.next(), "%s is empty; %s is wanted", name, kind.Name)
	}
	return secret.Take(v), nil
}

// SecretValue returns a secret from the file, or asks for it on the terminal.
func (s *Shell) SecretValue(what, file string) (secret.Bytes, error) {
	if file != "" {
		return s.SecretFile(file, Value)
	}
	return s.prompt(what, "--from")
}

// Credential returns the credential in a file.
func (s *Shell) Credential(name string) (*credential.Chain, error) {
	if name == "" {
		return nil, Usage("name a credential file: --credential NAME.writ")
	}
	b, err := s.Read(name, Credential)
	if err != nil {
		return nil, err
	}
	c, err := credential.ParseText(string(b))
	if err != nil {
		return nil, Credential.Bad(name, err)
	}
	return c, nil
}
