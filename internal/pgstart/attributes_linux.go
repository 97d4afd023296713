package pgstart

import "syscall"

// attributes returns how a process is started: as who, and if tied, so that it ends
// with the one that started it.
func attributes(who *syscall.Credential, tied bool) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Credential: who}
	if tied {
		a.Pdeathsig = syscall.SIGQUIT
	}
	return a
}
