//go:build !linux

package server

// Harden does nothing here: only Linux has what it uses.
func Harden() error { return nil }
