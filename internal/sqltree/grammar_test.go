package sqltree

import (
	_ "embed"
	"maps"
	"slices"
	"strings"
	"testing"

	pg "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// denied lists what of the grammar is denied, and why: a reason in brackets, then
// node types, or fields of known ones as Type.field.
//
//go:embed testdata/denied.txt
var denied string

// deniedNames returns what denied lists.
func deniedNames(t *testing.T) map[string]bool {
	t.Helper()
	out := make(map[string]bool)
	reason := false
	for _, line := range strings.Split(denied, "\n") {
		if strings.HasPrefix(line, "[") {
			reason = len(strings.Trim(line, "[] ")) > 10
			continue
		}
		for _, n := range strings.Fields(line) {
			if !reason {
				t.Errorf("%s is listed without a reason", n)
			}
			if out[n] {
				t.Errorf("%s is listed twice", n)
			}
			out[n] = true
		}
	}
	return out
}

// TestGrammar enumerates the node types of the grammar and the fields of those
// that are known. Each is known, or listed as denied with a reason, so that what
// a new version of the grammar brings is noticed. SPEC SQL-4.
//
// R15/sql
func TestGrammar(t *testing.T) {
	listed := deniedNames(t)
	want := func(name string, isKnown bool) {
		switch {
		case isKnown && listed[name]:
			t.Errorf("%s is known and listed as denied", name)
		case !isKnown && !listed[name]:
			t.Errorf("%s is neither known nor listed as denied", name)
		}
		delete(listed, name)
	}
	n := 0
	types := make(map[protoreflect.Name]bool)
	var fieldsOf func(m protoreflect.MessageDescriptor)
	fieldsOf = func(m protoreflect.MessageDescriptor) {
		if types[m.Name()] || m.Name() == "Node" {
			return
		}
		types[m.Name()] = true
		fields, ok := maps.Clone(known[m.Name()]), known[m.Name()] != nil
		want(string(m.Name()), ok)
		n++
		for i := range m.Fields().Len() {
			f := m.Fields().Get(i)
			if ok {
				want(string(m.Name())+"."+string(f.Name()), fields[f.Name()])
				delete(fields, f.Name())
			}
			if f.Kind() == protoreflect.MessageKind {
				fieldsOf(f.Message())
			}
		}
		if len(fields) > 0 {
			t.Errorf("%s has no %q", m.Name(), slices.Collect(maps.Keys(fields)))
		}
	}
	node := (&pg.Node{}).ProtoReflect().Descriptor()
	for i := range node.Fields().Len() {
		fieldsOf(node.Fields().Get(i).Message())
	}
	for name := range known {
		if !types[name] {
			t.Errorf("%s is not of the grammar", name)
		}
	}
	for name := range listed {
		t.Errorf("%s is listed, but not of the grammar", name)
	}
	t.Logf("%d types, %d known", n, len(known))
	if n < 250 {
		t.Errorf("only %d types", n)
	}
}
