package redistest

import "syscall"

// tied is a process that ends with the test. The system knows no tie for a process that is killed.
func tied() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
