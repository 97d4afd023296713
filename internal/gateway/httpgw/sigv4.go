package httpgw

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// An awsKey is a secret for signature version 4. It has the names that AWS gives
// them in its answers, so that what was exported can be sealed as it is.
type awsKey struct {
	ID      string `json:"AccessKeyId"`
	Secret  string `json:"SecretAccessKey"`
	Session string `json:"SessionToken,omitempty"`
}

// parseAWS returns the key in s: the object, with no other members, or ID:SECRET.
func parseAWS(s []byte) (awsKey, error) {
	var k awsKey
	if bytes.HasPrefix(s, []byte("{")) {
		d := json.NewDecoder(bytes.NewReader(s))
		d.DisallowUnknownFields()
		if d.Decode(&k) != nil { //secret:string as below
			k = awsKey{}
		}
	} else {
		k.ID, k.Secret, _ = strings.Cut(string(s), ":") //secret:string the AWS signer takes strings
	}
	for _, part := range []string{k.ID, k.Secret, k.Session} {
		if strings.ContainsFunc(part, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
			return awsKey{}, fmt.Errorf("http: the secret's parts are not printable ASCII")
		}
	}
	if k.ID == "" || k.Secret == "" { // its text could hold a part of the secret
		return awsKey{}, fmt.Errorf("http: the secret is neither an AWS key as JSON nor ID:SECRET")
	}
	return k, nil
}

// sigV4 writes the headers by which the request is signed with the key in s. It
// covers every header of the request and its body. The signer is made anew each
// time: one that is kept remembers derived keys. SPEC HTTPGW-3.
func sigV4(b *bytes.Buffer, s []byte, i *injection) error {
	k, err := parseAWS(s)
	if err != nil {
		return err
	}
	r, err := http.NewRequest(i.req.Method, i.req.URL, nil)
	if err != nil {
		return fmt.Errorf("http: sign request: %w", err)
	}
	r.Header.Set("Accept-Encoding", identity)
	for _, h := range i.req.Header {
		r.Header.Set(h[0], h[1])
	}
	if i.req.HasBody {
		r.ContentLength = int64(len(i.req.Body))
	}
	sum := sha256.Sum256(i.req.Body)
	digest := hex.EncodeToString(sum[:])
	r.Header.Set("X-Amz-Content-Sha256", digest)
	region, service, _ := strings.Cut(i.in.Name, "/")
	key := aws.Credentials{AccessKeyID: k.ID, SecretAccessKey: k.Secret, SessionToken: k.Session}
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = service == "s3" })
	if err := signer.SignHTTP(context.Background(), key, r, digest, service, region, i.at); err != nil {
		return fmt.Errorf("http: sign request: %w", err)
	}
	for _, name := range []string{"Authorization", "X-Amz-Content-Sha256", "X-Amz-Date", "X-Amz-Security-Token"} {
		if v := r.Header.Get(name); v != "" {
			line(b, strings.ToLower(name), v)
		}
	}
	return nil
}
