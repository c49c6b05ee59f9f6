package bucket

import (
	"testing"
	"time"
)

func TestConfig(t *testing.T) {
	if warnings, err := Default().Check(); err != nil || len(warnings) > 0 {
		t.Fatal(warnings, err)
	}
	for _, test := range []struct {
		name    string
		change  func(*Lifecycle)
		refused bool
	}{
		{"a negative age is refused", func(l *Lifecycle) { l.ExpireOldAfter = -1 }, true},
		{"keeping no version is refused", func(l *Lifecycle) { l.KeepVersions = 0 }, true},
		{"aborting uploads at once is refused", func(l *Lifecycle) { l.AbortUploadsAfter = 0 }, true},
		{"keeping everything is warned of", func(l *Lifecycle) { l.ExpireOldAfter = 0 }, false},
		{"no way back is warned of", func(l *Lifecycle) { l.ExpireOldAfter, l.KeepVersions = time.Hour, 1 }, false},
	} {
		c := Default()
		test.change(&c.Lifecycle)
		warnings, err := c.Check()
		if (err != nil) != test.refused || err == nil && len(warnings) == 0 {
			t.Errorf("%s: %v, %v", test.name, warnings, err)
		}
	}
}
