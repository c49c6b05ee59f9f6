package gateway

import (
	"encoding/binary"

	"airfield/internal/llm"
)

// medium is what a surface makes, or takes, that is not text and is charged in its own way.
type medium uint8

const (
	pictures medium = iota + 1 // made, charged by tokens or by the piece
	speech                     // made, charged by the characters that are spoken or by tokens
	sound                      // heard, charged by seconds or by tokens
)

// media is what a request says of it.
type media struct {
	characters int64 // to be spoken
	partial    int64 // pictures that are shown before each is ready
	given      int   // pictures that go in
	seconds    int64 // of sound that goes in, by its bytes
	sure       bool  // they cannot be more
	words      int64 // tokens of text in a form
}

// What is expected of a call whose provider does not say what it used. The figures are OpenAI's: a picture of middling
// quality, sound at a tenth of a second a token and less, an English speaker.
const (
	pictureTokens = 1056
	speechTokens  = 3 // for two characters
	soundTokens   = 20
	textTokens    = 4 // for a second
)

// A picture that is made has at most so many tokens, and each that is shown before it so many more.
// https://platform.openai.com/docs/guides/image-generation#cost-and-latency
const (
	mostPictureTokens = 6240
	partialTokens     = 100
)

// maxPicture bounds one event of a stream of pictures: the usage stands behind the picture in the same event.
const maxPicture = 32 << 20

// mediaGuess is what a call will probably use, in every way in which it may be charged.
func (c *call) mediaGuess() llm.Usage {
	q := &c.asked
	u := llm.Usage{Source: llm.Estimated, Input: q.media.words}
	if !q.shape.form {
		u.Input = q.inputTokens(c.req.Body)
	}
	switch q.shape.medium {
	case pictures:
		u.Images = min(q.choices, mostExpected)
		u.ImageInput, u.Output = int64(q.media.given)*pictureTokens, min(u.Images*pictureTokens, mostExpected)
	case speech:
		u.Characters, u.AudioOutput = q.media.characters, q.media.characters*speechTokens/2
	case sound:
		u.Seconds, u.AudioInput, u.Output = q.media.seconds, q.media.seconds*soundTokens, q.media.seconds*textTokens
	}
	return u
}

// mediaUsage is what an answer used: as it was reported, else counted where the price is for something that can be
// counted, else estimated.
func (c *call) mediaUsage(read Reading) llm.Usage {
	u, guess := read.Usage, c.expected()
	if u.Source != "" {
		u.Characters = guess.Characters
		return u
	}
	price, _ := c.served.priceAt(c.g.prices, c.row.Start)
	switch c.asked.shape.medium {
	case pictures:
		if made := read.Usage.Images; made > 0 {
			guess.Images = made
			if price.Images > 0 {
				return llm.Usage{Images: made, Source: llm.Counted}
			}
		}
	case speech:
		if price.Characters > 0 {
			return llm.Usage{Characters: guess.Characters, Source: llm.Counted}
		}
	case sound:
		if price.Seconds > 0 {
			counted := llm.Usage{Seconds: guess.Seconds, Source: llm.Estimated}
			if c.asked.media.sure {
				counted.Source = llm.Counted
			}
			return counted
		}
	}
	return guess
}

// mediaCeiling is the most a call can use at a deployment, or why nobody can know.
func (c *call) mediaCeiling(d *deployment, price *llm.Price) (u llm.Usage, reason string) {
	q := &c.asked
	u.Source = llm.Estimated
	byTokens := max(price.Input, price.AudioInput, price.Output, price.AudioOutput) > 0
	switch q.shape.medium {
	case pictures:
		u.Input = int64(len(c.req.Body))
		if q.media.given > 0 {
			if d.context == 0 {
				return u, "how many tokens the pictures in it are is not known: set context_tokens of the model " + d.model.name
			}
			u.Input = d.context
		}
		each := max(mostPictureTokens+partialTokens*min(q.media.partial, mostExpected), d.maxOutput)
		if q.choices > mostExpected/each {
			return u, "it asks for more pictures than any budget holds"
		}
		u.Images, u.Output = q.choices, q.choices*each
	case speech:
		if byTokens || price.Characters == 0 {
			return u, "speech that is charged by tokens has no bound before it is made: take a model that is charged by characters"
		}
		u.Characters = q.media.characters
	case sound:
		if byTokens || price.Seconds == 0 || !q.media.sure {
			return u, "how long the sound is, is not known before it was heard: send WAV to a model that is charged by seconds"
		}
		u.Seconds = q.media.seconds
	}
	return u, ""
}

// heard is how many seconds of sound a file has, begun ones whole. For plain WAV its size says it, and sure is set;
// everything else is taken for 64 kbit/s.
func heard(file []byte) (seconds int64, sure bool) {
	if n := wavBytes(file); n > 0 {
		return (int64(len(file)) + n - 1) / n, true
	}
	return int64(len(file))/8000 + 1, false
}

// wavBytes is how many bytes a second of a WAV file has whose samples are not compressed; 0 for every other file.
// http://soundfile.sapp.org/doc/WaveFormat/
func wavBytes(b []byte) int64 {
	if len(b) < 12 || string(b[:4]) != "RIFF" || string(b[8:12]) != "WAVE" {
		return 0
	}
	for b = b[12:]; len(b) >= 8; {
		name, size := string(b[:4]), int64(binary.LittleEndian.Uint32(b[4:8]))
		b = b[8:]
		if name == "fmt " {
			if size < 16 || len(b) < 16 {
				return 0
			}
			format, rate, frame := binary.LittleEndian.Uint16(b), binary.LittleEndian.Uint32(b[4:]), binary.LittleEndian.Uint16(b[12:])
			if (format != 1 && format != 3) || rate > 768_000 || frame > 1024 {
				return 0
			}
			return int64(rate) * int64(frame)
		}
		if size += size & 1; size > int64(len(b)) {
			return 0
		}
		b = b[size:]
	}
	return 0
}
