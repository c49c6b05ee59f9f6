package file

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"airfield/internal/bucket"
	"airfield/internal/bucket/buckettest"
	"airfield/internal/fault"
)

func open(t testing.TB, dir string, c bucket.Config) *Bucket {
	t.Helper()
	b, err := Open(dir, c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func put(t testing.TB, b *Bucket, key, content string) bucket.Object {
	t.Helper()
	o, err := b.Put(t.Context(), key, strings.NewReader(content), bucket.PutOptions{MediaType: "text/plain"})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// files returns the names of all files below a folder of the bucket.
func files(t testing.TB, b *Bucket, below string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(b.dir, below), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestConformance(t *testing.T) {
	buckettest.Run(t, func(t *testing.T, c bucket.Config) bucket.Bucket { return open(t, t.TempDir(), c) })
}

func TestObjectsOutliveARestart(t *testing.T) {
	dir := t.TempDir()
	b := open(t, dir, bucket.Default())
	o := put(t, b, "Handbuch/Öl.PDF", "bytes")
	b.Close()
	got, err := open(t, dir, bucket.Default()).Stat(t.Context(), "Handbuch/Öl.PDF", "")
	if err != nil || got != o {
		t.Fatalf("%+v, was %+v: %v", got, o, err)
	}
}

func TestAPathIsTheFileOfTheVersion(t *testing.T) {
	b := open(t, t.TempDir(), bucket.Default())
	first := put(t, b, "../a", "first")
	put(t, b, "../a", "second")
	for version, want := range map[string]string{first.Version: "first", "": "second"} {
		path, o, err := b.Path(t.Context(), "../a", version)
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != want || o.Size != int64(len(want)) || !filepath.IsAbs(path) {
			t.Fatalf("%s: %q, %+v, %v", path, got, o, err)
		}
	}
}

func TestOnlyTheOwnerCanRead(t *testing.T) {
	b := open(t, filepath.Join(t.TempDir(), "bucket"), bucket.Default())
	put(t, b, "a/b/c", "secret")
	err := filepath.WalkDir(b.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		stat, err := d.Info()
		if err == nil && stat.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s is %s", path, stat.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAPlantedLinkLeadsNowhere(t *testing.T) {
	b := open(t, t.TempDir(), bucket.Default())
	outside := t.TempDir()
	if err := os.Symlink(outside, filepath.Join(b.dir, objects, encode("out/"))); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Put(t.Context(), "out/x", strings.NewReader("x"), bucket.PutOptions{}); err == nil {
		t.Error("the put went through a link")
	}
	if left, err := os.ReadDir(outside); err != nil || len(left) != 0 {
		t.Errorf("%v in the folder outside: %v", left, err)
	}
	if n := files(t, b, uploads); len(n) != 0 {
		t.Errorf("left: %v", n)
	}
}

func TestForeignFilesAreNotObjects(t *testing.T) {
	b := open(t, t.TempDir(), bucket.Default())
	put(t, b, "a", "x")
	dir := filepath.Join(b.dir, filepath.FromSlash(keyPath("a")))
	for _, name := range []string{".DS_Store", "~", "~x,y,z", "README", "~0006451a3b2c4d5e-1f2e3d4c5b6a7988"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if v, err := b.Versions(t.Context(), "a"); err != nil || len(v) != 1 {
		t.Fatalf("%+v %v", v, err)
	}
	if l, err := b.List(t.Context(), "", "", 10); err != nil || len(l) != 1 {
		t.Fatalf("%+v %v", l, err)
	}
}

func TestAClockSetBackDoesNotReorder(t *testing.T) {
	b := open(t, t.TempDir(), bucket.Default())
	put(t, b, "a", "old")
	o := bucket.Object{Key: "a", Version: bucket.NewVersion(time.Now().Add(time.Hour)), SHA256: strings.Repeat("0", 64)}
	if err := b.root.WriteFile(keyPath("a")+"/"+versionName(o), []byte("of the future"), 0o600); err != nil {
		t.Fatal(err)
	}
	last := put(t, b, "a", "last")
	if got, err := b.Stat(t.Context(), "a", ""); err != nil || got != last || got.Version <= o.Version {
		t.Fatalf("the latest is %+v, want %+v: %v", got, last, err)
	}
}

func TestADiskThatCutsAPutShortKeepsNothingOfIt(t *testing.T) {
	b := open(t, t.TempDir(), bucket.Default())
	put(t, b, "a", "before")
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 50_000, Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	_, err := b.Put(t.Context(), "a", bytes.NewReader(make([]byte, 100_000)), bucket.PutOptions{})
	if err2 := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old); err2 != nil {
		t.Fatal(err2)
	}
	if err == nil {
		t.Fatal("the put went through")
	}
	if v, err := b.Versions(t.Context(), "a"); err != nil || len(v) != 1 || len(files(t, b, "")) != 1 {
		t.Fatalf("%+v, files %v: %v", v, files(t, b, ""), err)
	}
	if f := fault.As(writeError(&os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC})); f.Kind != fault.Unavailable || f.Code != "disk_full" {
		t.Fatal(f)
	}
}

func TestASweepRemovesOnlyUploadsThatStopped(t *testing.T) {
	b := open(t, t.TempDir(), bucket.Default())
	now := time.Now()
	for name, age := range map[string]time.Duration{"dead": 25 * time.Hour, "alive": 23 * time.Hour} {
		path := filepath.Join(b.dir, uploads, name)
		if err := os.WriteFile(path, []byte("12345"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, now.Add(-age), now.Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	report, err := b.Sweep(t.Context(), now)
	if err != nil || report != (bucket.Report{Aborted: 1, AbortedBytes: 5}) {
		t.Fatalf("%+v %v", report, err)
	}
	if left := files(t, b, uploads); len(left) != 1 || filepath.Base(left[0]) != "alive" {
		t.Fatalf("left %v", left)
	}
}

func TestAnUploadThatWasSweptUnderWaySaysSo(t *testing.T) {
	b := open(t, t.TempDir(), bucket.Default())
	r, w := io.Pipe()
	go func() {
		io.WriteString(w, "begun")
		if _, err := b.Sweep(t.Context(), time.Now().Add(48*time.Hour)); err != nil {
			t.Error(err)
		}
		w.Close()
	}()
	_, err := b.Put(t.Context(), "slow", r, bucket.PutOptions{})
	if f := fault.As(err); f.Kind != fault.Conflict || f.Code != "upload_expired" {
		t.Fatalf("got %v", err)
	}
	if l, err := b.List(t.Context(), "", "", 10); err != nil || len(l) != 0 {
		t.Fatalf("%+v %v", l, err)
	}
}

func TestAPurgeLeavesNoFolderBehind(t *testing.T) {
	b := open(t, t.TempDir(), bucket.Default())
	put(t, b, "a/b/c/d", "x")
	put(t, b, "a/b/e", "x")
	for _, key := range []string{"a/b/c/d", "a/b/e"} {
		if _, err := b.Purge(t.Context(), key, ""); err != nil {
			t.Fatal(err)
		}
	}
	if left, err := os.ReadDir(filepath.Join(b.dir, objects)); err != nil || len(left) != 0 {
		t.Fatalf("left %v: %v", left, err)
	}
}

func TestAnOpenObjectStaysReadableAfterItsPurge(t *testing.T) {
	b := open(t, t.TempDir(), bucket.Default())
	put(t, b, "a", "still here")
	r, _, err := b.Get(t.Context(), "a", "")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := b.Purge(t.Context(), "a", ""); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); err != nil || string(got) != "still here" {
		t.Fatalf("%q %v", got, err)
	}
	if _, ok := r.(interface {
		io.ReadSeeker
		io.ReaderAt
	}); !ok {
		t.Error("not seekable")
	}
}

const childDir = "AIRFIELD_BUCKET_TEST_DIR"

// TestMain is also the process that is killed: it puts objects one after the other and says which are done, and
// what it began.
func TestMain(m *testing.M) {
	dir := os.Getenv(childDir)
	if dir == "" {
		os.Exit(m.Run())
	}
	b, err := Open(dir, bucket.Default(), slog.New(slog.DiscardHandler))
	for i := 0; err == nil; i++ {
		key := fmt.Sprintf("folder-%d/doc", i)
		_, err = b.Put(context.Background(), key, strings.NewReader(strings.Repeat(key, 20_000)), bucket.PutOptions{})
		fmt.Println(key)
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func TestKill9InMidPutLeavesWholeObjectsOnly(t *testing.T) {
	for life := range 5 {
		dir := t.TempDir()
		child := exec.CommandContext(t.Context(), os.Args[0])
		child.Env = append(os.Environ(), childDir+"="+dir)
		child.Stderr = os.Stderr
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		var done []string
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if len(done) == 0 {
				time.AfterFunc(time.Duration(1+life*13)*time.Millisecond, func() { child.Process.Kill() })
			}
			done = append(done, lines.Text())
		}
		child.Wait()
		b := open(t, dir, bucket.Default())
		whole, err := b.List(t.Context(), "", "", 1<<20)
		if err != nil || len(done) == 0 || len(whole) < len(done) || len(whole) > len(done)+1 {
			t.Fatalf("%d objects, %d were acknowledged: %v", len(whole), len(done), err)
		}
		for _, o := range whole {
			if o.Size != int64(20_000*len(o.Key)) {
				t.Fatalf("half an object: %+v", o)
			}
		}
		unfinished := len(files(t, b, uploads))
		report, err := b.Sweep(t.Context(), time.Now().Add(25*time.Hour))
		if err != nil || report.Aborted != unfinished || len(files(t, b, uploads)) != 0 {
			t.Fatalf("%+v, %d unfinished: %v", report, unfinished, err)
		}
		t.Logf("life %d: %d objects, %d unfinished", life, len(whole), unfinished)
	}
}
