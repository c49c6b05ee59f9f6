//go:build linux || darwin

package extract

import "syscall"

// rlimitData has the same number on Linux and macOS.
const rlimitData = 2

// limitMemory lets the kernel refuse memory far above the limit at once, where the parent's watch would come too late.
// What the runtime has reserved but not used counts too, hence the margin.
func limitMemory(limit int64) {
	margin := uint64(limit)*2 + 256<<20
	_ = syscall.Setrlimit(rlimitData, &syscall.Rlimit{Cur: margin, Max: margin})
}
