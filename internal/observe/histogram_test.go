package observe

import (
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestPercentilesAreWithinOnePercent(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for name, draw := range map[string]func() float64{
		"log-normal, as latencies are": func() float64 { return math.Exp(r.NormFloat64()*1.2 + 12) },
		"uniform":                      func() float64 { return 100 + r.Float64()*1e6 },
		"two humps":                    func() float64 { return []float64{2_000, 3_000_000}[r.IntN(2)] * (1 + r.Float64()/10) },
		"all alike":                    func() float64 { return 1_009_999 },
		"long tail":                    func() float64 { return 500 / math.Pow(1-r.Float64(), 1/1.1) },
	} {
		h, all := Histogram{}, make([]float64, 20_000)
		for i := range all {
			all[i] = math.Floor(draw())
			h.Add(time.Duration(all[i]) * time.Microsecond)
		}
		slices.Sort(all)
		qs := []float64{0.01, 0.5, 0.9, 0.95, 0.99, 0.999, 1}
		for i, got := range h.Quantiles(qs...) {
			want := all[int(math.Ceil(qs[i]*float64(len(all))))-1]
			if off := math.Abs(float64(got.Microseconds())-want) / want; want > 200 && off >= 0.01 {
				t.Errorf("%s: p%g is %s, not %s: %.2f %% off", name, 100*qs[i], got, time.Duration(want)*time.Microsecond, 100*off)
			}
		}
	}
}

func TestEveryDurationIsInItsBucket(t *testing.T) {
	for _, micros := range []int64{2, 3, 4, 64, 65, 127, 128, 129, 1000, 1 << 20, 1<<20 + 1, 3_600_000_000, 1 << 40} {
		b := float64(bucketOf(micros))
		if low, high := math.Exp2(b/64), math.Exp2((b+1)/64); float64(micros) <= low*(1-1e-12) || float64(micros) > high*(1+1e-12) {
			t.Errorf("%d is not in (%f, %f]", micros, low, high)
		}
		if off := math.Abs(middle(int(b)).Seconds()*1e6-float64(micros)) / float64(micros); off > 0.0055+0.001/float64(micros) { // a nanosecond is lost in rounding
			t.Errorf("%d: the middle of its bucket is %.4f off", micros, off)
		}
	}
	if bucketOf(0) != -1 || bucketOf(-5) != -1 || bucketOf(1) != -1 {
		t.Error("what is nothing has no bucket of its own")
	}
}

func TestHistogramsAddUpAndSurviveTheDatabase(t *testing.T) {
	a, b := Histogram{}, Histogram{}
	a.Add(time.Second)
	a.Add(time.Millisecond)
	b.Add(time.Second)
	b.Add(0)
	a.Merge(b)
	back, err := ParseHistogram(a.String())
	if err != nil || !maps.Equal(back, a) || back.Count() != 4 {
		t.Fatal(a.String(), back, err)
	}
	if none, err := ParseHistogram("{}"); err != nil || none.Quantiles(0.5)[0] != 0 {
		t.Error(none, err)
	}
}

func FuzzParseHistogram(f *testing.F) {
	for _, s := range []string{"{}", `{"-1":3,"640":1}`, `{"1":-1}`, `{"1":1`, `{,}`, `{"1":1,}`, "", `{"a":1}`, `{"1":99999999999999999999}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		h, err := ParseHistogram(text)
		if err != nil {
			return
		}
		if back, err := ParseHistogram(h.String()); err != nil || !maps.Equal(back, h) {
			t.Fatal(text, h, back, err)
		}
	})
}
