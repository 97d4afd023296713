package credentials

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/spf13/cobra"

	"github.com/writhq/writ/api"
	"github.com/writhq/writ/credential"
	"github.com/writhq/writ/internal/cli/shell"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/sign"
)

// call is what use is told.
type call struct {
	credential, key, purpose, audience string
	method, url                        string
	form, data, contentType            string
	headers                            []string
	include                            bool
}

// What the types of problems begin with: a gate's denial, and what the control API
// says.
const (
	denialPrefix  = "urn:writ:denied:"
	controlPrefix = "urn:writ:control:"
)

// problem is a gate's no.
type problem struct {
	Type    string `json:"type"`
	Code    string `json:"code"`
	Detail  string `json:"detail"`
	Rule    string `json:"rule,omitempty"`
	Control string `json:"control,omitempty"`
	Next    string `json:"next,omitempty"`
	Receipt string `json:"receipt,omitempty"`
}

// result is what use prints with --json.
type result struct {
	Permitted bool            `json:"permitted"`
	Status    int             `json:"status"`
	Denial    *problem        `json:"denial,omitempty"`
	Body      json.RawMessage `json:"body,omitempty"` // if it is JSON
	Text      string          `json:"text,omitempty"` // if it is not
}

func use(sh *shell.Shell) *cobra.Command {
	var c call
	cmd := shell.Command{
		Use: "use METHOD URL", Short: "Make one HTTP call through a gate",
		Long:    "Signs the call with the holder's key and sends it to the gate: https://GATE/t/TARGET/….\nPrints the response, or why it was denied. Exit code 3: denied.",
		Example: "  writ use --credential agent.writ --key agent.key --purpose refund POST https://gate:8443/t/orders/refunds \\\n    --data '{\"order\":\"8831\",\"amount\":1500}'",
		Args:    cobra.ExactArgs(2),
		Run: func(ctx context.Context, args []string) error {
			c.method, c.url = strings.ToUpper(args[0]), args[1]
			return c.run(ctx, sh)
		},
	}.Cobra()
	f := cmd.Flags()
	f.StringVar(&c.credential, "credential", "", "credential file")
	f.StringVar(&c.key, "key", "", "key file of its holder")
	f.StringVar(&c.purpose, "purpose", "", "what for: one of the policy's purposes")
	f.StringVar(&c.audience, "audience", "", "replay domain of the gate (default: that of the only gate in the root)")
	f.StringVar(&c.data, "data", "", "JSON body; @FILE reads a file, @- standard input")
	f.StringVar(&c.form, "form", "", "form body: a=1&b=2")
	f.StringVar(&c.contentType, "content-type", "", "of the body, if it is neither JSON nor a form")
	f.StringArrayVar(&c.headers, "header", nil, "NAME: VALUE; dropped if the policy does not list it")
	f.BoolVar(&c.include, "include", false, "print the status and headers too")
	return cmd
}

func (c *call) run(ctx context.Context, sh *shell.Shell) error {
	chain, err := sh.Credential(c.credential)
	if err != nil {
		return err
	}
	k, err := sh.Key(c.key)
	if err != nil {
		return err
	}
	if k.Public() != chain.Holder() {
		return shell.Fail("writ show "+c.credential+" says whose it is", "%s is not the key of the credential's holder", c.key)
	}
	var begun atomic.Bool // there was a connection to send it on
	req, err := c.request(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { begun.Store(true) }}), sh)
	if err != nil {
		return err
	}
	t, err := c.transport(ctx, sh, chain, k)
	if err != nil {
		return err
	}
	defer sh.Waiting("waiting for the gate")()
	client := http.Client{Transport: t, Timeout: maxUseTime, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err
		}
		if begun.Load() {
			return shell.Fail("writ status, then writ receipt show: an intent without an outcome may have been done", "the gate did not answer, so the call may have been made: %s", err)
		}
		what, _ := shell.Explain(err)
		return shell.Fail("check the URL, and --ca with the gate's certificate", "the gate was not reached, so nothing was sent: %s", what)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxResponseBytes))
	if err != nil {
		return shell.Fail("the outcome is in the receipts: writ receipt show", "the response was cut short: %s", err)
	}
	return c.answer(sh, resp, b)
}

func (c *call) transport(ctx context.Context, sh *shell.Shell, chain *credential.Chain, k sign.Signer) (*api.Transport, error) {
	audience, err := sh.Audience(ctx, c.audience)
	if err != nil {
		return nil, err
	}
	cas, err := sh.CAs()
	if err != nil {
		return nil, err
	}
	return &api.Transport{
		Credential: chain, Key: k, Audience: audience, Purpose: c.purpose, Now: sh.Now,
		Base: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: cas, MinVersion: tls.VersionTLS13}, DisableKeepAlives: true},
	}, nil
}

// request returns the call, unsigned.
func (c *call) request(ctx context.Context, sh *shell.Shell) (*http.Request, error) {
	u, err := url.Parse(c.url)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return nil, shell.Usage("URL: want https://GATE/t/TARGET/…")
	}
	var body []byte
	kind := c.contentType
	switch {
	case c.data != "" && c.form != "":
		return nil, shell.Usage("--data or --form, not both")
	case strings.HasPrefix(c.data, "@"):
		if body, err = sh.Read(c.data[1:], shell.Body); err != nil {
			return nil, err
		}
	case c.data != "":
		body = []byte(c.data)
	case c.form != "":
		body = []byte(c.form)
		kind = "application/x-www-form-urlencoded"
	}
	if kind == "" {
		kind = "application/json"
	}
	r, err := http.NewRequestWithContext(ctx, c.method, c.url, bytes.NewReader(body))
	if err != nil {
		return nil, shell.Usage("METHOD or URL: %s", err)
	}
	if body == nil {
		r.Body = nil
	} else {
		r.Header.Set("Content-Type", kind)
	}
	for _, h := range c.headers {
		name, value, ok := strings.Cut(h, ":")
		if !ok {
			return nil, shell.Usage("--header: want NAME: VALUE")
		}
		r.Header.Set(name, strings.TrimSpace(value))
	}
	return r, nil
}

// answer prints the response, or the denial.
func (c *call) answer(sh *shell.Shell, resp *http.Response, b []byte) error {
	r := result{Permitted: true, Status: resp.StatusCode}
	if resp.Header.Get("Content-Type") == "application/problem+json" {
		var p problem
		switch err := json.Unmarshal(b, &p); {
		case err == nil && strings.HasPrefix(p.Type, denialPrefix):
			r.Permitted, r.Denial = false, &p
		case err == nil && strings.HasPrefix(p.Type, controlPrefix):
			return shell.Fail("name the gate: gates[].address in the server's configuration says where it listens", "nothing was decided: the URL is that of the control API, not of a gate")
		}
	}
	if r.Permitted {
		if json.Valid(b) {
			r.Body = b
		} else {
			r.Text = string(b)
		}
	}
	err := sh.Result(r, func() {
		if r.Denial != nil {
			r.Denial.show(sh)
			return
		}
		if c.include {
			sh.Say("%s", resp.Status)
			for name, values := range resp.Header {
				sh.Say("%s: %s", name, strings.Join(values, ", "))
			}
			sh.Say("")
		}
		sh.Out.Write(b)
		if len(b) > 0 && b[len(b)-1] != '\n' {
			fmt.Fprintln(sh.Out)
		}
	})
	switch {
	case err != nil:
		return err
	case r.Denial != nil && r.Denial.Code == "not_decided":
		return shell.Fail(cmp.Or(r.Denial.Next, "writ status, writ doctor"), "not decided, so not done")
	case r.Denial != nil && r.Denial.begun():
		return shell.Fail("writ receipt show "+r.Denial.Receipt, "permitted, and perhaps done: %s", r.Denial.Code)
	case r.Denial != nil:
		return fmt.Errorf("%w: %s", shell.ErrDenied, r.Denial.Code)
	case resp.StatusCode >= 400:
		return shell.Fail("the API's own answer is above; if it refused the key, writ secret rotate puts another in its place", "permitted, and the API answered %s", resp.Status)
	}
	return nil
}

// begun reports whether the operation was permitted and reached the target: no
// denial, and nothing to repeat without looking.
func (p *problem) begun() bool {
	return p.Code == string(op.OutcomeUnknown) || p.Code == string(op.ResponseStopped)
}

func (p *problem) show(sh *shell.Shell) {
	verdict := "denied "
	if p.begun() {
		verdict = "begun  "
	}
	sh.Say("%s  %s", verdict, p.Code)
	sh.Say("because  %s", p.Detail)
	for _, l := range [][2]string{{"rule", p.Rule}, {"control", p.Control}, {"next", p.Next}, {"receipt", p.Receipt}} {
		if l[1] != "" {
			sh.Say("%-8s %s", l[0], l[1])
		}
	}
}
