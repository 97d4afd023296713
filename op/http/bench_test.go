package http_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/writhq/writ/op"
	"github.com/writhq/writ/op/http"
)

// bigBody has 2 KB of JSON in 8 declared members.
func bigBody() (string, *op.Declaration) {
	d := &op.Declaration{Type: "http", Targets: []string{"shop"}, Actions: []string{"http:POST"}, Headers: []string{"accept", "idempotency-key"}, Body: &op.Body{
		Types: []string{jsonType}, Members: []op.Member{{Path: "amount", Type: "int", Required: true}}}}
	var b strings.Builder
	b.WriteString(`{"amount":5000`)
	for i := range 7 {
		d.Body.Members = append(d.Body.Members, op.Member{Path: fmt.Sprint("field", i), Type: "string"})
		fmt.Fprintf(&b, `,"field%d":"%s"`, i, strings.Repeat("some text ", 28))
	}
	b.WriteString("}")
	return b.String(), d
}

func BenchmarkView(b *testing.B) {
	body, d := bigBody()
	post := post(jsonType, body, [2]string{"Accept", "*/*"}, [2]string{"Idempotency-Key", "4711"})
	for _, c := range []struct {
		name string
		w    http.Wire
		d    *op.Declaration
	}{{"get", wireOf(b, get("/v1/orders/4711", "page=2&q=x")), declarations["orders"]}, {"post2k", wireOf(b, post), d}} {
		b.Run(c.name, func(b *testing.B) {
			o, err := http.NewOperation(c.w, c.d, salt)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := (http.Mapper{}).View(o, c.d); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkMap(b *testing.B) {
	body, d := bigBody()
	for _, c := range []struct {
		name string
		w    http.Wire
		d    *op.Declaration
	}{{"get", wireOf(b, get("/v1/orders/4711", "page=2&q=x")), declarations["orders"]}, {"post2k", wireOf(b, post(jsonType, body)), d}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := http.NewOperation(c.w, c.d, salt); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
