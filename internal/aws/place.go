// Package aws is how the document bucket and the sources reach S3 and what speaks like it: where a bucket is, who asks,
// and what its errors mean to people.
package aws

import (
	"fmt"
	"regexp"

	"airfield/internal/place"
)

// Place is a bucket, or a part of one.
type Place struct {
	Bucket    string
	Prefix    string // "" or what all names begin with, with a slash at its end
	Region    string // "" is what AWS's own tools would take
	Endpoint  string // "" is AWS; else the address of something that speaks S3
	PathStyle bool   // the bucket is named in the path, not in the host
}

var bucketShape = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)

// Parse reads s3://NAME/PREFIX?region=…&endpoint=…&path_style=true.
func Parse(raw string) (Place, error) {
	found, options, err := place.Parse("s3", raw, "region", "endpoint", "path_style")
	if err != nil {
		return Place{}, err
	}
	if !bucketShape.MatchString(found.Bucket) {
		return Place{}, fmt.Errorf("%q is no name of a bucket: 3 to 63 lower case letters, digits, dots and dashes", found.Bucket)
	}
	p := Place{Bucket: found.Bucket, Prefix: found.Prefix, Region: options["region"], Endpoint: options["endpoint"]}
	switch options["path_style"] {
	case "", "false":
	case "true":
		p.PathStyle = true
	default:
		return Place{}, fmt.Errorf("path_style is true or false")
	}
	return p, nil
}

// String is the address, as Parse reads it.
func (p Place) String() string {
	options := map[string]string{"region": p.Region, "endpoint": p.Endpoint}
	if p.PathStyle {
		options["path_style"] = "true"
	}
	return place.Place{Bucket: p.Bucket, Prefix: p.Prefix}.String("s3", options)
}
