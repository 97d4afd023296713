package sql

import (
	"fmt"
	"slices"
	"strings"

	"github.com/writhq/writ/op"
)

const actionPrefix = "sql:"

// Kinds that have a name of their own.
const (
	Connect = "connect" // of the operation by which a session begins
	Session = "session" // touches nothing but the session's own state
)

// kinds are what statements can be, what changes most last. An action is one of them
// behind sql:.
var kinds = []string{
	Connect, Session, "explain", "copy", "lock", "select", "insert", "update", "delete", "truncate", "call", "listen", "notify", "set", "show", "transaction",
}

func knownAction(a string) bool {
	k, ok := strings.CutPrefix(a, actionPrefix)
	return ok && slices.Contains(kinds, k)
}

// check: see [Mapper.Check].
func check(d *op.Declaration) error {
	if d.Type != typeName || d.Headers != nil || d.Query != nil || d.Body != nil {
		return fmt.Errorf("%w: a declaration of type sql has no headers, query or body", ErrSQL)
	}
	if err := checkList("targets", d.Targets, func(s string) bool { return s != "" }); err != nil {
		return err
	}
	if err := checkList("actions", d.Actions, knownAction); err != nil {
		return err
	}
	if d.SQL == nil {
		return nil // connecting, and statements that touch nothing
	}
	if len(d.SQL.Relations) > maxListed {
		return fmt.Errorf("%w: sql.relations: more than %d", ErrSQL, maxListed)
	}
	for i, r := range d.SQL.Relations {
		if err := checkRelation(&r); err != nil {
			return fmt.Errorf("%w: sql.relations[%d]: %w", ErrSQL, i, err)
		}
		if slices.ContainsFunc(d.SQL.Relations[:i], func(o op.SQLRelation) bool { return o.Name == r.Name }) {
			return fmt.Errorf("%w: sql.relations[%d]: %s stands twice", ErrSQL, i, r.Name)
		}
	}
	if err := checkStatements(d.SQL.Statements); err != nil {
		return err
	}
	for field, list := range map[string][]string{"functions": d.SQL.Functions, "types": d.SQL.Types, "settings": d.SQL.Settings, "channels": d.SQL.Channels, "mask": d.SQL.Mask} {
		if len(list) == 0 {
			continue
		}
		valid := qualified
		switch field {
		case "functions":
			valid = listedFunction
		case "settings":
			valid = func(s string) bool { return s != "" && s == strings.ToLower(s) }
		case "mask":
			valid = func(s string) bool {
				_, column, ok := strings.Cut(s, ".")
				return ok && qualified(s) && qualified(column)
			}
		case "channels":
			valid = func(s string) bool { return s != "" && len(s) <= maxChannel }
		}
		if err := checkList("sql."+field, list, valid); err != nil {
			return err
		}
	}
	return nil
}

func checkRelation(r *op.SQLRelation) error {
	if !qualified(r.Name) {
		return fmt.Errorf("name: want schema.name")
	}
	for field, list := range map[string][]string{"read": r.Read, "insert": r.Insert, "update": r.Update} {
		if len(list) == 0 {
			continue
		}
		if err := checkList(field, list, func(s string) bool { return s != "" }); err != nil {
			return err
		}
	}
	return nil
}

// qualified reports whether s is a schema and a name.
func qualified(s string) bool {
	schema, name, ok := strings.Cut(s, ".")
	return ok && schema != "" && name != ""
}

func listedFunction(s string) bool {
	if list, ok := strings.CutPrefix(s, "@"); ok {
		_, known := provided[list]
		return known
	}
	return qualified(s)
}

// checkList refuses a list that is empty, too long, or has an entry twice or one
// that is not valid.
func checkList(field string, list []string, valid func(string) bool) error {
	if len(list) == 0 || len(list) > maxListed {
		return fmt.Errorf("%w: %s: want 1 to %d", ErrSQL, field, maxListed)
	}
	for i, s := range list {
		if !valid(s) || slices.Contains(list[:i], s) { //guard:A11 sql-declaration-list
			return fmt.Errorf("%w: %s[%d]: %q is not valid here, or stands twice", ErrSQL, field, i, s)
		}
	}
	return nil
}
