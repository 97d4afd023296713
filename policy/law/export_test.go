package law

// CheckValue returns the error of a value in a view that rules are not shown.
func CheckValue(x any) error { return checkValue(x) }
