package gateway

// SetPlaces changes how many connections h takes, in all and of one address.
func SetPlaces(h *Hall, all, one int) { h.places.max, h.places.maxOne = all, one }
