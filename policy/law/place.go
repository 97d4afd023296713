package law

import (
	"fmt"
	"slices"

	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
	"github.com/cedar-policy/cedar-go/x/exp/schema/resolved"
)

// checkPlaces refuses a rule that speaks of an attribute which no action in its
// scope has.
//
// Cedar's validator accepts "context.body has amount" where there is no amount:
// the test is then false for ever, and it does not look at what the test guards.
// So a forbid would go silent when a successor renames the member (A21).
// SPEC POLICY-7.
func checkPlaces(s *resolved.Schema, p *ast.Policy) error {
	shapes := shapesOf(s, p)
	var err error
	for _, c := range p.Conditions {
		ast.Inspect(ast.NewNode(c.Body), func(n ast.IsNode) bool {
			if err == nil {
				err = checkPlace(s, shapes, n)
			}
			return err == nil
		})
	}
	return err
}

func checkPlace(s *resolved.Schema, shapes []resolved.AppliesTo, n ast.IsNode) error {
	var base ast.IsNode
	var name types.String
	switch n := n.(type) {
	case ast.NodeTypeHas:
		base, name = n.Arg, n.Value
	case ast.NodeTypeAccess:
		base, name = n.Arg, n.Value
	case ast.NodeTypeHasTag, ast.NodeTypeGetTag:
		return fmt.Errorf("no entity has tags")
	case ast.NodeTypeIs:
		return checkEntity(s, n.EntityType)
	case ast.NodeTypeIsIn:
		return checkEntity(s, n.EntityType)
	default:
		return nil
	}
	if !slices.ContainsFunc(shapes, func(a resolved.AppliesTo) bool { _, ok := attributes(s, a, base)[name]; return ok }) { //guard:A21 rule-attribute-exists
		return fmt.Errorf("no action that the rule can speak about has the attribute %q at this place", name)
	}
	return nil
}

func checkEntity(s *resolved.Schema, t types.EntityType) error {
	if _, ok := s.Entities[t]; !ok { //guard:A21 rule-entity-exists
		return fmt.Errorf("no operation has the type %q", t)
	}
	return nil
}

// shapesOf returns what the actions in p's scope look like.
func shapesOf(s *resolved.Schema, p *ast.Policy) []resolved.AppliesTo {
	actions, scoped := scopeActions(p)
	var out []resolved.AppliesTo
	for uid, a := range s.Actions {
		if a.AppliesTo != nil && (!scoped || slices.Contains(actions, string(uid.ID))) && reaches(p.Resource, a.AppliesTo.Resources) {
			out = append(out, *a.AppliesTo)
		}
	}
	return out
}

// reaches reports whether a scope for resources admits one of the types.
func reaches(scope ast.IsResourceScopeNode, list []types.EntityType) bool {
	switch sc := scope.(type) {
	case ast.ScopeTypeIs:
		return slices.Contains(list, sc.Type)
	case ast.ScopeTypeIsIn:
		return slices.Contains(list, sc.Type)
	}
	return true
}

// attributes returns the attributes of what an expression names: a path from a
// variable, or an entity. Anything else has none, so that no rule hides a path
// in an expression that is not followed here.
func attributes(s *resolved.Schema, a resolved.AppliesTo, n ast.IsNode) resolved.RecordType {
	switch n := n.(type) {
	case ast.NodeTypeVariable:
		switch n.Name {
		case "context":
			return a.Context
		case "resource":
			return s.Entities[a.Resources[0]].Shape
		}
	case ast.NodeValue:
		if uid, ok := n.Value.(types.EntityUID); ok {
			return s.Entities[uid.Type].Shape
		}
	case ast.NodeTypeAccess:
		inner, _ := attributes(s, a, n.Arg)[n.Value].Type.(resolved.RecordType)
		return inner
	}
	return nil
}
