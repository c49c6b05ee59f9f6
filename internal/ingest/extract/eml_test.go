package extract

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
)

// testPart is one part of a test e-mail.
type testPart struct {
	kind, name string
	content    []byte
	inline     bool
}

func writeEML(headers string, parts ...testPart) []byte {
	var out strings.Builder
	fmt.Fprintf(&out, "%s\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=seam\r\n\r\n", strings.ReplaceAll(headers, "\n", "\r\n"))
	for _, p := range parts {
		fmt.Fprintf(&out, "--seam\r\nContent-Type: %s\r\nContent-Transfer-Encoding: base64\r\n", p.kind)
		switch {
		case p.inline:
			out.WriteString("Content-Disposition: inline\r\n")
		case p.name != "":
			fmt.Fprintf(&out, "Content-Disposition: attachment; filename=%q\r\n", p.name)
		}
		text := base64.StdEncoding.EncodeToString(p.content)
		out.WriteString("\r\n")
		for len(text) > 76 {
			out.WriteString(text[:76] + "\r\n")
			text = text[76:]
		}
		out.WriteString(text + "\r\n")
	}
	out.WriteString("--seam--\r\n")
	return []byte(out.String())
}

const letterHeaders = "From: =?utf-8?q?Zo=C3=AB_Okafor?= <zoe@example.com>\nTo: Crew <crew@example.com>, ada@example.com\nSubject: =?utf-8?b?S3LDpG5lIMO8YmVyaG9sdA==?=\nDate: Fri, 02 Feb 2024 10:30:00 +0100\nMessage-ID: <1@example.com>"

func TestEML(t *testing.T) {
	inner := writeEML("From: b@example.com\nSubject: Earlier\nDate: Thu, 01 Feb 2024 08:00:00 +0000", testPart{kind: "text/plain", content: []byte("Please look.")},
		testPart{kind: "text/csv", name: "cranes.csv", content: []byte("crane,state\n1,idle\n")})
	raw := writeEML(letterHeaders,
		testPart{kind: "text/plain; charset=utf-8", content: []byte("All cranes are overhauled.\r\n\r\nSee the list.\r\n")},
		testPart{kind: "image/png", content: []byte("\x89PNG\r\n\x1a\n logo"), inline: true},
		testPart{kind: "application/pdf", name: "report.pdf", content: writePDF(pdfSpec{pages: [][]pdfText{paragraphPage(11, "First page of the report."), paragraphPage(11, "Second page of the report.")}})},
		testPart{kind: "application/octet-stream", name: "notes.md", content: []byte("---\ntier: public\n---\n# Notes\n\nA point.\n")},
		testPart{kind: "message/rfc822", name: "earlier.eml", content: inner},
		testPart{kind: "application/pkcs7-signature", name: "smime.p7s", content: []byte("signature")},
		testPart{kind: "video/mp4", name: "tour.mp4", content: []byte("\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom")},
	)
	x := inProcess(t, Default(), "a.eml", "", raw)
	if x.err != nil || x.Title != "Kräne überholt" || x.MediaType != "message/rfc822" || x.Partial {
		t.Fatalf("%v: %+v", x.err, x.Result)
	}
	for key, want := range map[string]string{"author": "Zoë Okafor <zoe@example.com>", "to": "Crew <crew@example.com>, ada@example.com", "created": "2024-02-02T09:30:00Z", "message_id": "1@example.com", "tier": ""} {
		if x.Metadata[key] != want {
			t.Errorf("%s is %q, not %q", key, x.Metadata[key], want)
		}
	}
	if len(x.Warnings) != 1 || !strings.Contains(x.Warnings[0], `"tour.mp4" was not read`) {
		t.Errorf("warned of %q", x.Warnings)
	}
	compareBlocks(t, x.blocks, []Block{
		{Kind: KindHeading, Text: "Kräne überholt", Level: 1},
		{Kind: KindText, Text: "From: Zoë Okafor <zoe@example.com>\nTo: Crew <crew@example.com>, ada@example.com\nDate: Fri, 02 Feb 2024 10:30:00 +0100"},
		{Kind: KindText, Text: "All cranes are overhauled."},
		{Kind: KindText, Text: "See the list."},
		{Kind: KindHeading, Text: "Attachment: report.pdf", Level: 2},
		{Kind: KindText, Text: "First page of the report.", Anchor: "attachment report.pdf, page 1"},
		{Kind: KindText, Text: "Second page of the report.", Anchor: "attachment report.pdf, page 2"},
		{Kind: KindHeading, Text: "Attachment: notes.md", Level: 2},
		{Kind: KindHeading, Text: "Notes", Level: 3, Anchor: "#notes"},
		{Kind: KindText, Text: "A point.", Anchor: "attachment notes.md"},
		{Kind: KindHeading, Text: "Attachment: earlier.eml", Level: 2},
		{Kind: KindHeading, Text: "Earlier", Level: 3, Anchor: "attachment earlier.eml"},
		{Kind: KindText, Text: "From: b@example.com\nDate: Thu, 01 Feb 2024 08:00:00 +0000", Anchor: "attachment earlier.eml"},
		{Kind: KindText, Text: "Please look.", Anchor: "attachment earlier.eml"},
		{Kind: KindHeading, Text: "Attachment: cranes.csv", Level: 4, Anchor: "attachment earlier.eml"},
		{Kind: KindRecord, Text: "crane: 1\nstate: idle", Anchor: "line 2"},
		{Kind: KindHeading, Text: "Attachment: tour.mp4", Level: 2},
	})
}

func TestAnEMailOfHTMLIsReadByItsTags(t *testing.T) {
	raw := []byte("From: a@example.com\nSubject: Rates\nMIME-Version: 1.0\nContent-Type: text/html; charset=iso-8859-1\n\n<html><head><title>Newsletter</title></head><body><h2>Rates f\xfcr 2024</h2><p>North <b>7</b></p></body></html>")
	x := inProcess(t, Default(), "mail", "", raw)
	if x.err != nil || x.Title != "Rates" || x.text() != "Rates\nFrom: a@example.com\nRates für 2024\nNorth 7" {
		t.Errorf("%v: %q, %+v", x.err, x.text(), x.Result)
	}
}

func TestBadEML(t *testing.T) {
	text := testPart{kind: "text/plain", content: []byte("The letter.")}
	nested := writeEML("Subject: innermost\nFrom: a", text)
	for range maxMailDepth + 2 {
		nested = writeEML("Subject: outer\nFrom: a", text, testPart{kind: "message/rfc822", name: "inner.eml", content: nested})
	}
	many := []testPart{text}
	for i := range maxAttachments + 5 {
		many = append(many, testPart{kind: "text/csv", name: fmt.Sprintf("%d.csv", i), content: []byte("a,b\n1,2\n")})
	}
	for _, c := range []struct {
		name    string
		content []byte
		code    string
		kept    string
		warning string
	}{
		{"a damaged attachment costs only itself", writeEML("Subject: s\nFrom: a", text, testPart{kind: "application/pdf", name: "a.pdf", content: []byte("%PDF-1.7 nothing")}, testPart{kind: "text/csv", name: "b.csv", content: []byte("x,y\n1,2\n")}), "", "x: 1", `"a.pdf" was not read`},
		{"an attachment that unpacks to far more than its size", writeEML("Subject: s\nFrom: a", text, testPart{kind: "application/x", name: "a.docx", content: writeDOCX(t, map[string]string{"word/document.xml": documentXML(strings.Repeat(" ", 30<<20))})}), "", "The letter.", `"a.docx" was not read`},
		{"mails in mails without end", nested, "", "The letter.", "mails are read 4 deep"},
		{"more attachments than are read", writeEML("Subject: s\nFrom: a", many...), "", "Attachment: 199.csv", "after the first 200"},
		{"multiparts in multiparts without end", []byte("From: a\nSubject: s\n" + strings.Repeat("Content-Type: multipart/mixed; boundary=b\n\n--b\n", 500)), CodeDamaged, "", ""},
		{"headers alone", []byte("From: a@example.com\nSubject: Nothing to say\n\n"), "", "Nothing to say", ""},
		{"cut short", writeEML("Subject: s\nFrom: a", text, testPart{kind: "text/csv", name: "b.csv", content: []byte(strings.Repeat("x,y\n", 500))})[:700], "", "The letter.", "malformed"},
		{"cut short within its text", writeEML("Subject: s\nFrom: a", text, text)[:230], "", "The letter.", "seems cut short"},
		{"no e-mail at all", garbage(3000), CodeDamaged, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := inProcess(t, Default(), "a.eml", "", c.content)
			if x.code() != c.code || !strings.Contains(x.text(), c.kept) || x.Partial != (c.warning != "") || !strings.Contains(strings.Join(x.Warnings, "\n"), c.warning) {
				t.Errorf("got %q (%v), %q, partial %v, %q", x.code(), x.err, x.text(), x.Partial, x.Warnings)
			}
		})
	}
}

func TestAttachmentsShareTheLimitOfTheText(t *testing.T) {
	limits := Default()
	limits.MaxTextBytes = 2000
	long := testPart{kind: "text/csv", name: "a.csv", content: []byte("word\n" + strings.Repeat("many words in a row\n", 80))}
	x := inProcess(t, limits, "a.eml", "", writeEML("Subject: s\nFrom: a", long, long, long))
	if n := len(x.text()); x.err != nil || !x.Partial || n < 1500 || n > 2200 {
		t.Errorf("%v: %d bytes, %q", x.err, n, x.Warnings)
	}
}

func FuzzEML(f *testing.F) {
	f.Add(writeEML(letterHeaders, testPart{kind: "text/html", content: []byte("<p>x")}, testPart{kind: "text/csv", name: "a.csv", content: []byte("a,b\n1,2")}))
	f.Add([]byte("From: a\nSubject: b\nContent-Type: multipart/mixed\n\n--\n\n----\n"))
	f.Fuzz(func(t *testing.T, content []byte) { fuzzReader(t, "a.eml", content) })
}
