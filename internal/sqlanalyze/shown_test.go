package sqlanalyze_test

import (
	"strings"
	"testing"
)

// TestShown shows with which columns a statement does no more than to return them: a
// mask on any other would show something of its values.
//
// SPEC SQL-12
// A17: WHERE and ORDER BY as oracles on masked columns
func TestShown(t *testing.T) {
	a := analyzerOf(t, "CREATE TABLE c (id int, name text, card text); CREATE TABLE o (id int, c_id int); CREATE FUNCTION f(c) RETURNS int LANGUAGE sql AS 'SELECT 1'")
	const all = "id name card"
	for sql, want := range map[string]string{
		"SELECT id, card FROM c": "id card",
		"SELECT * FROM c":        all,
		"SELECT c.* FROM c":      all,
		"SELECT c.card AS x, id FROM c WHERE name = 'a' ORDER BY id":                "card",
		"SELECT id, card FROM c ORDER BY name":                                      "id card",
		"SELECT c.card FROM c JOIN o ON o.c_id = c.id":                              "card",
		"SELECT (SELECT 1), card FROM c LIMIT 5":                                    "card",
		"DELETE FROM c WHERE id = 1 RETURNING card":                                 "card",
		"UPDATE c SET name = 'x' RETURNING *":                                       all,
		"INSERT INTO c (id) VALUES (1) RETURNING id, card":                          "id card",
		"DECLARE x CURSOR FOR SELECT card FROM c":                                   "card",
		"SELECT card FROM c WHERE card LIKE '4%'":                                   "",
		"SELECT card FROM c ORDER BY card":                                          "",
		"SELECT card FROM c ORDER BY 1":                                             "",
		"SELECT card AS x FROM c ORDER BY x":                                        "",
		"SELECT * FROM c ORDER BY card":                                             "id name",
		"SELECT * FROM c ORDER BY 3":                                                "",
		"SELECT DISTINCT card FROM c":                                               "",
		"SELECT DISTINCT ON (id) card FROM c":                                       "",
		"SELECT card FROM c GROUP BY card":                                          "",
		"SELECT count(*) FROM c GROUP BY card":                                      "",
		"SELECT card FROM c UNION SELECT name FROM c":                               "",
		"SELECT c FROM c":                                                           "",
		"SELECT (c).card FROM c":                                                    "",
		"SELECT c.f FROM c":                                                         "",
		"SELECT lower(card) FROM c":                                                 "",
		"SELECT card || 'x' FROM c":                                                 "",
		"SELECT card::varchar FROM c":                                               "",
		"SELECT CASE WHEN true THEN card END FROM c":                                "",
		"SELECT x.card FROM (SELECT card FROM c) x":                                 "",
		"WITH x AS (SELECT card FROM c) SELECT card FROM x":                         "",
		"SELECT (SELECT card FROM c LIMIT 1)":                                       "",
		"SELECT a.card FROM c a JOIN c b USING (card)":                              "",
		"SELECT card FROM c a NATURAL JOIN c b":                                     "",
		"SELECT card, card = 'x' FROM c":                                            "",
		"SELECT card, count(*) OVER (ORDER BY card) FROM c":                         "",
		"INSERT INTO o (id) SELECT 1 FROM c WHERE card = '1'":                       "",
		"INSERT INTO c (name) SELECT card FROM c":                                   "",
		"UPDATE c SET name = card RETURNING card":                                   "",
		"DELETE FROM c WHERE card = 'x' RETURNING card":                             "",
		"COPY c TO STDOUT":                                                          "",
		"COPY (SELECT card FROM c) TO STDOUT":                                       "",
		"WITH d AS (DELETE FROM c RETURNING card) SELECT 1 FROM d":                  "",
		"SELECT card FROM c WHERE EXISTS (SELECT 1 FROM c x WHERE x.card = c.card)": "",
	} {
		m, err := a.Map(direct{}, sql)
		if err != nil {
			t.Errorf("%s: %v", sql, err)
			continue
		}
		var got []string
		for _, c := range m[0].Shown {
			got = append(got, c.Name)
		}
		wanted := strings.Fields(want)
		for _, w := range wanted {
			if !strings.Contains(" "+strings.Join(got, " ")+" ", " "+w+" ") {
				t.Errorf("%s: shows %v, want %s", sql, got, want)
			}
		}
		if len(got) != len(wanted) {
			t.Errorf("%s: shows %v, want %s", sql, got, want)
		}
	}
}
