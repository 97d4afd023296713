package sqltree

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// changing are the statements in which integers can be free.
var changing = map[string]bool{"RawStmt.stmt SelectStmt": true, "RawStmt.stmt InsertStmt": true, "RawStmt.stmt UpdateStmt": true, "RawStmt.stmt DeleteStmt": true}

// valued are the places at which nothing but its value hangs on an integer: an operand,
// an argument, a value that is returned or written. Not there are the places of columns
// in ORDER BY, GROUP BY and DISTINCT ON, LIMIT, what types have in parentheses, indices.
var valued = map[string]bool{
	"A_Expr.lexpr": true, "A_Expr.rexpr": true, "A_Expr.rexpr List.items": true, "SelectStmt.values_lists List.items": true,
	"FuncCall.args": true, "ResTarget.val": true,
}

// Free returns the integers, without sign, that stand once in a text and where nothing
// hangs on them but their value; none if it is not one statement that reads or changes
// rows. Errors wrap [ErrTree]. SPEC SQL-14.
func Free(g Grammar, text string) (map[int]bool, error) {
	b, err := g.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTree, err)
	}
	if err := closed(b, result(), -aroundDepth); err != nil {
		return nil, err
	}
	f := finder{free: make(map[int]int), all: make(map[int]int)}
	f.walk(b, result(), nil)
	out := make(map[int]bool)
	for n := range f.free {
		if f.once(n) {
			out[n] = true
		}
	}
	return out, nil
}

// A finder finds integers in a tree: how often they are free, and anywhere.
type finder struct {
	free, all  map[int]int
	statements int // that can have some
}

// once reports whether a free integer stands nowhere else.
func (f *finder) once(n int) bool {
	return f.statements == 1 && f.free[n] == 1 && f.all[n] == 1 //guard-true:R5/sql shape-once
}

// walk looks at what is below a message, which is reached by the fields in path.
func (f *finder) walk(b []byte, m *message, path []string) {
	for len(b) > 0 {
		x, value, rest, err := m.next(b)
		if err != nil {
			return // it was walked before
		}
		b = rest
		switch {
		case x.of != nil && m.name == "Node":
			if n := len(path); n == 2 && changing[path[1]+" "+string(x.of.name)] {
				f.statements++
			}
			f.walk(value, x.of, path)
		case x.of != nil:
			f.walk(value, x.of, append(path, string(m.name+"."+x.name)))
		case m.name == "Integer":
			n, _ := protowire.ConsumeVarint(value)
			f.found(int(int32(n)), path)
		}
	}
}

// found counts an integer.
func (f *finder) found(n int, path []string) {
	n = max(n, -n)
	f.all[n]++
	if free(path) {
		f.free[n]++
	}
}

// free reports whether nothing hangs on an integer there but its value.
func free(path []string) bool {
	last := len(path) - 1
	if last < 2 || path[last] != "A_Const.ival" {
		return false
	}
	return valued[path[last-1]] || valued[path[last-2]+" "+path[last-1]] //guard-true:R5/sql shape-free
}
