package custody

// ParseKeyringFile reports whether Unwrap would compute something from the file, or
// refuse it unread.
func ParseKeyringFile(file []byte) error {
	_, _, err := parseKeyringFile(file)
	return err
}
