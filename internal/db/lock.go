package db

import "github.com/pressly/goose/v3/lock"

// sessionLocker waits at most a minute for another process that migrates the same database.
func sessionLocker() (lock.SessionLocker, error) {
	return lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 60))
}
