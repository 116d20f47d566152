package dates

import (
	"strings"
)

// Limits of date patterns.
const (
	maxPattern   = 16 << 10 // bytes
	maxTemplates = 256
)

// piece is one template on the way from a pattern to a regular expression.
type piece struct {
	source   string // as it was written, for errors
	name     string
	kind     kind
	regex    string
	fold     bool
	anchored bool
	bounded  bool // no match is longer than window, but for blanks
	window   int
	lead     *[256]bool
	words    words
	after    byte // above 0: the date follows the first such byte of the line
	clock    bool // every match has a colon before a digit in it
	hour     *[256]bool
	run      int
	soon     int
	sep      *[256]bool
	places   []place
}

// place is where a template that is no calendar one may begin, when it is not bound to the line's
// beginning.
type place struct {
	look    string // what stands before it
	first   string // the bytes that the line then begins with; empty: any
	literal string // what the line then contains; empty: unknown
}

// templates compiles all patterns of a text, one a line, in order. A template that an earlier
// pattern gave already is left out.
func templates(text string) ([]*template, error) {
	if len(text) > maxPattern {
		return nil, &Error{text[:80] + "...", -1, "it is longer than 16 KiB"}
	}
	if strings.TrimSpace(text) == "" {
		text = "{DEFAULT}"
	}
	var out []*template
	known := map[string]bool{}
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		for _, p := range expand(line) {
			if known[p] {
				continue
			}
			known[p] = true
			t, err := compile(line, p)
			if err != nil {
				return nil, err
			}
			if out = append(out, t); len(out) > maxTemplates {
				return nil, &Error{text, -1, "it makes more than 256 templates"}
			}
		}
	}
	return out, nil
}

// expand turns one line into patterns without {DEFAULT}, {DATE} and {NONE}.
func expand(line string) []string {
	switch strings.ToUpper(line) {
	case "{NONE}":
		return nil
	case "{DEFAULT}":
		return append(anchoredTwins(), defaults...)
	case lineBegin:
		return lineDefaults()
	}
	if !strings.Contains(strings.ToUpper(line), "{DATE}") {
		return []string{line}
	}
	var out []string
	for _, d := range defaults {
		out = append(out, replaceFold(line, "{DATE}", strings.TrimPrefix(d, lineBegin)))
	}
	return out
}

// anchoredTwins are the defaults bound to the beginning of the line, those that are not yet.
func anchoredTwins() []string {
	var out []string
	for _, d := range defaults {
		if !beginsLine(d) {
			out = append(out, lineBegin+d)
		}
	}
	return out
}

// lineDefaults are all defaults that are bound to the beginning of the line.
func lineDefaults() []string {
	out := anchoredTwins()
	for _, d := range defaults {
		if beginsLine(d) {
			out = append(out, d)
		}
	}
	return out
}

// replaceFold replaces old, which is in upper case, however ASCII letters are written.
func replaceFold(s, old, text string) string {
	folded := []byte(s) // of the same length, whatever the bytes are
	for i, c := range folded {
		if 'a' <= c && c <= 'z' {
			folded[i] = c - 'a' + 'A'
		}
	}
	upper := string(folded)
	var b strings.Builder
	for {
		i := strings.Index(upper, old)
		if i < 0 {
			b.WriteString(s)
			return b.String()
		}
		b.WriteString(s[:i])
		b.WriteString(text)
		s, upper = s[i+len(old):], upper[i+len(old):]
	}
}

// compile makes the template of one pattern.
func compile(source, pattern string) (*template, error) {
	p := &piece{source: source, name: pattern, bounded: true}
	upper := strings.ToUpper(pattern)
	rest, bound := strings.CutPrefix(upper, lineBegin)
	if !bound {
		rest, bound = strings.CutPrefix(upper, "^")
	}
	switch rest {
	case "TAI64N", "{TAI64N}":
		p.kind = tai64n
		p.whole(bound, `@[0-9a-f]{24}`, []place{{literal: "@"}}, 25, "@")
	case "EPOCH", "{EPOCH}":
		p.kind = epoch
		p.whole(bound, `(?P<epoch>`+epochShort+`)`, epochPlaces, 18, digits)
	case "LEPOCH", "{LEPOCH}":
		p.kind = epoch
		p.whole(bound, `(?P<epoch>`+epochLong+`)`, epochPlaces, 21, digits)
	default:
		if err := p.calendar(pattern); err != nil {
			return nil, err
		}
	}
	return build(p)
}

const digits = "0123456789"

// epochPlaces is where a count of seconds may begin when it is not bound to the line's beginning:
// there, in a bracket there, and in the kernel's audit records.
var epochPlaces = []place{{`^`, digits, ""}, {`(?<=^\[)`, "[", ""}, {`(?<=\baudit\()`, "", "audit("}}

const endBound = `(?=\b|\W|$)`

// whole fills in a template that is not made of %-tokens.
func (p *piece) whole(bound bool, regex string, places []place, width int, lead string) {
	p.anchored, p.window = bound, 8+width+8
	if p.kind == epoch {
		p.run = 10
	}
	p.lead = set(lead)
	if bound {
		p.regex = atLineBegin + `(` + regex + `)` + endBound
		return
	}
	p.regex = `(` + regex + `)` + endBound
	p.places = places
}

func set(chars string) *[256]bool {
	var s [256]bool
	for i := range len(chars) {
		s[chars[i]] = true
	}
	return &s
}

// atLineBegin is what {^LN-BEG} stands for.
const atLineBegin = `^(?:\W{0,2})?`

// calendar fills in a template of %-tokens, literal text and regular expression.
func (p *piece) calendar(pattern string) error {
	body := pattern
	inLine := false
	if n := len(lineBegin); len(body) >= n && strings.EqualFold(body[:n], lineBegin) {
		body, inLine = body[n:], true
	}
	flags := ""
	if strings.HasPrefix(body, "(?") {
		if i := strings.IndexByte(body, ')'); i > 0 && strings.Trim(body[2:i], "aiLmsux") == "" {
			flags, body = body[:i+1], body[i+1:]
		}
	}
	front, freeFront := openedBy(body, "^"), openedBy(body, "**")
	p.anchored = inLine || front
	freeBack := endsFree(body)
	if rest, ok := strings.CutPrefix(body, unbound); ok && !inLine {
		body, freeFront, freeBack = rest, true, true
		front = openedBy(body, "^")
		p.anchored = front
	}
	body = strings.TrimSuffix(strings.TrimPrefix(body, "**"), "**")
	if freeFront && openedBy(body, "**") {
		body = strings.Replace(body, "**", "", 1)
	}
	regex, err := p.translate(pattern, body)
	if err != nil {
		return err
	}
	if !hasGroup(body) {
		head, tail := "", ""
		if strings.HasPrefix(regex, "^") {
			head, regex = "^", regex[1:]
		}
		if strings.HasSuffix(regex, "$") && !strings.HasSuffix(regex, `\$`) {
			tail, regex = "$", regex[:len(regex)-1]
		}
		regex = head + "(" + regex + ")" + tail
	}
	switch {
	case inLine:
		regex = atLineBegin + regex
	case !front && !freeFront:
		regex = `(?=^|\b|\W)` + regex
	}
	if !freeBack {
		regex += endBound
	}
	if p.kind == epoch {
		// The digits are a part of a pattern: all of it is cut.
		regex = "(" + regex + ")"
	}
	p.regex = flags + regex
	p.window += 16
	if p.clock = hasClockAlways(body); p.clock {
		p.hour = beforeHour(body)
	}
	p.run = digitsAtStart(body)
	p.bounded = p.bounded && safeBars(body)
	if inLine {
		p.window += 8
		p.lead, p.words = leads(body)
		p.sep = separators(body)
		if p.clock {
			p.soon = clockBy(body)
		}
	} else if mark, n := context(body); n > 0 && flags == "" {
		rest := piece{bounded: true}
		if _, err := rest.translate(pattern, body[n:]); err != nil {
			return err
		}
		p.after, p.bounded, p.window = mark, rest.bounded && safeBars(body), rest.window+16
		p.lead, p.words = leads(body[n:])
	}
	return nil
}

// translate replaces the %-tokens and the epochs in braces, and measures.
func (p *piece) translate(pattern, body string) (string, error) {
	var b strings.Builder
	at := len(pattern) - len(body)
	for i := 0; i < len(body); {
		c := body[i]
		switch {
		case c == '%':
			name := letters(body[i+1:])
			t, ok := tokens[name]
			if !ok {
				return "", &Error{pattern, min(max(at+i, 0), len(pattern)), "%" + name + " is no part of a date"}
			}
			b.WriteString(t.regex)
			p.fold = p.fold || t.fold
			p.window += t.width
			i += 1 + len(name)
			if i < len(body) && strings.IndexByte("*+{?", body[i]) >= 0 {
				p.bounded = p.bounded && body[i] == '?'
			}
			continue
		case c == '\\' && i+1 < len(body):
			b.WriteString(body[i : i+2])
			p.window += 4
			if body[i+1] == 's' && i+2 < len(body) && strings.IndexByte("*+", body[i+2]) >= 0 {
				b.WriteByte(body[i+2]) // blanks are measured as they come
				i++
			}
			i += 2
			continue
		case c == '{' && hasPrefixFold(body[i:], "{EPOCH}"):
			b.WriteString(`(?P<epoch>` + epochShort + `)`)
			p.kind, p.bounded = epoch, false
			i += len("{EPOCH}")
			continue
		case c == '{' && hasPrefixFold(body[i:], "{LEPOCH}"):
			b.WriteString(`(?P<epoch>` + epochLong + `)`)
			p.kind, p.bounded = epoch, false
			i += len("{LEPOCH}")
			continue
		case c == '*' || c == '+' || c == '{':
			p.bounded = false
		}
		p.window += 4
		b.WriteByte(c)
		i++
	}
	return b.String(), nil
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// letters returns the name of the token that follows a %.
func letters(s string) string {
	if strings.HasPrefix(s, "Ex") && len(s) > 2 {
		return s[:3]
	}
	if s == "" {
		return ""
	}
	return s[:1]
}
