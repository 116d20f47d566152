package control

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// EscapeJSON returns a JSON document in which each unprintable character, which a terminal could act
// on, is written as \uXXXX; newlines stay. It means the same. Outside strings a document of
// encoding/json is ASCII, so an escape never lands outside a string. The result is doc itself where
// nothing is to be escaped, else a copy.
func EscapeJSON(doc []byte) []byte {
	clean := true
	for _, b := range doc {
		if b >= 0x7f {
			clean = false
			break
		}
	}
	if clean {
		return doc
	}
	out := make([]byte, 0, len(doc)+64)
	for i := 0; i < len(doc); {
		r, n := utf8.DecodeRune(doc[i:])
		if r == '\n' || unicode.IsPrint(r) && r != utf8.RuneError {
			out = append(out, doc[i:i+n]...)
		} else {
			out = appendEscape(out, r)
		}
		i += n
	}
	return out
}

func appendEscape(out []byte, r rune) []byte {
	if r > 0xffff {
		hi, lo := utf16.EncodeRune(r)
		return appendEscape(appendEscape(out, hi), lo)
	}
	const hex = "0123456789abcdef"
	return append(out, '\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15])
}

// Escape returns s fit for a terminal or one line of a report: unprintable characters are written
// as \xHH, \uHHHH or \UHHHHHHHH and bytes that are no UTF-8 as \xHH, everything else as it is. A
// backslash stays alone, so that patterns can be copied: the result is for reading, not for decoding.
func Escape(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1 || r < utf8.RuneSelf && !unicode.IsPrint(r):
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case r > 0xffff:
			fmt.Fprintf(&b, `\U%08x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
		i += n
	}
	return b.String()
}
