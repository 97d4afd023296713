package policy

import (
	"fmt"

	"github.com/writhq/writ/policy/law"
)

// Rules is a parsed set of Cedar rules.
type Rules = law.Rules

// ParseRules returns the rules of a policy. Every rule must carry an @id that no
// other has; outside string literals the text is ASCII. Errors wrap [ErrRules].
// SPEC POLICY-5.
func ParseRules(text string) (*Rules, error) { return ruled(law.Parse(text)) }

// ParseBlockRules returns the rules of a credential block, at most
// [MaxBlockRulesBytes]. A block of forbids alone gets an implicit permit for
// everything, since its parent bounds it; a policy never does (A20). Errors wrap
// [ErrRules].
func ParseBlockRules(text string) (*Rules, error) { return ruled(law.ParseBlock(text)) }

func ruled[T any](x T, err error) (T, error) {
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrRules, err)
	}
	return x, err
}

// CheckRules returns an error that wraps [ErrRules] if the rules of a block do
// not fit the schema of v: their types, or an attribute that they speak of and
// that no action in their scope has. A forbid guarded by a member that no longer
// exists would go silent (A21). SPEC POLICY-7.
func (v *Verified) CheckRules(r *Rules) error {
	if v == nil {
		return fmt.Errorf("%w: no policy", ErrRules)
	}
	_, err := ruled(0, v.law.Check(r))
	return err
}

// compile returns the rules with the schema that follows from the declarations
// and the mappers' versions.
func (d *Document) compile() (*law.Law, error) {
	declared, err := d.declared()
	if err != nil {
		return nil, err
	}
	targets := make([]law.Target, len(d.Targets))
	for i, t := range d.Targets {
		targets[i] = law.Target{ID: t.ID, Region: t.Region}
	}
	return ruled(law.Compile(d.Rules, declared, targets))
}

// Schema returns the Cedar schema of d's operations, in Cedar's own text form.
// It follows from the declarations alone, so it cannot contradict them.
func (d *Document) Schema() (string, error) {
	declared, err := d.declared()
	return law.Schema(declared), err
}

func (d *Document) declared() ([]law.Declared, error) {
	var out []law.Declared
	for i := range d.Operations {
		o := &d.Operations[i]
		m, ok := mapper(o.Type)
		if !ok {
			return nil, fmt.Errorf("%w: operation type %q", ErrUnsupported, o.Type)
		}
		out = append(out, law.Declared{Type: o.Type, Actions: o.Actions, Shape: m.Shape(&o.Declaration)})
	}
	return out, nil
}
