package pg

import (
	"encoding/binary"
	"net"
	"time"
)

// Codes of refusals. Source: PostgreSQL, appendix A "Error Codes".
const (
	codeUnreached = "08001" // sqlclient_unable_to_establish_sqlconnection
	codeUser      = "28000" // invalid_authorization_specification
	codeFull      = "53300" // too_many_connections
)

// refuse tells a client why it is not let in, as a server would. SPEC HPG-6.
func refuse(c net.Conn, code, text, hint string) {
	var b []byte
	for _, f := range []struct {
		field byte
		value string
	}{{'S', "FATAL"}, {'V', "FATAL"}, {'C', code}, {'M', "writ: " + text}, {'H', hint}} {
		b = append(append(append(b, f.field), f.value...), 0)
	}
	head := binary.BigEndian.AppendUint32([]byte{'E'}, uint32(4+len(b)+1))
	c.SetWriteDeadline(time.Now().Add(maxStartup))
	c.Write(append(append(head, b...), 0))
}
