package redact

import (
	"bytes"
	"strings"
)

// names are what a field that holds a secret is called, in small letters and without - and _. A name that ends with one
// is one too: db_password.
var names = []string{"password", "passwd", "pwd", "passphrase", "secret", "secretkey", "secretaccesskey", "apikey", "accesskey", "accesstoken", "authtoken",
	"refreshtoken", "privatekey", "clientsecret", "sessiontoken", "authorization", "accountkey", "sharedaccesskey", "signingkey", "encryptionkey"}

const (
	longestName  = 48
	longestValue = 512
)

// named reports whether a field of this name holds a secret.
func named(name []byte) bool {
	if len(name) < 3 || len(name) > longestName {
		return false
	}
	switch name[len(name)-1] | ' ' { // the last letters of names
	case 'd', 'e', 't', 'y', 'n':
	default:
		return false
	}
	var small [longestName]byte
	n := 0
	for _, c := range name {
		if c != '-' && c != '_' {
			if c >= 'A' && c <= 'Z' {
				c |= ' '
			}
			small[n] = c
			n++
		}
	}
	for _, secret := range names {
		if bytes.HasSuffix(small[:n], []byte(secret)) {
			return true
		}
	}
	return false
}

// assigned finds the value that is given to a secret's name by the = or : at i, the user and password of an address by
// its ://, and addresses of the sixth version.
func (f *finder) assigned(i int) {
	b := f.b
	if b[i] == ':' {
		if f.rules.on[IP] && f.ip6(i) {
			return
		}
		if i+2 < len(b) && b[i+1] == '/' && b[i+2] == '/' {
			f.userinfo(i)
			return
		}
	}
	if !f.rules.on[Secret] {
		return
	}
	end := i
	for end > 0 && i-end < 6 && bytes.IndexByte([]byte(` "'\`+"`"), b[end-1]) >= 0 {
		end--
	}
	start := end
	for start > f.done && end-start < longestName && chars[b[start-1]]&(letter|figure|under) != 0 {
		start--
	}
	if !named(b[start:end]) {
		return
	}
	from, to, ok := f.given(i)
	if ok {
		f.take(from, to, Secret)
	}
}

// given returns the value that stands after the = or : at i, and whether it is one.
func (f *finder) given(i int) (from, to int, ok bool) {
	b := f.b
	at := i + 1
	if at < len(b) && b[i] == ':' && b[at] == '=' {
		at++
	}
	spaced := at
	for at < len(b) && at < i+8 && b[at] == ' ' {
		at++
	}
	spaced = at - spaced
	quoted := byte(0)
	for at < len(b) && b[at] == '\\' && at < i+12 {
		at++
	}
	if at < len(b) && (b[at] == '"' || b[at] == '\'' || b[at] == '`') {
		quoted = b[at]
		at++
	}
	for _, scheme := range []string{"bearer ", "basic ", "token "} {
		if len(b)-at > len(scheme) && bytes.EqualFold(b[at:at+len(scheme)], []byte(scheme)) {
			at += len(scheme)
			break
		}
	}
	end := at
	for end < len(b) && end-at < longestValue {
		c := b[end]
		if quoted != 0 && (c == quoted || c == '\\' && end+1 < len(b) && b[end+1] == quoted) || c == '\n' || c == '\r' {
			break
		}
		if quoted == 0 && (c <= ' ' || bytes.IndexByte([]byte("\"'`;,&<>)}|"), c) >= 0) {
			break
		}
		end++
	}
	if f.rules.placeholderAt(b, at) > 0 {
		return 0, 0, false
	}
	text := b[at:end]
	switch {
	case quoted != 0 && end < len(b):
		ok = len(text) >= 4 && !reference(text)
	case b[i] == '=' && spaced == 0:
		ok = len(text) >= 4 && !code(text)
	default: // in a sentence it must look like a password
		text = bytes.TrimRight(text, ".!?:")
		end = at + len(text)
		ok = len(text) >= 8 && !code(text) && bytes.ContainsAny(text, "0123456789") && bytes.ContainsFunc(text, func(r rune) bool { return r|' ' >= 'a' && r|' ' <= 'z' })
	}
	return at, end, ok
}

// reference reports whether a text says where a secret is, not what it is.
func reference(text []byte) bool {
	switch text[0] {
	case '$', '{', '<', '%', '*':
		return true
	}
	return bytes.HasPrefix(text, []byte("env:")) || bytes.HasPrefix(text, []byte("file:"))
}

// code reports whether a value that is not quoted is a part of a program: a call, a path of names, a constant, nothing.
func code(text []byte) bool {
	if reference(text) || text[0] == '[' || text[0] == '/' || bytes.ContainsAny(text, "([") {
		return true
	}
	switch strings.ToLower(string(text)) {
	case "null", "none", "true", "false", "undefined", "string", "required", "optional", "password", "secret":
		return true
	}
	dots, upper, plain := 0, true, true
	for _, c := range text {
		switch {
		case c == '.':
			dots++
		case c >= 'a' && c <= 'z':
			upper = false
		case chars[c]&figure != 0:
			upper, plain = false, false
		case c != '_' && (c < 'A' || c > 'Z'):
			upper, plain = false, false
		}
	}
	return upper && bytes.IndexByte(text, '_') > 0 || plain && dots > 0
}

// userinfo finds the user and password of the address whose :// is at i.
func (f *finder) userinfo(i int) {
	b := f.b
	if !f.rules.on[Secret] || i == 0 || !alnum(b[i-1]) {
		return
	}
	start, end, colon := i+3, -1, -1
	for at := start; at < len(b) && at-start < longestValue; at++ {
		c := b[at]
		if c <= ' ' || c == '/' || c == '?' || c == '#' || c == '"' || c == '\'' || c == '<' || c == '>' || c == '`' {
			break
		}
		if c == ':' && colon < 0 {
			colon = at
		}
		if c == '@' {
			end = at
		}
	}
	if end < 0 || colon < 0 || colon+1 >= end || reference(b[colon+1:end]) {
		return
	}
	f.take(start, end, Secret)
}
