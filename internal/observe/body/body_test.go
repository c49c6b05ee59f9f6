package body

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"airfield/internal/db"
	"airfield/internal/db/dbtest"
	"airfield/internal/fault"
	"airfield/internal/id"
	"airfield/internal/llm"
)

func chat(messages ...string) string {
	return `{"model":"m", "messages": [` + strings.Join(messages, ",\n  ") + ` ], "user":"u"}`
}

func message(role, text string) string { return fmt.Sprintf(`{"role":%q,"content":%q}`, role, text) }

// odd are bodies that are no chat, or not easily one.
var odd = []string{
	"", "{", "null", `[1,2]`, `{"messages":[]}`, `{"messages":[`, `{"messages":[1`, `{"messages":[1,]}`, `{"messages":"text"}`, `{"a":"\\","messages":[{"b":"\"]"},2]}`,
	`{"messages":[1,2],"messages":[3]}`, `{"x":{"messages":[1]},"input":[ "a long text that is certainly longer than what is small enough to stand for itself", 2 ]}`,
	strings.Repeat("[", 5000), `{"messages":[` + strings.Repeat("[", 5000), "\x00\xff{\"messages\":[\"\xff\"]}", `{"input":"`,
}

func TestWhatWasSentAndAnsweredIsShownByteForByte(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		requests := append([]string{chat(message("system", strings.Repeat("Be kind. ", 20)), message("user", "hello"))}, odd...)
		var calls []*llm.Exchange
		for i, r := range requests {
			calls = append(calls, w.call("w", r, fmt.Sprintf("answer %d", i)))
		}
		for _, when := range []string{"on its way", "in the bucket", "after a restart"} {
			for i, e := range calls {
				w.shows(e, requests[i], fmt.Sprintf("answer %d", i))
			}
			if t.Failed() {
				t.Fatal(when)
			}
			if when == "on its way" {
				w.flush()
			} else {
				w.stop()
				w.open()
			}
		}
		if n := w.count("SELECT count(*) FROM bodies"); n != int64(len(calls)) {
			t.Errorf("%d rows for %d calls", n, len(calls))
		}
		if memory, disk := w.Waiting(); memory != 0 || disk != 0 {
			t.Errorf("%d bytes of memory and %d on disk are still taken", memory, disk)
		}
	})
}

func TestAConversationIsKeptOnce(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		var sent int64
		var calls []*llm.Exchange
		var requests []string
		for conversation := range 500 {
			messages := []string{message("system", strings.Repeat(fmt.Sprintf("Rule %d of the house. ", conversation%7), 40))}
			for turn := range 20 {
				messages = append(messages, message("user", fmt.Sprintf("question %d of %d: %s", turn, conversation, id.New("x")+id.New("y")+id.New("z"))))
				r := chat(messages...)
				answer := fmt.Sprintf(`{"answer":%q}`, id.New("a")+id.New("b"))
				sent += int64(len(r) + len(answer))
				calls, requests = append(calls, w.call("w", r, answer)), append(requests, r)
				messages = append(messages, message("assistant", answer))
			}
		}
		w.flush()
		for i := 0; i < len(calls); i += 97 {
			w.shows(calls[i], requests[i], string(calls[i].Answer))
		}
		kept := w.count("SELECT sum(bytes) FROM body_blocks")
		t.Logf("%d calls: %d bytes went over the wire, %d are kept: 1 in %.1f", len(calls), sent, kept, float64(sent)/float64(kept))
		if kept*10 > sent {
			t.Errorf("%d bytes are kept of %d", kept, sent)
		}
	})
}

func TestWhatIsKeptHoldsNoSecret(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		const secret = "sk-very-secret-4711"
		w := newWorld(t, d, func(w *world) { w.redact = func(string) Redactor { return mask{secret, "rules-7"} } })
		long := strings.Repeat("a long message ", 10)
		r := chat(message("user", long+secret), message("user", secret), message("user", long+secret))
		r = strings.Replace(r, `"user":"u"`, `"user":"`+secret+`"`, 1)
		var calls []*llm.Exchange
		for range 3 {
			calls = append(calls, w.call("w", r, "data: {\"text\":\""+secret+"\"}\n\n"))
		}
		clean := strings.ReplaceAll(r, secret, "[gone]")
		for i, e := range calls {
			if i == 2 {
				w.flush()
			}
			w.shows(e, clean, "data: {\"text\":\"[gone]\"}\n\n")
		}
		k, err := w.Read(context.Background(), calls[0].CallID)
		if err != nil || k.Redaction != "rules-7" {
			t.Errorf("the record names the rules %q: %v", k.Redaction, err)
		}
		w.stop()
		read := 0
		err = filepath.WalkDir(w.dir, func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			read++
			if bytes.Contains(b, []byte(secret)) {
				t.Errorf("%s holds the secret", path)
			}
			file, err := os.Open(path)
			if err != nil {
				return err
			}
			defer file.Close()
			for at := int64(len(header)); at < int64(len(b)); {
				raw, next, err := readFrame(file, at)
				if err != nil {
					t.Fatal(err)
				}
				if bytes.Contains(raw, []byte(secret)) {
					t.Errorf("%s holds the secret, compressed", path)
				}
				at = next
			}
			return nil
		})
		if err != nil || read == 0 {
			t.Fatal(read, err)
		}
	})
}

func TestOneWorkflowNeverRefersToWhatAnotherSaid(t *testing.T) {
	w := newWorld(t, dbtest.Open(t, dbtest.SQLite(t)))
	r := chat(message("user", strings.Repeat("the same words ", 40)))
	one, again, other := w.call("one", r, "a"), w.call("one", r, "a"), w.call("other", r, "a")
	w.flush()
	pieces := func(e *llm.Exchange) (places []place) {
		list, err := w.find(context.Background(), e.CallID)
		if err != nil || len(list) != 1 {
			t.Fatal(list, err)
		}
		o := &opened{store: w.Store, ctx: context.Background()}
		defer o.close()
		raw, err := o.frame(list[0].object, list[0].frame)
		if err != nil {
			t.Fatal(err)
		}
		_, content, _, err := nextEntry(raw, list[0].at)
		if err != nil {
			t.Fatal(err)
		}
		rec, err := decode(content)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range rec.bodies[0].parts {
			if p.piece != nil {
				places = append(places, *p.piece)
			}
		}
		return places
	}
	if a, b := pieces(one), pieces(again); len(a) != 1 || a[0] != b[0] {
		t.Errorf("one workflow's message is there twice: %v %v", a, b)
	}
	if a, b := pieces(one), pieces(other); a[0] == b[0] {
		t.Errorf("two workflows share a piece: %v", a)
	}
}

func TestALongBodyIsCutAndSaysSo(t *testing.T) {
	w := newWorld(t, dbtest.Open(t, dbtest.SQLite(t)), func(w *world) {
		w.config.MaxBytes = 4 << 10
		w.redact = func(string) Redactor { return mask{"sk-secret-at-the-edge", "1"} }
	})
	full := strings.Repeat("word ", 817) + "sk-secret-at-the-edge " + strings.Repeat("word ", 100)
	head := full[:4<<10] // which ends in the secret
	e := &llm.Exchange{CallID: id.New("call"), Workflow: "w", Request: []byte(head), RequestSize: int64(len(full))}
	w.put(e, "short")
	k, err := w.Read(context.Background(), e.CallID)
	if err != nil || !k.Request.Truncated || k.Request.Size != int64(len(full)) || k.Answer.Truncated {
		t.Fatalf("%+v %v", k, err)
	}
	if !strings.HasPrefix(full, string(k.Request.Bytes)) || len(k.Request.Bytes) < 3<<10 || strings.Contains(string(k.Request.Bytes), "sk-") {
		t.Errorf("kept: …%q", k.Request.Bytes[len(k.Request.Bytes)-50:])
	}
}

func TestTheRequestOfACallThatGoesOnIsWrittenByItself(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		e := &llm.Exchange{CallID: id.New("call"), Workflow: "w", Request: []byte("asked"), RequestSize: 5}
		if got := w.Begin(e); got != llm.BodiesKept {
			t.Fatal(got)
		}
		eventually(t, "the request is on disk", func() bool { return len(w.spool.find(e.CallID)) == 1 })
		k, err := w.Read(context.Background(), e.CallID)
		if err != nil || k.Answer != nil || string(k.Request.Bytes) != "asked" {
			t.Fatalf("%+v %v", k, err)
		}
		w.flush()
		if !w.Room(100) {
			t.Fatal("no room")
		}
		e.Answer, e.AnswerSize = []byte("answered"), 8
		w.End(e, 100)
		w.shows(e, "asked", "answered")
		w.flush()
		w.shows(e, "asked", "answered")
	})
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it did not come to this: ", what)
		}
	}
}

func TestWhatIsOverIsUnlinkedWithItsRows(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		short := &llm.Exchange{CallID: id.New("call"), Workflow: "short", Keep: time.Hour, Request: []byte("short"), RequestSize: 5}
		w.put(short, "a")
		long := w.call("long", "long", "b")
		w.flush()
		ctx := context.Background()
		if swept, err := w.Sweep(ctx, time.Now()); err != nil || swept.Blocks != 0 {
			t.Fatalf("too early: %+v %v", swept, err)
		}
		swept, err := w.Sweep(ctx, short.Until.Add(time.Second))
		if err != nil || swept.Blocks != 1 || swept.Calls != 1 || swept.Bytes == 0 {
			t.Fatalf("%+v %v", swept, err)
		}
		if _, err := w.Read(ctx, short.CallID); !fault.Is(err, fault.NotFound) {
			t.Errorf("what is over is still shown: %v", err)
		}
		w.shows(long, "long", "b")
		if n := w.count("SELECT count(*) FROM bodies"); n != 1 {
			t.Errorf("%d rows are left", n)
		}
		objects, err := w.bucket.List(ctx, prefix, "", 10)
		if err != nil || len(objects) != 1 {
			t.Errorf("%d objects are left: %v", len(objects), err)
		}
	})
}

func TestRowsSayWhatIsTrueNow(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		kept := w.call("w", "q", "a")
		spooled := w.call("w", "q", "a")
		old := time.Now().Add(-2 * time.Hour)
		rows := []llm.Call{
			{ID: kept.CallID, Start: old, Bodies: llm.BodiesTruncated, BodiesUntil: kept.Until},
			{ID: id.New("call"), Start: old, Bodies: llm.BodiesKept, BodiesUntil: kept.Until},
			{ID: id.New("call"), Start: time.Now(), Bodies: llm.BodiesKept, BodiesUntil: kept.Until},
			{ID: id.New("call"), Start: old, Bodies: llm.BodiesKept, BodiesUntil: old.Add(time.Hour)},
			{ID: id.New("call"), Start: old, Bodies: llm.BodiesNone},
			{ID: id.New("call"), Start: old, Bodies: llm.BodiesDropped},
			{ID: id.New("call"), Start: old},
			{ID: spooled.CallID, Start: old, Bodies: llm.BodiesKept, BodiesUntil: kept.Until},
		}
		w.sync(context.Background(), false)
		want := []string{llm.BodiesTruncated, llm.BodiesLost, llm.BodiesPending, llm.BodiesExpired, llm.BodiesNone, llm.BodiesDropped, "", llm.BodiesKept}
		for _, when := range []string{"in the spool", "in the bucket"} {
			got := append([]llm.Call(nil), rows...)
			if err := w.Resolve(context.Background(), got); err != nil {
				t.Fatal(err)
			}
			for i := range got {
				if got[i].Bodies != want[i] {
					t.Errorf("%s, row %d: %q, want %q", when, i, got[i].Bodies, want[i])
				}
			}
			w.flush()
		}
	})
}

func TestModesAndRoom(t *testing.T) {
	w := newWorld(t, dbtest.Open(t, dbtest.SQLite(t)), func(w *world) {
		w.config.Mode, w.config.MaxBytes, w.config.QueueBytes = none, 1<<10, 4<<10
	})
	if got := w.Begin(&llm.Exchange{CallID: "call_1"}); got != llm.BodiesNone {
		t.Error(got)
	}
	if got := w.Begin(&llm.Exchange{CallID: "call_2", Mode: keep}); got != llm.BodiesKept {
		t.Error(got)
	}
	if w.Room(1 << 20) {
		t.Error("there is no such room")
	}
	full := Default()
	full.Mode = "on"
	if _, err := full.Check(); err == nil {
		t.Error("on is not a mode")
	}
}
