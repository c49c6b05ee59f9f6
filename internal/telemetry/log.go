package telemetry

import (
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"slices"
	"strings"
)

// Config is the part of airfield.yaml that says how Airfield logs.
type Config struct {
	Level  string `yaml:"level" json:"level" doc:"The least important lines that are logged: debug, info, warn or error."`
	Format string `yaml:"format" json:"format" doc:"json, one object a line, or text."`
}

// Default is JSON from info up.
func Default() Config { return Config{Level: "info", Format: "json"} }

// Check reports what is wrong or unwise.
func (c Config) Check() (warnings []string, err error) {
	if _, err := c.level(); err != nil {
		return nil, err
	}
	if c.Format != "json" && c.Format != "text" {
		return nil, fmt.Errorf("format: json or text, not %q", c.Format)
	}
	return nil, nil
}

func (c Config) level() (slog.Level, error) {
	i := slices.Index([]string{"debug", "info", "warn", "error"}, c.Level)
	if i < 0 {
		return 0, fmt.Errorf("level: debug, info, warn or error, not %q", c.Level)
	}
	return slog.Level(4*i) + slog.LevelDebug, nil
}

// NewLogger returns a logger that writes lines to w, with times in UTC. What looks like a key or a password does not
// get through, whoever logs it: a last guard, behind package secret, whose values never print.
func NewLogger(w io.Writer, c Config) (*slog.Logger, error) {
	level, err := c.level()
	if err != nil {
		return nil, err
	}
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: guard}
	if c.Format == "text" {
		return slog.New(slog.NewTextHandler(w, options)), nil
	}
	return slog.New(slog.NewJSONHandler(w, options)), nil
}

const redacted = "[redacted]"

// hidden are the names of attributes whose value is never shown.
var hidden = []string{"authorization", "password", "passwd", "api_key", "apikey", "secret", "token", "cookie"}

// keys matches our own keys, those of providers that begin like OpenAI's, and what follows Bearer and Basic.
var keys = regexp.MustCompile(`afk_[0-9a-z]{8,}|\bsk-[A-Za-z0-9_-]{16,}|(?i:\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{8,}|(://[^/\s:@]*:)[^/\s@]+@`)

func guard(groups []string, a slog.Attr) slog.Attr {
	if slices.Contains(hidden, strings.ToLower(a.Key)) {
		return slog.String(a.Key, redacted)
	}
	switch a.Value.Kind() {
	case slog.KindTime:
		if len(groups) == 0 && a.Key == slog.TimeKey {
			return slog.Time(a.Key, a.Value.Time().UTC())
		}
	case slog.KindDuration: // as a number it would have no unit
		return slog.String(a.Key, a.Value.Duration().String())
	case slog.KindString:
		if s, changed := redact(a.Value.String()); changed {
			return slog.String(a.Key, s)
		}
	case slog.KindAny:
		if _, level := a.Value.Any().(slog.Level); level {
			return a
		}
		if s, changed := redact(fmt.Sprintf("%+v", a.Value.Any())); changed {
			return slog.String(a.Key, s)
		}
	}
	return a
}

// redact replaces what looks like a secret. Most texts have none of the characters that one needs.
func redact(s string) (string, bool) {
	if len(s) < 8 || !strings.ContainsAny(s, "_- :") || !keys.MatchString(s) {
		return s, false
	}
	return keys.ReplaceAllStringFunc(s, func(found string) string {
		switch {
		case strings.HasPrefix(found, "://"):
			return found[:strings.LastIndexByte(found[:len(found)-1], ':')+1] + redacted + "@"
		case strings.HasPrefix(found, "afk_"), strings.HasPrefix(found, "sk-"):
			return found[:strings.IndexAny(found, "_-")+1] + redacted
		}
		return found[:strings.IndexAny(found, " \t\n\r")] + " " + redacted
	}), true
}
