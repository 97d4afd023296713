package house

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

const floorsFile = "docs/FLOORS.txt"

// testsFloor is the floor of what only tests import.
const testsFloor = "0"

// A room is one line of FLOORS.txt.
type room struct {
	line     int
	floor    string   // compared as a string: "6a" < "6b"
	from, to []string // patterns of path.Match; nil if the line has no such list
	later    bool     // planned: "#later 4b internal/custody ..."
}

// confined holds the lists that DESIGN, "The house", lays down: a room that
// matches pattern may list nothing else after "->". The first match counts.
var confined = []struct {
	pattern string
	allowed []string
}{
	{"internal/gateway/vaultgw", []string{"internal/gateway", "internal/engine/*", "op", "op/*", "secret", "canon"}},
	{"internal/gateway/pggw", []string{"internal/gateway", "internal/sql*", "internal/pgwire", "op", "op/*", "proof", "secret", "canon"}},
	{"internal/gateway/*gw", []string{"internal/gateway", "op", "op/*", "proof", "secret", "canon"}},
	{"internal/holder/*", []string{"api", "credential", "proof", "op", "op/*", "canon", "sign", "secret"}},
}

// matches reports whether one of the patterns matches name.
func matches(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		ok, err := path.Match(p, name)
		return ok && err == nil
	})
}

// readRooms reads FLOORS.txt: a line is "floor package responsibility
// [<- importers] [-> imports]", a comment, or a comment that begins "#later "
// and names a room to come.
func readRooms(fsys fs.FS) (map[string]room, []Finding, error) {
	text, err := fs.ReadFile(fsys, floorsFile)
	if err != nil {
		return nil, nil, fmt.Errorf("read floors: %w", err)
	}
	rooms, found := make(map[string]room), []Finding(nil)
	for i, line := range strings.Split(string(text), "\n") {
		line, later := strings.CutPrefix(line, "#later ")
		if line == "" || line[0] == '#' {
			continue
		}
		name, r, err := readRoom(line)
		if err == nil && rooms[name].floor != "" {
			err = fmt.Errorf("%s is listed twice", name)
		}
		if err != nil {
			found = append(found, Finding{floorsFile, i + 1, err.Error()})
			continue
		}
		r.line, r.later = i+1, later
		rooms[name] = r
	}
	return rooms, found, nil
}

// readRoom reads one line of FLOORS.txt.
func readRoom(line string) (name string, r room, err error) {
	line, to, hasTo := strings.Cut(line, "->")
	line, from, hasFrom := strings.Cut(line, "<-")
	f := strings.Fields(line)
	if len(f) < 3 {
		return "", room{}, fmt.Errorf("want floor, package and responsibility, have %q", line)
	}
	r.floor = f[0]
	if hasTo {
		r.to = append([]string{}, strings.Fields(to)...)
	}
	if hasFrom {
		r.from = append([]string{}, strings.Fields(from)...)
	}
	return f[1], r, nil
}

// floors checks that the packages are those of FLOORS.txt, that imports go to a
// lower floor, and that the lists of importers and imports hold.
func floors(t *Tree) ([]Finding, error) {
	rooms, found, err := readRooms(t.FS)
	if err != nil {
		return nil, err
	}
	found = append(found, checkRooms(t, rooms)...)
	for _, f := range t.Files {
		if f.Test {
			continue
		}
		for _, im := range f.AST.Imports {
			p, err := strconv.Unquote(im.Path.Value)
			if err != nil {
				return nil, fmt.Errorf("read imports of %s: %w", f.Name, err)
			}
			dep, ours := strings.CutPrefix(p, module+"/")
			if why := refuse(rooms, f.Dir, dep); ours && why != "" {
				found = append(found, Finding{f.Name, t.line(im.Pos()), why})
			}
		}
	}
	return sorted(found), nil
}

// checkRooms compares the lines of FLOORS.txt with the folders, both ways, and
// with each other.
func checkRooms(t *Tree, rooms map[string]room) []Finding {
	var found []Finding
	pkgs := t.packages()
	for name, files := range pkgs {
		if r, ok := rooms[name]; !ok {
			found = append(found, Finding{files[0].Name, 1, name + " is not in " + floorsFile})
		} else if r.later {
			found = append(found, Finding{floorsFile, r.line, name + " exists: take away #later"})
		}
	}
	for name, r := range rooms {
		add := func(format string, args ...any) {
			found = append(found, Finding{floorsFile, r.line, fmt.Sprintf(format, args...)})
		}
		if _, ok := pkgs[name]; !ok && !r.later {
			add("%s does not exist", name)
		}
		for _, p := range slices.Concat(r.from, r.to) {
			known := false
			for n := range rooms {
				known = known || matches([]string{p}, n)
			}
			if !known {
				add("%s names %s, which matches no room", name, p)
			}
		}
		for _, c := range confined {
			if !matches([]string{c.pattern}, name) {
				continue
			}
			if r.to == nil {
				add("%s needs a list: -> %s", name, strings.Join(c.allowed, " "))
			}
			for _, p := range r.to {
				if !slices.Contains(c.allowed, p) && !matches(c.allowed, p) {
					add("%s may not list %s", name, p)
				}
			}
			break
		}
	}
	return found
}

// refuse says why the package name may not import dep, or nothing if it may or
// if one of them is not listed, which checkRooms reports.
func refuse(rooms map[string]room, name, dep string) string {
	r, ok := rooms[name]
	d, okDep := rooms[dep]
	switch {
	case !ok || !okDep || r.floor == testsFloor:
		return ""
	case d.floor == testsFloor:
		return fmt.Sprintf("%s imports %s, which is for tests", name, dep)
	case d.floor >= r.floor:
		return fmt.Sprintf("%s (floor %s) imports %s (floor %s)", name, r.floor, dep, d.floor)
	case r.to != nil && !matches(r.to, dep):
		return fmt.Sprintf("%s may not import %s", name, dep)
	case d.from != nil && !matches(d.from, name):
		return fmt.Sprintf("%s may not be imported by %s", dep, name)
	}
	return ""
}
