//go:build !linux

package pgstart

import "syscall"

// attributes returns how a process is started: as who. Only Linux can tie it to the one
// that started it.
func attributes(who *syscall.Credential, _ bool) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: who}
}
