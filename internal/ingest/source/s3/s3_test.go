package s3

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"airfield/internal/aws/awstest"
	"airfield/internal/ingest"
	"airfield/internal/ingest/source"
)

func TestNamesInListings(t *testing.T) {
	for _, c := range []struct {
		key, want string
		encoding  types.EncodingType
		ok        bool
	}{
		{"a+b%2Bc%20%C3%A9/x", "a b+c é/x", types.EncodingTypeUrl, true},
		{"a+b%2Bc", "a+b%2Bc", "", true},
		{"100%", "", types.EncodingTypeUrl, false},
		{"%ff", "", types.EncodingTypeUrl, false},
	} {
		if got, ok := plain(c.key, c.encoding); ok != c.ok || ok && got != c.want {
			t.Errorf("%q, %q: %q, %v", c.key, c.encoding, got, ok)
		}
	}
}

func TestAListingHasManyPagesAndAnObjectIsReadAsItWasListed(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", awstest.KeyID)
	t.Setenv("AWS_SECRET_ACCESS_KEY", awstest.Secret)
	p := awstest.New(t, false)
	p.Prefix = "in/"
	client := awstest.Client(t, p)
	put := func(key, text string) {
		t.Helper()
		name := p.Prefix + key
		if _, err := client.PutObject(t.Context(), &sdk.PutObjectInput{Bucket: &p.Bucket, Key: &name, Body: strings.NewReader(text)}); err != nil {
			t.Fatal(err)
		}
	}
	const n = 1010 // more than a page
	for i := range n {
		put(fmt.Sprintf("note-%04d.md", i), "text")
	}
	put("note-0000.md"+ingest.SidecarSuffix, "tier: public")
	put("left.out", "x")
	s, err := New(context.Background(), ingest.SourceConfig{S3: p.String(), Include: []string{"*.md"}})
	if err != nil {
		t.Fatal(err)
	}
	l, err := s.List(t.Context())
	if err != nil || len(l.Entries) != n || len(l.Missed) != 0 {
		t.Fatalf("%d entries, %q: %v", len(l.Entries), l.Missed, err)
	}
	e := l.Entries["note-0000.md"]
	if raw, err := s.Sidecar(t.Context(), e); err != nil || string(raw) != "tier: public" {
		t.Fatalf("%q %v", raw, err)
	}
	r, _, err := s.Open(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if text, err := io.ReadAll(r); err != nil || string(text) != "text" {
		t.Fatalf("%q %v", text, err)
	}
	again, err := s.List(t.Context())
	if err != nil || again.Entries["note-0000.md"] != e {
		t.Fatalf("%+v, was %+v: %v", again.Entries["note-0000.md"], e, err)
	}
	put("note-0000.md", "texT")
	if _, _, err := s.Open(t.Context(), e); err != source.ErrChanging {
		t.Fatalf("what was overwritten was read: %v", err)
	}
	if _, _, err := s.Open(t.Context(), source.Entry{Key: "never.md", Fingerprint: e.Fingerprint}); err != source.ErrChanging {
		t.Fatalf("what is not there was read: %v", err)
	}
}
