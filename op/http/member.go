package http

import (
	"strings"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/op"
)

// A record builds what rules see of declared members, and refuses the others.
type record struct {
	members []op.Member
	seen    uint64 // bit i: members[i] was there
	where   place
}

// pairs returns the record of the pairs of a query or form. SPEC HTTP-13.
func (r *record) pairs(pairs []Pair) (map[string]any, error) {
	out := make(map[string]any, len(pairs))
	for i := range pairs {
		m := r.byPath(pairs[i].Name)
		if m < 0 { //guard:A11 pair-declared
			return nil, refuse(undeclaredKind(pairs[i].Name), r.where.member(i))
		}
		r.seen |= 1 << m
		v, k := textValue(r.members[m].Type, pairs[i].Value)
		if k != "" {
			return nil, refuse(k, r.where.declared(r.members[m]))
		}
		if v != nil {
			put(out, r.members[m].Path, v)
		}
	}
	return out, r.complete()
}

func (r *record) byPath(name string) int {
	for i := range r.members {
		if r.members[i].Path == name {
			return i
		}
	}
	return -1
}

func undeclaredKind(name string) Kind {
	if strings.EqualFold(name, "_method") {
		return MethodOverride
	}
	if strings.IndexByte(name, '[') >= 0 {
		return Brackets
	}
	return Undeclared
}

// complete refuses a record without a required member.
func (r *record) complete() error {
	for i := range r.members {
		if r.members[i].Required && r.seen&(1<<i) == 0 { //guard:A11 member-required
			return refuse(Missing, r.where.declared(r.members[i]))
		}
	}
	return nil
}

// object returns the record of a JSON object whose members have paths that
// begin with prefix, "" or a path and a dot. SPEC HTTP-14.
func (r *record) object(v *canon.Value, prefix string) (map[string]any, error) {
	if v.Kind != canon.Object {
		return nil, refuse(WrongType, strings.TrimSuffix(string(r.where)+" "+prefix, "."))
	}
	out := make(map[string]any, len(v.Members))
	for i := range v.Members {
		m := &v.Members[i]
		if !validName(m.Name, false) { //guard:A11 json-name
			return nil, refuse(jsonNameKind(m.Name), r.where.member(i))
		}
		if twinMember(v.Members[:i], m.Name) { //guard:A11 json-twin
			return nil, refuse(Duplicate, r.where.member(i))
		}
		if err := r.member(out, m, prefix); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// member puts one member of an object into out. Its name is known to be one
// name, so it cannot stand for a path.
func (r *record) member(out map[string]any, m *canon.Member, prefix string) error {
	at, deeper := r.find(prefix, m.Name)
	if at < 0 { //guard:A11 json-declared
		return refuse(undeclaredKind(m.Name), string(r.where)+" "+prefix+"(undeclared name)")
	}
	path := r.members[at].Path
	if deeper {
		inner := path[:len(prefix)+len(m.Name)+1]
		v, err := r.object(&m.Value, inner)
		if err == nil && visible(r.members, inner) {
			out[m.Name] = v
		}
		return err
	}
	r.seen |= 1 << at
	v, k := jsonValue(r.members[at].Type, &m.Value)
	if k != "" {
		return refuse(k, r.where.declared(r.members[at]))
	}
	if v != nil {
		out[m.Name] = v
	}
	return nil
}

// find returns the declared member with the path prefix+name, or the first
// one below it and true; -1 if there is neither.
func (r *record) find(prefix, name string) (at int, deeper bool) {
	for i := range r.members {
		rest, ok := strings.CutPrefix(r.members[i].Path, prefix)
		if !ok || !strings.HasPrefix(rest, name) {
			continue
		}
		if len(rest) == len(name) {
			return i, false
		}
		if rest[len(name)] == '.' {
			return i, true
		}
	}
	return -1, false
}

// visible reports whether rules see a member below prefix.
func visible(members []op.Member, prefix string) bool {
	for i := range members {
		if members[i].Type != typeAny && strings.HasPrefix(members[i].Path, prefix) {
			return true
		}
	}
	return false
}

func twinMember(before []canon.Member, name string) bool {
	for i := range before {
		if strings.EqualFold(before[i].Name, name) {
			return true
		}
	}
	return false
}

func jsonNameKind(name string) Kind {
	if strings.ContainsAny(name, "[].") {
		return Brackets
	}
	return BadName
}

// put sets the value at path in rec, making the records in between; a value of
// a set is added to it.
func put(rec map[string]any, path string, v any) {
	name, rest := cutPath(path)
	for rest != "" && rest != "]" {
		inner, ok := rec[name].(map[string]any)
		if !ok {
			inner = make(map[string]any)
			rec[name] = inner
		}
		rec = inner
		name, rest = cutPath(rest)
	}
	if rest == "]" { // the path ends in []; the number of pairs bounds the set
		set, _ := rec[name].([]string)
		v = append(set, v.(string))
	}
	rec[name] = v
}

// cutPath returns the first name of a path and the rest of it. Both a.b and
// a[b] are b in a; the rest of a[] is "]".
func cutPath(path string) (name, rest string) {
	i := strings.IndexAny(path, ".[")
	if i < 0 {
		return strings.TrimSuffix(path, "]"), ""
	}
	return strings.TrimSuffix(path[:i], "]"), path[i+1:]
}
