package app

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"airfield/internal/fault"
)

// lockFolder makes this process the only one that works on a data folder. The lock goes with the process, however
// it ends.
func lockFolder(dir string) (release func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fault.New(fault.Unavailable, "data_folder", "the data folder %s cannot be made: %w", dir, err)
	}
	path := filepath.Join(dir, "lock")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fault.New(fault.Unavailable, "data_folder", "the data folder %s cannot be written: %w", dir, err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer f.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		holder, _ := os.ReadFile(path)
		return nil, fault.New(fault.Conflict, "data_folder_locked", "the data folder %s is in use by another airfield (process %s)", dir, strings.TrimSpace(string(holder))).
			Hinted("stop it first, or set data to another folder")
	}
	if err = f.Truncate(0); err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	if err != nil {
		f.Close()
		return nil, fault.New(fault.Unavailable, "data_folder", "the data folder %s cannot be written: %w", dir, err)
	}
	return func() { f.Close() }, nil
}
