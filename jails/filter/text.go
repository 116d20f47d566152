package filter

import (
	"fmt"
	"regexp/syntax"
	"strings"
)

// reNativeAddr matches what may be an address; whether it is one is decided after the match.
const reNativeAddr = `(?:::[fF]{4}:)?[0-9]{1,3}(?:\.[0-9]{1,3}){3}|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*`

// reNativeDate matches a time stamp of the common forms, or nothing: a file's line has one that a
// syslog message lacks.
const reNativeDate = `(?:(?:[A-Z][a-z][a-z],? +){1,2}[0-9]{1,2} +[0-9:.]+(?: [0-9]{4})?:?[ \t]+|` +
	`[0-9]{1,2}[-/][A-Z][a-z][a-z][-/][0-9]{4}[ :][0-9:.]+(?: [+\-][0-9]{4})?[ \t]+|` +
	`[0-9][0-9TZ:./,+\-]+(?: +[0-9][0-9:.,+Z\-]*)?(?: +[A-Z]{3,4}| +[+\-][0-9]{2}:?[0-9]{2})?:?[ \t]+)?`

// textError is a fault of a native pattern's text.
type textError struct {
	offset int
	reason string
}

func (e *textError) Error() string { return e.reason }

// translate turns the catalogue's notation into a regular expression that is anchored at both
// ends. The notation is described in catalogue/README.md.
//
// early says that nothing a client might choose stands before the address, so that the end of a
// line is not needed to tell whose words it is.
func translate(pattern string) (expr string, early bool, err error) {
	p := textParser{in: pattern}
	p.out.WriteString("^")
	if err := p.sequence(false); err != nil {
		return "", false, err
	}
	p.out.WriteString("$")
	return p.out.String(), p.early, nil
}

type textParser struct {
	in   string
	pos  int
	out  strings.Builder
	last neighbour // what was read last

	open  bool // a field that takes more than digits was read
	early bool // {addr} was read before such a field
}

// neighbour tells what may stand beside {addr}: text that cannot be a part of an address.
type neighbour uint8

const (
	fixed     neighbour = iota // the beginning, or literal text
	openField                  // a field that could take a part of the address
	address
)

func (p *textParser) fail(at int, format string, args ...any) error {
	return &textError{at, fmt.Sprintf(format, args...)}
}

// sequence reads literal text and fields. Nested, it ends before | or }.
func (p *textParser) sequence(nested bool) error {
	for p.pos < len(p.in) {
		c := p.in[p.pos]
		switch {
		case strings.HasPrefix(p.in[p.pos:], "{{"), !nested && strings.HasPrefix(p.in[p.pos:], "}}"):
			p.out.WriteString(quoteMeta(p.in[p.pos : p.pos+1]))
			p.pos += 2
			p.last = fixed
		case c == '{':
			if err := p.field(); err != nil {
				return err
			}
		case nested && (c == '|' || c == '}'):
			return nil
		case c == '}':
			return p.fail(p.pos, "} without {; a literal one is written }}")
		default:
			p.out.WriteString(quoteMeta(p.in[p.pos : p.pos+1]))
			p.pos++
			p.last = fixed
		}
	}
	return nil
}

// field reads one {...}.
func (p *textParser) field() error {
	start := p.pos
	if strings.HasPrefix(p.in[start:], "{@date}") {
		p.last = openField
		p.out.WriteString(reNativeDate)
		p.pos += len("{@date}")
		return nil
	}
	p.pos++
	if strings.HasPrefix(p.in[p.pos:], "?") {
		p.pos++
		return p.alternatives(start, "(?:", ")?")
	}
	end := p.pos
	for end < len(p.in) && (p.in[end] == '_' || p.in[end] >= 'a' && p.in[end] <= 'z') {
		end++
	}
	name := p.in[p.pos:end]
	if name == "" || end >= len(p.in) || !strings.ContainsRune("}*+#^~!=\"", rune(p.in[end])) {
		return p.alternatives(start, "(?:", ")")
	}
	open := "(?P<" + name + ">"
	if name == "_" {
		open = "(?:"
	}
	kind := p.in[end]
	p.pos = end + 1
	if kind == '=' {
		if name == "addr" {
			return p.fail(start, "{addr} takes no alternatives")
		}
		return p.alternatives(start, open, ")")
	}
	p.early = p.early || name == "addr" && !p.open
	p.open = p.open || kind != '=' && kind != '#' && name != "port" && name != "n"
	if kind == '^' || kind == '~' || kind == '!' {
		if p.last == address {
			return p.fail(start, "{addr} needs literal text between it and another field")
		}
		p.last = openField
		if kind == '!' {
			return p.withoutText(start, open)
		}
		return p.without(start, open, kind)
	}
	if name == "addr" && p.last != fixed || name != "addr" && p.last == address {
		return p.fail(start, "{addr} needs literal text between it and another field")
	}
	p.last = openField
	body := `\S+`
	switch {
	case name == "addr" && kind != '}':
		return p.fail(start, "{addr} takes no suffix")
	case name == "addr":
		body = reNativeAddr
		p.last = address
	case kind == '*':
		body = `.*`
	case kind == '"':
		body = `(?:[^"\\\n]|\\.)*`
	case kind == '+':
		body = `.+`
	case kind == '#' || name == "port" || name == "n":
		body = `[0-9]+`
	}
	if kind != '}' {
		if p.pos >= len(p.in) || p.in[p.pos] != '}' {
			return p.fail(start, "field is not closed by }")
		}
		p.pos++
	}
	p.out.WriteString(open + body + ")")
	return nil
}

// without reads the rest of {name^chars} and {name~chars}.
func (p *textParser) without(start int, open string, kind byte) error {
	end := strings.IndexByte(p.in[p.pos:], '}')
	if end <= 0 {
		return p.fail(start, "{name%ccharacters} needs characters and a }", kind)
	}
	p.out.WriteString(open + "[^")
	for _, r := range p.in[p.pos : p.pos+end] {
		if strings.ContainsRune(`\]^-[`, r) {
			p.out.WriteByte('\\')
		}
		p.out.WriteRune(r)
	}
	p.out.WriteString(`\n]`)
	if kind == '~' {
		p.out.WriteString("+)")
	} else {
		p.out.WriteString("*)")
	}
	p.pos += end + 1
	return nil
}

// withoutText reads the rest of {name!text}.
func (p *textParser) withoutText(start int, open string) error {
	end := strings.IndexByte(p.in[p.pos:], '}')
	if end <= 0 {
		return p.fail(start, "{name!text} needs text and a }")
	}
	p.out.WriteString(open + "(?:(?!")
	for i := range end {
		p.out.WriteString(quoteMeta(p.in[p.pos+i : p.pos+i+1]))
	}
	p.out.WriteString(").)*)")
	p.pos += end + 1
	return nil
}

// alternatives reads sequences parted by | up to the closing brace.
func (p *textParser) alternatives(start int, open, closing string) error {
	p.out.WriteString(open)
	before, after := p.last, fixed
	if strings.HasSuffix(closing, "?") {
		after = before
	}
	for {
		p.last = before
		if err := p.sequence(true); err != nil {
			return err
		}
		after = max(after, p.last)
		if p.pos >= len(p.in) {
			return p.fail(start, "{ is not closed by }")
		}
		c := p.in[p.pos]
		p.pos++
		if c == '}' {
			p.last = after
			p.out.WriteString(closing)
			return nil
		}
		p.out.WriteByte('|')
	}
}

func quoteMeta(s string) string {
	if len(s) == 1 && (s[0] >= 0x80 || syntax.IsWordChar(rune(s[0])) || s[0] == ' ') {
		return s
	}
	return `\` + s
}
