package observe

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"airfield/internal/llm"
	"airfield/internal/telemetry"
)

// full sets every field below v to something that is not zero, so that one that is forgotten shows.
func full(v reflect.Value, n *int64) {
	*n++
	switch v.Kind() {
	case reflect.Struct:
		if at, ok := v.Addr().Interface().(*time.Time); ok {
			*at = time.UnixMicro(1_700_000_000_000_000 + *n).UTC()
			return
		}
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				full(v.Field(i), n)
			}
		}
	case reflect.String:
		v.SetString("s" + strings.Repeat("é\"\n", int(*n%3)) + string(rune('a'+*n%26)))
	case reflect.Int, reflect.Int64:
		v.SetInt(*n * 1000) // whole microseconds, for durations
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Map:
		if v.Type().Elem().Kind() == reflect.Int {
			v.Set(reflect.ValueOf(map[string]int{"k": 1, "ü\"": 2}))
			return
		}
		v.Set(reflect.ValueOf(map[string]string{"k": "v", "ü": "\""}))
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		full(v.Index(0), n)
		full(v.Index(1), n)
	default:
		panic(v.Kind())
	}
}

func fullCall() llm.Call {
	var c llm.Call
	var n int64
	full(reflect.ValueOf(&c).Elem(), &n)
	c.Decision = `{"rule":"budget","reason":"é"}`
	return c
}

func TestARecordHoldsEveryFieldOfACall(t *testing.T) {
	for name, want := range map[string]llm.Call{"full": fullCall(), "usual": sampleCall(), "almost empty": {ID: "x"}, "negative": {ID: "x", Cost: -1 << 63, Usage: llm.Usage{Input: 1<<63 - 1}}} {
		var e encoder
		e.call(kindFinish, &want)
		got, err := decode(e)
		if err != nil || got.kind != kindFinish || !reflect.DeepEqual(got.call, want) {
			t.Errorf("%s: %v\n%+v\n%+v", name, err, got.call, want)
		}
		callID, started, err := decodeAdmission(e)
		if err != nil || callID != want.ID || !started.Equal(want.Start) {
			t.Errorf("%s: %s %s %v", name, callID, started, err)
		}
	}
}

func TestARecordHoldsEveryFieldOfASpan(t *testing.T) {
	var want telemetry.Span
	var n int64
	full(reflect.ValueOf(&want).Elem(), &n)
	want.Sampled = false // decided before, not kept
	var e encoder
	e.span(&want)
	got, err := decode(e)
	if err != nil || !reflect.DeepEqual(got.span, want) {
		t.Fatalf("%v\n%+v\n%+v", err, got.span, want)
	}
}

func TestTheDetailHoldsEveryFieldThatHasNoColumn(t *testing.T) {
	for name, want := range map[string]llm.Call{"full": fullCall(), "usual": sampleCall(), "empty": {}} {
		text := appendDetail(nil, &want)
		var d detail
		decoder := json.NewDecoder(strings.NewReader(string(text)))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&d); err != nil {
			t.Fatalf("%s: %s: %v", name, text, err)
		}
		got := llm.Call{ID: want.ID, Start: want.Start, Duration: want.Duration, Workflow: want.Workflow, Model: want.Model, Outcome: want.Outcome, Cost: want.Cost, Priced: want.Priced, TraceID: want.TraceID}
		d.fill(&got)
		want.Lease, want.Holds = "", nil // are for the ledger, on the way to it
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n%+v\n%+v", name, got, want)
		}
	}
}

func TestTextsAreMadeFitForBothDatabases(t *testing.T) {
	c := llm.Call{ID: "x", Error: "a\x00b\xffc", Tags: map[string]string{"\x00": "\xff"}}
	var e encoder
	e.call(kindFinish, &c)
	got, err := decode(e)
	if err != nil || got.call.Error != "a\ufffdb\ufffdc" || got.call.Tags["\ufffd"] != "\ufffd" {
		t.Fatalf("%+v %v", got.call, err)
	}
}

func TestAnOlderRecordLacksItsLastFields(t *testing.T) {
	c := sampleCall()
	c.Attempts, c.RequestSize, c.ResponseSize = nil, 0, 0
	var e encoder
	e.call(kindFinish, &c)
	got, err := decode(e[:len(e)-3])
	if err != nil || !reflect.DeepEqual(got.call, c) {
		t.Fatalf("%+v %v", got.call, err)
	}
}

func FuzzDecode(f *testing.F) {
	for _, c := range []llm.Call{sampleCall(), fullCall(), {}} {
		var e encoder
		e.call(kindFinish, &c)
		f.Add([]byte(e))
		f.Add([]byte(e[:len(e)/2]))
	}
	var e encoder
	e.span(&telemetry.Span{Name: "x", Attributes: map[string]string{"a": "b"}})
	f.Add([]byte(e))
	f.Add([]byte{kindAdmit, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f})
	f.Fuzz(func(t *testing.T, record []byte) {
		got, err := decode(record)
		if len(record) > 0 {
			decodeAdmission(record)
		}
		if err != nil || got.kind == kindSpan {
			return
		}
		var again encoder
		again.call(got.kind, &got.call)
		if second, err := decode(again); err != nil || !reflect.DeepEqual(second.call, got.call) {
			t.Fatalf("%v\n%+v\n%+v", err, got.call, second.call)
		}
		var d detail
		if err := json.Unmarshal(appendDetail(nil, &got.call), &d); err != nil {
			t.Fatal(err)
		}
	})
}
