package dates

import (
	"bytes"
	"errors"
	"slices"
	"strings"

	"stockade/jails/filter/engine"
)

// kind says how a template's text is read.
type kind uint8

const (
	calendar kind = iota
	epoch
	tai64n
)

// template is one compiled pattern. It is immutable.
type template struct {
	name     string
	kind     kind
	anchored bool
	forms    []form
	clock    bool       // a match has a colon before a digit in it
	hour     *[256]bool // what stands before the hour that a match's only such colon ends; nil: any
	run      int        // digits in a row that a match has at least
	soon     int        // above 0: the line's first colon before a digit is at most there
	sep      *[256]bool // what follows the one or two digits that the date begins with; nil: any
	after    byte       // with a window, above 0: the window begins behind the first such byte
	window   int        // above 0: a match lies in that many bytes at the line's beginning
	words    words
	lead     *[256]bool // with a window: bytes that a date may begin with; nil: any
}

// form is one regular expression of a template. Patterns that want one separator in several
// places become one form for each separator, because a backreference would cost linear time.
type form struct {
	re       *engine.Regexp
	literals []string
	first    *[256]bool // bytes that the line must begin with; nil: any
	bit      int        // in the scanner's answer
	near     int        // above 0: a match lies in that many bytes at the line's beginning
	fields   [numFields]int
}

const maxForms = 24

// build makes a template of a finished regular expression.
func build(p *piece) (*template, error) {
	t := &template{name: p.name, kind: p.kind, anchored: p.anchored}
	if p.anchored && p.bounded {
		t.window = p.window
		t.lead, t.after = p.lead, p.after
	}
	t.clock, t.hour, t.run, t.words = p.clock, p.hour, p.run, p.words
	t.soon, t.sep = p.soon, p.sep
	if len(p.places) > 0 {
		for _, at := range p.places {
			f, err := compileForm(p, at.look+p.regex)
			if err != nil {
				return nil, err
			}
			if at.first != "" {
				f.first, f.near = set(at.first), p.window
			}
			if at.literal != "" {
				f.literals = []string{at.literal}
			}
			t.forms = append(t.forms, f)
		}
		return t, nil
	}
	for _, text := range unfold(p.regex, maxForms) {
		f, err := compileForm(p, text)
		if err != nil {
			return nil, err
		}
		t.forms = append(t.forms, f)
	}
	return t, nil
}

func compileForm(p *piece, text string) (form, error) {
	re, err := engine.Compile(text, engine.Options{NoNewline: true, FoldCase: p.fold})
	if err != nil {
		return form{}, fault(p, err)
	}
	if re.Groups() == 0 {
		return form{}, &Error{p.source, -1, "it has no group that could be cut"}
	}
	f := form{re: re, literals: re.Literals()}
	for i, name := range re.Names() {
		if k := slices.Index(fieldNames[:], name); k >= 0 && name != "" {
			f.fields[k] = i
		}
	}
	return f, nil
}

// fault names the engine's reason. Its offset belongs to the finished expression and is dropped.
func fault(p *piece, err error) error {
	var bad *engine.Error
	if errors.As(err, &bad) {
		return &Error{p.source, -1, bad.Msg}
	}
	return &Error{p.source, -1, err.Error()}
}

// unfold replaces a named group over a few literal characters and the backreferences to it by
// each of the characters in turn: at most limit expressions, else the text as it is.
func unfold(text string, limit int) []string {
	out := []string{text}
	for {
		name, chars, group := separator(out[0])
		if name == "" || len(out)*len(chars) > limit {
			return out
		}
		var next []string
		for _, t := range out {
			for _, c := range chars {
				lit := `\` + string(c)
				r := strings.Replace(t, group, "("+lit+")", 1)
				next = append(next, strings.ReplaceAll(r, "(?P="+name+")", lit))
			}
		}
		out = next
	}
}

// separator finds a group of the form (?P<name>[-/.]) that is referred to later.
func separator(text string) (name, chars, group string) {
	for at := 0; ; {
		i := strings.Index(text[at:], "(?P<")
		if i < 0 {
			return "", "", ""
		}
		at += i
		rest := text[at+4:]
		name, body, ok := strings.Cut(rest, ">[")
		class, _, closed := strings.Cut(body, "])")
		if ok && closed && isName(name) && isSeparators(class) && strings.Contains(text, "(?P="+name+")") {
			return name, class, text[at : at+4+len(name)+2+len(class)+2]
		}
		at += 4
	}
}

func isName(s string) bool {
	for i := range len(s) {
		if c := s[i]; !isLetter(c) && !isDigit(c) && c != '_' {
			return false
		}
	}
	return s != ""
}

// isSeparators says whether a character class is a plain list of punctuation.
func isSeparators(class string) bool {
	for i := range len(class) {
		c := class[i]
		if c <= ' ' || c >= 0x7f || isLetter(c) || isDigit(c) || c == '\\' || c == '[' || c == ']' ||
			c == '^' && i == 0 || c == '-' && i > 0 && i < len(class)-1 {
			return false
		}
	}
	return class != ""
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// begin returns where the window of a template begins, -1 when the line cannot match it.
func (t *template) begin(line []byte) int {
	at := 0
	if t.after > 0 {
		if at = bytes.IndexByte(line, t.after) + 1; at == 0 {
			return -1
		}
	}
	if !t.mayBegin(line[at:]) {
		return -1
	}
	return at
}

// mayBegin looks at the first bytes of a text: does something that the date may begin with stand
// there, behind at most two bytes that are no part of a word, or none where the place is exact?
func (t *template) mayBegin(line []byte) bool {
	if t.lead == nil {
		return true
	}
	skip := 2
	if t.after > 0 {
		skip = 0
	}
	for i := 0; i <= skip && i < len(line); i++ {
		c := line[i]
		if c >= 0x80 {
			return true
		}
		if t.lead[c] && (t.words == anyWord || !isLetter(c) || t.mayBeWord(line[i:])) && (t.sep == nil || t.separated(line[i:])) {
			return true
		}
		if isLetter(c) || isDigit(c) || c == '_' {
			return false
		}
	}
	return false
}

// mayBeWord reports whether a text begins with a word that the date may begin with.
func (t *template) mayBeWord(text []byte) bool {
	if len(text) < 3 {
		return false
	}
	if indexName(months, text) >= 0 || indexName(days, text) >= 0 {
		return true
	}
	if t.words != zoneWords {
		return false
	}
	n := 0
	for n < len(text) && n < 6 && isLetter(text[n]) {
		n++
	}
	return n != 2 && n < 6
}

// separated reports whether a text begins with one or two digits and a separator, perhaps behind a
// blank.
func (t *template) separated(text []byte) bool {
	if text[0] == ' ' {
		text = text[1:]
	}
	for n := range min(3, len(text)) {
		if c := text[n]; !isDigit(c) {
			return c >= 0x80 || n > 0 && t.sep[c]
		}
	}
	return false
}
