package main

import (
	"github.com/writhq/writ/internal/gateway"
	"github.com/writhq/writ/internal/gateway/httpgw"
	"github.com/writhq/writ/internal/gateway/pggw"
)

// protocols are the doors that this binary has. A new door is one line here.
var protocols = []gateway.Protocol{
	httpgw.Protocol,
	pggw.Protocol,
}
