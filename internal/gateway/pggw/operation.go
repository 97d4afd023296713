package pggw

import (
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/gateway"
	"github.com/writhq/writ/internal/pgwire"
	"github.com/writhq/writ/internal/sqlanalyze"
	"github.com/writhq/writ/internal/sqlnames"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/op/sql"
)

// connectOperation returns the operation of connecting to a target.
func connectOperation(target string) (*op.Operation, *op.Denial) {
	salt := gateway.NewSalt()
	o, err := sql.NewOperation(&sql.Asked{Target: target}, &sql.Found{
		Facts: op.Facts{Salt: salt[:]}, Statement: sql.Statement{Kinds: []string{sql.Connect}, Where: true, Limit: sql.NoLimit},
	})
	if err != nil {
		return nil, op.Deny(op.OperationInvalid, "the name of the database is the target's in the policy")
	}
	return o, nil
}

// A use is one execution of one statement.
type use struct {
	text      string // as it came
	mapped    *sqlanalyze.Mapped
	effect    sqlanalyze.Effect
	bind      *pgproto3.Bind // nil: without values
	values    []*string      // of EXECUTE
	types     []uint32       // of either, as far as the client gave them
	form      []uint32       // the same as the server says
	path      []string       // by which its names were found
	purpose   string         // "": that of the connection
	source    sql.Source
	mask      []string // columns that come as NULL; nil: it reads none
	describes bool     // the gate has asked for the description of the result
	hidden    []bool   // which of the result's those are; nil: it was not described
	result    result
	receipt   canon.Digest     // id of the intent's receipt
	bounds    gateway.Response // what may come back, as its own permit says
	sent      bool             // to the server
}

// done returns u as carried out; a COMMIT of what has failed is not well.
func (u *use) done(well bool) *sqlnames.Done {
	return &sqlnames.Done{Effect: &u.effect, Statement: &u.mapped.Statement, Bind: u.bind, Types: u.types, Form: u.form, Path: u.path, Well: well}
}

// request returns the use as a request to the gate.
func (x *session) request(u *use) *gateway.Request {
	r := &gateway.Request{Action: u.mapped.Action(), Target: x.target}
	var err error
	if r.Proof, err = x.proofOf(u); err != nil {
		r.Denial = op.Deny(op.PurposeInvalid, err.Error())
	}
	a := &sql.Asked{Target: x.target, Text: u.text, Params: u.values, Source: u.source}
	a.Types = u.types
	if u.bind != nil {
		for i, p := range u.bind.Parameters {
			a.Params = append(a.Params, pgwire.Value(p, pgwire.Format(u.bind.ParameterFormatCodes, i), pgwire.TypeOf(i, u.types, u.form)))
		}
	}
	d, _, _ := x.holder.Lookup(r.Action, x.target)
	if r.Operation, err = x.known.Operation(u.mapped, a, gateway.NewSalt(), d); err != nil {
		r.Denial = op.Deny(op.OperationInvalid, "the statement has no one form")
	}
	return r
}
