package gateway

// SetPlaces changes how many connections h takes.
func SetPlaces(h *Hall, n int64) { h.places.max = n }
