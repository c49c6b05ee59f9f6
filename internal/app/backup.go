package app

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"airfield/internal/config"
	"airfield/internal/db"
	"airfield/internal/fault"
)

// A backup is a tar file: manifest.json first, then database/ as db.Backup writes it, then bucket/, the bucket's folder.
// Documents that are kept elsewhere stay there, and the manifest says where.
const (
	backupFormat   = "airfield-backup-1"
	manifestName   = "manifest.json"
	databasePrefix = "database/"
	bucketPrefix   = "bucket/"
)

// Restored says what a backup held.
type Restored struct {
	Format      string    `json:"format"`
	At          time.Time `json:"at"`
	Environment string    `json:"environment"`
	Version     string    `json:"version"`
	Bucket      string    `json:"bucket,omitempty"` // where the documents are, if they are not in the backup
	Objects     int       `json:"objects"`
}

// backup writes the installation as a tar stream. The bucket's files never change once they are there, so hard links to
// them, made before and again after the database's snapshot, hold every object that the snapshot speaks of, whatever is
// deleted meanwhile.
func backup(ctx context.Context, c *config.Config, p *parts, version string, w io.Writer) error {
	database, err := os.MkdirTemp(filepath.Join(c.Data, "tmp"), "backup-*")
	if err != nil {
		return fmt.Errorf("make a folder for the backup: %w", err)
	}
	defer os.RemoveAll(database)

	about := Restored{Format: backupFormat, At: time.Now().UTC(), Environment: c.Environment, Version: version}
	parts, hold := [][2]string{{database, databasePrefix}}, func() error { return nil }
	if bucketDir, local := strings.CutPrefix(c.Bucket.URL, "file:"); local {
		objects, err := os.MkdirTemp(filepath.Dir(bucketDir), ".backup-bucket-*") // on the bucket's file system
		if err != nil {
			return fmt.Errorf("make a folder for the backup: %w", err)
		}
		defer os.RemoveAll(objects)
		parts, hold = append(parts, [2]string{objects, bucketPrefix}), func() error { return linkTree(ctx, bucketDir, objects) }
	} else {
		about.Bucket = c.Bucket.URL
	}
	if err := hold(); err != nil {
		return fmt.Errorf("hold the bucket: %w", err)
	}
	if err := p.db.Backup(ctx, database); err != nil {
		return err
	}
	if err := hold(); err != nil {
		return fmt.Errorf("hold the bucket: %w", err)
	}

	manifest, err := json.Marshal(about)
	if err != nil {
		return err
	}
	out := tar.NewWriter(w)
	if err := out.WriteHeader(&tar.Header{Name: manifestName, Mode: 0o600, Size: int64(len(manifest)), ModTime: about.At}); err != nil {
		return err
	}
	if _, err := out.Write(manifest); err != nil {
		return err
	}
	for _, part := range parts {
		if err := pack(ctx, out, part[0], part[1]); err != nil {
			return fmt.Errorf("write the backup: %w", err)
		}
	}
	return out.Close()
}

// linkTree makes hard links to the finished objects of a file bucket. What is gone in between is left out.
func linkTree(ctx context.Context, from, to string) error {
	return filepath.WalkDir(filepath.Join(from, "objects"), func(name string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		rel, err := filepath.Rel(from, name)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		if d.IsDir() {
			return os.MkdirAll(target, 0o700)
		}
		if err := os.Link(name, target); err != nil && !errors.Is(err, fs.ErrExist) && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
}

func pack(ctx context.Context, out *tar.Writer, dir, prefix string) error {
	return filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || ctx.Err() != nil || !d.Type().IsRegular() {
			return errors.Join(err, ctx.Err())
		}
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		if err := out.WriteHeader(&tar.Header{Name: prefix + filepath.ToSlash(rel), Mode: 0o600, Size: info.Size(), ModTime: info.ModTime()}); err != nil {
			return err
		}
		_, err = io.Copy(out, f)
		return err
	})
}

// Restore brings a backup into the database and the bucket of a configuration, both of which must be empty.
func Restore(ctx context.Context, c *config.Config, in io.Reader) (r Restored, err error) {
	unlock, err := lockFolder(c.Data)
	if err != nil {
		return r, err
	}
	defer unlock()
	bucketDir, local := strings.CutPrefix(c.Bucket.URL, "file:")
	place := c.Data
	if local {
		if used, err := holdsFiles(filepath.Join(bucketDir, "objects")); err != nil || used {
			return r, errors.Join(err, fault.New(fault.Conflict, "bucket_used", "the bucket %s is not empty", bucketDir).Hinted("restore into a new data folder: nothing is ever overwritten"))
		}
		place = filepath.Dir(bucketDir)
	}
	if err := os.MkdirAll(place, 0o700); err != nil {
		return r, fmt.Errorf("make the bucket's folder: %w", err)
	}
	staging, err := os.MkdirTemp(place, ".restore-*")
	if err != nil {
		return r, fmt.Errorf("make a folder for the restore: %w", err)
	}
	defer os.RemoveAll(staging)
	if r, err = unpack(ctx, in, staging); err != nil {
		return r, err
	}
	switch {
	case local && r.Bucket != "":
		return r, fault.New(fault.Conflict, "bucket_elsewhere", "the documents of this backup are not in it: they are in %s", r.Bucket).Hinted("name that bucket, or a copy of it, as bucket.url")
	case !local && r.Bucket == "":
		return r, fault.New(fault.Conflict, "bucket_elsewhere", "this backup holds documents, and goes into a folder alone").Hinted("leave bucket.url out, or name file:PATH")
	}
	// The bytes come first, and go again if the database, which is one transaction, does not take its part.
	target := filepath.Join(bucketDir, "objects")
	if r.Objects > 0 {
		err = errors.Join(os.MkdirAll(bucketDir, 0o700), os.RemoveAll(target)) // it holds no file
		if err == nil {
			err = os.Rename(filepath.Join(staging, bucketPrefix, "objects"), target)
		}
		if err != nil {
			return r, fmt.Errorf("restore the bucket: %w", err)
		}
	}
	if err := db.Restore(ctx, c.Database, filepath.Join(staging, databasePrefix), slog.New(slog.DiscardHandler)); err != nil {
		if r.Objects > 0 {
			err = errors.Join(err, os.RemoveAll(target))
		}
		return r, err
	}
	return r, nil
}

func holdsFiles(dir string) (used bool, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && !d.IsDir() {
			used, err = true, fs.SkipAll
		}
		return err
	})
	return used, err
}

// unpack writes the files of a backup below dir. Every name stays inside it, whatever the archive says.
func unpack(ctx context.Context, in io.Reader, dir string) (r Restored, err error) {
	notOne := func(err error) error {
		return fault.New(fault.Invalid, "backup_damaged", "this is not a whole backup of Airfield: %w", err).Hinted("nothing was changed; take another copy of the file")
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return r, err
	}
	defer root.Close()
	archive := tar.NewReader(in)
	for first := true; ; first = false {
		if err := ctx.Err(); err != nil {
			return r, err
		}
		h, err := archive.Next()
		if err == io.EOF && !first {
			return r, nil
		}
		if err != nil {
			return r, notOne(err)
		}
		switch {
		case first:
			if h.Name != manifestName || json.NewDecoder(io.LimitReader(archive, 1<<20)).Decode(&r) != nil || r.Format != backupFormat {
				return r, notOne(fmt.Errorf("it does not begin with a %s of the format %s", manifestName, backupFormat))
			}
			continue
		case h.Typeflag != tar.TypeReg || path.Clean(h.Name) != h.Name || !(strings.HasPrefix(h.Name, databasePrefix) || strings.HasPrefix(h.Name, bucketPrefix)):
			return r, notOne(fmt.Errorf("it holds %q", h.Name))
		}
		if strings.HasPrefix(h.Name, bucketPrefix) {
			r.Objects++
		}
		if err := write(root, h.Name, archive); err != nil {
			if errors.Is(err, io.ErrUnexpectedEOF) {
				return r, notOne(err)
			}
			return r, fmt.Errorf("restore %s: %w", h.Name, err)
		}
	}
}

func write(root *os.Root, name string, in io.Reader) error {
	if err := root.MkdirAll(path.Dir(name), 0o700); err != nil {
		return err
	}
	f, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, in)
	return errors.Join(err, f.Close())
}
