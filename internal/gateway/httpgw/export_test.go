package httpgw_test

import (
	"net/http"

	"github.com/writhq/writ/api"
)

// transport returns the signing transport of a client of testgate.
func transport(c *http.Client) *api.Transport { return c.Transport.(*api.Transport) }
