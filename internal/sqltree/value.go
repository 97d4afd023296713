package sqltree

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// UTF8 reports whether an encoding's name is one of UTF-8.
func UTF8(name string) bool {
	return slices.Contains([]string{"utf8", "utf-8", "unicode"}, strings.ToLower(name))
}

// CopyOption reports whether o is an option of COPY in PostgreSQL 15 with a value of
// the sort that it takes, and gives it the form in which the grammar writes it as it
// was. FREEZE is none: others could see rows before the transaction ends. Text in
// another encoding than the session's would be other text than what was looked at.
func CopyOption(o *pg.DefElem) bool {
	text := o.Arg.GetString_()
	switch o.Defname {
	case "format":
		return text != nil && slices.Contains([]string{"text", "csv", "binary"}, text.Sval)
	case "delimiter", "null", "quote", "escape":
		return text != nil
	case "encoding":
		return text != nil && UTF8(text.Sval)
	case "header":
		return plainHeader(o)
	case "force_quote", "force_not_null", "force_null":
		return o.Arg.GetList() != nil || o.Arg.GetAStar() != nil
	}
	return false
}

// ExplainOption reports whether EXPLAIN shows no more with the option than what becomes
// of the statement; SETTINGS shows settings.
func ExplainOption(name string) bool {
	return slices.Contains([]string{"analyze", "verbose", "costs", "buffers", "wal", "timing", "summary", "format", "generic_plan", "memory"}, name)
}

// plainHeader gives HEADER the one form in which the grammar writes it as it was, and
// reports whether it has one.
func plainHeader(o *pg.DefElem) bool {
	value := strings.ToLower(o.Arg.GetString_().GetSval())
	switch {
	case o.Arg == nil, o.Arg.GetBoolean().GetBoolval(), o.Arg.GetInteger().GetIval() == 1, value == "true", value == "on":
		o.Arg = nil
	case value == "match":
	case o.Arg.GetInteger() != nil && o.Arg.GetInteger().Ival == 0, value == "false", value == "off":
		o.Arg = pg.MakeStrNode("false")
	default:
		return false
	}
	return true
}

// Literals returns arguments, whose types are qualified, in text form, and whether
// each is a literal.
func Literals(args []*pg.Node) (out []*string, ok bool) {
	for _, n := range args {
		if t := n.GetTypeCast(); t != nil {
			if !keepsText(t.TypeName) {
				return nil, false
			}
			n = t.Arg
		}
		c := n.GetAConst()
		if c == nil {
			return nil, false
		}
		if c.Isnull {
			out = append(out, nil)
			continue
		}
		text, ok := literal(c)
		if !ok {
			return nil, false
		}
		out = append(out, &text)
	}
	return out, true
}

// literal returns a constant in text form. A number that is not in its plain form
// would read otherwise once it is one.
func literal(c *pg.A_Const) (string, bool) {
	switch x := c.Val.(type) {
	case *pg.A_Const_Sval:
		return x.Sval.Sval, true
	case *pg.A_Const_Boolval:
		return strconv.FormatBool(x.Boolval.Boolval), true
	case *pg.A_Const_Ival:
		return strconv.Itoa(int(x.Ival.Ival)), true
	case *pg.A_Const_Fval:
		return x.Fval.Fval, plainNumber.MatchString(x.Fval.Fval)
	}
	return "", false
}

var plainNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?$`)

// OtherType stands for the OIDs of types that are not listed here.
const OtherType uint32 = 1<<32 - 1

// TypeOID returns the OID of a type whose name is qualified, if it is one of those
// that a literal keeps its text in, and else [OtherType]. Source: pg_type.dat.
func TypeOID(t *pg.TypeName) uint32 {
	if !keepsText(t) {
		return OtherType
	}
	return keptTypes[Names(t.Names)[1]]
}

// keepsText reports whether a cast of a literal to the type is what a bind value of
// that text would be: one with a length cuts it, and a float rounds it.
func keepsText(t *pg.TypeName) bool {
	n := Names(t.Names)                                                                                                  // qualified by now
	return len(t.Typmods) == 0 && len(t.ArrayBounds) == 0 && len(n) == 2 && n[0] == "pg_catalog" && keptTypes[n[1]] != 0 //guard-true:R15/sql execute-literal
}

var keptTypes = map[string]uint32{
	"text": 25, "varchar": 1043, "bool": 16, "int2": 21, "int4": 23, "int8": 20, "numeric": 1700, "uuid": 2950,
	"date": 1082, "timestamp": 1114, "timestamptz": 1184, "json": 114, "jsonb": 3802,
}

// SettingValue returns what SET gives to a setting as text, if it is a literal.
func SettingValue(n *pg.Node) (value string, ok bool) {
	if t := n.GetTypeCast(); t != nil {
		n = t.Arg // an interval, as a time zone
	}
	switch x := n.GetAConst().GetVal().(type) {
	case *pg.A_Const_Sval:
		return x.Sval.Sval, true
	case *pg.A_Const_Fval:
		return x.Fval.Fval, true
	case *pg.A_Const_Boolval:
		return strconv.FormatBool(x.Boolval.Boolval), true
	case *pg.A_Const_Ival:
		return strconv.Itoa(int(x.Ival.Ival)), true
	}
	return "", false
}

// An Arity is how many arguments a call may have.
type Arity struct{ Least, Most int }

// ArityOf returns how many arguments the server may look for a function by: it drops
// parameters that were declared to be of type void. Source: PostgreSQL,
// ParseFuncOrColumn.
func ArityOf(c *pg.FuncCall) Arity {
	if c.AggWithinGroup {
		n := len(c.Args) + len(c.AggOrder)
		return Arity{n, n}
	}
	n := Arity{len(c.Args), len(c.Args)}
	for _, a := range c.Args {
		if a.GetParamRef() != nil { //guard:R15/sql void-parameter
			n.Least--
		}
	}
	return n
}

// LimitOf returns the number after LIMIT, if it is one.
func LimitOf(s *pg.SelectStmt) (n int64, ok bool) {
	c := s.GetLimitCount().GetAConst().GetIval()
	if c == nil || s.LimitOption == pg.LimitOption_LIMIT_OPTION_WITH_TIES {
		return 0, false
	}
	return int64(c.Ival), true
}
