package gateway_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"
	"time"

	"airfield/internal/gateway"
	"airfield/internal/llm"
	"airfield/internal/money"
)

// mediaModels are models of an endpoint that serves everything.
func mediaModels(c *gateway.Config) {
	up := c.Providers["up"]
	up.Surfaces = []string{"moderations", "images.generations", "images.edits", "audio.speech", "audio.transcriptions", "audio.translations"}
	c.Providers["up"] = up
	price := func(p gateway.PriceConfig) *gateway.PriceConfig { return &p }
	for name, p := range map[string]*gateway.PriceConfig{
		"omni-moderation-latest": price(gateway.PriceConfig{}),
		"pictures":               price(gateway.PriceConfig{Input: 5 * money.Dollar, ImageInput: 10 * money.Dollar, Output: 40 * money.Dollar}),
		"pieces":                 price(gateway.PriceConfig{Images: money.Dollar / 25}),
		"voice":                  price(gateway.PriceConfig{Characters: 15 * money.Dollar}),
		"voice-tokens":           price(gateway.PriceConfig{Input: money.Dollar, AudioOutput: 12 * money.Dollar}),
		"ears":                   price(gateway.PriceConfig{Seconds: money.Dollar / 10_000}),
		"ears-tokens":            price(gateway.PriceConfig{Input: 2 * money.Dollar, AudioInput: 6 * money.Dollar, Output: 10 * money.Dollar}),
	} {
		c.Models[name] = gateway.ModelConfig{Deployments: []gateway.DeploymentConfig{{Provider: "up", Model: "real-" + name, Prices: p}}}
	}
}

// form is a request as a client sends it; a value that begins with @ is a file of what follows.
func form(t *testing.T, fields ...string) (contentType, body string) {
	t.Helper()
	var b bytes.Buffer
	f := multipart.NewWriter(&b)
	for i := 0; i < len(fields); i += 2 {
		var err error
		if content, file := strings.CutPrefix(fields[i+1], "@"); file {
			w, _ := f.CreateFormFile(fields[i], "file.bin")
			_, err = io.WriteString(w, content)
		} else {
			err = f.WriteField(fields[i], fields[i+1])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	f.Close()
	return f.FormDataContentType(), b.String()
}

func wav(seconds int) string {
	b := []byte("RIFF\x00\x00\x00\x00WAVEfmt ")
	b = binary.LittleEndian.AppendUint32(b, 16)
	b = binary.LittleEndian.AppendUint16(b, 1)
	b = binary.LittleEndian.AppendUint16(b, 1)
	b = binary.LittleEndian.AppendUint32(b, 8000)
	b = binary.LittleEndian.AppendUint32(b, 16000)
	b = binary.LittleEndian.AppendUint16(b, 2)
	b = binary.LittleEndian.AppendUint16(b, 16)
	b = append(b, "data\xff\xff\xff\xff"...)
	return string(b) + strings.Repeat("\x01\x02", 8000*seconds-len(b)/2)
}

func TestWhatIsNotTextIsMeteredInItsOwnUnits(t *testing.T) {
	jsonType := "application/json"
	for _, c := range []struct {
		name, path  string
		fields      []string
		body        string // where there are no fields
		answerType  string
		answer      string
		want        llm.Usage
		cost        money.Nanos
		upstreamHas string
	}{
		{name: "a moderation is free, and its usual model is named", path: "/moderations", body: `{"input":"I love you"}`, answer: `{"id":"m","model":"omni","results":[{"flagged":false}]}`,
			want: llm.Usage{Input: 4, Source: llm.Estimated}, upstreamHas: `"model":"real-omni-moderation-latest"`},
		{name: "pictures by tokens", path: "/images/generations", body: `{"model":"pictures","prompt":"a cat","n":2}`,
			answer: `{"created":1,"data":[{"b64_json":"AA"},{"b64_json":"BB"}],"usage":{"input_tokens":50,"output_tokens":100,"total_tokens":150,"input_tokens_details":{"text_tokens":10,"image_tokens":40}}}`,
			want:   llm.Usage{Input: 10, ImageInput: 40, Output: 100, Images: 2, Source: llm.Reported}, cost: 10*5000 + 40*10000 + 100*40000, upstreamHas: `"model":"real-pictures"`},
		{name: "pictures by the piece", path: "/images/generations", body: `{"model":"pieces","prompt":"a cat","n":2}`, answer: `{"created":1,"data":[{"url":"x"},{"url":"y"}]}`,
			want: llm.Usage{Images: 2, Source: llm.Counted}, cost: 80_000_000},
		{name: "a picture from a picture, as a form", path: "/images/edits", fields: []string{"model", "pictures", "image[]", "@PNG", "prompt", "a hat"},
			answer: `{"created":1,"data":[{"b64_json":"AA"}],"usage":{"input_tokens":3,"output_tokens":1,"input_tokens_details":{"text_tokens":1,"image_tokens":2}}}`,
			want:   llm.Usage{Input: 1, ImageInput: 2, Output: 1, Images: 1, Source: llm.Reported}, cost: 5000 + 20000 + 40000, upstreamHas: "\r\n\r\nreal-pictures\r\n"},
		{name: "speech by characters", path: "/audio/speech", body: `{"model":"voice","input":"Grüße \u00fc","voice":"alloy"}`, answerType: "audio/mpeg", answer: "ID3\x00sound",
			want: llm.Usage{Characters: 7, Source: llm.Counted}, cost: 7 * 15000},
		{name: "speech as a stream of events", path: "/audio/speech", body: `{"model":"voice-tokens","input":"Hello","voice":"alloy","stream_format":"sse"}`, answerType: "text/event-stream",
			answer: "data: {\"type\":\"speech.audio.delta\",\"audio\":\"AAAA\"}\n\ndata: {\"type\":\"speech.audio.done\",\"usage\":{\"input_tokens\":14,\"output_tokens\":101,\"total_tokens\":115}}\n\n",
			want:   llm.Usage{Input: 14, AudioOutput: 101, Characters: 5, Source: llm.Reported}, cost: 14*1000 + 101*12000},
		{name: "a transcript by seconds", path: "/audio/transcriptions", fields: []string{"file", "@mp3", "model", "ears"}, answer: `{"text":"Hi","usage":{"type":"duration","seconds":8.5}}`,
			want: llm.Usage{Seconds: 9, Source: llm.Reported}, cost: 900_000},
		{name: "a transcript by tokens", path: "/audio/transcriptions", fields: []string{"file", "@mp3", "model", "ears-tokens"},
			answer: `{"text":"Hi","usage":{"type":"tokens","input_tokens":14,"input_token_details":{"text_tokens":4,"audio_tokens":10},"output_tokens":45,"total_tokens":59}}`,
			want:   llm.Usage{Input: 4, AudioInput: 10, Output: 45, Source: llm.Reported}, cost: 4*2000 + 10*6000 + 45*10000},
		{name: "a transcript as a stream", path: "/audio/transcriptions", fields: []string{"stream", "true", "file", "@mp3", "model", "ears-tokens"}, answerType: "text/event-stream",
			answer: "data: {\"type\":\"transcript.text.delta\",\"delta\":\"Hi\"}\n\ndata: {\"type\":\"transcript.text.done\",\"text\":\"Hi\",\"usage\":{\"type\":\"tokens\",\"input_tokens\":14,\"input_token_details\":{\"text_tokens\":0,\"audio_tokens\":14},\"output_tokens\":4}}\n\n",
			want:   llm.Usage{AudioInput: 14, Output: 4, Source: llm.Reported}, cost: 14*6000 + 4*10000},
		{name: "a transcript with times says how long it was", path: "/audio/translations", fields: []string{"file", "@mp3", "model", "ears", "response_format", "verbose_json"}, answer: `{"task":"translate","duration":8.47,"text":"Hi"}`,
			want: llm.Usage{Seconds: 9, Source: llm.Reported}, cost: 900_000},
		{name: "subtitles say nothing: the file does", path: "/audio/transcriptions", fields: []string{"file", "@" + wav(3), "model", "ears", "response_format", "srt"}, answerType: "text/plain",
			answer: "1\n00:00:00,000 --> 00:00:03,000\nHi\n", want: llm.Usage{Seconds: 3, Source: llm.Counted}, cost: 300_000},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []byte
			w := newWorld(t, func(rw http.ResponseWriter, r *http.Request) {
				got, _ = io.ReadAll(r.Body)
				if !strings.HasSuffix(r.URL.Path, c.path) {
					t.Errorf("asked at %s", r.URL.Path)
				}
				if c.fields != nil {
					r.Body = io.NopCloser(bytes.NewReader(got))
					if err := r.ParseMultipartForm(1 << 20); err != nil || !strings.HasPrefix(r.FormValue("model"), "real-") {
						t.Errorf("the upstream's form: %v %q", err, r.FormValue("model"))
					}
				}
				kind := c.answerType
				if kind == "" {
					kind = jsonType
				}
				rw.Header().Set("Content-Type", kind)
				io.WriteString(rw, c.answer)
			}, mediaModels)
			kind, body := jsonType, c.body
			if c.fields != nil {
				kind, body = form(t, c.fields...)
			}
			r, err := http.Post(w.url+"/v1"+c.path, kind, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			defer r.Body.Close()
			said, err := io.ReadAll(r.Body)
			if err != nil || r.StatusCode != 200 || !strings.HasPrefix(string(said), c.answer[:min(len(c.answer), 40)]) {
				t.Fatalf("%d %v %q", r.StatusCode, err, said)
			}
			row := w.log.last(t, 1)
			if row.Usage != c.want || row.Cost != c.cost || !row.Priced || row.Outcome != llm.OK {
				t.Errorf("%+v costs %d, priced %v, %s: %s\nwant %+v costs %d", row.Usage, row.Cost, row.Priced, row.Outcome, row.Error, c.want, c.cost)
			}
			if !strings.Contains(string(got), c.upstreamHas) {
				t.Errorf("the upstream got %q", got)
			}
		})
	}
}

// Who listens must not wait for the end of the sound.
func TestSoundIsHeardWhileItIsMade(t *testing.T) {
	heard := make(chan struct{})
	w := newWorld(t, func(rw http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		rw.Header().Set("Content-Type", "audio/mpeg")
		rw.Write(bytes.Repeat([]byte{1}, 8<<10))
		rw.(http.Flusher).Flush()
		select {
		case <-heard:
		case <-time.After(10 * time.Second):
		}
		rw.Write(bytes.Repeat([]byte{2}, 8<<10))
	}, mediaModels)
	r, err := http.Post(w.url+"/v1/audio/speech", "application/json", strings.NewReader(`{"model":"voice","input":"Hello","voice":"alloy"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	begun := time.Now()
	if _, err := io.ReadFull(r.Body, make([]byte, 4<<10)); err != nil || time.Since(begun) > 5*time.Second {
		t.Fatal("nothing was heard while it was made:", err, time.Since(begun))
	}
	close(heard)
	rest, err := io.ReadAll(r.Body)
	if err != nil || len(rest) != 12<<10 {
		t.Fatal(len(rest), err)
	}
	if row := w.log.last(t, 1); row.Outcome != llm.OK || row.ResponseSize != 16<<10 || row.Usage.Characters != 5 {
		t.Errorf("%+v", row)
	}
}

// A picture of several megabytes stands in one event, with its usage behind it.
func TestALargePictureInAStreamIsMetered(t *testing.T) {
	picture := strings.Repeat("QUJD", 700_000)
	w := newWorld(t, events(
		"event: image_generation.partial_image\ndata: {\"type\":\"image_generation.partial_image\",\"b64_json\":\"AA\",\"partial_image_index\":0}\n\n",
		"event: image_generation.completed\ndata: {\"type\":\"image_generation.completed\",\"b64_json\":\""+picture+"\",\"usage\":{\"input_tokens\":5,\"output_tokens\":7,\"total_tokens\":12}}\n\n",
	), mediaModels)
	a := w.post(t, "/v1/images/generations", `{"model":"pictures","prompt":"a cat","stream":true,"partial_images":1}`)
	if a.err != nil || !strings.Contains(a.body, picture) || strings.Contains(a.body, "error") {
		t.Fatal(a.status, a.err, len(a.body))
	}
	want := llm.Usage{Input: 5, Output: 7, Images: 1, Source: llm.Reported}
	if row := w.log.last(t, 1); row.Usage != want || row.Outcome != llm.OK {
		t.Errorf("%+v %s %s", row.Usage, row.Outcome, row.Error)
	}
}

func TestABoundOfWhatIsNotTextIsHeldOrRefused(t *testing.T) {
	for _, c := range []struct {
		name, path, body string
		fields           []string
		most             money.Nanos // 0 where it is refused
		reason           string
	}{
		{name: "pictures by the piece", path: "/images/generations", body: `{"model":"pieces","prompt":"a cat","n":3}`, most: 120_000_000},
		{name: "pictures by tokens, by the most of one", path: "/images/generations", body: `{"model":"pictures","prompt":"cat","n":2,"partial_images":3}`, most: 60*10000 + 2*(6240+300)*40000},
		{name: "speech by characters", path: "/audio/speech", body: `{"model":"voice","input":"Hello","voice":"alloy"}`, most: 75_000},
		{name: "speech by tokens", path: "/audio/speech", body: `{"model":"voice-tokens","input":"Hello","voice":"alloy"}`, reason: "has no bound before it is made"},
		{name: "plain sound", path: "/audio/transcriptions", fields: []string{"file", "@" + wav(3), "model", "ears"}, most: 300_000},
		{name: "packed sound", path: "/audio/transcriptions", fields: []string{"file", "@ID3", "model", "ears"}, reason: "how long the sound is"},
		{name: "pictures that go in", path: "/images/edits", fields: []string{"model", "pictures", "image", "@PNG", "prompt", "x"}, reason: "context_tokens"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := &purse{t: t, standing: hardUSD()}
			w := newWorldOf(t, gateway.Parts{Budgets: b}, jsonAnswer(`{"data":[],"text":"x"}`), mediaModels)
			kind, body := "application/json", c.body
			if c.fields != nil {
				kind, body = form(t, c.fields...)
			}
			r, err := http.Post(w.url+"/v1"+c.path, kind, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			defer r.Body.Close()
			said, _ := io.ReadAll(r.Body)
			if c.reason != "" {
				if r.StatusCode < 400 || !strings.Contains(string(said), c.reason) {
					t.Errorf("%d %s", r.StatusCode, said)
				}
				return
			}
			if r.StatusCode != 200 || len(b.asked) != 1 || b.asked[0].USD != c.most {
				t.Errorf("%d %s: held %+v, want %d", r.StatusCode, said, b.asked, c.most)
			}
		})
	}
}

func TestAFormThatTwoCouldReadInTwoWaysIsRefused(t *testing.T) {
	w := newWorld(t, func(http.ResponseWriter, *http.Request) { t.Error("it was sent") }, mediaModels)
	kind, good := form(t, "model", "ears", "file", "@x")
	_, boundary, _ := strings.Cut(kind, "boundary=")
	for name, body := range map[string]string{
		"twice the model":         strings.Replace(good, "--"+boundary+"--", "--"+boundary+"\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nears\r\n--"+boundary+"--", 1),
		"no end":                  strings.Replace(good, "--"+boundary+"--", "", 1),
		"something before":        "x\r\n" + good,
		"an encoded part":         strings.Replace(good, "name=\"model\"", "name=\"model\"\r\nContent-Transfer-Encoding: base64", 1),
		"a part without a name":   strings.Replace(good, "; name=\"model\"", "", 1),
		"a boundary that goes on": strings.Replace(good, "\r\n--"+boundary+"\r\n", "\r\n--"+boundary+"x\r\n", 1),
		"nothing":                 "",
		"JSON":                    `{"model":"ears"}`,
	} {
		r, err := http.Post(w.url+"/v1/audio/transcriptions", kind, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		said, _ := io.ReadAll(r.Body)
		r.Body.Close()
		if r.StatusCode != 400 {
			t.Errorf("%s: %d %s", name, r.StatusCode, said)
		}
	}

}
