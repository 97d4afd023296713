package people

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/writhq/writ/internal/cli/shell"
	"github.com/writhq/writ/internal/identity"
	"github.com/writhq/writ/sign"
)

func keyTLS(sh *shell.Shell) *cobra.Command {
	var der bool
	cmd := shell.Command{
		Use: "tls FILE", Short: "Write a key as TLS clients read it: NAME.crt and NAME.tls.key",
		Long: "Writes a certificate over the key, and the key as PKCS #8 in PEM, for clients that prove it\n" +
			"themselves, such as those of PostgreSQL. The key that it writes is in the clear: keep it where\n" +
			"only the client reads it. writ connect needs no such file.",
		Example: "  writ key tls client.key\n  writ key tls client.key --der          (client.pk8, for JDBC)", Args: cobra.ExactArgs(1),
		Run: func(_ context.Context, args []string) error {
			k, err := sh.Key(args[0])
			if err != nil {
				return err
			}
			name := strings.TrimSuffix(args[0], ".key")
			crt, key := name+".crt", name+".tls.key"
			if der {
				key = name + ".pk8"
			}
			if err := writeTLS(k, crt, key, der); errors.Is(err, os.ErrExist) { // the names follow from that of the key
				what, _ := shell.Explain(err)
				return shell.Fail("move it away, and try again", "%s", what)
			} else if err != nil {
				return err
			}
			return sh.Result(map[string]string{"certificate": crt, "key": key, "public": k.Public().String()}, func() {
				sh.Say("%s and %s: %s", crt, key, k.Public())
				sh.Say("WARNING  %s is in the clear: whoever reads it is the holder", key)
			})
		},
	}.Cobra()
	cmd.Flags().BoolVar(&der, "der", false, "write the key in DER, to NAME.pk8, beside a certificate that may be there already")
	return cmd
}

// writeTLS writes the certificate and the key, or neither. With der, the certificate
// that is there already stays if it is over the key.
func writeTLS(k sign.PrivateKey, crt, key string, der bool) error {
	cert, err := identity.Certificate(k)
	if err != nil {
		return err
	}
	plain, err := k.Marshal()
	if err != nil {
		return err
	}
	defer plain.Wipe()
	err = plain.Use(func(b []byte) error { // first, so that nothing is left behind if it is there
		if !der {
			b = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: b})
			defer clear(b)
		}
		return shell.WriteNew(key, b, 0o600)
	})
	if err != nil || der && certifies(crt, k) {
		return err
	}
	if err = shell.WriteNew(crt, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]}), 0o644); err != nil {
		os.Remove(key)
	}
	return err
}

// certifies reports whether the file is a certificate over k.
func certifies(name string, k sign.PrivateKey) bool {
	b, err := os.ReadFile(name)
	if err != nil {
		return false
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return false
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return false
	}
	p, err := sign.FromCrypto(c.PublicKey)
	return err == nil && p == k.Public()
}
