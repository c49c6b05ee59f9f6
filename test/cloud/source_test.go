package cloud

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/service/s3"

	"airfield/internal/aws"
	"airfield/internal/aws/awstest"
	"airfield/internal/ingest"
)

// watch makes an installation whose collection follows a place, and looks at it by itself as often as interval says.
func watch(t *testing.T, p aws.Place, interval string) *installation {
	t.Helper()
	s := install(t, fmt.Sprintf(`
collections:
  papers:
    sources: {lake: {s3: '%s', interval: %s, exclude: ["drafts/"], defaults: {type: paper}}}
`, p, interval))
	s.Env = append(s.Env, "AWS_ACCESS_KEY_ID="+awstest.KeyID, "AWS_SECRET_ACCESS_KEY="+awstest.Secret)
	return s
}

// lake is a place as those see it who fill it.
type lake struct {
	t      *testing.T
	place  aws.Place
	client *sdk.Client
}

func (l lake) put(key, text string) {
	l.t.Helper()
	name := l.place.Prefix + key
	if _, err := l.client.PutObject(l.t.Context(), &sdk.PutObjectInput{Bucket: &l.place.Bucket, Key: &name, Body: strings.NewReader(text)}); err != nil {
		l.t.Fatal(err)
	}
}

func (l lake) remove(key string) {
	l.t.Helper()
	name := l.place.Prefix + key
	if _, err := l.client.DeleteObject(l.t.Context(), &sdk.DeleteObjectInput{Bucket: &l.place.Bucket, Key: &name}); err != nil {
		l.t.Fatal(err)
	}
}

func newLake(t *testing.T) lake {
	p := awstest.New(t, false)
	p.Prefix = "shared/lake/"
	return lake{t, p, awstest.Client(t, p)}
}

func TestACollectionFollowsABucketByListingAlone(t *testing.T) {
	l := newLake(t)
	l.put("harbour.md", "# Harbour\n\nThe quayside crane lifts forty tonnes.\n")
	l.put("a b+c&d=é/rail%20.md", "# Rail\n\nTrains leave the shunting yard at dawn.\n")
	l.put("drafts/secret.md", "# Draft\n\nNobody reads the unfinished.\n")
	l.put("folder/", "")
	outside := lake{t, aws.Place{Bucket: l.place.Bucket, Prefix: "shared/lakeside/"}, l.client}
	outside.put("other.md", "# Other\n\nThis belongs to somebody else.\n")
	s := watch(t, l.place, "1s")
	s.Start()
	const odd = "a b+c&d=é/rail%20.md"
	s.awaitLive("harbour.md", odd)

	l.put("harbour.md", "# Harbour\n\nThe gantry moves sixty tonnes.\n")
	s.Await("the new text to be found", func() bool { return s.finds("gantry") })
	if s.finds("quayside") {
		t.Error("the old text is found")
	}
	id := s.document("harbour.md").ID
	l.remove("harbour.md")
	l.put("port/haven.md", "# Harbour\n\nThe gantry moves sixty tonnes.\n")
	s.awaitLive("port/haven.md", odd)
	if got := s.document("port/haven.md").ID; got != id {
		t.Logf("the rename was seen in two parts: %s is now %s", id, got)
	}
	l.put("port/haven.md"+ingest.SidecarSuffix, "tier: public\nowner: quays\n")
	s.Await("the sidecar to be taken", func() bool { return s.document("port/haven.md").Tier.String() == "public" })
	l.remove(odd)
	s.awaitLive("port/haven.md")
	if s.finds("shunting") {
		t.Error("what was removed is found")
	}
}

func (s *installation) document(key string) (found ingest.Document) {
	s.T.Helper()
	var list []ingest.Document
	s.Call(http.MethodGet, "/api/collections/papers/documents?limit=1000", nil, &list)
	for _, d := range list {
		if d.SourceKey == key {
			found = d
		}
	}
	return found
}

func (s *installation) source() ingest.Source {
	s.T.Helper()
	var list []ingest.Source
	s.Call(http.MethodGet, "/api/sources", nil, &list)
	if len(list) != 1 {
		s.T.Fatalf("%d sources", len(list))
	}
	return list[0]
}

func TestAnEventIsEnoughAndABucketThatIsAwayRemovesNothing(t *testing.T) {
	l := newLake(t)
	for i := range 25 {
		l.put(fmt.Sprintf("note-%d.md", i), fmt.Sprintf("# Note %d\n\nThe container number%d stands here.\n", i, i))
	}
	s := watch(t, l.place, "1h") // by itself it would take an hour
	s.Start()
	s.Await("25 documents to be live", func() bool { return len(s.live()) == 25 })
	event := func() {
		t.Helper()
		s.Call(http.MethodPost, "/api/collections/papers/sources/lake/events", map[string]any{"Records": []any{map[string]any{"eventName": "ObjectCreated:Put"}}}, nil)
	}
	l.put("late.md", "# Late\n\nA lighthouse was built.\n")
	event()
	s.Await("the event to be enough", func() bool { return s.finds("lighthouse") })

	// Almost all is gone: somebody has to say that this is right.
	for i := range 25 {
		l.remove(fmt.Sprintf("note-%d.md", i))
	}
	event()
	s.Await("the source to be held", func() bool { return s.source().State == ingest.SourceHeld })
	if n := len(s.live()); n != 26 {
		t.Fatalf("%d documents are left of 26", n)
	}
	s.Call(http.MethodPost, "/api/collections/papers/sources/lake/confirm", nil, nil)
	s.awaitLive("late.md")

	// The whole bucket is gone: nothing is.
	l.remove("late.md")
	outside := "shared/lake/"
	if _, err := l.client.DeleteObject(t.Context(), &sdk.DeleteObjectInput{Bucket: &l.place.Bucket, Key: &outside}); err != nil {
		t.Fatal(err)
	}
	if _, err := l.client.DeleteBucket(t.Context(), &sdk.DeleteBucketInput{Bucket: &l.place.Bucket}); err != nil {
		t.Fatal(err)
	}
	event()
	s.Await("the source to say so", func() bool {
		src := s.source()
		return src.State == ingest.SourceWarning && strings.Contains(src.Message, "there is no bucket") && strings.Contains(src.Message, "nothing was removed")
	})
	if !s.finds("lighthouse") {
		t.Error("a document went with the bucket")
	}
	if said, code := s.run("check"); code == 0 || !strings.Contains(said, "there is no bucket") {
		t.Errorf("check: %d %s", code, said)
	}
}
