// Package folder is the source that is a folder of this machine: it lists and reads files, and watches for changes.
package folder

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"airfield/internal/fault"
	"airfield/internal/ingest"
	"airfield/internal/ingest/source"
)

// settle is how long a file must have been left alone before it is read.
const settle = 500 * time.Millisecond

// Folder is a source.Backend. One goroutine uses it.
type Folder struct {
	dir      string
	globs    source.Globs
	follow   bool
	observed map[string]observation // of files whose own time cannot be trusted
	dirs     []string               // listed last, for the watch
}

type observation struct {
	fingerprint string
	since       time.Time
}

// New makes a folder of its configuration. The folder need not be there yet.
func New(c ingest.SourceConfig) (*Folder, error) {
	dir, err := filepath.Abs(c.Folder)
	if err != nil {
		return nil, fmt.Errorf("folder %q: %w", c.Folder, err)
	}
	f := &Folder{dir: dir, follow: c.FollowSymlinks, observed: map[string]observation{}}
	f.globs, err = source.NewGlobs(c)
	return f, err
}

// walk is one listing under way.
type walk struct {
	folder   *Folder
	root     string // without links
	now      time.Time
	listing  source.Listing
	sidecars map[string]os.FileInfo
	seen     map[string]bool // real folders, where links are followed
	observed map[string]observation
}

// List reads the whole tree.
func (f *Folder) List(ctx context.Context) (source.Listing, error) {
	root, err := filepath.EvalSymlinks(f.dir)
	if err != nil {
		return source.Listing{}, f.away(err)
	}
	at, err := os.Stat(root)
	if err == nil && !at.IsDir() {
		err = errors.New("it is not a folder")
	}
	if err != nil {
		return source.Listing{}, f.away(err)
	}
	w := &walk{folder: f, root: root, now: time.Now(), sidecars: map[string]os.FileInfo{}, seen: map[string]bool{}, observed: map[string]observation{},
		listing: source.Listing{Entries: map[string]source.Entry{}, Root: identity(at)}}
	f.dirs = f.dirs[:0]
	if err := w.read(ctx, root, ""); err != nil {
		return source.Listing{}, err
	}
	w.attach()
	f.observed = w.observed
	return w.listing, nil
}

func (f *Folder) away(err error) error {
	return fault.New(fault.Unavailable, "folder_away", "the folder %s is not there or cannot be read: %s", f.dir, plain(err))
}

// plain is what the system says, without the path it says it of.
func plain(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}

// read lists one folder and those below it. What cannot be read is noted, and keeps everything from being removed.
func (w *walk) read(ctx context.Context, dir, key string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	w.folder.dirs = append(w.folder.dirs, dir)
	entries, err := os.ReadDir(dir)
	if err != nil {
		w.miss(key, err)
	}
	for _, e := range entries {
		name := e.Name()
		child := path.Join(key, name)
		if skipped(name) {
			continue
		}
		if !utf8.ValidString(name) {
			w.miss(strings.ToValidUTF8(child, "\uFFFD"), errors.New("its name is not valid UTF-8"))
			continue
		}
		at, err := e.Info()
		if err == nil && at.Mode()&fs.ModeSymlink != 0 {
			at, err = w.resolve(filepath.Join(dir, name))
		}
		switch {
		case errors.Is(err, fs.ErrNotExist), at == nil && err == nil:
		case err != nil:
			w.miss(child, err)
		case at.IsDir():
			if w.folder.follow && w.visited(filepath.Join(dir, name)) {
				continue
			}
			if err := w.read(ctx, filepath.Join(dir, name), child); err != nil {
				return err
			}
		case at.Mode().IsRegular():
			w.file(child, at)
		}
	}
	return nil
}

// resolve follows a link where that is wanted and it stays inside the root; nil where it is left out.
func (w *walk) resolve(link string) (os.FileInfo, error) {
	if !w.folder.follow {
		return nil, nil
	}
	target, err := filepath.EvalSymlinks(link)
	if err != nil {
		return nil, err
	}
	if rel, err := filepath.Rel(w.root, target); err != nil || !filepath.IsLocal(rel) {
		return nil, nil
	}
	return os.Stat(target)
}

// visited keeps a link from leading round and round.
func (w *walk) visited(dir string) bool {
	real, err := filepath.EvalSymlinks(dir)
	if err != nil || w.seen[real] || real == w.root {
		return true
	}
	w.seen[real] = true
	return false
}

func (w *walk) miss(key string, err error) {
	const most = 5
	if len(w.listing.Missed) < most {
		w.listing.Missed = append(w.listing.Missed, cmp.Or(key, ".")+": "+plain(err))
	}
}

func (w *walk) file(key string, at os.FileInfo) {
	if strings.HasSuffix(key, ingest.SidecarSuffix) {
		w.sidecars[key] = at
		return
	}
	if !w.folder.globs.Want(key) {
		return
	}
	print := fingerprint(at)
	w.listing.Entries[key] = source.Entry{Key: key, Fingerprint: print, Identity: identity(at), Size: at.Size(), Unsettled: !w.settled(key, print, at.ModTime())}
}

// attach gives each document its sidecar.
func (w *walk) attach() {
	for key, at := range w.sidecars {
		e, ok := w.listing.Entries[strings.TrimSuffix(key, ingest.SidecarSuffix)]
		if !ok {
			continue
		}
		e.Sidecar = fingerprint(at)
		e.Unsettled = e.Unsettled || !w.settled(key, e.Sidecar, at.ModTime())
		w.listing.Entries[e.Key] = e
	}
}

// settled reports whether a file was left alone for a while: by its own time, or, where that lies in the future, by
// what was observed.
func (w *walk) settled(key, print string, modified time.Time) bool {
	age := w.now.Sub(modified)
	if age >= settle {
		return true
	}
	if age >= 0 {
		return false
	}
	o, known := w.folder.observed[key]
	if !known || o.fingerprint != print {
		o = observation{print, w.now}
	}
	w.observed[key] = o
	return w.now.Sub(o.since) >= settle
}

// skipped are hidden files and what programs leave while they work.
func skipped(name string) bool {
	if strings.HasPrefix(name, ".") || strings.HasPrefix(name, "~$") || strings.HasSuffix(name, "~") || name == "Thumbs.db" || name == "desktop.ini" {
		return true
	}
	switch strings.ToLower(path.Ext(name)) {
	case ".swp", ".swx", ".part", ".partial", ".crdownload", ".tmp":
		return true
	}
	return false
}

// fingerprint is size, time of change and file id, in that order: the scan reads the size.
func fingerprint(at os.FileInfo) string {
	b := strconv.AppendInt(make([]byte, 0, 64), at.Size(), 10)
	b = append(b, ':')
	b = strconv.AppendInt(b, at.ModTime().UnixNano(), 36)
	b = append(b, ':')
	return string(append(b, identity(at)...))
}

// identity is the file's number in its file system.
func identity(at os.FileInfo) string {
	s, ok := at.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	b := strconv.AppendUint(make([]byte, 0, 32), uint64(s.Dev), 36)
	b = append(b, '.')
	return string(strconv.AppendUint(b, uint64(s.Ino), 36))
}

// Open reads a file as it was listed. A link that was put in its place since does not lead out of the folder.
func (f *Folder) Open(ctx context.Context, e source.Entry) (io.ReadCloser, func() error, error) {
	file, err := f.open(e.Key)
	if err != nil {
		return nil, nil, fmt.Errorf("%s", plain(err))
	}
	at, err := file.Stat()
	if err == nil && fingerprint(at) != e.Fingerprint {
		err = source.ErrChanging
	}
	if err != nil {
		file.Close()
		return nil, nil, err
	}
	verify := func() error {
		again, err := f.open(e.Key)
		if err != nil {
			return source.ErrChanging
		}
		defer again.Close()
		if at, err := again.Stat(); err != nil || fingerprint(at) != e.Fingerprint {
			return source.ErrChanging
		}
		return nil
	}
	return file, verify, nil
}

func (f *Folder) open(key string) (*os.File, error) {
	root, err := os.OpenRoot(f.dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	// Not blocking: a pipe put in the file's place must not stop the scan.
	return root.OpenFile(filepath.FromSlash(key), os.O_RDONLY|syscall.O_NONBLOCK, 0)
}

// Sidecar reads the file beside it that tells its metadata.
func (f *Folder) Sidecar(ctx context.Context, e source.Entry) ([]byte, error) {
	if e.Sidecar == "" {
		return nil, nil
	}
	file, err := f.open(e.Key + ingest.SidecarSuffix)
	if err != nil {
		return nil, fmt.Errorf("its sidecar: %s", plain(err))
	}
	defer file.Close()
	if at, err := file.Stat(); err != nil || fingerprint(at) != e.Sidecar {
		return nil, source.ErrChanging
	}
	const most = 1 << 20 // the parser refuses long before
	return io.ReadAll(io.LimitReader(file, most))
}
