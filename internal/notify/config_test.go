package notify

import (
	"slices"
	"strings"
	"testing"
	"time"

	"airfield/internal/secret"
)

func TestTheConfigurationIsChecked(t *testing.T) {
	unset := secret.Value{}
	if err := unset.UnmarshalText([]byte("env:AIRFIELD_TEST_UNSET")); err != nil {
		t.Fatal(err)
	}
	for what, test := range map[string]struct {
		channel Channel
		refused string // "" where it is taken
		warning string // "" for none
	}{
		"https":                        {Channel{Webhook: "https://alerts.example.com/x?team=1"}, "", ""},
		"http to this machine":         {Channel{Webhook: "http://127.0.0.1:9/x"}, "", ""},
		"http to another":              {Channel{Webhook: "http://alerts.example.com/x"}, "", "unencrypted"},
		"a secret address":             {Channel{SecretWebhook: secret.New("https://alerts.example.com/T0/XYZ")}, "", ""},
		"a secret address over http":   {Channel{SecretWebhook: secret.New("http://alerts.example.com/T0/XYZ")}, "", "unencrypted"},
		"a secret address that is not": {Channel{SecretWebhook: secret.New("T0/XYZ")}, "secret_webhook is not an http", ""},
		"a secret address not set":     {Channel{SecretWebhook: unset}, "", "AIRFIELD_TEST_UNSET is empty, nothing can be sent"},
		"two addresses":                {Channel{Webhook: "https://a.example", SecretWebhook: secret.New("https://b.example")}, "one of them is enough", ""},
		"no address":                   {Channel{}, "webhook is missing", ""},
		"another scheme":               {Channel{Webhook: "ftp://alerts.example.com"}, "not an http", ""},
		"no host":                      {Channel{Webhook: "https://:443/"}, "not an http", ""},
		"a password in it":             {Channel{Webhook: "https://u:XYZ@alerts.example.com"}, "no user or password", ""},
		"a fragment":                   {Channel{Webhook: "https://alerts.example.com/#x"}, "no fragment", ""},
		"a header of ours":             {Channel{Webhook: "https://a.example", Headers: map[string]string{"x-airfield-signature": "x"}}, "cannot be set", ""},
		"a header that is none":        {Channel{Webhook: "https://a.example", Headers: map[string]string{"X Y": "x"}}, "cannot be set", ""},
		"another header that is none":  {Channel{Webhook: "https://a.example", Headers: map[string]string{"X(Y)": "x"}}, "cannot be set", ""},
		"a header of two lines":        {Channel{Webhook: "https://a.example", SecretHeaders: map[string]secret.Value{"X": secret.New("XYZ\nb")}}, "line break", ""},
		"a secret header not set":      {Channel{Webhook: "https://a.example", SecretHeaders: map[string]secret.Value{"X-Key": unset}}, "", "secret_headers.X-Key: env:AIRFIELD_TEST_UNSET is empty"},
		"a signing key not set":        {Channel{Webhook: "https://a.example", SigningKey: unset}, "", "without a signature"},
		"a star in the middle":         {Channel{Webhook: "https://a.example", Events: []string{"a.*.b"}}, "at the end only", ""},
		"an empty kind":                {Channel{Webhook: "https://a.example", Events: []string{""}}, "at the end only", ""},
		"a timeout too long":           {Channel{Webhook: "https://a.example", Timeout: time.Hour}, "timeout", ""},
		"a repeat below zero":          {Channel{Webhook: "https://a.example", Repeat: -1}, "repeat", ""},
	} {
		warnings, err := Config{"ops": test.channel}.Check()
		if (err == nil) != (test.refused == "") || err != nil && (!strings.Contains(err.Error(), test.refused) || !strings.HasPrefix(err.Error(), "ops") || strings.Contains(err.Error(), "XYZ")) {
			t.Errorf("%s: %v", what, err)
		}
		if all := strings.Join(warnings, "\n"); (all == "") != (test.warning == "") || !strings.Contains(all, test.warning) || strings.Contains(all, "XYZ") {
			t.Errorf("%s: warns %q", what, warnings)
		}
	}
	if warnings, err := Default().Check(); err != nil || len(warnings) > 0 {
		t.Errorf("the default: %q %v", warnings, err)
	}
}

func TestAChannelIsForTheKindsItNames(t *testing.T) {
	kinds := []string{"budget.exceeded", "budget.soft", "budgetary", "model.down"}
	for _, test := range []struct{ events, want []string }{
		{nil, kinds},
		{[]string{"*"}, kinds},
		{[]string{"budget.*"}, kinds[:2]},
		{[]string{"budget*"}, kinds[:3]},
		{[]string{"model.down", "budget.soft"}, []string{"budget.soft", "model.down"}},
		{[]string{"model"}, nil},
	} {
		var got []string
		for _, kind := range kinds {
			if (Channel{Events: test.events}).wants(kind) {
				got = append(got, kind)
			}
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%q is for %q, not %q", test.events, got, test.want)
		}
	}
}
