package redact

import "net/netip"

// number finds what begins with the digits at i, or with the two letters before them.
func (f *finder) number(i int) {
	on := f.rules.on
	if on[IBAN] && f.iban(i) {
		return
	}
	if !f.apart(i) {
		return
	}
	if on[Card] && f.card(i) {
		return
	}
	if on[SSN] && f.ssn(i) {
		return
	}
	if on[IP] {
		f.ip4(i)
	}
}

// apart reports whether what begins at i is not the rest of a longer word or number: 0.41, 12-34, a1.
func (f *finder) apart(i int) bool {
	if i <= f.done {
		return true
	}
	switch c := f.b[i-1]; c {
	case '_':
		return false
	case '-':
		return i < 2 || !alnum(f.b[i-2])
	case '.', ':':
		return i < 2 || chars[f.b[i-2]]&figure == 0
	default:
		return !alnum(c)
	}
}

// closed reports whether what ends before i is not the beginning of a longer word or number.
func (f *finder) closed(i int) bool {
	if i >= len(f.b) {
		return true
	}
	switch c := f.b[i]; c {
	case '_':
		return false
	case '-':
		return i+1 >= len(f.b) || !alnum(f.b[i+1])
	case '.', ':':
		return i+1 >= len(f.b) || chars[f.b[i+1]]&figure == 0
	default:
		return !alnum(c)
	}
}

// card finds a payment card's number by its first digits, its length, its groups and its check digit.
func (f *finder) card(i int) bool {
	b := f.b
	var digits [20]byte
	var groups [6]int
	n, g, at, end := 0, 0, i, 0
	separator := byte(0)
	for at < len(b) && n < len(digits) {
		if c := b[at]; chars[c]&figure != 0 {
			digits[n] = c - '0'
			n++
			groups[g]++
			at++
			continue
		}
		if f.closed(at) && paid(digits[:n], groups[:g+1]) {
			end = at // as far as the groups make one
		}
		c := b[at]
		if (c != ' ' && c != '-') || separator != 0 && c != separator || at+1 >= len(b) || chars[b[at+1]]&figure == 0 || g == len(groups)-1 {
			break
		}
		separator = c
		g++
		at++
	}
	if f.closed(at) && paid(digits[:n], groups[:g+1]) {
		end = at
	}
	if end == 0 {
		return false
	}
	f.take(i, end, Card)
	return true
}

// paid reports whether digits, written in groups, are the number of a card.
func paid(d []byte, groups []int) bool {
	n := len(d)
	if n < 14 || n > 19 || !grouped(groups, n) || !issued(d) {
		return false
	}
	sum := 0
	for k := range n {
		v := int(d[n-1-k])
		if k%2 == 1 {
			if v *= 2; v > 9 {
				v -= 9
			}
		}
		sum += v
	}
	return sum%10 == 0
}

// grouped reports whether cards are written in such groups: not at all, by four, or 4-6-5 and 4-6-4.
func grouped(groups []int, n int) bool {
	if len(groups) == 1 {
		return true
	}
	if len(groups) == 3 && groups[0] == 4 && groups[1] == 6 {
		return n == 15 || n == 14
	}
	for _, g := range groups[:len(groups)-1] {
		if g != 4 {
			return false
		}
	}
	return len(groups) >= 4 && groups[len(groups)-1] <= 4
}

// issued reports whether a network gives out numbers that begin so and are that long.
func issued(d []byte) bool {
	two := int(d[0])*10 + int(d[1])
	four := two*100 + int(d[2])*10 + int(d[3])
	n := len(d)
	switch {
	case d[0] == 4: // Visa
		return n == 16 || n == 19
	case two >= 51 && two <= 55, four >= 2221 && four <= 2720: // Mastercard
		return n == 16
	case two == 34 || two == 37: // American Express
		return n == 15
	case four == 6011, four >= 6440 && four <= 6599, four >= 3528 && four <= 3589, two == 62: // Discover, JCB, UnionPay
		return n >= 16
	case two == 36, two == 38, two == 39, four >= 3000 && four <= 3059: // Diners Club
		return n == 14 || n == 16
	case four == 5018, four == 5020, four == 5038, four == 6304, four == 6759, four == 6761, four == 6763: // Maestro
		return n >= 16
	}
	return false
}

// ssn finds a number of the United States' social security, in the ranges that are given out.
func (f *finder) ssn(i int) bool {
	b := f.b
	if i+11 > len(b) || b[i+3] != '-' || b[i+6] != '-' || !f.closed(i+11) {
		return false
	}
	for k := range 11 {
		if k != 3 && k != 6 && chars[b[i+k]]&figure == 0 {
			return false
		}
	}
	area, group, serial := string(b[i:i+3]), string(b[i+4:i+6]), string(b[i+7:i+11])
	if area == "000" || area == "666" || area[0] == '9' || group == "00" || serial == "0000" {
		return false
	}
	f.take(i, i+11, SSN)
	return true
}

// ibans is how long an account number of each country is.
var ibans = map[string]int{"AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BI": 27, "BR": 29, "BY": 28, "CH": 21, "CR": 22, "CY": 28,
	"CZ": 24, "DE": 22, "DJ": 27, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18, "FK": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28,
	"HN": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LC": 32, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "LY": 25,
	"MC": 27, "MD": 24, "ME": 22, "MK": 19, "MN": 20, "MR": 27, "MT": 31, "MU": 30, "NI": 28, "NL": 18, "NO": 15, "OM": 23, "PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24,
	"RS": 22, "RU": 33, "SA": 24, "SC": 31, "SD": 18, "SE": 24, "SI": 19, "SK": 24, "SM": 27, "SO": 23, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24,
	"XK": 20, "YE": 30}

// iban finds an account number whose two check digits are at i: written together, or in groups of four.
func (f *finder) iban(i int) bool {
	b := f.b
	start := i - 2
	if start < f.done || i+2 >= len(b) || chars[b[i+1]]&figure == 0 || !f.apart(start) {
		return false
	}
	length, known := ibans[string(b[start:i])]
	if !known {
		return false
	}
	at, n, rest := start, 0, 0
	var head int // the first four characters, which are counted last
	spaced := i+2 < len(b) && b[i+2] == ' '
	for n < length && at < len(b) {
		if spaced && n > 0 && n%4 == 0 {
			if b[at] != ' ' || at+1 >= len(b) {
				return false
			}
			at++
		}
		c := b[at]
		var v, by int
		switch {
		case c >= '0' && c <= '9':
			v, by = int(c-'0'), 10
		case c >= 'A' && c <= 'Z':
			v, by = int(c-'A')+10, 100
		default:
			return false
		}
		if n < 4 {
			head = head*by + v
		} else {
			rest = (rest*by + v) % 97
		}
		n++
		at++
	}
	// Two letters and two digits make six digits.
	if n < length || !f.closed(at) || (rest*1_000_000+head)%97 != 1 {
		return false
	}
	f.take(start, at, IBAN)
	return true
}

// ip4 finds an address of the fourth version.
func (f *finder) ip4(i int) {
	end := i
	dots := 0
	for end < len(f.b) && end-i < 15 && (chars[f.b[end]]&figure != 0 || f.b[end] == '.' && dots < 3) {
		if f.b[end] == '.' {
			dots++
		}
		end++
	}
	next := end >= len(f.b) || f.b[end] == ':' || f.closed(end)
	if dots != 3 || !next || chars[f.b[end-1]]&figure == 0 {
		return
	}
	if _, err := netip.ParseAddr(string(f.b[i:end])); err == nil {
		f.take(i, end, IP)
	}
}

// ip6 finds an address of the sixth version of which the : at i is the first.
func (f *finder) ip6(i int) bool {
	part := func(c byte) bool { return c == ':' || chars[c]&figure != 0 || c|' ' >= 'a' && c|' ' <= 'f' }
	start, end, colons := i, i, 0
	for start > f.done && i-start < 4 && part(f.b[start-1]) && f.b[start-1] != ':' {
		start--
	}
	for end < len(f.b) && end-start < 39 && part(f.b[end]) {
		if f.b[end] == ':' {
			colons++
		}
		end++
	}
	if colons < 2 || !f.alone(start) || start > f.done && f.b[start-1] == ':' || !f.ends(end) || end-start < 4 {
		return false
	}
	if _, err := netip.ParseAddr(string(f.b[start:end])); err != nil {
		return false
	}
	f.take(start, end, IP)
	return true
}
