package shell

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"syscall"

	"github.com/writhq/writ/api"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/receipt"
)

// A Kind is a kind of file that commands read.
type Kind struct {
	Name string // with its article, such as "a root"
	Make string // which command makes one, and under which name
	Edit bool   // people write in it
}

// The kinds of files.
var (
	PublicKey   = Kind{"a public key", "writ key new NAME --role ROLE makes NAME.pub", false}
	PrivateKey  = Kind{"a key file", "writ key new NAME --role ROLE makes NAME.key", false}
	RootFile    = Kind{"a root", "writ root new --out root.json makes one", false}
	Credential  = Kind{"a credential", "writ grant and writ narrow make them: NAME.writ", false}
	Source      = Kind{"a policy's source", "writ policy new --out NAME makes NAME.jsonc and NAME.cedar", true}
	Rules       = Kind{"a file of rules", "writ policy new --out NAME makes NAME.cedar beside NAME.jsonc", true}
	Signed      = Kind{"a signed policy", "writ policy sign NAME.jsonc --key NAME.key makes NAME.signed.json", false}
	GateFile    = Kind{"a gate's public facts", "writ init --dir DIR writes them to DIR/gate.json", false}
	Receipt     = Kind{"a signed receipt", "writ receipt show PLACE --out FILE writes one", false}
	Export      = Kind{"an export of the ledger", "writ log export --out FILE writes one", false}
	Bundle      = Kind{"a bundle for an audit", "writ audit bundle --out FILE writes one", false}
	Head        = Kind{"a signed head of the policy log", "writ log head --out FILE writes one", false}
	Backup      = Kind{"a backup", "writ backup --out FILE writes one", false}
	Server      = Kind{"a server's configuration", "writ init --dir DIR writes DIR/writ.json; see docs/configuration.md", true}
	Certificate = Kind{"a file of certificates in PEM", "writ init --dir DIR writes a server's to DIR/tls.crt", false}
	Answers     = Kind{"a file of answers", "see --help, and docs/cli.md for an example", true}
	Passphrase  = Kind{"a file with a passphrase", "one line of text; without a file, it is asked for", false}
	Value       = Kind{"a file with a value", "- is standard input; without --from, it is asked for", false}
	Body        = Kind{"a file with the body", "--data @FILE, or the JSON itself", false}
)

// next says which file is wanted.
func (k Kind) next() string { return "name " + k.Name + ": " + k.Make }

// Missing returns err, of opening the file name, as people read it.
func (k Kind) Missing(name string, err error) error {
	why := api.Detail(err)
	if p, ok := errors.AsType[*os.PathError](err); ok {
		why = p.Err.Error()
	}
	switch {
	case errors.Is(err, os.ErrNotExist):
		return because(err, k.next(), "%s is not there; %s is wanted", name, k.Name)
	case errors.Is(err, os.ErrPermission):
		return because(err, "run the command as the owner of the file (ls -l shows it)", "%s may not be read by this user", name)
	case errors.Is(err, syscall.EISDIR):
		return because(err, k.next(), "%s is a folder; %s is wanted", name, k.Name)
	}
	return because(err, k.next(), "%s cannot be read: %s", name, why)
}

// Open opens a file of the kind. The caller closes it.
func (k Kind) Open(name string) (*os.File, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, k.Missing(name, err)
	}
	st, err := f.Stat()
	if err == nil && st.IsDir() {
		err = syscall.EISDIR
	}
	if err != nil {
		f.Close()
		return nil, k.Missing(name, err)
	}
	return f, nil
}

// Bad returns err, of reading what should be a file of the kind, as people read
// it: what the file is instead, if that is known, else what is wrong with it.
func (k Kind) Bad(name string, err error) error {
	have := ""
	if name != "-" {
		have = sniff(name)
	}
	switch {
	case k.Edit && (have == "" || have == k.Name):
		return because(err, "correct it, and try again; "+k.Make, "%s is not as it must be: %s", name, detail(err))
	case have == "":
		return because(err, k.next(), "%s is not %s, or it is damaged: %s", name, k.Name, detail(err))
	case have == k.Name:
		return because(err, "get a whole copy, or make it anew: "+k.Make, "%s is damaged, or cut short: %s", name, detail(err))
	}
	return because(err, k.next(), "%s is %s; %s is wanted", name, have, k.Name)
}

// Read returns the content of a file of the kind, which is no secret; "-" is
// standard input. It may be of another kind: see [Kind.Bad].
func (s *Shell) Read(name string, k Kind) ([]byte, error) {
	r := s.In
	if name != "-" {
		f, err := k.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		r = f
	}
	b, err := io.ReadAll(io.LimitReader(r, maxFileBytes+1))
	if err != nil {
		return nil, k.Missing(name, err)
	}
	if len(b) > maxFileBytes {
		return nil, Fail(k.next(), "%s has more than %d bytes, and so is not %s", name, maxFileBytes, k.Name)
	}
	if len(bytes.TrimSpace(b)) == 0 {
		return nil, Fail(k.next(), "%s is empty; %s is wanted", name, k.Name)
	}
	return b, nil
}

// sniff says what the file is by how it begins, "" if that says nothing.
func sniff(name string) string {
	f, err := os.Open(name)
	if err != nil {
		return ""
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFileBytes))
	if err != nil {
		return ""
	}
	b = bytes.TrimLeft(b, " \t\r\n")
	if len(b) == 0 {
		return "empty"
	}
	for _, x := range []struct {
		begins string
		kind   Kind
	}{
		{"writ1.", Credential}, {"ed25519:", PublicKey}, {"p256:", PublicKey}, {"-----BEGIN WRIT KEY", PrivateKey},
		{"-----BEGIN CERTIFICATE", Certificate}, {"writ-export/", Export},
	} {
		if bytes.HasPrefix(b, []byte(x.begins)) {
			return x.kind.Name
		}
	}
	switch {
	case len(b) > 262 && string(b[257:262]) == "ustar":
		return sniffTar(string(b[:100]))
	case b[0] == '{':
		return sniffJSON(b)
	}
	if raw, err := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(b))); err == nil {
		if _, err := receipt.ParseSigned(raw); err == nil {
			return Receipt.Name
		}
	}
	return ""
}

// sniffTar says what a tar is by the name of its first file.
func sniffTar(first string) string {
	first, _, _ = strings.Cut(first, "\x00")
	switch {
	case first == "roots.json":
		return Bundle.Name
	case first == "keyring" || first == "writ.db" || strings.HasPrefix(first, "ledger/"):
		return Backup.Name
	}
	return "a tar of something else"
}

// sniffJSON says what a document is by the names that are in it.
func sniffJSON(b []byte) string {
	var d map[string]json.RawMessage
	json.Unmarshal(b, &d) // a source has comments, and gives nothing
	kind := func(raw json.RawMessage) (t string) {
		json.Unmarshal(raw, &t)
		return t
	}
	has := func(names ...string) bool {
		for _, n := range names {
			if d[n] == nil && !(d == nil && bytes.Contains(b, []byte(`"`+n+`"`))) {
				return false
			}
		}
		return true
	}
	switch {
	case has("payload", "payloadType") && (d == nil || kind(d["payloadType"]) == policy.RootType):
		return RootFile.Name
	case has("payload", "payloadType"):
		return "another signed document"
	case has("policy", "alias") && !has("rules"):
		return Signed.Name
	case has("gate", "policy_log"):
		return GateFile.Name
	case has("alias", "rules"):
		return Source.Name
	case has("data", "gates"):
		return Server.Name
	}
	return ""
}
