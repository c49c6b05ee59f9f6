package cloud

import (
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"airfield/internal/aws/awstest"
	"airfield/internal/ingest"
	"airfield/test/binary"
)

const folderConfig = `
collections:
  papers:
    sources: {inbox: {folder: inbox, interval: 1s}}
bucket:
  access_key_id: env:TEST_S3_ID
  secret_access_key: env:TEST_S3_SECRET
  url: `

func TestDocumentsAreKeptInABucketAndADeletionLeavesNothingThere(t *testing.T) {
	place := awstest.New(t, true) // that keeps versions of its own
	place.Prefix = "airfield/test/"
	s := install(t, folderConfig+"'"+place.String()+"'\n")
	if err := os.Mkdir(s.Path("inbox"), 0o755); err != nil {
		t.Fatal(err)
	}
	s.Write("inbox/harbour.md", []byte("# Harbour\n\nThe quayside crane lifts forty tonnes.\n"))
	s.Write("inbox/rail.md", []byte("# Rail\n\nTrains leave the shunting yard at dawn.\n"))
	s.Start()
	s.awaitLive("harbour.md", "rail.md")
	if !s.finds("crane") || !s.finds("shunting") {
		t.Fatal("what is live is not found")
	}
	kept := held(t, place)
	if len(kept) < 2 || !strings.HasPrefix(kept[0], place.Prefix+"objects/") {
		t.Fatalf("the bucket holds %q", kept)
	}
	if _, err := os.Stat(s.Path("data", "bucket")); !os.IsNotExist(err) {
		t.Errorf("there is a folder for documents all the same: %v", err)
	}

	// kill -9, and everything is there.
	s.Kill()
	s.Start()
	s.awaitLive("harbour.md", "rail.md")
	var documents []ingest.Document
	s.Call(http.MethodGet, "/api/collections/papers/documents", nil, &documents)
	for _, d := range documents {
		answer, err := s.Ask(t.Context(), http.MethodGet, "/api/documents/"+d.ID+"/content", nil)
		if err != nil || answer.Status != 200 || !strings.HasPrefix(string(answer.Body), "# ") {
			t.Fatalf("%s: %d %.100s %v", d.SourceKey, answer.Status, answer.Body, err)
		}
	}

	// A backup leaves the documents where they are, and says so.
	if said, code := s.run("backup", "-o", s.Path("copy.tar")); code != 0 {
		t.Fatal(said)
	}
	s.Stop()
	fresh := install(t, folderConfig+"'"+place.String()+"'\n")
	if said, code := fresh.run("restore", s.Path("copy.tar")); code != 0 || !strings.Contains(said, "its documents are in "+place.String()) {
		t.Fatalf("%d %s", code, said)
	}
	elsewhere := install(t, "collections: {papers: {}}\n")
	if said, code := elsewhere.run("restore", s.Path("copy.tar")); code != 1 || !strings.Contains(said, "the documents of this backup are not in it") {
		t.Fatalf("%d %s", code, said)
	}
	if err := os.Rename(s.Path("inbox"), fresh.Path("inbox")); err != nil {
		t.Fatal(err)
	}
	fresh.Start()
	fresh.awaitLive("harbour.md", "rail.md")
	if said, code := fresh.run("check"); code != 0 || !strings.Contains(said, place.Bucket) {
		t.Fatalf("%d %s", code, said)
	}

	// What is deleted is gone, also from the versions that the bucket keeps.
	for _, name := range []string{"harbour.md", "rail.md"} {
		if err := os.Remove(fresh.Path("inbox", name)); err != nil {
			t.Fatal(err)
		}
	}
	fresh.Await("the bucket to hold nothing", func() bool { return len(held(t, place)) == 0 })
	if fresh.finds("crane") {
		t.Error("a deleted document is found")
	}
}

// run runs a command with the installation's configuration and environment, and returns all that it says.
func (s *installation) run(args ...string) (said string, code int) {
	s.T.Helper()
	cmd := exec.CommandContext(s.T.Context(), binary.Build(s.T), append(args, "--config", s.Path("airfield.yaml"))...)
	cmd.Env = append(os.Environ(), s.Env...)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		s.T.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}
