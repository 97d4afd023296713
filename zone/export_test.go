package zone

import (
	"maps"
	"slices"
)

// Snapshot returns a copy of z that shares nothing that changes with it: two of
// them are deeply equal only if nothing was done between.
func (z *Zone) Snapshot() *Zone {
	c := *z
	c.roots, c.chain = slices.Clone(z.roots), slices.Clone(z.chain)
	c.byID, c.secrets, c.revoked = maps.Clone(z.byID), maps.Clone(z.secrets), maps.Clone(z.revoked)
	c.lines = make(map[string]*line)
	for a, l := range z.lines {
		c.lines[a] = &line{maps.Clone(l.candidates), slices.Clone(l.inForce)}
	}
	return &c
}
