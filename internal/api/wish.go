package api

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"airfield/internal/fault"
	"airfield/internal/gateway"
)

// Wishes reads the headers in which a caller says for whom its call is, and how it is to be made.
func Wishes(h http.Header, req *gateway.Request) (err error) {
	req.User, req.Session = kept(h, "X-Airfield-User"), kept(h, "X-Airfield-Session")
	if req.Tags, err = Tags(h); err != nil {
		return err
	}
	if req.Timeout, err = parseTimeout(h.Get("X-Airfield-Timeout")); err != nil {
		return err
	}
	switch req.Priority = h.Get("X-Airfield-Priority"); req.Priority {
	case "", "low", "normal", "high":
	default:
		return fault.New(fault.Invalid, "priority", "the header x-airfield-priority is low, normal or high, not %q", req.Priority)
	}
	req.Cache, err = parseCache(h)
	return err
}

// kept returns a header's value, bounded: it is kept in a row.
func kept(h http.Header, name string) string {
	v := h.Get(name)
	if len(v) > 256 {
		v = v[:256]
	}
	return strings.ToValidUTF8(v, "�")
}

// parseTimeout reads "20s", "1m30s" or a number of seconds.
func parseTimeout(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if seconds, wrong := strconv.ParseFloat(text, 64); wrong == nil && seconds < 1e9 {
		d, err = time.Duration(seconds*float64(time.Second)), nil
	}
	if err != nil || d <= 0 {
		return 0, fault.New(fault.Invalid, "timeout", "the header x-airfield-timeout is a duration, such as 20s, or a number of seconds, not %q", text)
	}
	return d, nil
}

// parseCache reads what the caller wants of the cache: from our own header, else from the usual one.
func parseCache(h http.Header) (gateway.CacheControl, error) {
	switch own := h.Get("X-Airfield-Cache"); own {
	case "":
	case "use":
		return gateway.CacheUse, nil
	case "refresh":
		return gateway.CacheRefresh, nil
	case "off":
		return gateway.CacheOff, nil
	default:
		return 0, fault.New(fault.Invalid, "cache", "the header x-airfield-cache is use, refresh or off, not %q", own)
	}
	usual := strings.ToLower(h.Get("Cache-Control"))
	switch {
	case strings.Contains(usual, "no-store"):
		return gateway.CacheOff, nil
	case strings.Contains(usual, "no-cache"):
		return gateway.CacheRefresh, nil
	}
	return gateway.CacheUse, nil
}

// Tags reads x-airfield-tags: "team=search,feature=autocomplete".
func Tags(header http.Header) (map[string]string, error) {
	h := header.Get("X-Airfield-Tags")
	if h == "" {
		return nil, nil
	}
	if len(h) > 2048 {
		return nil, fault.New(fault.Invalid, "tags", "the header x-airfield-tags is longer than 2048 bytes")
	}
	tags := map[string]string{}
	for pair := range strings.SplitSeq(h, ",") {
		name, value, ok := strings.Cut(pair, "=")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if !ok || name == "" {
			return nil, fault.New(fault.Invalid, "tags", "the header x-airfield-tags is written name=value,name=value; %q is not", strings.TrimSpace(pair))
		}
		tags[name] = strings.ToValidUTF8(value, "�")
	}
	if len(tags) > 16 {
		return nil, fault.New(fault.Invalid, "tags", "the header x-airfield-tags has %d tags; at most 16 are kept", len(tags))
	}
	return tags, nil
}
