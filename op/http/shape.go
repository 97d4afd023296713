package http

import (
	"slices"
	"strings"

	"github.com/writhq/writ/op"
)

// shape: see [Mapper.Shape]. SPEC HTTP-16.
func shape(d *op.Declaration) op.Shape {
	headers := make([]op.Field, len(d.Headers))
	for i, h := range d.Headers {
		headers[i] = op.Field{Name: attribute(h), Type: op.Text}
	}
	s := op.Shape{
		Resource: []op.Field{
			{Name: "method", Type: op.Text, Required: true},
			{Name: "origin", Type: op.Text, Required: true},
			{Name: "path", Type: op.Text, Required: true},
			{Name: "depth", Type: op.Int, Required: true},
			{Name: "content_type", Type: op.Text},
			{Name: "content_length", Type: op.Int},
		},
		Context: []op.Field{
			{Name: "query", Type: op.Record, Required: true, Fields: fields(d.Query)},
			{Name: "headers", Type: op.Record, Required: true, Fields: headers},
		},
	}
	if d.Body != nil && visible(d.Body.Members, "") {
		body := op.Field{Name: "body", Type: op.Record, Fields: fields(d.Body.Members)}
		body.Required = slices.ContainsFunc(body.Fields, func(f op.Field) bool { return f.Required })
		s.Context = append(s.Context, body)
	}
	return s
}

// attribute returns the name under which rules see a header.
func attribute(header string) string { return strings.ReplaceAll(header, "-", "_") }

// fields returns the visible members as nested fields, nil if there are none.
func fields(members []op.Member) []op.Field {
	var out []op.Field
	for _, m := range members {
		if m.Type != typeAny {
			out = addField(out, splitPath(m.Path), m)
		}
	}
	return out
}

func addField(list []op.Field, names []string, m op.Member) []op.Field {
	i := slices.IndexFunc(list, func(f op.Field) bool { return f.Name == names[0] })
	if i < 0 {
		list = append(list, op.Field{Name: names[0], Type: op.Record})
		i = len(list) - 1
	}
	list[i].Required = list[i].Required || m.Required
	if len(names) == 1 {
		list[i].Type = fieldType(m.Type)
	} else {
		list[i].Fields = addField(list[i].Fields, names[1:], m)
	}
	return list
}

func fieldType(t string) op.FieldType {
	switch t {
	case typeInt:
		return op.Int
	case typeDecimal:
		return op.DecimalNumber
	case typeString:
		return op.Text
	case typeBool:
		return op.Bool
	case typeSet:
		return op.Set
	}
	return op.NoType
}
