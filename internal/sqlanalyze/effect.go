package sqlanalyze

import (
	"maps"
	"slices"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/writhq/writ/internal/sqltree"
	"github.com/writhq/writ/op/sql"
)

// An Effect is what a statement does to a session beside what it does to the
// database: what a gateway must know to carry it out. The zero Effect is that of an
// ordinary statement, which has none.
type Effect struct {
	Kind EffectKind
	Name string // of the cursor, prepared statement or savepoint, as the server has it; "" for all of them
	Hold bool   // of Declare: the cursor outlives its transaction
	Text string // of Declare and Prepare: the statement inside, as it would run alone

	// Types are those that Prepare gives to its parameters; see [sqltree.TypeOID].
	Types []uint32

	// Values are the arguments of Execute in text form, nil for NULL, if Literal says
	// that each of them is as written.
	Values  []*string
	Literal bool
}

// An EffectKind is a sort of effect.
type EffectKind int

// The sorts of effects.
const (
	Ordinary EffectKind = iota
	Declare             // opens the cursor Name over what the facts are of
	Fetch               // carries out the query of the cursor Name: its facts come to those here
	Move                // the same, without giving the rows away
	Close
	Prepare // names what the facts are of
	Execute // carries out the prepared statement Name: its facts come to those here
	Deallocate
	CopyOut
	CopyIn
	SetPath    // names are looked for elsewhere from then on
	ResetPath  // names are looked for as when the session began
	ResetAll   // the same, and every other setting is what it was then
	DiscardAll // closes all cursors and deallocates all prepared statements
	Commit     // ends the transaction, and takes back what was done in it if it has failed
	Rollback   // takes back what was done since the transaction began
	Savepoint  // makes the savepoint Name
	Release    // ends it, and those after it
	RollbackTo // takes back what was done since it
)

// ByName reports whether a statement does what something does that has a name: what
// that is, is known when it is executed.
func (e *Effect) ByName() bool { return e.Kind == Fetch || e.Kind == Move || e.Kind == Execute }

// Ends reports whether a statement ends a transaction.
func (e *Effect) Ends() bool { return e.Kind == Commit || e.Kind == Rollback }

// carries counts a statement around other statements or expressions, and reports
// whether it is one.
func (v *visitor) carries(stmt *pg.Node) bool {
	switch n := stmt.GetNode().(type) {
	case *pg.Node_ExplainStmt: // with ANALYZE it does what the statement does, and else less
		v.Kinds["explain"] = true
		for _, o := range n.ExplainStmt.Options {
			if o := o.GetDefElem(); !sqltree.ExplainOption(o.GetDefname()) { //guard:R15/sql explain-options
				deny("the option %s of EXPLAIN is not mapped", o.GetDefname())
			}
		}
		v.around(n.ExplainStmt.Query)
	case *pg.Node_DeclareCursorStmt:
		const asensitive, hold = 0x10, 0x20 // Source: PostgreSQL, parsenodes.h, CURSOR_OPT_
		d := n.DeclareCursorStmt
		d.Options &^= asensitive // what a cursor is anyway; the grammar does not write it
		v.effect = Effect{Kind: Declare, Name: d.Portalname, Hold: d.Options&hold != 0}
		v.around(d.Query)
	case *pg.Node_PrepareStmt:
		v.effect = Effect{Kind: Prepare, Name: n.PrepareStmt.Name}
		for _, t := range n.PrepareStmt.Argtypes {
			v.typeName(t.GetTypeName())
			v.effect.Types = append(v.effect.Types, sqltree.TypeOID(t.GetTypeName()))
		}
		v.around(n.PrepareStmt.Query)
	case *pg.Node_ExecuteStmt:
		v.Kinds[sql.Session] = true
		v.exprs(n.ExecuteStmt.Params, inside(nil))
		v.unset()
		v.effect = Effect{Kind: Execute, Name: n.ExecuteStmt.Name}
		v.effect.Values, v.effect.Literal = sqltree.Literals(n.ExecuteStmt.Params)
	case *pg.Node_CopyStmt:
		v.copy(n.CopyStmt)
	case *pg.Node_CallStmt:
		v.Kinds["call"] = true
		v.call(n.CallStmt.Funccall, inside(nil))
	default:
		return false
	}
	return true
}

// around counts the statement that another one is around.
func (v *visitor) around(stmt *pg.Node) {
	if !v.preparable(stmt) {
		deny("a statement of this kind inside another is not mapped")
	}
	switch v.effect.Kind {
	case Declare, Prepare:
		v.inner = stmt
		v.unset()
	case CopyOut:
		v.unset()
	}
}

// unset denies set_config where what it sets would not be seen when it is.
func (v *visitor) unset() {
	if v.Set != nil { //guard:A17 set-config-seen
		deny("set_config inside a statement of this kind")
	}
}

// alone counts a statement without expressions, and reports whether it is one.
func (v *visitor) alone(stmt *pg.Node) bool {
	switch n := stmt.GetNode().(type) {
	case *pg.Node_TransactionStmt:
		v.transaction(n.TransactionStmt)
	case *pg.Node_VariableSetStmt:
		v.setting(n.VariableSetStmt)
	case *pg.Node_VariableShowStmt:
		v.Kinds["show"] = true
		v.Set = &sql.Setting{Name: n.VariableShowStmt.Name}
	case *pg.Node_ListenStmt:
		v.Kinds["listen"] = true
		v.Channels[n.ListenStmt.Conditionname] = true
	case *pg.Node_UnlistenStmt:
		v.Kinds["listen"] = true
		if c := n.UnlistenStmt.Conditionname; c != "" {
			v.Channels[c] = true
		}
	case *pg.Node_NotifyStmt:
		v.Kinds["notify"] = true
		v.Channels[n.NotifyStmt.Conditionname] = true
	case *pg.Node_TruncateStmt:
		v.truncate(n.TruncateStmt)
	case *pg.Node_LockStmt:
		v.Kinds["lock"] = true
		for _, r := range n.LockStmt.Relations {
			v.table(r.GetRangeVar(), sql.Lock)
		}
	default:
		return v.held(stmt)
	}
	return true
}

// held counts a statement that only names what the session has, and reports
// whether it is one.
func (v *visitor) held(stmt *pg.Node) bool {
	switch n := stmt.GetNode().(type) {
	case *pg.Node_FetchStmt:
		v.effect = Effect{Kind: Fetch, Name: n.FetchStmt.Portalname}
		if n.FetchStmt.Ismove {
			v.effect.Kind = Move
		}
	case *pg.Node_ClosePortalStmt:
		v.effect = Effect{Kind: Close, Name: n.ClosePortalStmt.Portalname}
	case *pg.Node_DeallocateStmt:
		v.effect = Effect{Kind: Deallocate, Name: n.DeallocateStmt.Name}
	case *pg.Node_DiscardStmt:
		if n.DiscardStmt.Target == pg.DiscardMode_DISCARD_ALL {
			v.effect = Effect{Kind: DiscardAll}
		}
	default:
		return false
	}
	v.Kinds[sql.Session] = true
	return true
}

// truncate counts a TRUNCATE. With CASCADE it empties tables that it does not name,
// and with RESTART IDENTITY it sets sequences back that are not known.
func (v *visitor) truncate(n *pg.TruncateStmt) {
	if n.Behavior == pg.DropBehavior_DROP_CASCADE { //guard:R15/sql truncate-cascade
		deny("TRUNCATE CASCADE empties tables that it does not name")
	}
	v.Kinds["truncate"] = true
	for _, r := range n.Relations {
		v.table(r.GetRangeVar(), sql.Truncate)
	}
}

// copy counts a COPY from or to the client. Of a plain table it gives only the
// table's own rows.
func (v *visitor) copy(n *pg.CopyStmt) {
	v.Kinds["copy"] = true
	v.effect = Effect{Kind: CopyOut}
	for _, o := range n.Options {
		if o := o.GetDefElem(); !sqltree.CopyOption(o) { //guard:R15/sql copy-options
			deny("the option %s of COPY is not mapped, or not with that value", o.Defname)
		}
	}
	defer func() { // a row of COPY has no columns of which one could be left out
		maps.Copy(v.Uses, v.Reads)
	}()
	if n.Query != nil {
		v.around(n.Query)
		return
	}
	mode, kind, into := sql.Read, "select", v.Reads
	inh := n.Relation.Inh
	if n.IsFrom {
		mode, kind, into = sql.Insert, "insert", v.Inserts
		v.effect = Effect{Kind: CopyIn}
	} else {
		n.Relation.Inh = false
	}
	v.Kinds[kind] = true
	r, e := v.table(n.Relation, mode)
	n.Relation.Inh = inh
	columns := r.Columns
	if len(n.Attlist) > 0 {
		columns = names(n.Attlist)
	}
	for _, c := range columns {
		if !slices.Contains(r.Columns, c) {
			absent(noColumn, "there is no column %s in %s", c, r.Name)
		}
		into[r.Column(c)] = true
	}
	v.expr(n.WhereClause, inside(nil).seeing([]*entry{e}))
}
