package bedrock

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"hash/crc32"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"

	"airfield/internal/gateway/neutral"
	"airfield/internal/gateway/sse"
)

// framed is a stream of frames, each of headers "name=value name=value" and a payload.
func framed(t testing.TB, frames ...string) []byte {
	var out bytes.Buffer
	for i := 0; i < len(frames); i += 2 {
		m := eventstream.Message{Payload: []byte(frames[i+1])}
		for _, pair := range strings.Fields(frames[i]) {
			name, value, _ := strings.Cut(pair, "=")
			m.Headers.Set(":"+name, eventstream.StringValue(value))
		}
		if err := eventstream.NewEncoder().Encode(&out, m); err != nil {
			t.Fatal(err)
		}
	}
	return out.Bytes()
}

const event1 = "message-type=event event-type="

// heard reads frames as the gateway does.
func heard(body io.Reader) (c neutral.Collect, told string, err error) {
	events, r := sse.NewReader(), dialect{}.NewReader()
	events.Reset(newFrames(io.NopCloser(body), []byte(`{"id":"1","model":"m"}`)))
	for err == nil {
		err = events.Fill()
		for {
			e, ok := events.Next()
			if !ok {
				break
			}
			told += string(e.Raw)
			if wrong := r.Read(e.Data, c.Add); wrong != nil {
				return c, told, wrong
			}
			if c.Done || c.Err != nil {
				return c, told, nil
			}
		}
		events.Ready()
	}
	if errors.Is(err, io.EOF) {
		r.End(c.Add)
		err = nil
	}
	return c, told, err
}

func TestAStreamIsReadHoweverItComes(t *testing.T) {
	body := framed(t,
		event1+"messageStart", `{"role":"assistant"}`,
		event1+"contentBlockDelta", `{"contentBlockIndex":0,"delta":{"reasoningContent":{"redactedContent":"eA=="}}}`,
		event1+"contentBlockStop", "{\n\"contentBlockIndex\":0}",
		event1+"somethingNew", `{"a":1}`,
		event1+"contentBlockStart", `{"contentBlockIndex":1,"start":{"toolUse":{"toolUseId":"c","name":"now"}}}`,
		event1+"contentBlockStop", `{"contentBlockIndex":1}`,
		event1+"contentBlockDelta", `{"contentBlockIndex":2,"delta":{"text":"a <b>"}}`,
		event1+"messageStop", `{"stopReason":"stop_sequence","additionalModelResponseFields":{"stop_sequence":"X"}}`,
		event1+"metadata", `{"usage":{"inputTokens":1,"outputTokens":2},"serviceTier":{"type":"priority"}}`)
	for name, src := range map[string]io.Reader{"at once": bytes.NewReader(body), "byte by byte": iotest.OneByteReader(bytes.NewReader(body))} {
		c, _, err := heard(src)
		a := c.Answer
		if err != nil || !c.Done || a.Sequence != "X" || a.Service != "priority" || a.Usage.Input != 1 || a.Model != "m" || len(a.Parts) != 3 || a.Parts[0].Data != "eA==" || a.Parts[1].Text != "{}" || a.Parts[2].Text != "a <b>" {
			t.Errorf("%s: %+v %v", name, c, err)
		}
	}
}

func TestWhatABadStreamSaysIsAnErrorAndNeverAnEnd(t *testing.T) {
	start := framed(t, event1+"messageStart", `{}`, event1+"contentBlockDelta", `{"contentBlockIndex":0,"delta":{"text":"a"}}`)
	damaged := framed(t, event1+"messageStop", `{"stopReason":"end_turn"}`)
	damaged[len(damaged)-6] ^= 1
	large := binary.BigEndian.AppendUint32(nil, maxFrame+1)
	large = binary.BigEndian.AppendUint32(large, 0)
	large = binary.BigEndian.AppendUint32(large, crc32.ChecksumIEEE(large))
	for name, c := range map[string]struct {
		more   []byte
		code   string // of a failure that is told; empty for one that is found
		status int
	}{
		"a checksum that does not fit":   {damaged, "", 0},
		"a frame without end":            {large, "", 0},
		"cut in a frame's head":          {[]byte{0, 0, 0}, "", 0},
		"a payload that is not JSON":     {framed(t, event1+"metadata", `{"a`), "", 0},
		"a frame of no kind":             {framed(t, "event-type=metadata", `{}`), "", 0},
		"a block that changes":           {framed(t, event1+"contentBlockDelta", `{"contentBlockIndex":0,"delta":{"toolUse":{"input":"{}"}}}`), "", 0},
		"arguments of no call":           {framed(t, event1+"contentBlockDelta", `{"contentBlockIndex":7,"delta":{"toolUse":{"input":"{}"}}}`), "", 0},
		"a block that begins twice":      {framed(t, event1+"contentBlockStart", `{"contentBlockIndex":0,"start":{"toolUse":{"toolUseId":"c","name":"n"}}}`), "", 0},
		"throttled":                      {framed(t, "message-type=exception exception-type=throttlingException", `{"message":"slow"}`), "throttlingException", 429},
		"the model failed":               {framed(t, "message-type=exception exception-type=modelStreamErrorException", `{"message":"broke","originalStatusCode":500}`), "modelStreamErrorException", 424},
		"not valid after all":            {framed(t, "message-type=exception exception-type=validationException", `{}`), "validationException", 400},
		"an error below the API":         {framed(t, "message-type=error error-code=InternalFailure error-message=oops", ``), "InternalFailure", 500},
		"an event with a name of ours":   {framed(t, event1+"head", `{"id":"x"}`, event1+"exception", `{"message":"x"}`, "message-type=exception exception-type=throttlingException", `{}`), "throttlingException", 429},
		"a call that makes no sense":     {framed(t, event1+"messageStop", `{"stopReason":"malformed_tool_use"}`), "malformed_tool_use", 502},
		"an exception that is not JSON":  {framed(t, "message-type=exception exception-type=throttlingException", `busy`), "throttlingException", 429},
		"a block after the answer's end": {framed(t, event1+"messageStop", `{"stopReason":"end_turn"}`, event1+"contentBlockDelta", `{"contentBlockIndex":3,"delta":{"text":"a"}}`), "", 0},
	} {
		got, told, err := heard(bytes.NewReader(append(bytes.Clone(start), c.more...)))
		switch {
		case got.Done || len(got.Answer.Parts) != 1:
			t.Errorf("%s: it ends as if it were whole: %s", name, told)
		case c.code == "" && err == nil || c.code != "" && (got.Err == nil || got.Err.Code != c.code || got.Err.Status != c.status || got.Err.Message == ""):
			t.Errorf("%s: %+v %v", name, got.Err, err)
		}
	}
	if c, _, err := heard(bytes.NewReader(start)); err != nil || c.Done {
		t.Errorf("a stream that stops: %+v %v", c, err)
	}
}

func TestARefusalIsReadWhateverItIsMadeOf(t *testing.T) {
	for header, c := range map[string]struct{ body, code, kind, text string }{
		"ThrottlingException:http://internal.amazon.com/coral/": {`{"message":"slow"}`, "ThrottlingException", "rate_limit_error", "slow"},
		"AccessDeniedException":                                 {`{"Message":"no access"}`, "AccessDeniedException", "permission_error", "no access"},
		"com.amazon.coral.service#ExpiredTokenException":        {`null`, "ExpiredTokenException", "authentication_error", "ExpiredTokenException"},
		"ValidationException":                                   {`<html>`, "ValidationException", "invalid_request_error", "ValidationException"},
		"":                                                      {`{"__type":"ModelErrorException","message":"m"}`, "ModelErrorException", "server_error", "m"},
	} {
		x, body := typed(header, []byte(c.body))
		e := dialect{}.ReadError(statuses[strings.ToLower(x.Type)], body)
		if e.Code != c.code || e.Type != c.kind || !strings.Contains(e.Message, c.text) {
			t.Errorf("%s: %+v", header, e)
		}
	}
}

func FuzzFramesAreBoundedAndTellJSONOrAnError(f *testing.F) {
	f.Add(framed(f, event1+"messageStart", `{}`, event1+"contentBlockDelta", `{"contentBlockIndex":0,"delta":{"text":"a"}}`, event1+"messageStop", `{"stopReason":"end_turn"}`, event1+"metadata", `{"usage":{"inputTokens":1}}`))
	f.Add(framed(f, "message-type=exception exception-type=throttlingException", `{"message":"slow"}`))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, body []byte) {
		c, _, err := heard(bytes.NewReader(body))
		if c.Done && (c.Err != nil || err != nil) {
			t.Fatalf("whole and broken: %+v %v", c, err)
		}
		out, err := io.ReadAll(newFrames(io.NopCloser(bytes.NewReader(body)), []byte(`{}`)))
		if len(out) > 64+20*len(body) {
			t.Fatalf("%d bytes became %d", len(body), len(out))
		}
		for event := range bytes.SplitSeq(bytes.TrimSuffix(out, []byte("\n\n")), []byte("\n\n")) {
			if data, ok := bytes.CutPrefix(event, []byte("data: ")); err == nil && len(out) > 0 && (!ok || !json.Valid(data) || bytes.ContainsAny(data, "\r\n")) {
				t.Fatalf("an event is %q", event)
			}
		}
	})
}

func FuzzWhatIsReadOfAnAnswerHoldsTogether(f *testing.F) {
	f.Add([]byte(`{"head":{"id":"1","model":"m"}}` + "\n" + `{"contentBlockDelta":{"contentBlockIndex":0,"delta":{"text":"a"}}}` + "\n" + `{"messageStop":{"stopReason":"end_turn"}}` + "\n" + `{"metadata":{"usage":{"inputTokens":3,"outputTokens":9223372036854775807}}}`))
	f.Add([]byte(`{"head":{},"answer":{"output":{"message":{"content":[{"toolUse":{"toolUseId":"a","name":"n","input":null}}]}},"stopReason":"tool_use","usage":{"inputTokens":1}}}`))
	f.Add([]byte(`{"message":"x","__type":"y"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if a, err := (dialect{}).ReadAnswer(data); err == nil {
			if u := a.Usage; u.Input < 0 || u.Output < 0 || u.CacheWrite < 0 || u.CacheWriteLong < 0 || u.Total() > 8*mostTokens {
				t.Fatalf("it used %+v", u)
			}
		}
		if e := (dialect{}).ReadError(400, data); e == nil || e.Message == "" {
			t.Fatalf("%+v", e)
		}
		r, open, ended := dialect{}.NewReader(), map[int]bool{}, false
		emit := func(e *neutral.Event) {
			if ended {
				t.Fatalf("event %+v after the end", e)
			}
			switch e.Kind {
			case neutral.Open:
				if e.Index != len(open) {
					t.Fatalf("part %d opens as the %dth", e.Index, len(open))
				}
				open[e.Index] = true
			case neutral.Delta, neutral.Close:
				if !open[e.Index] {
					t.Fatalf("part %d is not open", e.Index)
				}
				open[e.Index] = e.Kind == neutral.Delta
			case neutral.Finish, neutral.Failed:
				ended = true
			}
		}
		for line := range bytes.SplitSeq(data, []byte("\n")) {
			if r.Read(line, emit) != nil {
				return
			}
		}
		r.End(emit)
	})
}
