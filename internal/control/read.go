package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/writhq/writ/api"
	"github.com/writhq/writ/internal/custody"
	"github.com/writhq/writ/internal/ledger"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/receipt"
	"github.com/writhq/writ/sign"
	"github.com/writhq/writ/zone"
)

// errFound ends a walk over the ledger.
var errFound = errors.New("found")

// status says how the server is.
func (a *API) status(w http.ResponseWriter, _ *http.Request) error {
	state, reason := a.state()
	s := api.Status{State: state, Reason: reason, Build: a.c.Build, Insecure: a.c.Insecure, Now: a.c.Now().Unix()}
	x := a.authority()
	if x == nil {
		return reply(w, s)
	}
	s.Gate, s.Group, s.Domain = x.Gate.ID, x.Gate.Group, x.Gate.Domain
	s.Epoch, s.Receipts, s.ReceiptFloor = x.Ledger.Epoch(), x.Ledger.Len(), x.Ledger.Floor().Unix()
	err := x.Log.View(func(z *zone.Zone) {
		r := z.Root()
		s.Zone, s.RootVersion, s.RootExpires = r.Zone(), r.Document().Version, r.Document().Expires
		s.PolicyEntries, s.Policies, s.Secrets = z.Size(), len(z.Aliases()), len(z.Secrets())
	})
	if err != nil {
		s.State, s.Reason = api.StateFailed, err.Error()
	}
	return reply(w, s)
}

// root answers with the chain of roots. It is signed, so anyone may have it.
func (a *API) root(w http.ResponseWriter, _ *http.Request) error {
	var chain []*sign.Envelope
	if err := a.authority().Log.View(func(z *zone.Zone) { chain = z.Roots() }); err != nil {
		return err
	}
	return reply(w, chain)
}

// head answers with the signed head of the policy log.
func (a *API) head(w http.ResponseWriter, _ *http.Request) error {
	c, err := a.authority().Log.Head()
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Write(c.Encode())
	return nil
}

// entries streams the policy log, an entry a line.
func (a *API) entries(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Content-Type", "application/jsonl")
	b := bufio.NewWriter(w)
	err := a.authority().Log.Entry(r.Context(), func(_ uint64, entry []byte) error {
		b.Write(entry)
		return b.WriteByte('\n')
	})
	return a.cut(errors.Join(err, b.Flush()))
}

// cut ends a stream that failed: the answer has begun, so the connection is cut,
// and the client does not take it for whole.
func (a *API) cut(err error) error {
	if err != nil {
		a.c.Log.Warn("stream was cut", "err", err)
		panic(http.ErrAbortHandler)
	}
	return nil
}

// policies lists the policies in force.
func (a *API) policies(w http.ResponseWriter, _ *http.Request) error {
	out := []api.PolicyInfo{}
	err := a.authority().Log.View(func(z *zone.Zone) {
		for _, alias := range z.Aliases() {
			p, _ := z.InForce(alias)
			out = append(out, info(z, p))
		}
	})
	if err != nil {
		return err
	}
	return reply(w, out)
}

func info(z *zone.Zone, p *policy.Verified) api.PolicyInfo {
	d := p.Document()
	return api.PolicyInfo{
		Alias: d.Alias, Version: d.Version, Policy: p.ID(), Expires: d.Expires, Signers: p.Signers(),
		Revoked: z.Revoked(zone.RevokePolicy, p.ID()),
	}
}

// secrets lists the secrets, without their bytes.
func (a *API) secrets(w http.ResponseWriter, _ *http.Request) error {
	out := []api.SecretInfo{}
	err := a.authority().Log.View(func(z *zone.Zone) {
		for _, r := range z.Secrets() {
			p, ok := z.InForce(r.Alias)
			out = append(out, api.SecretInfo{
				Alias: r.Alias, ID: r.ID, Version: r.Version, State: r.State, Policy: r.Policy,
				InForce: ok && p.ID() == r.Policy, Sealed: r.Sealed,
			})
		}
	})
	if err != nil {
		return err
	}
	return reply(w, out)
}

// checkSecrets says of each active secret whether this gate could open it.
// SPEC CUST-5.
func (a *API) checkSecrets(w http.ResponseWriter, r *http.Request) error {
	x := a.authority()
	var records []zone.SecretRecord
	if err := x.Log.View(func(z *zone.Zone) { records = z.Secrets() }); err != nil {
		return err
	}
	out := []api.SecretCheck{}
	for _, rec := range records {
		if rec.State != zone.Active {
			continue
		}
		c := api.SecretCheck{Alias: rec.Alias, ID: rec.ID, Version: rec.Version, Result: api.CheckOpens}
		err := x.Reach(r.Context(), rec.Alias, rec.ID)
		if err := r.Context().Err(); err != nil { // then it says nothing of the secret
			return err
		}
		switch {
		case errors.Is(err, custody.ErrElsewhere):
			c.Result = api.CheckElsewhere
		case err != nil:
			c.Result, c.Detail = api.CheckDoesNot, api.Detail(err, custody.ErrSecret, custody.ErrCustody)
		}
		out = append(out, c)
	}
	return reply(w, out)
}

// parsePlace parses "EPOCH.SEQUENCE".
func parsePlace(s string) (epoch, seq uint64, err error) {
	e, q, _ := strings.Cut(s, ".")
	epoch, err = strconv.ParseUint(e, 10, 63)
	if err == nil {
		seq, err = strconv.ParseUint(q, 10, 63)
	}
	if err != nil {
		return 0, 0, errors.New("want a place as EPOCH.SEQUENCE, such as 1.42")
	}
	return epoch, seq, nil
}

// receipt answers with one receipt, by id or place.
func (a *API) receipt(w http.ResponseWriter, r *http.Request) error {
	x := a.authority()
	ref, err := x.find(r.Context(), r.PathValue("ref"))
	if err != nil {
		return err
	}
	item, err := x.item(r.Context(), ref, r.FormValue("evidence") == "1")
	if err != nil {
		return err
	}
	return reply(w, item)
}

// item returns the receipt as it is handed out, with its evidence if that is
// wanted and there is any.
func (x *Authority) item(ctx context.Context, ref ledger.Ref, evidence bool) (*api.ReceiptItem, error) {
	s, err := x.Ledger.Signed(ctx, ref.Epoch, ref.Seq)
	if err != nil {
		return nil, err
	}
	item := &api.ReceiptItem{Epoch: ref.Epoch, Seq: ref.Seq, ID: s.ID()}
	if item.Signed, err = s.Encode(); err != nil || !evidence {
		return item, err
	}
	ev, err := x.Ledger.Evidence(ctx, ref)
	if errors.Is(err, ledger.ErrErased) {
		return item, nil
	}
	if err != nil {
		return nil, err
	}
	item.Evidence, err = ev.Encode()
	return item, err
}

// receipts answers with a page of receipts after a place.
func (a *API) receipts(w http.ResponseWriter, r *http.Request) error {
	x := a.authority()
	from := ledger.Ref{}
	if after := r.FormValue("after"); after != "" {
		e, s, err := parsePlace(after)
		if err != nil {
			return malformed("after", err)
		}
		from = ledger.Ref{Epoch: e, Seq: s + 1}
	}
	var refs []ledger.Ref
	err := x.Ledger.Receipts(r.Context(), from, ledger.Ref{}, func(ref ledger.Ref, _ *receipt.Receipt) error {
		if refs = append(refs, ref); len(refs) > pageLimit {
			return errFound
		}
		return nil
	})
	if err != nil && !errors.Is(err, errFound) {
		return err
	}
	return x.page(w, r, refs)
}

// page answers with the receipts, as many as one answer may have.
func (x *Authority) page(w http.ResponseWriter, r *http.Request, refs []ledger.Ref) error {
	p := api.ReceiptPage{Receipts: []api.ReceiptItem{}}
	size, evidence := 0, r.FormValue("evidence") == "1"
	for i, ref := range refs {
		item, err := x.item(r.Context(), ref, evidence)
		if err != nil {
			return err
		}
		size += len(item.Signed) + len(item.Evidence)
		if i > 0 && (i == pageLimit || size > maxPageBytes) {
			p.Next = p.Receipts[i-1].Place()
			break
		}
		p.Receipts = append(p.Receipts, *item)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	return json.NewEncoder(w).Encode(p)
}

// export streams the ledger for an auditor; it holds no evidence.
func (a *API) export(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Content-Type", "application/vnd.writ.export")
	return a.cut(a.authority().Ledger.Export(r.Context(), w))
}

// backup streams a consistent copy of the data folder.
func (a *API) backup(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Content-Type", "application/x-tar")
	return a.cut(a.authority().Backup(r.Context(), w))
}
