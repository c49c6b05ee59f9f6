package redact

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"
)

func rules(t testing.TB, c Config) *Rules {
	t.Helper()
	r, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// key is a key's random part, so that no scanner of repositories takes this file for one with keys in it.
func key(n int) string { return strings.Repeat("a1B2c3D4e5", n/10+1)[:n] }

var positives = map[string]struct{ text, want string }{
	"an address":                          {"Write to Jane.Doe+x@mail.example.co.uk, please.", "Write to [email], please."},
	"an address in brackets":              {"<jane_doe@example.com>", "<[email]>"},
	"two addresses":                       {"a@example.com,b@example.org", "[email],[email]"},
	"a card with spaces":                  {"Pay with 4111 1111 1111 1111 today", "Pay with [card] today"},
	"a card with dashes":                  {"card:5500-0055-5555-5559.", "card:[card]."},
	"a card in one":                       {"(378282246310005)", "([card])"},
	"an American Express card in groups":  {"3782 822463 10005", "[card]"},
	"two cards and a number":              {"4111111111111111 4111111111111111 20 EUR", "[card] [card] 20 EUR"},
	"a card and its check number":         {"4111 1111 1111 1111 123", "[card] 123"},
	"a card in Chinese text":              {"卡号4111111111111111。", "卡号[card]。"},
	"an account":                          {"IBAN DE89 3704 0044 0532 0130 00, BIC", "IBAN [iban], BIC"},
	"an account in one":                   {"GB82WEST12345698765432", "[iban]"},
	"a social security number":            {"SSN: 536-90-4399.", "SSN: [ssn]."},
	"a German phone":                      {"Call +49 (0)30 901820-11 now", "Call [phone] now"},
	"an American phone":                   {"+1 (212) 555-0143", "[phone]"},
	"a phone in one":                      {"tel:+442079460958", "tel:[phone]"},
	"a phone at the end of a sentence":    {"It is +33 1 42 68 53 00.", "It is [phone]."},
	"an OpenAI key":                       {"key sk-" + key(48) + " here", "key [secret] here"},
	"an OpenAI project key":               {"sk-proj-" + key(20) + "_" + key(20) + "-x", "[secret]"},
	"an Anthropic key":                    {"x-api-key: sk-ant-api03-" + key(90) + "AA", "x-api-key: [secret]"},
	"an AWS key":                          {"AKIA" + strings.Repeat("Q2", 8) + "\n", "[secret]\n"},
	"an AWS secret":                       {"aws_secret_access_key = " + key(38) + "/+", "aws_secret_access_key = [secret]"},
	"a Google key":                        {"?key=AIza" + key(35) + "&x=1", "?key=[secret]&x=1"},
	"a GitHub token":                      {"https://ghp_" + key(36) + "@github.com/a/b", "https://[secret]@github.com/a/b"},
	"a fine GitHub token":                 {"github_pat_" + key(22) + "_" + key(59), "[secret]"},
	"a Slack token":                       {"xoxb-123456789012-123456789012-" + key(24), "[secret]"},
	"a Stripe key":                        {"STRIPE=sk_live_" + key(24), "STRIPE=[secret]"},
	"a key of ours":                       {"afk_" + key(43), "[secret]"},
	"a Hugging Face token":                {"hf_" + key(34), "[secret]"},
	"a SendGrid key":                      {"SG." + key(22) + "." + key(43), "[secret]"},
	"a web token":                         {"token eyJ" + key(20) + ".eyJ" + key(60) + "." + key(43) + ".", "token [secret]."},
	"a bearer token":                      {"curl -H 'Authorization: Bearer " + key(32) + "'", "curl -H 'Authorization: Bearer [secret]'"},
	"basic authentication":                {"Authorization: Basic dXNlcjpwYXNzd29yZDE=", "Authorization: Basic [secret]"},
	"a private key":                       {"a\n-----BEGIN RSA PRIVATE KEY-----\nMIIEow+/=\nAbC=\n-----END RSA PRIVATE KEY-----\nb", "a\n[secret]\nb"},
	"a private key that is cut":           {"-----BEGIN PRIVATE KEY-----\nMIIEow", "[secret]"},
	"a private key in escaped JSON":       {`"-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\n"`, `"[secret]\n"`},
	"a password":                          {"password=hunter2 user=x", "password=[secret] user=x"},
	"a quoted password":                   {`db_password: "correct horse"`, `db_password: "[secret]"`},
	"a password in a sentence":            {"The password: Tr0ub4dor3.", "The password: [secret]."},
	"a password in JSON in a text":        {`{"user":"x","password":"hunter2"}`, `{"user":"x","password":"[secret]"}`},
	"a password in JSON in JSON":          {`{\"password\": \"hunter2\"}`, `{\"password\": \"[secret]\"}`},
	"a connection string":                 {"Server=db;User Id=sa;Password=S3cret!word;", "Server=db;User Id=sa;Password=[secret];"},
	"an Azure connection string":          {"AccountName=x;AccountKey=" + key(86) + "==;", "AccountName=x;AccountKey=[secret];"},
	"a database's address":                {"postgres://app:p%40ss:w@db.internal:5432/app", "postgres://[secret]@db.internal:5432/app"},
	"a database's address with a bad @":   {"postgres://app:p@ss@db.internal/app", "postgres://[secret]@db.internal/app"},
	"a secret among others":               {"a@example.com 4111111111111111 +442079460958", "[email] [card] [phone]"},
	"an address that touches a separator": {"mail=a@example.com;b", "mail=[email];b"},
}

func TestWhatIsPersonalOrSecretIsReplaced(t *testing.T) {
	r := rules(t, Default())
	for name, c := range positives {
		got, found := r.Text(nil, []byte(c.text))
		if string(got) != c.want || len(found) == 0 {
			t.Errorf("%s: %q became %q (%s), want %q", name, c.text, got, found, c.want)
		}
	}
}

func TestWhatOnlyLooksLikeItStays(t *testing.T) {
	r := rules(t, Default())
	for name, text := range map[string]string{
		"a version":                "go1.26.3, react@18.2.0, v2.10.4-rc.1+build.4111",
		"a UUID":                   "550e8400-e29b-41d4-a716-446655440000 and 41111111-1111-4111-8111-111111111111",
		"an order":                 "order 123-4567890-1234567, invoice 2024-0001-4711, ticket 4111 1111",
		"a number without a check": "4111 1111 1111 1112",
		"no network's number":      "1234567812345670",
		"an ISBN":                  "ISBN 978-3-16-148410-0 and 9783161484100",
		"a time":                   "2024-11-25T10:20:30.123456+0100, 2024-01-02 10:00:00 +0200, 1732501234567, 1732501234567890",
		"a hash":                   "da39a3ee5e6b4b0d3255bfef95601890afd80709, sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		"a decimal":                "0.4111111111111111 and 3.14159265358979 and -4111111111111111.5",
		"a large difference":       "+1000000000, +25 000 000, x = +1234567890, +12345",
		"C++":                      "C++11, 1+4420794609581, a+442079460958",
		"a picture for retina":     "icon@2x.png and logo@3x.webp",
		"a package":                "npm i @types/node@20.1.0 @scope/pkg; git@github.com:owner/name.git; @override def f(): pass",
		"a mention":                "thanks @jane and @john.doe",
		"impossible numbers":       "000-12-3456, 666-12-3456, 900-12-3456, 123-00-4567, 123-45-0000",
		"a range":                  "pages 123-45-67890 and 0123-45-6789",
		"an account that is wrong": "DE89 3704 0044 0532 0130 01, GB82WEST12345698765431",
		"words":                    "sk-learn-is-a-library-for-machine-learning, risk-averse, task_live_update, AKIAfoo, bearer of good news for everyone",
		"a description":            "password: required, the secret: hard work and patience. Password must have 8 characters.",
		"code":                     `password = os.environ["DB_PASSWORD"]; api_key=API_KEY; secret=settings.SECRET; password=getpass(); password=$PASSWORD; password=<password>; api_key: env:OPENAI_API_KEY`,
		"an address":               "https://example.com:8080/a?b=c#d and http://localhost:8080 and time 10:20:30",
		"an IP address":            "10.1.2.3 and fe80::1",
		"a certificate":            "-----BEGIN CERTIFICATE-----\nMIIE\n-----END CERTIFICATE-----",
		"a placeholder":            "[email] [card_2] password=[secret] https://[secret]@host Bearer [secret_11]",
		"prose":                    "A Job for Bob: Add 12 apples - that's 1,200.50 EUR at 19% = 228.10 per year (2023/2024).",
	} {
		if got, found := r.Text(nil, []byte(text)); found != nil || string(got) != text {
			t.Errorf("%s: %q became %q", name, text, got)
		}
	}
}

func TestAddressesOfMachinesOnWish(t *testing.T) {
	r := rules(t, Config{Classes: map[string]bool{IP: true, Secret: false}})
	for text, want := range map[string]string{
		"from 10.1.2.3:8080 to 192.168.0.1.": "from [ip]:8080 to [ip].", "[2001:db8::1]:443 fe80::1": "[[ip]]:443 [ip]",
		"10:20:30, a::b, 1.2.3, 1.2.3.4.5, 300.1.1.1, std::cout, ::": "10:20:30, [ip], 1.2.3, 1.2.3.4.5, 300.1.1.1, std::cout, ::",
	} {
		if got, _ := r.Text(nil, []byte(text)); string(got) != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}

func TestStringsInsideJSONAreReplaced(t *testing.T) {
	r := rules(t, Default())
	picture := strings.Repeat("4111111111111111/AKIA", 100)
	for name, c := range map[string]struct{ body, want, found string }{
		"a message":          {`{"messages":[{"role":"user","content":"I am a@example.com"}]}`, `{"messages":[{"role":"user","content":"I am [email]"}]}`, "email=1"},
		"escapes":            {`{"x":"caf\u00e9 \ud83d\ude00 a\u0040example.com\n\ud800\/"}`, `{"x":"caf\u00e9 \ud83d\ude00 [email]\n\ud800\/"}`, "email=1"},
		"escaped quotes":     {`["say \"a@example.com\" to \\"]`, `["say \"[email]\" to \\"]`, "email=1"},
		"a key":              {`{"a@example.com":1}`, `{"a@example.com":1}`, ""},
		"spaces":             {" { \"a@example.com\" : \"b@example.com\" } \n", " { \"a@example.com\" : \"[email]\" } \n", "email=1"},
		"a number":           {`{"seed":4111111111111111}`, `{"seed":4111111111111111}`, ""},
		"a field's name":     {`{"input":{"password":"horse","n":1}}`, `{"input":{"password":"[secret]","n":1}}`, "secret=1"},
		"a schema":           {`{"password":{"type":"string"},"api_key":null,"x":"horse"}`, `{"password":{"type":"string"},"api_key":null,"x":"horse"}`, ""},
		"tool arguments":     {`{"arguments":"{\"to\":\"a@example.com\",\"password\":\"x1y2z3\"}"}`, `{"arguments":"{\"to\":\"[email]\",\"password\":\"[secret]\"}"}`, "email=1,secret=1"},
		"a picture":          {`{"url":"data:image/png;base64,` + picture + `"}`, `{"url":"data:image/png;base64,` + picture + `"}`, ""},
		"bare base64":        {`{"data":"` + picture + `"}`, `{"data":"` + picture + `"}`, ""},
		"broken JSON":        {`{'to': 'a@example.com', "x": b@example.com`, `{'to': '[email]', "x": [email]`, "email=2"},
		"a text":             {`write to a@example.com, not to "b@example.com"`, `write to [email], not to "[email]"`, "email=2"},
		"a form's field":     {"--x\r\nContent-Disposition: form-data; name=\"prompt\"\r\n\r\na@example.com\r\n--x--\r\n", "--x\r\nContent-Disposition: form-data; name=\"prompt\"\r\n\r\n[email]\r\n--x--\r\n", "email=1"},
		"between strings":    {`{"a":null, "b" : [true,false,-1.5e+10] ,"c":""}`, `{"a":null, "b" : [true,false,-1.5e+10] ,"c":""}`, ""},
		"no picture, though": {`{"url":"data:text/plain;base64,` + key(600) + ` a@example.com"}`, `{"url":"data:text/plain;base64,` + key(600) + ` [email]"}`, "email=1"},
	} {
		got, found := r.JSON(nil, []byte(c.body))
		if string(got) != c.want || found.String() != c.found {
			t.Errorf("%s: %s became %s (%s), want %s (%s)", name, c.body, got, found, c.want, c.found)
		}
	}
}

func TestNumbersTellValuesApart(t *testing.T) {
	p := rules(t, Default()).Numbered()
	got := p.JSON(nil, []byte(`["a@example.com","b@example.com and A@example.com"]`))
	got = p.Text(got, []byte(" a@example.com 4111111111111111"))
	if want := `["[email_1]","[email_2] and [email_1]"] [email_1] [card_1]`; string(got) != want {
		t.Fatalf("%s, want %s", got, want)
	}
	if p.Found.String() != "card=1,email=4" {
		t.Fatal(p.Found)
	}
}

func TestAValueKeepsItsName(t *testing.T) {
	r := rules(t, Default())
	name := r.Name("Jane@example.com")
	if len(name) != len("[email_12345678]") || r.Name("jane@example.com") != name || r.Name("joe@example.com") == name || r.Name(name) != name || strings.Contains(name, "jane") {
		t.Error(name)
	}
	if got := r.Name("customer-17"); got != "customer-17" {
		t.Error(got)
	}
}

func TestCustomClassesAndAllowedValues(t *testing.T) {
	r := rules(t, Config{Classes: map[string]bool{Phone: false}, Custom: map[string]string{"customer": `\bCU-\d{6}\b`, "line": `(?m)^id: .*$`}, Allow: []string{"*@example.com", "CU-000000", "team@*"}})
	for text, want := range map[string]string{
		"CU-123456 and CU-000000":                    "[customer] and CU-000000",
		"Help@Example.com, team@x.org, other@x.org":  "Help@Example.com, team@x.org, [email]",
		"+442079460958":                              "+442079460958",
		"id: other@x.org and more\nnext":             "[line]\nnext",
		"id: [email] is what a placeholder protects": "id: [email] is what a placeholder protects",
	} {
		if got, _ := r.Text(nil, []byte(text)); string(got) != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}

func TestRulesThatCannotWork(t *testing.T) {
	for name, c := range map[string]struct {
		config Config
		want   string
	}{
		"an unknown class":          {Config{Classes: map[string]bool{"names": true}}, "names"},
		"a broken pattern":          {Config{Custom: map[string]string{"x": "("}}, "custom.x"},
		"a pattern of nothing":      {Config{Custom: map[string]string{"x": "a*"}}, "custom.x"},
		"a name that is built in":   {Config{Custom: map[string]string{"email": "a"}}, "email"},
		"a name that is no name":    {Config{Custom: map[string]string{"A b": "a"}}, "A b"},
		"everything is allowed":     {Config{Allow: []string{"*"}}, "allow[0]"},
		"a star in the middle":      {Config{Allow: []string{"abc*def"}}, "allow[0]"},
		"a pattern that is a novel": {Config{Custom: map[string]string{"x": strings.Repeat("a", 1001)}}, "1000"},
	} {
		if _, err := c.config.Check(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheVersionNamesTheRules(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range []Config{{}, {Classes: map[string]bool{IP: true}}, {Classes: map[string]bool{Card: false}}, {Custom: map[string]string{"a": "x"}},
		{Custom: map[string]string{"a": "y"}}, {Custom: map[string]string{"b": "x"}}, {Allow: []string{"abc"}}, {Allow: []string{"abd"}}} {
		version := rules(t, c).Version()
		if seen[version] || version != rules(t, c).Version() || !strings.HasPrefix(version, revision+"/") {
			t.Errorf("%+v: %s", c, version)
		}
		seen[version] = true
	}
	if rules(t, Config{Classes: map[string]bool{Card: true}}).Version() != rules(t, Config{}).Version() {
		t.Error("the same rules have two versions")
	}
}

func TestNoTextTakesLong(t *testing.T) {
	r := rules(t, Config{Classes: map[string]bool{IP: true}})
	const size = 1 << 20
	for _, part := range []string{"sk-", "eyJ", "eyJ-", "a@", "@a", "@a.", "a@a.", "password=", "password: \"", "://", "a://b:", "-----BEGIN PRIVATE KEY-----", "-----BEGIN ", "+49 ", "+1", "1 ", "1111 ", "1-", "DE89 ", "Bearer ", "Bearer a", "SG.", "AKIA", "AIza", "::", "a:", "\\", "\\\"", "[email", "eyJaaaaaaaaaa.aaaaaaaa.", "sk-a_"} {
		text := bytes.Repeat([]byte(part), size/len(part))
		body, _ := json.Marshal(string(text))
		start := time.Now()
		got, _ := r.JSON(nil, body)
		if took := time.Since(start); took > 20*time.Second { // a second on a busy machine; what grows with the square takes hours
			t.Errorf("%q: %s", part, took)
		}
		if !json.Valid(got) {
			t.Errorf("%q: not JSON any more", part)
		}
	}
}

func sources(f *testing.F) {
	f.Add([]byte("0000@0.AA::000"))
	f.Add([]byte("4111111111111111 4111111111111111"))
	for _, c := range positives {
		f.Add([]byte(c.text))
	}
}

// What was redacted has nothing left to find.
func FuzzText(f *testing.F) {
	sources(f)
	r := rules(f, Config{Classes: map[string]bool{IP: true}, Custom: map[string]string{"customer": `CU-\d{6}`}})
	f.Fuzz(func(t *testing.T, b []byte) {
		once, _ := r.Text(nil, b)
		twice, found := r.Text(nil, once)
		if found != nil || !bytes.Equal(once, twice) {
			t.Fatalf("%q became %q, then %q", b, once, twice)
		}
	})
}

// JSON stays JSON: the same but for the strings in it, and those are what Text makes of them.
func FuzzJSON(f *testing.F) {
	for _, c := range positives {
		b, _ := json.Marshal(map[string]any{"a": []string{c.text}, "password": c.text})
		f.Add(b)
	}
	f.Add([]byte(`{"x":"caf\u00e9 \ud83d\ude00 a\u0040example.com\n\ud800\/"}`))
	r := rules(f, Default())
	f.Fuzz(func(t *testing.T, b []byte) {
		got, found := r.JSON(nil, b)
		if found == nil && !bytes.Equal(got, b) {
			t.Fatalf("%q became %q", b, got)
		}
		if !json.Valid(b) {
			return
		}
		if !json.Valid(got) {
			t.Fatalf("%q became %q", b, got)
		}
		again, more := r.JSON(nil, got)
		if more != nil || !bytes.Equal(again, got) {
			t.Fatalf("%q became %q, then %q", b, got, again)
		}
		var was, is any
		if json.Unmarshal(b, &was) == nil && (json.Unmarshal(got, &is) != nil || !reflect.DeepEqual(shape(was), shape(is))) {
			t.Fatalf("%q became %q", b, got)
		}
	})
}

// shape is a value without the contents of its strings.
func shape(v any) any {
	switch v := v.(type) {
	case string:
		return ""
	case []any:
		for i := range v {
			v[i] = shape(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = shape(v[k])
		}
	}
	return v
}

func prose(n int) []byte {
	words := strings.Fields("the parcel was sent on Monday and should have arrived by Thursday, but the customer says that nothing came; please check order 123-4567 (12 items, 49.90 EUR). Best regards, Anna - Support of the A-Team: we care!")
	random := rand.New(rand.NewPCG(1, 2))
	var b bytes.Buffer
	for b.Len() < n {
		b.WriteString(words[random.IntN(len(words))] + " ")
	}
	return b.Bytes()[:n]
}

func BenchmarkText(b *testing.B) {
	r := rules(b, Default())
	text := prose(16 << 10)
	var dst []byte
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		dst, _ = r.Text(dst[:0], text)
	}
}

func BenchmarkJSON(b *testing.B) {
	r := rules(b, Default())
	for name, text := range map[string]string{"plain": string(prose(16 << 10)), "lines": strings.ReplaceAll(string(prose(16<<10)), ". ", ".\n"), "findings": strings.ReplaceAll(string(prose(16<<10)), "Anna", "a@example.com")} {
		body, _ := json.Marshal(map[string]any{"model": "chat", "messages": []any{map[string]string{"role": "user", "content": text}}})
		b.Run(name, func(b *testing.B) {
			var dst []byte
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				dst, _ = r.JSON(dst[:0], body)
			}
		})
	}
}
