package cloud

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/service/s3"

	"airfield/internal/aws"
	"airfield/internal/aws/awstest"
	"airfield/internal/ingest"
	"airfield/test/binary"
)

func TestMain(m *testing.M) { binary.Main(m) }

// installation is a server whose one collection is named papers.
type installation struct{ *binary.Server }

// install makes one whose environment has the keys of the S3 server.
func install(t *testing.T, config string) *installation {
	t.Helper()
	s := &installation{binary.Install(t, config)}
	s.Env = []string{"TEST_S3_ID=" + awstest.KeyID, "TEST_S3_SECRET=" + awstest.Secret}
	return s
}

// live are the source keys of the documents whose newest version is live.
func (s *installation) live() []string {
	s.T.Helper()
	var list []ingest.Document
	s.Call(http.MethodGet, "/api/collections/papers/documents?limit=1000", nil, &list)
	keys := []string{}
	for _, d := range list {
		if d.Newest.State == ingest.Live {
			keys = append(keys, d.SourceKey)
		}
	}
	slices.Sort(keys)
	return keys
}

// awaitLive waits until exactly these are live.
func (s *installation) awaitLive(keys ...string) {
	s.T.Helper()
	slices.Sort(keys)
	s.Await(strings.Join(keys, ", ")+" to be live", func() bool { return slices.Equal(s.live(), keys) })
}

// finds reports whether a keyword search finds anything.
func (s *installation) finds(word string) bool {
	s.T.Helper()
	var answer struct{ Data []any }
	s.Call(http.MethodPost, "/v1/vector_stores/papers/search", map[string]any{"query": word, "mode": "keyword"}, &answer)
	return len(answer.Data) > 0
}

// held lists all that a bucket has, old versions and markers among it.
func held(t *testing.T, p aws.Place) (names []string) {
	t.Helper()
	out, err := awstest.Client(t, p).ListObjectVersions(t.Context(), &sdk.ListObjectVersionsInput{Bucket: &p.Bucket})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range out.Versions {
		names = append(names, *v.Key)
	}
	for _, m := range out.DeleteMarkers {
		names = append(names, "marker of "+*m.Key)
	}
	return names
}
