package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"airfield/internal/fault"
)

// lockDir keeps other processes out of dir until the file is closed or this process ends, however it ends.
func lockDir(dir string, flags int) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), flags, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock journal: %w", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return f, nil
	}
	f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, fault.New(fault.Conflict, "journal_in_use", "the journal in %s is in use by another process", dir).
			Hinted("stop the other process, or give this one a data folder of its own")
	}
	return nil, fmt.Errorf("lock journal: %w", err)
}
