package ingest

import (
	"reflect"
	"testing"
)

func TestWhatIsFoundInAFileIsItsMetadata(t *testing.T) {
	for _, c := range []struct {
		name     string
		language string
		found    map[string]string
		want     map[string]any
	}{
		{"nothing", "", nil, map[string]any{}},
		{"the day of the last change", "en", map[string]string{"created": "2023-01-02T03:04:05Z", "modified": "2024-05-06T23:30:00-05:00"},
			map[string]any{"created": "2023-01-02T03:04:05Z", "modified": "2024-05-06T23:30:00-05:00", "date": "2024-05-07", "language": "en"}},
		{"the day it was made where no change is told", "", map[string]string{"created": "2023-01-02"}, map[string]any{"created": "2023-01-02", "date": "2023-01-02"}},
		{"a date of its own", "", map[string]string{"date": "2020-01-01", "modified": "2024-05-06T00:00:00Z"}, map[string]any{"date": "2020-01-01", "modified": "2024-05-06T00:00:00Z"}},
		{"a time that is none", "", map[string]string{"created": "long ago"}, map[string]any{"created": "long ago"}},
		{"a language of its own", "en", map[string]string{"language": "Latin"}, map[string]any{"language": "Latin"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, warnings, err := parseFound("", c.language, c.found)
			if got := m.Flat(); err != nil || len(warnings) > 0 || !reflect.DeepEqual(got, c.want) {
				t.Errorf("%v, %q: %v", err, warnings, got)
			}
		})
	}
}
