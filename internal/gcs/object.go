package gcs

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// Object is what is told of one.
type Object struct {
	Name       string `json:"name"`
	Size       int64  `json:"size,string"`
	Generation int64  `json:"generation,string"` // another one whenever its bytes are written
	CRC32C     string `json:"crc32c"`
}

// Page is a part of a listing.
type Page struct {
	Objects []Object `json:"items"`
	Next    string   `json:"nextPageToken"` // "" is the last
}

// objects is the address of the bucket's objects.
func (c *Client) objects(root string, query url.Values) string {
	return c.base + root + "/storage/v1/b/" + url.PathEscape(c.place.Bucket) + "/o?" + query.Encode()
}

// object is the address of one.
func (c *Client) object(name string, query url.Values) string {
	return c.base + "/storage/v1/b/" + url.PathEscape(c.place.Bucket) + "/o/" + url.PathEscape(name) + "?" + query.Encode()
}

// List tells a page of up to limit names, in byte order, that begin with prefix and do not come before from. all tells old
// generations too, which a bucket has that keeps versions.
func (c *Client) List(ctx context.Context, prefix, from, page string, limit int, all bool) (found Page, err error) {
	query := url.Values{"prefix": {prefix}, "maxResults": {strconv.Itoa(limit)}, "fields": {"items(name,size,generation,crc32c),nextPageToken"}}
	if from != "" {
		query.Set("startOffset", from)
	}
	if page != "" {
		query.Set("pageToken", page)
	}
	if all {
		query.Set("versions", "true")
	}
	res, err := c.send(ctx, request{method: http.MethodGet, url: c.objects("", query)})
	if err != nil {
		return found, err
	}
	return found, decode(res, &found)
}

// Get opens an object, or one generation of it.
func (c *Client) Get(ctx context.Context, name string, generation int64) (io.ReadCloser, error) {
	query := url.Values{"alt": {"media"}}
	if generation != 0 {
		query.Set("generation", strconv.FormatInt(generation, 10))
	}
	res, err := c.send(ctx, request{method: http.MethodGet, url: c.object(name, query)})
	if err != nil {
		return nil, err
	}
	return res.Body, nil
}

// Delete removes a generation for good.
func (c *Client) Delete(ctx context.Context, name string, generation int64) error {
	res, err := c.send(ctx, request{method: http.MethodDelete, url: c.object(name, url.Values{"generation": {strconv.FormatInt(generation, 10)}})})
	if err != nil {
		return err
	}
	return res.Body.Close()
}

// Put stores an object in one request, and sees that what arrived is what was sent.
func (c *Client) Put(ctx context.Context, name string, from io.ReaderAt, size int64, mediaType string) error {
	sum := newSum()
	res, err := c.send(ctx, request{
		method: http.MethodPost, url: c.objects("/upload", url.Values{"uploadType": {"media"}, "name": {name}}),
		header: map[string]string{"Content-Type": mediaType}, size: size,
		body: func() io.Reader {
			sum.Reset()
			return io.TeeReader(io.NewSectionReader(from, 0, size), sum)
		},
	})
	if err != nil {
		return err
	}
	return stored(res, size, sum)
}

// PutParts stores an object in parts of a multiple of 256 KiB, each of which can be sent again.
func (c *Client) PutParts(ctx context.Context, name string, from io.ReaderAt, size, part int64, mediaType string) error {
	res, err := c.send(ctx, request{
		method: http.MethodPost, url: c.objects("/upload", url.Values{"uploadType": {"resumable"}, "name": {name}}),
		header: map[string]string{"X-Upload-Content-Type": mediaType, "X-Upload-Content-Length": strconv.FormatInt(size, 10)},
		body:   func() io.Reader { return strings.NewReader("") },
	})
	if err != nil {
		return err
	}
	res.Body.Close()
	session, err := url.Parse(res.Header.Get("Location"))
	if base, _ := url.Parse(c.base); err != nil || session.Host != base.Host || session.Scheme != base.Scheme {
		return fmt.Errorf("the store names another place to upload to: %.200q", res.Header.Get("Location"))
	}
	sum := newSum()
	for at := int64(0); at < size; {
		n := min(part, size-at)
		res, err := c.send(ctx, request{
			method: http.MethodPut, url: session.String(), size: n, body: func() io.Reader { return io.NewSectionReader(from, at, n) },
			header: map[string]string{"Content-Range": fmt.Sprintf("bytes %d-%d/%d", at, at+n-1, size)},
		})
		if err != nil {
			return err
		}
		if res.StatusCode != http.StatusPermanentRedirect {
			if at+n != size {
				res.Body.Close()
				return fmt.Errorf("the store ended an upload after %d of %d bytes", at+n, size)
			}
			if _, err := io.Copy(sum, io.NewSectionReader(from, 0, size)); err != nil {
				res.Body.Close()
				return err
			}
			return stored(res, size, sum)
		}
		res.Body.Close()
		// It may have kept less than was sent.
		kept, err := strconv.ParseInt(strings.TrimPrefix(res.Header.Get("Range"), "bytes=0-"), 10, 64)
		if err != nil || kept+1 <= at || kept >= at+n {
			return fmt.Errorf("the store kept %q of an upload, which was at %d", res.Header.Get("Range"), at)
		}
		at = kept + 1
	}
	return fmt.Errorf("the store kept all %d bytes of an upload and did not end it", size)
}

func newSum() hash.Hash32 { return crc32.New(crc32.MakeTable(crc32.Castagnoli)) }

// stored compares what was stored with what was sent.
func stored(res *http.Response, size int64, sum hash.Hash32) error {
	var o Object
	if err := decode(res, &o); err != nil {
		return err
	}
	want := base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, sum.Sum32()))
	if o.Size != size || o.CRC32C != "" && o.CRC32C != want {
		return fmt.Errorf("what was stored is not what was sent: %d bytes with the checksum %s, not %d with %s", o.Size, o.CRC32C, size, want)
	}
	return nil
}
