package shell

import (
	"bytes"
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
	b, err := s.ReadFile(name)
	if err != nil {
		return sign.PrivateKey{}, err
	}
	defer clear(b)
	var pass secret.Bytes
	if !identity.KeyInsecure(b) {
		if pass, err = s.Passphrase("passphrase of "+name, "", false); err != nil {
			return sign.PrivateKey{}, err
		}
		defer pass.Wipe()
	}
	k, err := identity.UnwrapKey(b, pass)
	if err != nil {
		return k, fmt.Errorf("%s: %w", name, err)
	}
	return k, nil
}

// PublicKey returns the key in text form s, or in the file that s names.
func (s *Shell) PublicKey(v string) (sign.PublicKey, error) {
	if strings.HasPrefix(v, "ed25519:") || strings.HasPrefix(v, "p256:") {
		return sign.ParsePublicKey(v)
	}
	b, err := s.ReadFile(v)
	if err != nil {
		return sign.PublicKey{}, err
	}
	k, err := sign.ParsePublicKey(strings.TrimSpace(string(b)))
	if err != nil {
		return k, fmt.Errorf("%s: want a public key file, such as ana.pub: %w", v, err)
	}
	return k, nil
}

// Passphrase returns a passphrase: from the file, else from the one that
// --passphrase-file names, else from the terminal without echo, twice if it is a
// new one. A line's end after it is not part of it.
func (s *Shell) Passphrase(what, file string, fresh bool) (secret.Bytes, error) {
	if file == "" {
		file = s.set.passphrase
	}
	if file != "" {
		return s.SecretFile(file)
	}
	const flag = "--passphrase-file"
	p, err := s.prompt(what, flag)
	if err != nil || !fresh {
		return p, err
	}
	again, err := s.prompt("once more", flag)
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
		return secret.Bytes{}, fmt.Errorf("%w: read: %w", ErrShell, err)
	}
	return secret.Take(b), nil
}

// SecretFile returns the secret in a file, "-" for standard input. One line's end
// at its end is not part of it.
func (s *Shell) SecretFile(name string) (secret.Bytes, error) {
	r := s.In
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return secret.Bytes{}, fmt.Errorf("%w: %w", ErrShell, err)
		}
		defer f.Close()
		r = f
	}
	b := make([]byte, maxSecretBytes+2) // one buffer, so that no growing copies are left behind
	defer clear(b)
	n, err := io.ReadFull(r, b)
	if err == nil {
		return secret.Bytes{}, fmt.Errorf("%w: %s: more than %d bytes", ErrShell, name, maxSecretBytes)
	}
	if err != io.EOF && err != io.ErrUnexpectedEOF {
		return secret.Bytes{}, fmt.Errorf("%w: %s: %w", ErrShell, name, err)
	}
	v := bytes.TrimSuffix(bytes.TrimSuffix(b[:n], []byte("\n")), []byte("\r"))
	if len(v) == 0 {
		return secret.Bytes{}, fmt.Errorf("%w: %s is empty", ErrShell, name)
	}
	return secret.Take(v), nil
}

// SecretValue returns a secret from the file, or asks for it on the terminal.
func (s *Shell) SecretValue(what, file string) (secret.Bytes, error) {
	if file != "" {
		return s.SecretFile(file)
	}
	return s.prompt(what, "--from")
}

// Credential returns the credential in a file.
func (s *Shell) Credential(name string) (*credential.Chain, error) {
	if name == "" {
		return nil, Usage("name a credential file: --credential NAME.writ")
	}
	b, err := s.ReadFile(name)
	if err != nil {
		return nil, err
	}
	if len(b) > maxLineBytes {
		return nil, Fail("", "%s is too large for a credential", name)
	}
	c, err := credential.ParseText(string(b))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return c, nil
}
