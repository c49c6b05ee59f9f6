// Package gcs is how the document bucket and the sources reach Google Cloud Storage: where a bucket is, who asks, the few
// requests of its JSON API that Airfield makes, and what its errors mean to people.
package gcs

import (
	"fmt"

	"airfield/internal/place"
)

// Place is a bucket, or a part of one.
type Place struct {
	Bucket    string
	Prefix    string // "" or what all names begin with, with a slash at its end
	Endpoint  string // "" is Google; else the address of something that speaks the JSON API
	Anonymous bool   // nobody is named: public buckets and emulators
}

// Parse reads gs://NAME/PREFIX?endpoint=…&anonymous=true.
func Parse(raw string) (Place, error) {
	found, options, err := place.Parse("gs", raw, "endpoint", "anonymous")
	if err != nil {
		return Place{}, err
	}
	p := Place{Bucket: found.Bucket, Prefix: found.Prefix, Endpoint: options["endpoint"]}
	switch options["anonymous"] {
	case "", "false":
	case "true":
		p.Anonymous = true
	default:
		return Place{}, fmt.Errorf("anonymous is true or false")
	}
	return p, nil
}

// String is the address, as Parse reads it.
func (p Place) String() string {
	options := map[string]string{"endpoint": p.Endpoint}
	if p.Anonymous {
		options["anonymous"] = "true"
	}
	return place.Place{Bucket: p.Bucket, Prefix: p.Prefix}.String("gs", options)
}
