package gateway

import (
	"bytes"
	"io"
	"mime/multipart"
	"testing"

	"airfield/internal/llm"
)

// FuzzForm holds that a form that is taken is understood by another reader, too, and names the same model to it.
func FuzzForm(f *testing.F) {
	part := "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nears\r\n"
	for _, body := range []string{
		part + "--b--", part + "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\nContent-Type: audio/wav\r\n\r\nRIFF\r\n--b--\r\n",
		part + part + "--b--", "--b--", "--b\r\n\r\n\r\n--b--", part, "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n\r\n--b--",
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		q, err := decodeForm(llm.Transcriptions, "multipart/form-data; boundary=b", body)
		if err != nil {
			return
		}
		sent := q.upstreamBody(body, &deployment{upstream: "other"}, 0, "")
		for name, b := range map[string][]byte{q.model: body, "other": sent} {
			r, found := multipart.NewReader(bytes.NewReader(b), "b"), 0
			for {
				p, err := r.NextRawPart()
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatalf("%q: %v", b, err)
				}
				value, err := io.ReadAll(p)
				if err != nil {
					t.Fatalf("%q: %v", b, err)
				}
				if p.FormName() == "model" && p.FileName() == "" {
					if found++; string(value) != name {
						t.Fatalf("%q names %q, not %q", b, value, name)
					}
				}
			}
			if found != 1 {
				t.Fatalf("%q names the model %d times", b, found)
			}
		}
	})
}

func FuzzHeard(f *testing.F) {
	f.Add([]byte("RIFF\x00\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00@\x1f\x00\x00\x80>\x00\x00\x02\x00\x10\x00data"))
	f.Fuzz(func(t *testing.T, file []byte) {
		if n, _ := heard(file); n < 0 || n > int64(len(file))+1 {
			t.Fatal(n)
		}
	})
}
