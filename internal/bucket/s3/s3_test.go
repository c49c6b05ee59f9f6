package s3

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/service/s3"

	"airfield/internal/aws"
	"airfield/internal/aws/awstest"
	"airfield/internal/bucket"
	"airfield/internal/bucket/buckettest"
	"airfield/internal/bucket/object"
	"airfield/internal/fault"
	"airfield/internal/secret"
)

// opened is a bucket and the store below it.
type opened struct {
	*object.Bucket
	*store
}

func openTest(t *testing.T, p aws.Place, c bucket.Config) opened {
	t.Helper()
	c.URL, c.AccessKeyID, c.SecretAccessKey = p.String(), secret.New(awstest.KeyID), secret.New(awstest.Secret)
	log := slog.New(slog.DiscardHandler)
	s, err := open(t.Context(), c, log)
	if err != nil {
		t.Fatal(err)
	}
	b, err := object.New(s, c.Lifecycle, t.TempDir(), log)
	if err != nil {
		t.Fatal(err)
	}
	return opened{b, s}
}

func TestConformance(t *testing.T) {
	for name, versions := range map[string]bool{"a bucket without versions": false, "a bucket that keeps versions itself": true} {
		t.Run(name, func(t *testing.T) {
			buckettest.Run(t, func(t *testing.T, c bucket.Config) bucket.Bucket {
				p := awstest.New(t, versions)
				if versions {
					p.Prefix = "some/where/"
				}
				return openTest(t, p, c).Bucket
			})
		})
	}
}

// everything lists all that the store has, old versions and markers of its own among it.
func everything(t *testing.T, b opened) (names []string) {
	t.Helper()
	out, err := b.client.ListObjectVersions(t.Context(), &sdk.ListObjectVersionsInput{Bucket: &b.place.Bucket})
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

func TestAPurgeLeavesNothingInAStoreThatKeepsVersions(t *testing.T) {
	b := openTest(t, awstest.New(t, true), bucket.Default())
	for range 3 {
		if _, err := b.Bucket.Put(t.Context(), "a/b", strings.NewReader("secret"), bucket.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Delete(t.Context(), "a/b"); err != nil {
		t.Fatal(err)
	}
	if n := len(everything(t, b)); n != 4 {
		t.Fatalf("%d objects before the purge: the test would see nothing", n)
	}
	if p, err := b.Purge(t.Context(), "a/b", ""); err != nil || p != (bucket.Purged{Versions: 3, Bytes: 18}) {
		t.Fatalf("%+v %v", p, err)
	}
	if err := b.Probe(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := everything(t, b); len(left) != 0 {
		t.Fatalf("left: %q", left)
	}
}

func TestALargeObjectGoesUpInPartsAndALeftUploadIsAborted(t *testing.T) {
	b := openTest(t, awstest.New(t, false), bucket.Default())
	b.partBytes = 5 << 20
	raw := make([]byte, 11<<20)
	random := rand.NewChaCha8([32]byte{1})
	random.Read(raw)
	content := string(raw)
	o, err := b.Bucket.Put(t.Context(), "large", strings.NewReader(content), bucket.PutOptions{MediaType: "application/pdf"})
	if err != nil {
		t.Fatal(err)
	}
	r, got, err := b.Get(t.Context(), "large", "")
	if err != nil || got != o {
		t.Fatalf("%+v, put %+v: %v", got, o, err)
	}
	defer r.Close()
	if size, sum, err := bucket.Receive(t.Context(), new(strings.Builder), r, "large", 0); err != nil || size != o.Size || sum != o.SHA256 {
		t.Fatalf("read %d bytes, %s: %v", size, sum, err)
	}

	left := b.place.Prefix + "objects/left!/x"
	u, err := b.client.CreateMultipartUpload(t.Context(), &sdk.CreateMultipartUploadInput{Bucket: &b.place.Bucket, Key: &left})
	if err != nil {
		t.Fatal(err)
	}
	number := int32(1)
	if _, err := b.client.UploadPart(t.Context(), &sdk.UploadPartInput{Bucket: &b.place.Bucket, Key: &left, UploadId: u.UploadId, PartNumber: &number, Body: strings.NewReader("seven..")}); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		after time.Duration
		want  bucket.Report
	}{{23 * time.Hour, bucket.Report{}}, {25 * time.Hour, bucket.Report{Aborted: 1, AbortedBytes: 7}}, {25 * time.Hour, bucket.Report{}}} {
		if got, err := b.Sweep(t.Context(), time.Now().Add(step.after)); err != nil || got != step.want {
			t.Fatalf("after %s: %+v, want %+v: %v", step.after, got, step.want, err)
		}
	}
}

func TestWhatBelongsToOthersIsNotSeen(t *testing.T) {
	p := awstest.New(t, false)
	one, two := p, p
	one.Prefix, two.Prefix = "dev/", "dev2/"
	a, b := openTest(t, one, bucket.Default()), openTest(t, two, bucket.Default())
	if _, err := b.Bucket.Put(t.Context(), "theirs", strings.NewReader("x"), bucket.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"dev/objects/readme.txt", "dev/objects/a!/x", "dev/notes"} {
		if _, err := a.client.PutObject(t.Context(), &sdk.PutObjectInput{Bucket: &p.Bucket, Key: &name, Body: strings.NewReader("x")}); err != nil {
			t.Fatal(err)
		}
	}
	if l, err := a.Bucket.List(t.Context(), "", "", 10); err != nil || len(l) != 0 {
		t.Fatalf("%+v %v", l, err)
	}
	if r, err := a.Sweep(t.Context(), time.Now().Add(1e4*time.Hour)); err != nil || r != (bucket.Report{}) {
		t.Fatalf("%+v %v", r, err)
	}
	if l, err := b.Bucket.List(t.Context(), "", "", 10); err != nil || len(l) != 1 {
		t.Fatalf("%+v %v", l, err)
	}
}

func TestWhatIsWrongIsSaid(t *testing.T) {
	p := awstest.New(t, false)
	there := awstest.Keys()
	for name, c := range map[string]struct {
		change func(p *aws.Place, c *bucket.Config)
		code   string
	}{
		"there is no such bucket": {func(p *aws.Place, _ *bucket.Config) { p.Bucket = "nowhere" }, "bucket_missing"},
		"the key is wrong":        {func(_ *aws.Place, c *bucket.Config) { c.SecretAccessKey = secret.New("guessed-secret") }, "bucket_denied"},
		"nobody answers":          {func(p *aws.Place, _ *bucket.Config) { p.Endpoint = "http://127.0.0.1:1" }, "bucket_away"},
		"nobody is found to sign": {func(_ *aws.Place, c *bucket.Config) {
			c.AccessKeyID, c.SecretAccessKey = secret.Value{}, secret.Value{}
		}, "bucket_credentials"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, variable := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"} {
				t.Setenv(variable, "")
			}
			for variable, value := range map[string]string{"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null"} {
				t.Setenv(variable, value)
			}
			p, config := p, bucket.Default()
			config.AccessKeyID, config.SecretAccessKey = there.ID, there.Secret
			c.change(&p, &config)
			config.URL = p.String()
			b, err := Open(t.Context(), config, t.TempDir(), slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			for doing, err := range map[string]error{"probe": b.Probe(t.Context()), "put": second(b.Put(t.Context(), "a", strings.NewReader("x"), bucket.PutOptions{}))} {
				f := fault.As(err)
				if f.Code != c.code || f.Kind != fault.Unavailable || strings.Contains(err.Error(), "guessed-secret") {
					t.Errorf("%s: %s %s: %v", doing, f.Kind, f.Code, err)
				}
			}
		})
	}
}

func second(_ bucket.Object, err error) error { return err }

func TestAnAddressIsChecked(t *testing.T) {
	for _, url := range []string{
		"s3:", "s3://", "s3://Upper", "s3://ab", "s3://key:secret@name", "s3://name/a//b", "s3://name/../b", "s3://name?regoin=x", "s3://name?region=a&region=b",
		"s3://name?endpoint=minio:9000", "s3://name?endpoint=https://a:b@minio", "s3://name?path_style=yes", "s3://name/" + strings.Repeat("x", 151), "gs://name",
	} {
		c := bucket.Default()
		c.URL = url
		if _, err := Open(context.Background(), c, t.TempDir(), slog.New(slog.DiscardHandler)); !fault.Is(err, fault.Invalid) || strings.Contains(err.Error(), "secret@") {
			t.Errorf("%s: %v", url, err)
		}
	}
}
