package object

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"airfield/internal/bucket"
)

// A version is one object of the store, whose name says all there is to know of it but its size:
//
//	PREFIX objects/KEY!/AGE-RANDOM,SHA256,MEDIATYPE     or AGE-RANDOM,deleted for a marker
//
// In KEY and MEDIATYPE
//
//	0-9 _ ` a-z     stand for themselves
//	.               is "/"
//	-xx Xxx ~xx     are any other byte: one that comes before "/", between "9" and "_", or after "z"
//
// and KEY is cut by a "/" after every pieceBytes bytes. So names sort as keys do, "!" coming before all that a longer
// key goes on with; no name has a part that is empty, a dot or longer than a file system takes, and none is both an
// object and a folder, which servers that keep files would refuse. AGE counts down, so that the newest comes first.
const (
	objects    = "objects/"
	end        = "!"
	pieceBytes = 60
	marker     = "deleted"
	behindAll  = "~" // sorts after every version

	maxMediaTypeName = 150
)

const hexDigits = "0123456789abcdef"

// escape writes a text byte by byte. cut inserts the slashes of a key.
func escape(text string, cut bool) string {
	var b strings.Builder
	for i, c := range []byte(text) {
		if cut && i > 0 && i%pieceBytes == 0 {
			b.WriteByte('/')
		}
		switch {
		case c == '/':
			b.WriteByte('.')
		case c >= '0' && c <= '9', c >= '_' && c <= 'z':
			b.WriteByte(c)
		default:
			lead := byte('~')
			if c < '/' {
				lead = '-'
			} else if c < '_' {
				lead = 'X'
			}
			b.Write([]byte{lead, hexDigits[c>>4], hexDigits[c&15]})
		}
	}
	return b.String()
}

// unescape is the inverse of escape; false for what escape does not write.
func unescape(name string, cut bool) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		switch c := name[i]; c {
		case '/':
		case '.':
			b.WriteByte('/')
		case '-', 'X', '~':
			if i+2 >= len(name) {
				return "", false
			}
			hi, lo := strings.IndexByte(hexDigits, name[i+1]), strings.IndexByte(hexDigits, name[i+2])
			if hi < 0 || lo < 0 {
				return "", false
			}
			b.WriteByte(byte(hi<<4 | lo))
			i += 2
		default:
			b.WriteByte(c)
		}
	}
	text := b.String()
	return text, escape(text, cut) == name
}

// folder is what the names of a key's versions begin with.
func folder(key string) string {
	name := objects + escape(key, true)
	if key != "" && len(key)%pieceBytes == 0 {
		name += "/"
	}
	return name + end + "/"
}

// name is where a version is kept, below the prefix.
func name(o bucket.Object) string { return folder(o.Key) + versionName(o) }

// versionName is the last part of a version's name.
func versionName(o bucket.Object) string {
	micros, random, _ := strings.Cut(o.Version, "-")
	name := invert(micros) + "-" + random + ","
	if o.Deleted {
		return name + marker
	}
	return name + o.SHA256 + "," + escape(o.MediaType, false)
}

// invert turns a moment of 16 hex digits into one that sorts the other way, and back.
func invert(micros string) string {
	n, err := strconv.ParseInt(micros, 16, 64)
	if err != nil || n < 0 {
		return micros // made by somebody else: parse refuses it
	}
	return fmt.Sprintf("%016x", math.MaxInt64-n)
}

// parse reads a name below the prefix; false for one that is not of a version.
func parse(name string) (o bucket.Object, ok bool) {
	name, ok = strings.CutPrefix(name, objects)
	i := strings.LastIndexByte(name, '/')
	if !ok || i < 0 {
		return o, false
	}
	escaped, ok := strings.CutSuffix(name[:i], end)
	if !ok {
		return o, false
	}
	if o.Key, ok = unescape(strings.TrimSuffix(escaped, "/"), true); !ok || objects+name[:i+1] != folder(o.Key) || bucket.CheckKey(o.Key) != nil {
		return o, false
	}
	part := strings.Split(name[i+1:], ",")
	age, random, _ := strings.Cut(part[0], "-")
	if len(age) != 16 || len(part) < 2 {
		return o, false
	}
	o.Version = invert(age) + "-" + random
	if o.Modified, ok = bucket.Moment(o.Version); !ok {
		return o, false
	}
	switch {
	case part[1] == marker && len(part) == 2:
		o.Deleted = true
	case len(part) == 3 && len(part[1]) == 64:
		o.SHA256 = part[1]
		if o.MediaType, ok = unescape(part[2], false); !ok {
			return o, false
		}
	default:
		return o, false
	}
	return o, versionName(o) == name[i+1:]
}
