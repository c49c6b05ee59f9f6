package file

import (
	"strings"

	"airfield/internal/bucket"
)

// A key becomes a path: its bytes are cut after each of the first maxFolders "/" and after each pieceBytes, and
// each piece is the name of a folder. In a name
//
//	a-z 0-9 . _ -   stand for themselves, a "." only when it is not the first
//	^a              is "A": names differ also where the file system ignores case
//	+               is "/"
//	%xx             is any other byte
//
// So no name is "." or "..", none has more than 3*pieceBytes bytes, no path is so deep that it costs, two keys
// never share a path, and the keys of a folder sort as their pieces do. A folder whose path is a whole key holds
// its versions, whose names begin with "~", which no piece has.
const (
	pieceBytes = 64
	maxFolders = 16
)

const hexDigits = "0123456789abcdef"

// pieces cuts a key.
func pieces(key string) (out []string) {
	for key != "" {
		n := min(len(key), pieceBytes)
		if i := strings.IndexByte(key[:n], '/'); i >= 0 && len(out) < maxFolders {
			n = i + 1
		}
		out = append(out, key[:n])
		key = key[n:]
	}
	return out
}

// keyPath is the folder of a key's versions, below the folder of objects.
func keyPath(key string) string {
	var b strings.Builder
	b.WriteString(objects)
	for _, piece := range pieces(key) {
		b.WriteByte('/')
		b.WriteString(encode(piece))
	}
	return b.String()
}

func encode(piece string) string {
	var b strings.Builder
	for i, c := range []byte(piece) {
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '_', c == '-', c == '.' && i > 0:
			b.WriteByte(c)
		case c >= 'A' && c <= 'Z':
			b.WriteByte('^')
			b.WriteByte(c | 0x20)
		case c == '/':
			b.WriteByte('+')
		default:
			b.WriteByte('%')
			b.WriteByte(hexDigits[c>>4])
			b.WriteByte(hexDigits[c&15])
		}
	}
	return b.String()
}

// decode is the inverse of encode; false for a name that encode does not make.
func decode(name string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		switch c := name[i]; {
		case c == '^' && i+1 < len(name):
			i++
			b.WriteByte(name[i] &^ 0x20)
		case c == '+':
			b.WriteByte('/')
		case c == '%' && i+2 < len(name):
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
	piece := b.String()
	return piece, name != "" && encode(piece) == name
}

// A version's name says all there is to know of it but its size: "~VERSION,SHA256,MEDIATYPE", the media type
// encoded like a piece, or "~VERSION,deleted". One rename makes it visible with everything about it.
const marker = "deleted"

func versionName(o bucket.Object) string {
	if o.Deleted {
		return "~" + o.Version + "," + marker
	}
	return "~" + o.Version + "," + o.SHA256 + "," + encode(o.MediaType)
}

// parseVersion is the inverse of versionName; false for any other name.
func parseVersion(name string) (o bucket.Object, ok bool) {
	rest, ok := strings.CutPrefix(name, "~")
	if !ok {
		return o, false
	}
	part := strings.Split(rest, ",")
	o.Version = part[0]
	if o.Modified, ok = bucket.Moment(o.Version); !ok || len(part) < 2 {
		return o, false
	}
	if part[1] == marker {
		o.Deleted = true
		return o, len(part) == 2
	}
	if len(part) != 3 || len(part[1]) != 64 {
		return o, false
	}
	o.SHA256 = part[1]
	if part[2] == "" {
		return o, true
	}
	o.MediaType, ok = decode(part[2])
	return o, ok
}
