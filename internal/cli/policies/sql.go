package policies

import (
	"fmt"
	"slices"
	"strings"

	"github.com/writhq/writ/internal/cli/source"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/policy"
)

// statements returns the probes of a declaration of type sql: each for a purpose that
// permits it, or for one that does not.
func (t *trial) statements(o *policy.Operation) []source.Example {
	var out []source.Example
	for _, x := range source.Samples(o) {
		probe := source.Example{Target: o.Targets[0], SQL: x, Purpose: t.purposes()[0]}
		for _, p := range t.purposes() {
			y := probe
			y.Purpose = p
			if d, err := t.decide(&y); err == nil && d.Permit {
				probe = y
				break
			}
		}
		out = append(out, probe)
	}
	return out
}

// wide warns of statements on everything at once: all rows changed, or sent back; and of
// masks and proofs that come to nothing.
func (t *trial) wide() []remark {
	var out []remark
	var high []string // actions that take more proof than there is
	d := t.law.Document()
	for i := range d.Operations {
		o := &d.Operations[i]
		if o.Type != "sql" {
			continue
		}
		high = append(high, slices.DeleteFunc(slices.Clone(o.Actions), func(a string) bool { return d.MinPop(a) <= op.Channel })...)
		if o.SQL == nil {
			continue
		}
		rows := o.Response != nil && (o.Response.MaxRows > 0 || o.Response.MaxBytes > 0)
		for _, x := range t.statements(o) {
			d, err := t.decide(&x)
			if err != nil || !d.Permit {
				continue
			}
			switch {
			case x.SQL.NoWhere:
				out = append(out, remark{"no-where", fmt.Sprintf("%s without WHERE is permitted: all rows at once (%s)", x.SQL.Action(), x.SQL), "ask for a condition in its rule: context.where"})
			case len(x.SQL.Read)+len(x.SQL.Shown) > 0 && !rows:
				rows = true // said once
				out = append(out, remark{"rows", fmt.Sprintf("%s may send back any number of rows (%s)", x.SQL.Action(), x.SQL), `bound them: "response": {"max_rows": 1000}, or context.limit in its rule`})
			}
		}
		if slices.Contains(o.SQL.Functions, "@packing") && o.Response != nil && o.Response.MaxRows > 0 && o.Response.MaxBytes == 0 {
			out = append(out, remark{"packing", "@packing puts many rows into one, past response.max_rows", "bound the bytes too: response.max_bytes"})
		}
		for _, m := range o.SQL.Mask {
			if !source.Reads(o.SQL, m) {
				out = append(out, remark{"mask", m + " is masked, and is none of the columns that are read: the mask does nothing", "correct its name, or list it in read"})
			}
		}
	}
	if len(high) > 0 {
		out = append(out, remark{"pop", "a client of PostgreSQL proves its key at level 2, the channel, at most: every " + strings.Join(high, ", ") + " is refused (pop_insufficient)", `"pop": {"default": 2}, and no more for these in pop.actions`})
	}
	return out
}
