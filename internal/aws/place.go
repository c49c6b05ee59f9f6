// Package aws is how the document bucket and the sources reach S3 and what speaks like it: where a bucket is, who asks,
// and what its errors mean to people.
package aws

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// MaxPrefixBytes is the longest prefix, so that there is room for a name behind it.
const MaxPrefixBytes = 150

// Place is a bucket, or a part of one.
type Place struct {
	Bucket    string
	Prefix    string // "" or what all names begin with, with a slash at its end
	Region    string // "" is what AWS's own tools would take
	Endpoint  string // "" is AWS; else the address of something that speaks S3
	PathStyle bool   // the bucket is named in the path, not in the host
}

var bucketShape = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)

// Parse reads s3://NAME/PREFIX?region=…&endpoint=…&path_style=true. Secrets have no place in it.
func Parse(raw string) (Place, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "s3" || u.Opaque != "" || u.Fragment != "" {
		return Place{}, fmt.Errorf("it is not s3://NAME/PREFIX?region=REGION")
	}
	if u.User != nil {
		return Place{}, fmt.Errorf("keys do not belong into an address: give access_key_id and secret_access_key")
	}
	p := Place{Bucket: u.Host, Prefix: strings.Trim(u.Path, "/")}
	if !bucketShape.MatchString(p.Bucket) {
		return Place{}, fmt.Errorf("%q is no name of a bucket: 3 to 63 lower case letters, digits, dots and dashes", p.Bucket)
	}
	if p.Prefix != "" {
		for part := range strings.SplitSeq(p.Prefix, "/") {
			if part == "" || part == "." || part == ".." || strings.ContainsFunc(part, func(r rune) bool { return r < ' ' || r == 0x7f }) {
				return Place{}, fmt.Errorf("the prefix %q has a part that is empty, a dot or not printable", p.Prefix)
			}
		}
		p.Prefix += "/"
	}
	if len(p.Prefix) > MaxPrefixBytes {
		return Place{}, fmt.Errorf("the prefix has %d bytes, more than the %d allowed", len(p.Prefix), MaxPrefixBytes)
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return Place{}, fmt.Errorf("what follows the question mark cannot be read")
	}
	return p, p.options(query)
}

func (p *Place) options(query url.Values) error {
	for name, values := range query {
		if !slices.Contains([]string{"region", "endpoint", "path_style"}, name) || len(values) != 1 {
			return fmt.Errorf("%q is not an option, or is there twice: region, endpoint and path_style are", name)
		}
	}
	p.Region, p.Endpoint = query.Get("region"), query.Get("endpoint")
	switch query.Get("path_style") {
	case "", "false":
	case "true":
		p.PathStyle = true
	default:
		return fmt.Errorf("path_style is true or false")
	}
	if p.Endpoint == "" {
		return nil
	}
	e, err := url.Parse(p.Endpoint)
	if err != nil || e.Scheme != "http" && e.Scheme != "https" || e.Host == "" || e.User != nil || e.RawQuery != "" || e.Fragment != "" {
		return fmt.Errorf("endpoint is not the address of a server, like https://minio.internal:9000")
	}
	return nil
}

// String is the address, as Parse reads it.
func (p Place) String() string {
	u := url.URL{Scheme: "s3", Host: p.Bucket, Path: "/" + strings.TrimSuffix(p.Prefix, "/")}
	query := url.Values{}
	for name, value := range map[string]string{"region": p.Region, "endpoint": p.Endpoint} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if p.PathStyle {
		query.Set("path_style", "true")
	}
	u.RawQuery = query.Encode()
	return u.String()
}
