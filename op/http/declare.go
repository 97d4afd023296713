package http

import (
	"slices"
	"strconv"
	"strings"

	"github.com/writhq/writ/op"
)

const actionPrefix = "http:"

// checkDeclaration: see [Mapper.Check]. SPEC HTTP-15.
func checkDeclaration(d *op.Declaration) error {
	if d.Type != typeName {
		return refuse(BadDeclaration, "type")
	}
	if err := checkList("targets", d.Targets, validID); err != nil {
		return err
	}
	if err := checkList("actions", d.Actions, knownAction); err != nil {
		return err
	}
	if len(d.Headers) > 0 {
		if err := checkList("headers", d.Headers, listableHeader); err != nil {
			return err
		}
	}
	if err := checkMembers("query", d.Query, formBody); err != nil {
		return err
	}
	if d.Body != nil && mixesBodiless(d.Actions) { //guard:A11 body-named
		return refuse(BadDeclaration, "body")
	}
	return checkBody(d.Body)
}

// mixesBodiless reports whether some of the actions, but not all, are methods
// that by custom have no body: then one of those could get the other's.
func mixesBodiless(actions []string) bool {
	n := 0
	for _, a := range actions {
		if bodiless(strings.TrimPrefix(a, actionPrefix)) {
			n++
		}
	}
	return n > 0 && n < len(actions)
}

func knownAction(a string) bool {
	m, ok := strings.CutPrefix(a, actionPrefix)
	return ok && knownMethod(m)
}

// checkList refuses a list that is empty, too long, or has an entry twice or
// one that is not valid.
func checkList(field string, list []string, valid func(string) bool) error {
	if len(list) == 0 || len(list) > maxListed {
		return refuse(BadDeclaration, field)
	}
	for i, s := range list {
		if !valid(s) || slices.Contains(list[:i], s) { //guard:A11 declaration-list
			return refuse(BadDeclaration, index(field, i))
		}
	}
	return nil
}

func index(field string, i int) string { return field + "[" + strconv.Itoa(i) + "]" }

func checkBody(b *op.Body) error {
	if b == nil {
		return nil
	}
	if err := checkList("body.types", b.Types, declarableType); err != nil {
		return err
	}
	if b.Opaque != slices.ContainsFunc(b.Types, opaqueType) { //guard:A11 opaque-declared
		return refuse(BadDeclaration, "body.opaque")
	}
	if b.Opaque && len(b.Members) > 0 { //guard:A11 opaque-members
		return refuse(BadDeclaration, "body.members")
	}
	if slices.ContainsFunc(b.Types, jsonType) {
		if err := checkMembers("body.members", b.Members, jsonBody); err != nil {
			return err
		}
	}
	if slices.Contains(b.Types, formType) {
		return checkMembers("body.members", b.Members, formBody)
	}
	return nil
}

func declarableType(t string) bool {
	m, err := mediaType(t)
	return err == nil && m == t
}

func opaqueType(t string) bool { return kindOf(t) == opaqueBody }

func jsonType(t string) bool { return kindOf(t) == jsonBody }

// checkMembers refuses members that two bodies of the kind could both be read
// as: a path twice, also in another case, and a path below another.
func checkMembers(field string, members []op.Member, k bodyKind) error {
	if len(members) > maxMembers { //guard:A11 member-count
		return refuse(BadDeclaration, field)
	}
	paths := make([]string, len(members))
	for i, m := range members {
		if !validMember(m, k) {
			return refuse(BadDeclaration, index(field, i))
		}
		names := splitPath(m.Path)
		if len(names) > maxMemberDepth {
			return refuse(BadDeclaration, index(field, i)+".path")
		}
		paths[i] = strings.ToLower(strings.Join(names, ".")) + "."
		for _, p := range paths[:i] {
			if strings.HasPrefix(p, paths[i]) || strings.HasPrefix(paths[i], p) { //guard:A11 member-overlap
				return refuse(BadDeclaration, index(field, i)+".path")
			}
		}
	}
	return nil
}

func validMember(m op.Member, k bodyKind) bool {
	if len(m.Path) > maxNameBytes || strings.HasSuffix(m.Path, ".") || !validType(m.Type) {
		return false
	}
	array := strings.HasSuffix(m.Path, "[]")
	if k == jsonBody && strings.IndexByte(m.Path, '[') >= 0 || k != jsonBody && (!validKey(m.Path) || array != (m.Type == typeSet)) {
		return false
	}
	for _, name := range splitPath(m.Path) {
		if !validName(name, false) {
			return false
		}
	}
	return true
}

func validType(t string) bool {
	switch t {
	case typeInt, typeDecimal, typeString, typeBool, typeSet, typeAny:
		return true
	}
	return false
}

// splitPath returns the names in a path.
func splitPath(path string) []string {
	var names []string
	for rest := path; ; {
		var name string
		name, rest = cutPath(rest)
		names = append(names, name)
		if rest == "" || rest == "]" {
			return names
		}
	}
}
