package house

import (
	"cmp"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const claimsFile = "docs/claims.txt"

// A Token names a requirement, one facet of a requirement, or an attack: R12,
// R3/http, A7. The zero Token names nothing.
type Token struct {
	Kind   byte // 'R' or 'A'
	Number int  // from 1
	Facet  string
}

var tokenForm = regexp.MustCompile(`^([RA])([1-9][0-9]{0,2})(?:/([a-z][a-z0-9-]*))?$`)

// ReadToken returns the token that text spells. It is an error if text does not
// spell one, or there is no requirement or attack of that number.
func ReadToken(text string) (Token, error) {
	m := tokenForm.FindStringSubmatch(text)
	if m == nil {
		return Token{}, fmt.Errorf("%q is not of the form R12, R3/http or A7", text)
	}
	n, err := strconv.Atoi(m[2])
	if err != nil {
		return Token{}, fmt.Errorf("read token: %w", err)
	}
	k := Token{m[1][0], n, m[3]}
	if k.Kind == 'R' && n > maxRequirement || k.Kind == 'A' && (n > maxAttack || k.Facet != "") {
		return Token{}, fmt.Errorf("there is no %s", text)
	}
	return k, nil
}

// String returns the token as it is written.
func (k Token) String() string {
	s := string(rune(k.Kind)) + strconv.Itoa(k.Number)
	if k.Facet != "" {
		s += "/" + k.Facet
	}
	return s
}

// Compare orders requirements before attacks, then by number and facet.
func (k Token) Compare(o Token) int {
	return cmp.Or(-cmp.Compare(k.Kind, o.Kind), cmp.Compare(k.Number, o.Number), cmp.Compare(k.Facet, o.Facet))
}

// Claims is what docs/claims.txt says of the code. The zero Claims claims
// nothing.
type Claims struct {
	Tokens        []Token          // requirements and attacks that tests show
	Without       map[Token]string // what of a claimed one is not shown yet
	NoGuard       map[int]string   // why a requirement has no guard, by its number
	GuardsMin     int              // the least number of guards
	SecretStrings int              // the number of //secret:string markers
}

// ReadClaims reads docs/claims.txt: a line is empty, a comment ("#"), or one of
//
//	claim R12
//	without R12 what of it is not shown yet
//	no-guard R12 reason
//	guards-min N
//	secret-strings N
//
// An error names the line.
func ReadClaims(fsys fs.FS) (Claims, error) {
	text, err := fs.ReadFile(fsys, claimsFile)
	if err != nil {
		return Claims{}, fmt.Errorf("read claims: %w", err)
	}
	c := Claims{Without: make(map[Token]string), NoGuard: make(map[int]string)}
	for i, line := range strings.Split(string(text), "\n") {
		if f := strings.Fields(line); len(f) > 0 && f[0][0] != '#' {
			if err := c.read(f); err != nil {
				return Claims{}, fmt.Errorf("%s:%d: %w", claimsFile, i+1, err)
			}
		}
	}
	return c, nil
}

// read takes in one line, cut at its spaces.
func (c *Claims) read(f []string) error {
	if len(f) < 2 {
		return fmt.Errorf("%s: want a value", f[0])
	}
	switch f[0] {
	case "claim":
		k, err := ReadToken(f[1])
		if err != nil {
			return err
		}
		if slices.Contains(c.Tokens, k) || len(f) > 2 && f[2][0] != '#' {
			return fmt.Errorf("claim %s: want each once, one a line", k)
		}
		c.Tokens = append(c.Tokens, k)
		return nil
	case "without":
		k, err := ReadToken(f[1])
		if err != nil {
			return err
		}
		if !slices.Contains(c.Tokens, k) || len(f) < 3 || c.Without[k] != "" {
			return fmt.Errorf("without %s: want it once, after its claim, and what is missing", k)
		}
		c.Without[k] = strings.Join(f[2:], " ")
		return nil
	case "no-guard":
		k, err := ReadToken(f[1])
		if err != nil {
			return err
		}
		if k.Kind != 'R' || k.Facet != "" || len(f) < 3 || c.NoGuard[k.Number] != "" {
			return fmt.Errorf("no-guard %s: want a requirement, once, and a reason", k)
		}
		c.NoGuard[k.Number] = strings.Join(f[2:], " ")
		return nil
	case "guards-min":
		return readCount(&c.GuardsMin, f[1])
	case "secret-strings":
		return readCount(&c.SecretStrings, f[1])
	}
	return fmt.Errorf("unknown word %q", f[0])
}

// readCount sets n to the number that text spells.
func readCount(n *int, text string) error {
	v, err := strconv.Atoi(text)
	if err != nil || v < 0 {
		return fmt.Errorf("%q is not a count", text)
	}
	*n = v
	return nil
}

// Total returns how many requirements and attacks there are.
func Total() (requirements, attacks int) { return maxRequirement, maxAttack }
