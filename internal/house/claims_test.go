package house

import (
	"slices"
	"testing"
)

func TestReadToken(t *testing.T) {
	for _, s := range []string{"R1", "R63", "R3/http", "A1", "A45", "R28/sql"} {
		if k, err := ReadToken(s); err != nil || k.String() != s {
			t.Errorf("ReadToken(%q) = %v, %v", s, k, err)
		}
	}
	for _, s := range []string{"", "R", "R0", "R64", "A46", "A7/http", "R01", "r1", "R3/", "R3/HTTP", "B1", "R12x", "R9999"} {
		if k, err := ReadToken(s); err == nil {
			t.Errorf("ReadToken(%q) = %v, want an error", s, k)
		}
	}
}

func TestTokensAreOrdered(t *testing.T) {
	want := []string{"R2", "R3", "R3/http", "R3/sql", "R12", "A2", "A10"}
	var tokens []Token
	for _, s := range []string{"A10", "R12", "R3/sql", "A2", "R3", "R2", "R3/http"} {
		k, err := ReadToken(s)
		if err != nil {
			t.Fatal(err)
		}
		tokens = append(tokens, k)
	}
	slices.SortFunc(tokens, Token.Compare)
	for i, k := range tokens {
		if k.String() != want[i] {
			t.Fatalf("order is %v, want %v", tokens, want)
		}
	}
}

func TestReadClaims(t *testing.T) {
	c, err := ReadClaims(files{claimsFile: "# c\n\nclaim R12\nwithout R12 the half of it\nclaim R3/http # both\nno-guard R12 it is a property\nguards-min 60\nsecret-strings 2\n"}.fsys())
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Tokens) != 2 || c.NoGuard[12] != "it is a property" || c.Without[Token{'R', 12, ""}] != "the half of it" || c.GuardsMin != 60 || c.SecretStrings != 2 {
		t.Errorf("claims are %+v", c)
	}
	for _, bad := range []string{
		"claim", "claim R99", "claim R1 R2", "claim R1\nclaim R1", "no-guard R1", "no-guard A1 x", "without R1 x", "claim R1\nwithout R1", "claim R1\nwithout R1 x\nwithout R1 y", "without X", "no-guard R1/http x",
		"guards-min", "guards-min -1", "guards-min x", "secret-strings x", "other R1",
	} {
		if _, err := ReadClaims(files{claimsFile: bad}.fsys()); err == nil {
			t.Errorf("claims %q were accepted", bad)
		}
	}
	if _, err := ReadClaims(files{}.fsys()); err == nil {
		t.Error("no error without " + claimsFile)
	}
}

func TestNotesAreOfTheFunction(t *testing.T) {
	tests := TestFuncs(files{"a/a_test.go": `package a

// far

// R1
//guard: x
func TestA(t *testing.T) {
	// R2
	f() //   R3
}

// R4

func TestB(t *testing.T) {}

func helper() {
	// R5
}

func TestMain(m *testing.M) {} // R6
`, "a/a.go": "package a\n\n// R7\nfunc TestC() {}\n"}.tree(t))
	if len(tests) != 2 || tests[0].Name != "TestA" || tests[1].Name != "TestB" {
		t.Fatalf("tests are %+v", tests)
	}
	var got []string
	for _, n := range tests[0].Notes {
		got = append(got, n.Text)
	}
	if !slices.Equal(got, []string{"R1", "guard: x", "R2", "R3"}) || len(tests[1].Notes) != 0 {
		t.Errorf("notes are %q and %v", got, tests[1].Notes)
	}
}
