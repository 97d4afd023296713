package law

import (
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/x/exp/ast"

	"github.com/writhq/writ/canon"
)

// Rules is a parsed set of Cedar rules: a policy's, or those of one credential
// block. It is immutable. The zero Rules permits nothing.
type Rules struct {
	id     canon.Digest // of the text
	all    []rule
	anyOf  ruleList            // rules without an action in their scope
	scoped map[string]ruleList // by action: its rules, and those of anyOf
	open   bool                // forbid-only set of a block: permits what no forbid hits
	reads  reading
}

// reading is what a set of rules can read of the context.
type reading struct {
	names []string // of the members that some rule names
	whole bool     // one speaks of the context as a whole: all
}

func (r *reading) has(name string) bool { return r.whole || slices.Contains(r.names, name) }

type rule struct {
	id       cedar.PolicyID
	control  string
	override bool
	policy   *cedar.Policy
}

// A ruleList is a deterministic [cedar.PolicyIterator].
type ruleList []rule

// All implements [cedar.PolicyIterator].
func (l ruleList) All() iter.Seq2[cedar.PolicyID, *cedar.Policy] {
	return func(yield func(cedar.PolicyID, *cedar.Policy) bool) {
		for i := range l {
			if !yield(l[i].id, l[i].policy) {
				return
			}
		}
	}
}

// Parse returns the rules in text. Every rule must carry an @id that no
// other has; outside string literals the text is ASCII. Errors wrap [ErrRules].
// SPEC POLICY-5.
func Parse(text string) (*Rules, error) {
	if err := checkASCII(text); err != nil {
		return nil, err
	}
	list, err := cedar.NewPolicyListFromBytes("rules", []byte(text))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRules, err)
	}
	if len(list) == 0 || len(list) > maxRules {
		return nil, fmt.Errorf("%w: %d rules; want 1 to %d", ErrRules, len(list), maxRules)
	}
	r := &Rules{id: canon.Hash([]byte(text)), scoped: make(map[string]ruleList)}
	seen := make(map[string]bool)
	for i, p := range list {
		id, ok := p.Annotations()["id"]
		if !ok || CheckName(string(id)) != nil || seen[string(id)] { //guard:R14 rule-id
			return nil, fmt.Errorf("%w: rule %d at line %d: @id(\"…\") is missing, not a name, or another rule's", ErrRules, i+1, p.Position().Line)
		}
		seen[string(id)] = true
		a := p.Annotations()
		r.all = append(r.all, rule{cedar.PolicyID(id), string(a["control"]), a["tier"] == "override", p})
	}
	r.index()
	r.reads = readsOf(list)
	return r, nil
}

// readsOf returns what of the context the rules can read.
func readsOf(list cedar.PolicyList) (r reading) {
	variables, accesses := 0, 0
	access := func(of ast.IsNode, name string) {
		if !isContext(of) {
			return
		}
		if accesses++; !slices.Contains(r.names, name) {
			r.names = append(r.names, name)
		}
	}
	for _, p := range list {
		for _, c := range (*ast.Policy)(p.AST()).Conditions {
			ast.Inspect(ast.NewNode(c.Body), func(n ast.IsNode) bool {
				switch n := n.(type) {
				case ast.NodeTypeVariable:
					if isContext(n) {
						variables++
					}
				case ast.NodeTypeAccess:
					access(n.Arg, string(n.Value))
				case ast.NodeTypeHas:
					access(n.Arg, string(n.Value))
				}
				return true
			})
		}
	}
	r.whole = variables > accesses
	return r
}

func isContext(n ast.IsNode) bool {
	v, ok := n.(ast.NodeTypeVariable)
	return ok && v.Name == "context"
}

// ParseBlock returns the rules of a credential block, at most
// [MaxBlockBytes]. A block of forbids alone gets an implicit permit for
// everything, since its parent bounds it; a policy never does (A20).
func ParseBlock(text string) (*Rules, error) {
	if len(text) > MaxBlockBytes { //guard:A18 block-rules-bound
		return nil, fmt.Errorf("%w: %d bytes in a block; at most %d", ErrRules, len(text), MaxBlockBytes)
	}
	r, err := Parse(text)
	if err != nil {
		return nil, err
	}
	r.open = !slices.ContainsFunc(r.all, func(x rule) bool { return x.policy.Effect() == cedar.Permit })
	return r, nil
}

// index sorts the rules by the actions of their scopes: evaluation is linear in
// the rules it is given.
func (r *Rules) index() {
	for _, x := range r.all {
		if x.override { //guard:R37 override-inert
			continue // inert until an override is in force, which this version has not
		}
		actions, scoped := scopeActions((*ast.Policy)(x.policy.AST()))
		if !scoped {
			r.anyOf = append(r.anyOf, x)
			for a := range r.scoped {
				r.scoped[a] = append(r.scoped[a], x)
			}
			continue
		}
		for _, a := range actions {
			if _, ok := r.scoped[a]; !ok {
				r.scoped[a] = slices.Clone(r.anyOf)
			}
			r.scoped[a] = append(r.scoped[a], x)
		}
	}
}

// scopeActions returns the actions that p's scope lists, and whether it lists
// any.
func scopeActions(p *ast.Policy) ([]string, bool) {
	switch s := p.Action.(type) {
	case ast.ScopeTypeEq:
		return []string{string(s.Entity.ID)}, true
	case ast.ScopeTypeIn:
		return []string{string(s.Entity.ID)}, true
	case ast.ScopeTypeInSet:
		var out []string
		for _, e := range s.Entities {
			if !slices.Contains(out, string(e.ID)) {
				out = append(out, string(e.ID))
			}
		}
		return out, true
	}
	return nil, false
}

// on returns the rules that can speak about the action.
func (r *Rules) on(action string) ruleList {
	if l, ok := r.scoped[action]; ok {
		return l
	}
	return r.anyOf
}

func (r *Rules) control(id string) string {
	for _, x := range r.all {
		if string(x.id) == id {
			return x.control
		}
	}
	return ""
}

// checkASCII refuses text in which something other than a string literal is not
// ASCII: look-alike letters would mislead the people who sign. SPEC POLICY-6.
func checkASCII(text string) error {
	inString, line := false, 1
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\n':
			line++
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case !inString && c == '/' && strings.HasPrefix(text[i:], "//"):
			end := strings.IndexByte(text[i:], '\n')
			if end < 0 {
				end = len(text) - i
			}
			if !isASCII(text[i : i+end]) { //guard:A18 comment-ascii
				return fmt.Errorf("%w: line %d: a comment that is not ASCII", ErrRules, line)
			}
			i += end - 1
		case !inString && (c >= 0x80 || c < ' ' && c != '\t' && c != '\r'):
			return fmt.Errorf("%w: line %d: not ASCII outside a string", ErrRules, line)
		}
	}
	return nil
}

func isASCII(s string) bool {
	for _, c := range []byte(s) {
		if c >= 0x80 {
			return false
		}
	}
	return true
}
