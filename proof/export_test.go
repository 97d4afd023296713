package proof

// ParseContext and Context are the two directions of Writ-Context.
var ParseContext = parseContext

// Context returns what Writ-Context says of v.
func Context(v *Invocation) string { return v.context() }

// ParseInput returns the component names of a Signature-Input, and what its
// signature base ends with.
func ParseInput(raw string) (names []string, params string, err error) {
	in, err := parseInput(raw)
	if err != nil {
		return nil, "", err
	}
	return in.names, in.params, nil
}
