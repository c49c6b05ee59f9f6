package llm

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"

	"airfield/internal/money"
)

// a token costs as many nano-dollars as the number says
const each = 1_000_000

var tierPrice = Price{
	ID:    "p",
	Rates: Rates{Input: 10 * each, CacheRead: 1 * each, CacheWrite: 12 * each, CacheWriteLong: 20 * each, AudioInput: 30 * each, Output: 50 * each, AudioOutput: 90 * each, Images: 7 * each, Requests: 3 * each},
	Context: []ContextTier{
		{Above: 100, Rates: Rates{Input: 20 * each, CacheRead: 2 * each, CacheWrite: 24 * each, Output: 75 * each}},
		{Above: 200, Rates: Rates{Input: 40 * each, Output: 80 * each}},
	},
	Services: map[string]Service{
		"batch":    {Rates: Rates{Input: 5 * each, CacheRead: 1 * each, Output: 25 * each}},
		"priority": {Rates: Rates{Input: 20 * each, Output: 100 * each}, Context: []ContextTier{{Above: 150, Rates: Rates{Input: 60 * each, Output: 120 * each}}}},
	},
}

func TestEveryBucketHasItsRate(t *testing.T) {
	plain := Price{Rates: Rates{Input: 10 * each, CacheWrite: 12 * each, Output: 50 * each}}
	for _, c := range []struct {
		name    string
		price   Price
		service string
		usage   Usage
		want    money.Nanos
		known   bool
	}{
		{"every bucket at its own rate", tierPrice, "", Usage{Input: 1, CacheRead: 1, CacheWrite: 1, CacheWriteLong: 1, AudioInput: 1, Output: 1, Reasoning: 1, AudioOutput: 1, Images: 1}, 10 + 1 + 12 + 20 + 30 + 50 + 50 + 90 + 7 + 3, true},
		{"a bucket without one as the bucket it belongs to", plain, "", Usage{Input: 1, CacheRead: 1, CacheWrite: 1, CacheWriteLong: 1, AudioInput: 1, Output: 1, Reasoning: 1, AudioOutput: 1, Images: 1}, 10 + 10 + 12 + 12 + 10 + 50 + 50 + 50, true},
		{"a prompt that just fits the first tier", tierPrice, "default", Usage{Input: 60, CacheRead: 40, Output: 1}, 600 + 40 + 50 + 3, true},
		{"one token more: the whole request at the next", tierPrice, "auto", Usage{Input: 61, CacheRead: 40, Output: 1}, 61*20 + 80 + 75 + 3, true},
		{"cached tokens alone reach the tier", tierPrice, "", Usage{CacheRead: 101}, 202 + 3, true},
		{"output does not", tierPrice, "", Usage{Input: 1, Output: 1000}, 10 + 50_000 + 3, true},
		{"what a tier does not name, at the dearer", tierPrice, "", Usage{CacheRead: 201, AudioInput: 1, AudioOutput: 1, CacheWriteLong: 1}, 201*40 + 40 + 90 + 40 + 3, true},
		{"a service tier", tierPrice, "batch", Usage{Input: 10, CacheRead: 10, Output: 2}, 50 + 10 + 50 + 3, true},
		{"a service tier without context tiers is not cheaper than the usual one's", tierPrice, "batch", Usage{Input: 101}, 2020 + 3, true},
		{"a service tier's own context tiers", tierPrice, "priority", Usage{Input: 151, Output: 1}, 151*60 + 120 + 3, true},
		{"below them", tierPrice, "priority", Usage{Input: 150, Output: 1}, 150*20 + 100 + 3, true},
		{"a service tier that nobody priced, as the dearest", tierPrice, "turbo", Usage{Input: 10, Output: 2}, 200 + 200 + 3, false},
		{"one where there are none", plain, "priority", Usage{Input: 10}, 100, false},
		{"nothing below nothing", tierPrice, "", Usage{Input: -5, CacheRead: 10}, 10 + 3, true},
		{"what is spoken and heard", Price{Rates: Rates{Characters: 15_000, Seconds: 100 * each, ImageInput: 4 * each}}, "", Usage{Characters: 1001, Seconds: 9, ImageInput: 2}, 16 + 900 + 8, true},
		{"pictures without a rate, as input", plain, "", Usage{ImageInput: 3}, 30, true},
		{"a number beyond all numbers", tierPrice, "", Usage{Input: math.MaxInt64, Output: math.MaxInt64}, math.MaxInt64, true},
	} {
		if got, known := c.price.CostAt(c.service, c.usage); got != c.want || known != c.known {
			t.Errorf("%s: %d %v, want %d", c.name, got, known, c.want)
		}
		if got := c.price.Cost(c.usage); Usual(c.service) && got != c.want {
			t.Errorf("%s: Cost %d, want %d", c.name, got, c.want)
		}
	}
}

func TestAPriceIsTheSameAfterJSON(t *testing.T) {
	b, err := json.Marshal(tierPrice)
	var back Price
	if err == nil {
		err = json.Unmarshal(b, &back)
	}
	if err != nil || !reflect.DeepEqual(back, tierPrice) {
		t.Fatal(err, string(b))
	}
}

func TestMostIsExactWhereNothingIsRounded(t *testing.T) {
	p := Price{Rates: Rates{Input: 150 * each, CacheRead: 75 * each, Output: 600 * each}}
	caps := Usage{Input: 1000, Output: 500}
	if got, want := p.Most("default", caps), p.Cost(caps); got != want {
		t.Fatal(got, want)
	}
	if got := tierPrice.Most("default", Usage{CacheRead: 10, Reasoning: 10, Images: 2}); got != 300+900+14+3 {
		t.Fatal("which bucket a cap is in must not matter:", got)
	}
}

// checkMost holds the promise that reservations stand on: no usage within the caps costs more.
func checkMost(t *testing.T, p *Price, asked, billed string, caps, used Usage) {
	t.Helper()
	if used.Prompt() > caps.Prompt() || used.Completion() > caps.Completion() || used.Images > max(caps.Images, 0) || used.Characters > caps.Characters || used.Seconds > caps.Seconds {
		t.Fatalf("the test is wrong: %+v is more than %+v", used, caps)
	}
	if cost, _ := p.CostAt(billed, used); cost > p.Most(asked, caps) {
		t.Fatalf("%+v at %q costs %d, more than %d, the most of %+v at %q, with %+v", used, billed, cost, p.Most(asked, caps), caps, asked, p)
	}
}

func chance(r *rand.Rand) *Price {
	rate := func() money.PerMillion {
		switch r.IntN(5) {
		case 0:
			return 0
		case 1:
			return money.PerMillion(r.Int64N(20) * each)
		case 2:
			return money.PerMillion(r.Int64N(3_000_000))
		case 3:
			return money.PerMillion(r.Int64N(math.MaxInt64))
		}
		return money.PerMillion(r.Int64N(100_000_000_000))
	}
	rates := func() Rates {
		return Rates{rate(), rate(), rate(), rate(), rate(), rate(), rate(), rate(), rate(), rate(), rate(), rate(), rate()}
	}
	tiers := func() (list []ContextTier) {
		above := int64(0)
		for range r.IntN(4) {
			above += 1 + r.Int64N(300)
			list = append(list, ContextTier{Above: above, Rates: rates()})
		}
		return list
	}
	p := &Price{Rates: rates(), Context: tiers(), Services: map[string]Service{}}
	for _, name := range []string{"batch", "flex", "priority"} {
		if r.IntN(2) == 0 {
			p.Services[name] = Service{Rates: rates(), Context: tiers()}
		}
	}
	return p
}

// deal divides up to n tokens among buckets.
func deal(r *rand.Rand, n int64, buckets ...*int64) {
	for i, b := range buckets {
		if n > 0 {
			*b = r.Int64N(n + 1)
			if i == len(buckets)-1 && r.IntN(2) == 0 {
				*b = n
			}
		}
		n -= *b
	}
}

func FuzzMostIsABound(f *testing.F) {
	for seed := range uint64(200) {
		f.Add(seed, int64(seed)*7, int64(seed)*3, int64(seed%4))
	}
	f.Add(uint64(1), int64(math.MaxInt64), int64(math.MaxInt64), int64(math.MaxInt64-1))
	f.Fuzz(func(t *testing.T, seed uint64, prompt, completion, images int64) {
		r := rand.New(rand.NewPCG(seed, 1))
		prompt, completion, images = max(prompt, 0), max(completion, 0), max(min(images, math.MaxInt64-1), 0)
		for range 20 {
			p, used := chance(r), Usage{}
			in, out := prompt, completion
			if r.IntN(2) == 0 {
				in, out = r.Int64N(1000), r.Int64N(12)
			}
			caps := Usage{Input: in, Output: out, Images: images, Characters: images / 2, Seconds: images / 3}
			if in < math.MaxInt64 && out < math.MaxInt64 {
				ins := []*int64{&used.Input, &used.CacheRead, &used.CacheWrite, &used.CacheWriteLong, &used.AudioInput, &used.ImageInput}
				outs := []*int64{&used.Output, &used.Reasoning, &used.AudioOutput}
				r.Shuffle(len(ins), func(i, j int) { ins[i], ins[j] = ins[j], ins[i] })
				r.Shuffle(len(outs), func(i, j int) { outs[i], outs[j] = outs[j], outs[i] })
				deal(r, in, ins...)
				deal(r, out, outs...)
				used.Images, used.Characters, used.Seconds = r.Int64N(images+1), r.Int64N(caps.Characters+1), r.Int64N(caps.Seconds+1)
			} else {
				used = caps
			}
			for _, asked := range []string{"", "auto", "default", "batch", "flex", "priority", "turbo"} {
				checkMost(t, p, asked, asked, caps, used)
				checkMost(t, p, asked, "default", caps, used)
			}
			for _, billed := range []string{"", "batch", "flex", "priority", "turbo"} {
				checkMost(t, p, "auto", billed, caps, used)
			}
		}
	})
}

func TestCountingMoneyAllocatesNothing(t *testing.T) {
	u := Usage{Input: 170, CacheRead: 3, Output: 9}
	if n := testing.AllocsPerRun(100, func() {
		tierPrice.Cost(u)
		tierPrice.CostAt("priority", u)
		tierPrice.CostAt("turbo", u)
		tierPrice.Most("auto", u)
	}); n != 0 {
		t.Fatal(n)
	}
}

func BenchmarkCost(b *testing.B) {
	u := Usage{Input: 170, CacheRead: 3, Output: 9}
	b.ReportAllocs()
	for b.Loop() {
		tierPrice.CostAt("", u)
	}
}

func BenchmarkMost(b *testing.B) {
	u := Usage{Input: 170, Output: 9}
	b.ReportAllocs()
	for b.Loop() {
		tierPrice.Most("auto", u)
	}
}
