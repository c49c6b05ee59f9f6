// Package place holds what addresses of buckets have in common, whoever runs the store.
package place

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// MaxPrefixBytes is the longest prefix, so that there is room for a name behind it.
const MaxPrefixBytes = 150

var bucketShape = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$`)

// Place is a bucket, or a part of one.
type Place struct {
	Bucket string
	Prefix string // "" or what all names begin with, with a slash at its end
}

// Parse reads SCHEME://NAME/PREFIX?OPTION=VALUE with each option at most once and none but those given. Secrets have no
// place in an address: it is printed.
func Parse(scheme, raw string, options ...string) (Place, map[string]string, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != scheme || u.Opaque != "" || u.Fragment != "" {
		return Place{}, nil, fmt.Errorf("it is not %s://NAME/PREFIX", scheme)
	}
	if u.User != nil {
		return Place{}, nil, fmt.Errorf("keys do not belong into an address: give them beside it")
	}
	p := Place{Bucket: u.Host, Prefix: strings.Trim(u.Path, "/")}
	if !bucketShape.MatchString(p.Bucket) {
		return Place{}, nil, fmt.Errorf("%q is no name of a bucket", p.Bucket)
	}
	if p.Prefix != "" {
		for part := range strings.SplitSeq(p.Prefix, "/") {
			if part == "" || part == "." || part == ".." || strings.ContainsFunc(part, func(r rune) bool { return r < ' ' || r == 0x7f }) {
				return Place{}, nil, fmt.Errorf("the prefix %q has a part that is empty, a dot or not printable", p.Prefix)
			}
		}
		p.Prefix += "/"
	}
	if len(p.Prefix) > MaxPrefixBytes {
		return Place{}, nil, fmt.Errorf("the prefix has %d bytes, more than the %d allowed", len(p.Prefix), MaxPrefixBytes)
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return Place{}, nil, fmt.Errorf("what follows the question mark cannot be read")
	}
	given := map[string]string{}
	for name, values := range query {
		if !slices.Contains(options, name) || len(values) != 1 {
			return Place{}, nil, fmt.Errorf("%q is not an option, or is there twice: %s are", name, strings.Join(options, ", "))
		}
		given[name] = values[0]
	}
	return p, given, checkEndpoint(given["endpoint"])
}

func checkEndpoint(endpoint string) error {
	if endpoint == "" {
		return nil
	}
	e, err := url.Parse(endpoint)
	if err != nil || e.Scheme != "http" && e.Scheme != "https" || e.Host == "" || e.User != nil || e.RawQuery != "" || e.Fragment != "" {
		return fmt.Errorf("endpoint is not the address of a server, like https://storage.internal:9000")
	}
	return nil
}

// String is the address with options, as Parse reads it. Empty options are left out.
func (p Place) String(scheme string, options map[string]string) string {
	u := url.URL{Scheme: scheme, Host: p.Bucket, Path: "/" + strings.TrimSuffix(p.Prefix, "/")}
	query := url.Values{}
	for name, value := range options {
		if value != "" {
			query.Set(name, value)
		}
	}
	u.RawQuery = query.Encode()
	return u.String()
}
