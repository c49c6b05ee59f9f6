package embedded

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"airfield/internal/fault"
)

// lockDir makes sure that one process only works in a folder. The kernel drops the lock when the process ends, however.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock index: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fault.New(fault.Conflict, "index_locked", "another process works with the index in %s", dir).
				Hinted("stop it, or give this one a data folder of its own")
		}
		return nil, fmt.Errorf("lock index: %w", err)
	}
	return f, nil
}
