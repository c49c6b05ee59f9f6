package observe

import (
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// scale of the histogram: a bucket's bounds differ by the factor 2^(1/64) = 1.0109, so that the middle of the bucket is
// at most 0.55 % away from any value in it. (Scale 3, with a factor of 1.09, would be up to 4.4 % away: more than the
// 1 % we promise. Scale 5 would be 1.09 %.)
const scale = 6

// Histogram counts durations in exponential buckets, like OpenTelemetry's: bucket i holds the microseconds in
// (2^(i/64), 2^((i+1)/64)]. Everything up to a microsecond is in bucket -1. Histograms add up without loss.
// https://opentelemetry.io/docs/specs/otel/metrics/data-model/#exponentialhistogram
type Histogram map[int]int64

// Add counts one duration.
func (h Histogram) Add(d time.Duration) { h[bucketOf(d.Microseconds())]++ }

// Merge adds the counts of another.
func (h Histogram) Merge(other Histogram) {
	for bucket, n := range other {
		h[bucket] += n
	}
}

// Count is how many durations were counted.
func (h Histogram) Count() (n int64) {
	for _, c := range h {
		n += c
	}
	return n
}

func bucketOf(micros int64) int {
	if micros <= 1 {
		return -1
	}
	return int(math.Ceil(math.Log2(float64(micros))*(1<<scale))) - 1
}

// middle is the value whose relative distance to both ends of the bucket is the same.
func middle(bucket int) time.Duration {
	low, high := math.Exp2(float64(bucket)/(1<<scale)), math.Exp2(float64(bucket+1)/(1<<scale))
	return time.Duration(2 * low * high / (low + high) * float64(time.Microsecond))
}

// Quantiles returns, for each q in 0…1, the duration that this share of the durations does not exceed (nearest rank);
// 0 where nothing was counted.
func (h Histogram) Quantiles(qs ...float64) []time.Duration {
	buckets := make([]int, 0, len(h))
	for b := range h {
		buckets = append(buckets, b)
	}
	slices.Sort(buckets)
	total, out := h.Count(), make([]time.Duration, len(qs))
	for i, q := range qs {
		rank, seen := max(1, int64(math.Ceil(q*float64(total)))), int64(0)
		for _, b := range buckets {
			if seen += h[b]; seen >= rank {
				out[i] = middle(b)
				break
			}
		}
	}
	return out
}

// String is the form in the database: {"bucket":count}, in the order of the buckets.
func (h Histogram) String() string {
	buckets := make([]int, 0, len(h))
	for b := range h {
		buckets = append(buckets, b)
	}
	slices.Sort(buckets)
	out := make([]byte, 0, 2+12*len(h))
	out = append(out, '{')
	for i, b := range buckets {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, '"')
		out = strconv.AppendInt(out, int64(b), 10)
		out = append(out, '"', ':')
		out = strconv.AppendInt(out, h[b], 10)
	}
	return string(append(out, '}'))
}

var errHistogram = errors.New("not a histogram of the form {\"bucket\":count}")

// ParseHistogram reads what String writes.
func ParseHistogram(text string) (Histogram, error) {
	h := Histogram{}
	rest, ok := strings.CutPrefix(text, "{")
	if !ok {
		return nil, errHistogram
	}
	for first := true; ; first = false {
		if rest == "}" && (first || len(h) > 0) {
			return h, nil
		}
		if !first {
			if rest, ok = strings.CutPrefix(rest, ","); !ok {
				return nil, errHistogram
			}
		}
		key, after, found := strings.Cut(strings.TrimPrefix(rest, `"`), `":`)
		if !found || rest[0] != '"' {
			return nil, errHistogram
		}
		end := strings.IndexAny(after, ",}")
		if end < 0 {
			return nil, errHistogram
		}
		bucket, err1 := strconv.Atoi(key)
		n, err2 := strconv.ParseInt(after[:end], 10, 64)
		if err1 != nil || err2 != nil || n < 0 || bucket < -1 || bucket > 64<<scale {
			return nil, errHistogram
		}
		h[bucket] += n
		rest = after[end:]
	}
}
