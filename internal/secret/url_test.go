package secret

import (
	"strings"
	"testing"
)

func TestNoAddressShowsItsPassword(t *testing.T) {
	for address, holds := range map[string]bool{
		"postgres://airfield:hunter2@db/airfield":          true,
		"postgres://airfield@db/airfield?password=hunter2": true,
		"postgres://airfield@db/airfield?sslmode=require":  false,
		"sqlite:/var/lib/airfield/airfield.db":             false,
	} {
		shown := RedactURL(address)
		if InURL(address) != holds || strings.Contains(shown, "hunter2") || !strings.Contains(shown, "airfield") {
			t.Errorf("%s: holds %v, shown as %s", address, InURL(address), shown)
		}
	}
	for _, broken := range []string{"postgres://airfield:hunter2 @db", "postgres://airfield@db/d?password=hunter2 %zz"} {
		if shown := RedactURL(broken); !InURL(broken) || strings.Contains(shown, "hunter2") {
			t.Errorf("%s: shown as %s", broken, shown)
		}
	}
}
