package server

import (
	"archive/tar"
	"strings"
)

// sparse reports whether the entry has holes: bytes of zero that are not in the
// archive. A few bytes would fill the disk; no backup has such an entry.
func sparse(h *tar.Header) bool {
	for k := range h.PAXRecords {
		if strings.HasPrefix(k, "GNU.sparse.") {
			return true
		}
	}
	return false
}
