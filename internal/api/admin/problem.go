package admin

import (
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"airfield/internal/api"
)

// problemOf tells what huma refuses by itself, a field of the wrong kind or a body that is too large, in the shape and the
// words of every other problem. What was sent is not repeated.
func problemOf(_ huma.Context, _ string, v any) (any, error) {
	m, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	p := &api.Problem{Type: "about:blank", Title: m.Title, Status: m.Status, Detail: m.Detail, Code: "request_invalid"}
	switch m.Status {
	case http.StatusRequestEntityTooLarge:
		p.Code = "request_too_large"
	case http.StatusUnsupportedMediaType:
		p.Code, p.Hint = "media_type", "send JSON, with the header Content-Type: application/json"
	}
	var texts []string
	for _, e := range m.Errors {
		_, field, _ := strings.Cut(e.Location, ".")
		if p.Field == "" {
			p.Field = field
		}
		texts = append(texts, strings.TrimPrefix(field+": "+e.Message, ": "))
	}
	if len(texts) > 0 {
		p.Detail = strings.Join(texts, "; ")
	}
	return p, nil
}
