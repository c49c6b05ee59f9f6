package index

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"airfield/internal/caller"
	"airfield/internal/fault"
)

const (
	maxIDBytes    = 512
	maxKeyBytes   = 256
	maxValueBytes = 4096
	maxListItems  = 1024
	maxAttributes = 256

	// MaxDimensions bounds the length of a vector.
	MaxDimensions = 8192
)

// Normal checks documents before they are stored and brings attributes into their four types. Where a document is given
// twice the last one counts. dimensions is the length that vectors must have; 0 while the space has none. It returns the
// length found.
func Normal(documents []Document, dimensions int) ([]Document, int, error) {
	last := make(map[string]int, len(documents))
	for i, d := range documents {
		last[d.ID] = i
	}
	out := make([]Document, 0, len(last))
	for i, d := range documents {
		if last[d.ID] != i {
			continue
		}
		if d.ID == "" || len(d.ID) > maxIDBytes {
			return nil, 0, refuse("", "id", "a document's id has 1 to %d bytes", maxIDBytes)
		}
		if len(d.Chunks) == 0 {
			out = append(out, Document{ID: d.ID})
			continue
		}
		if d.Tier < caller.Public || d.Tier > caller.Restricted {
			return nil, 0, refuse(d.ID, "tier", "%s is not an access tier", d.Tier)
		}
		var err error
		if d.Attributes, err = attributes(d); err != nil {
			return nil, 0, err
		}
		if d.Chunks, err = chunks(d, &dimensions); err != nil {
			return nil, 0, err
		}
		out = append(out, d)
	}
	return out, dimensions, nil
}

func chunks(d Document, dimensions *int) ([]Chunk, error) {
	out := slices.Clone(d.Chunks)
	seen := make(map[string]bool, len(out))
	for i := range out {
		c := &out[i]
		at := fmt.Sprintf("chunks[%d]", i)
		if c.ID == "" || len(c.ID) > maxIDBytes || seen[c.ID] {
			return nil, refuse(d.ID, at+".id", "a chunk's id has 1 to %d bytes and is given once: %.64q", maxIDBytes, c.ID)
		}
		seen[c.ID] = true
		zero, err := CheckVector(c.Vector, *dimensions)
		if err != nil {
			return nil, refuse(d.ID, at+".vector", "%s", err)
		}
		if len(c.Vector) > 0 {
			*dimensions = len(c.Vector)
		}
		if zero {
			c.Vector = nil
		}
	}
	return out, nil
}

// CheckVector refuses a vector of another length than dimensions (0: of any), and one that holds a NaN or an infinity.
// zero is true for one without a direction.
func CheckVector(v []float32, dimensions int) (zero bool, err error) {
	if len(v) == 0 {
		return true, nil
	}
	if len(v) > MaxDimensions || dimensions > 0 && len(v) != dimensions {
		if dimensions == 0 {
			return false, fault.New(fault.Invalid, "invalid_vector", "the vector has %d dimensions, at most %d are possible", len(v), MaxDimensions)
		}
		return false, fault.New(fault.Invalid, "invalid_vector", "the vector has %d dimensions, those of the space have %d", len(v), dimensions)
	}
	sum := 0.0
	for i, x := range v {
		x := float64(x)
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return false, fault.New(fault.Invalid, "invalid_vector", "the vector's element %d is %v", i, x)
		}
		sum += x * x
	}
	return sum == 0, nil
}

func attributes(d Document) (map[string]any, error) {
	if len(d.Attributes) > maxAttributes {
		return nil, refuse(d.ID, "attributes", "a document has at most %d attributes", maxAttributes)
	}
	out := make(map[string]any, len(d.Attributes))
	for _, key := range slices.Sorted(maps.Keys(d.Attributes)) {
		if key == "" || len(key) > maxKeyBytes {
			return nil, refuse(d.ID, "attributes", "an attribute's key has 1 to %d bytes: %.64q", maxKeyBytes, key)
		}
		value := d.Attributes[key]
		if list, ok := asList(value); ok {
			items := make([]string, 0, len(list))
			for _, v := range list {
				s, ok := v.(string)
				if !ok || len(s) > maxValueBytes || len(list) > maxListItems {
					return nil, refuse(d.ID, "attributes."+key, "a list holds at most %d strings of at most %d bytes", maxListItems, maxValueBytes)
				}
				items = append(items, s)
			}
			out[key] = items
			continue
		}
		v, ok := scalar(value)
		if !ok {
			return nil, refuse(d.ID, "attributes."+key, "an attribute is a string of at most %d bytes, a number, true or false, or a list of strings", maxValueBytes)
		}
		out[key] = v
	}
	return out, nil
}

func refuse(document, at, format string, args ...any) *fault.Fault {
	return fault.New(fault.Invalid, "invalid_document", "document %s: %s: "+format, append([]any{document, at}, args...)...).At(at)
}

// Normal checks a query and fills in its defaults. The clearance needs no check: one that is unknown sees nothing.
func (q Query) Normal() (Query, error) {
	if len(q.Text) > MaxTextBytes {
		return q, fault.New(fault.TooLarge, "query_too_large", "the query has %d bytes, at most %d are read", len(q.Text), MaxTextBytes).At("query")
	}
	if q.Limit <= 0 {
		q.Limit = DefaultLimit
	}
	q.Limit = min(q.Limit, MaxLimit)
	zero, err := CheckVector(q.Vector, 0)
	if err != nil {
		return q, err
	}
	if zero {
		q.Vector = nil
	}
	q.Filter, err = q.Filter.Normal()
	return q, err
}
