package extract

import (
	"bytes"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// fakeTesseract is a program that answers as tesseract does: a script, with the path of the picture in $1.
func fakeTesseract(t *testing.T, script string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tesseract")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// tsv is a script that prints tesseract's table for rows of "page block paragraph line confidence word".
func tsv(rows ...string) string {
	out := "printf 'level\\tpage_num\\tblock_num\\tpar_num\\tline_num\\tword_num\\tleft\\ttop\\twidth\\theight\\tconf\\ttext\\n"
	out += `1\t1\t0\t0\t0\t0\t0\t0\t10\t10\t-1\t\n`
	for _, row := range rows {
		c := strings.Fields(row)
		out += "5\\t" + strings.Join(c[:4], `\t`) + `\t1\t0\t0\t1\t1\t` + c[4] + `\t` + c[5] + `\n`
	}
	return out + "'"
}

func withTesseract(path string) Config {
	c := Default()
	c.OCR.Command = path
	return c
}

func picture(t *testing.T, width, height int) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := png.Encode(&out, image.NewGray(image.Rect(0, 0, width, height))); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestAScannedPageIsRecognized(t *testing.T) {
	// The program must get a picture it can read, and its languages.
	check := `head -c 8 "$1" | grep -q PNG || exit 3; [ "$2 $3 $4 $5 $6 $7" = "stdout -l eng+deu --dpi 150 tsv" ] || exit 4; [ "$OMP_THREAD_LIMIT" = 1 ] || exit 5; `
	c := withTesseract(fakeTesseract(t, check+tsv("1 1 1 1 96 The", "1 1 1 1 90 har-", "1 1 1 2 84 bour", "1 1 2 1 90 Closed.")))
	c.OCR.Languages = "eng+deu"
	pages := [][]pdfText{paragraphPage(11, "A page with text enough to need no recognition."), {}, paragraphPage(11, "3")}
	x := inProcess(t, c, "a.pdf", "", writePDF(pdfSpec{pages: pages, pictures: true}))
	if x.err != nil || x.Partial || x.RecognizedPages != 2 || x.Confidence != 90 {
		t.Fatalf("%v: %+v", x.err, x.Result)
	}
	if want := "the text of pages 2-3 was recognized from a picture (OCR), with a confidence of 90 %"; len(x.Warnings) != 1 || x.Warnings[0] != want {
		t.Errorf("warned of %q", x.Warnings)
	}
	compareBlocks(t, x.blocks, []Block{
		{Kind: KindText, Text: "A page with text enough to need no recognition.", Page: 1},
		{Kind: KindText, Text: "The harbour", Page: 2},
		{Kind: KindText, Text: "Closed.", Page: 2},
		{Kind: KindText, Text: "3", Page: 3},
		{Kind: KindText, Text: "The harbour", Page: 3},
		{Kind: KindText, Text: "Closed.", Page: 3},
	})
}

func TestAPictureIsADocument(t *testing.T) {
	c := withTesseract(fakeTesseract(t, tsv("1 1 1 1 80 First", "2 1 1 1 70 Second")))
	for name, content := range map[string][]byte{"a.png": picture(t, 4, 4), "a.tif": []byte("II*\x00\x08\x00\x00\x00"), "a.jpg": []byte("\xff\xd8\xff\xe0\x00\x10JFIF\x00")} {
		x := inProcess(t, c, name, "", content)
		if x.err != nil || x.text() != "First\nSecond" || x.Pages != 2 || x.Confidence != 75 || !strings.HasPrefix(x.MediaType, "image/") {
			t.Errorf("%s: %v, %q, %+v", name, x.err, x.text(), x.Result)
		}
	}
}

func TestWithoutTesseractAScanIsSaidToBeOne(t *testing.T) {
	mixed := writePDF(pdfSpec{pages: [][]pdfText{paragraphPage(11, "A page with text enough to need no recognition."), {}}, pictures: true})
	x := inProcess(t, Default(), "a.pdf", "", mixed)
	if x.err != nil || x.Partial || len(x.Warnings) != 1 || !strings.Contains(x.Warnings[0], `page 2: scanned`) || !strings.Contains(x.Warnings[0], `"tesseract", which is not installed`) {
		t.Errorf("%v: %q", x.err, x.Warnings)
	}
	x = inProcess(t, Default(), "a.pdf", "", writePDF(pdfSpec{pages: [][]pdfText{{}}, pictures: true}))
	if x.code() != CodeNoOCR || !Permanent(x.err) || !strings.Contains(faultHint(x.err), "install tesseract") {
		t.Errorf("%v", x.err)
	}
	off := Default()
	off.OCR.Command = ""
	if x = inProcess(t, off, "a.png", "", picture(t, 4, 4)); x.code() != CodeNoOCR || !strings.Contains(x.err.Error(), "turned off") {
		t.Errorf("%v", x.err)
	}
}

func TestBadRecognition(t *testing.T) {
	scanned := writePDF(pdfSpec{pages: [][]pdfText{paragraphPage(11, "A page with text enough to need no recognition."), {}}, pictures: true})
	for _, c := range []struct {
		name, script, warning string
		partial               bool
	}{
		{"a program that fails", "echo 'no such language' >&2; exit 1", "no such language", true},
		{"a program that hangs", "exec sleep 600", "took longer than 200ms", true},
		{"a program that answers without end", "yes", "answered with more than", true},
		{"words nobody can be sure of", tsv("1 1 1 1 12 Tlie", "1 1 1 1 20 liarbour"), "confidence is under 40 %", false},
		{"nothing", tsv(), "", false},
		{"no table", "echo hello; echo 5", "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := withTesseract(fakeTesseract(t, c.script))
			if strings.Contains(c.warning, "200ms") {
				config.OCR.Timeout = 200 * time.Millisecond
			}
			x := inProcess(t, config, "a.pdf", "", scanned)
			if x.err != nil || x.Partial != c.partial || x.text() != "A page with text enough to need no recognition." || !strings.Contains(strings.Join(x.Warnings, "\n"), c.warning) {
				t.Errorf("%v: partial %v, %q, %q", x.err, x.Partial, x.text(), x.Warnings)
			}
		})
	}
	x := inProcess(t, withTesseract(fakeTesseract(t, tsv())), "a.png", "", picture(t, 8000, 8000))
	if x.code() != CodeTooLarge {
		t.Errorf("a picture of 64 million pixels: %v", x.err)
	}
}

func TestAProgramTheProcessStartedEndsWithIt(t *testing.T) {
	mark := filepath.Join(t.TempDir(), "pid")
	c := testConfig("serve")
	c.OCR.Command = fakeTesseract(t, "echo $$ > "+mark+"; exec sleep 600")
	c.PageTimeout, c.OCR.Timeout = 2*time.Second, time.Hour
	x := extractFile(t, newExtractor(t, c), file(t, "a.png", picture(t, 4, 4)), "a.png")
	if x.code() != CodeTimeout {
		t.Fatalf("%v", x.err)
	}
	pid, err := os.ReadFile(mark)
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool {
		state, err := os.ReadFile("/proc/" + strings.TrimSpace(string(pid)) + "/stat")
		return err != nil || strings.Contains(string(state), ") Z ") // gone, or waiting for an init to reap it
	})
}
