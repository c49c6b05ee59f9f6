package folder

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"github.com/fsnotify/fsnotify"
)

// Watch tells of changes below the folder, as far as the system can: what it misses the next full scan finds.
type Watch struct {
	folder  *Folder
	watcher *fsnotify.Watcher
	watched map[string]bool
	Changed chan struct{} // holds one token when something changed
}

// NewWatch begins to watch; it follows what List finds, so Follow is called after each listing.
func NewWatch(f *Folder) (*Watch, error) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	return &Watch{folder: f, watcher: w, watched: map[string]bool{}, Changed: make(chan struct{}, 1)}, nil
}

// Follow watches the folders that the last listing found. An error says that some are not watched.
func (w *Watch) Follow() error {
	var failed error
	now := make(map[string]bool, len(w.folder.dirs))
	for _, dir := range w.folder.dirs {
		now[dir] = true
		if w.watched[dir] {
			continue
		}
		if err := w.watcher.Add(dir); err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				failed = err
			}
			delete(now, dir)
		}
	}
	for dir := range w.watched {
		if !now[dir] {
			_ = w.watcher.Remove(dir) // gone with its folder
		}
	}
	w.watched = now
	return failed
}

// Run passes events on, and what others say of the folder, until ctx ends; then the watch is closed.
func (w *Watch) Run(ctx context.Context, woken <-chan struct{}) {
	defer w.watcher.Close()
	for {
		select {
		case <-ctx.Done():
			return
		case <-woken:
			w.tell()
		case e, ok := <-w.watcher.Events:
			if !ok {
				return
			}
			if e.Op == fsnotify.Chmod && exists(e.Name) {
				continue // indexers and backups touch attributes all the time
			}
			w.tell()
		case _, ok := <-w.watcher.Errors:
			if !ok {
				return
			}
			w.tell() // events were lost: look at everything
		}
	}
}

func exists(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}

func (w *Watch) tell() {
	select {
	case w.Changed <- struct{}{}:
	default:
	}
}
