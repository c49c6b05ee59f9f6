package redistest

import "syscall"

// tied is a process that ends with this one, even where this one is killed.
func tied() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
