package fail2ban

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxFile bounds the size of one file, in bytes.
const maxFile = 1 << 20

// defaultSection is the section that feeds all others.
const defaultSection = "DEFAULT"

// Value is the text of an option as it stands in a file, and where that is.
type Value struct {
	Text string
	File string
	Line int // from 1
}

// section is a list of options in order of appearance.
type section struct {
	name    string
	keys    []string
	options map[string]Value
}

func newSection(name string) *section { return &section{name: name, options: map[string]Value{}} }

func (s *section) set(key string, v Value) {
	if _, ok := s.options[key]; !ok {
		s.keys = append(s.keys, key)
	}
	s.options[key] = v
}

// file is one parsed file.
type file struct {
	name     string
	sections []*section
}

func (f *file) section(name string) *section {
	for _, s := range f.sections {
		if s.name == name {
			return s
		}
	}
	return nil
}

// fileParser reads the dialect of Python's configparser that fail2ban uses: options in sections,
// values over several indented lines, comments by # and ; on lines of their own and by ; behind a
// blank.
type fileParser struct {
	file   *file
	number int
	sec    *section
	key    string // of the value that goes on; empty: none
	indent int    // of the line that began it
	lines  []string
	first  int
}

// parseFile parses the text of a file. The error is an *Error.
func parseFile(name string, text []byte) (*file, error) {
	if len(text) > maxFile {
		return nil, &Error{name, 0, fmt.Sprintf("%d bytes: at most %d", len(text), maxFile)}
	}
	if !utf8.Valid(text) {
		return nil, &Error{name, 0, "it is not UTF-8"}
	}
	p := &fileParser{file: &file{name: name}}
	rest := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(strings.TrimPrefix(string(text), "\ufeff"))
	for line := range strings.SplitSeq(rest, "\n") {
		p.number++
		if err := p.line(line); err != nil {
			return nil, err
		}
	}
	p.finish()
	return p.file, nil
}

func (p *fileParser) fail(format string, args ...any) error {
	return &Error{p.file.name, p.number, fmt.Sprintf(format, args...)}
}

func (p *fileParser) line(line string) error {
	bare := strings.TrimSpace(line)
	if strings.HasPrefix(bare, "#") || strings.HasPrefix(bare, ";") {
		return nil
	}
	if i := inlineComment(line); i >= 0 {
		line = line[:i]
		if bare = strings.TrimSpace(line); bare == "" {
			return nil
		}
	}
	if bare == "" {
		if p.key != "" {
			p.lines = append(p.lines, "")
		}
		return nil
	}
	indent := strings.IndexFunc(line, func(r rune) bool { return !unicode.IsSpace(r) })
	if p.key != "" && indent > p.indent {
		p.lines = append(p.lines, bare)
		return nil
	}
	p.finish()
	p.indent = indent
	if bare[0] == '[' {
		if end := strings.LastIndexByte(bare, ']'); end > 1 {
			return p.header(bare[1:end])
		}
	}
	return p.option(bare)
}

// inlineComment returns where a comment begins behind a blank, or -1.
func inlineComment(line string) int {
	for i := 1; i < len(line); i++ {
		if line[i] == ';' && unicode.IsSpace(rune(line[i-1])) {
			return i
		}
	}
	return -1
}

func (p *fileParser) header(name string) error {
	if p.file.section(name) != nil {
		return p.fail("section [%s] is here twice: put its options together", name)
	}
	p.sec = newSection(name)
	p.file.sections = append(p.file.sections, p.sec)
	return nil
}

func (p *fileParser) option(bare string) error {
	if p.sec == nil {
		return p.fail("%q stands before the first [section]", shorten(bare))
	}
	i := strings.IndexAny(bare, "=:")
	if i < 0 {
		return p.fail("%q is neither a [section] nor an option with = (a value that goes on must be indented)", shorten(bare))
	}
	key := strings.ToLower(strings.TrimSpace(bare[:i]))
	if key == "" {
		return p.fail("%q has no name before the %c", shorten(bare), bare[i])
	}
	if old, ok := p.sec.options[key]; ok {
		return p.fail("option %q of [%s] is here twice, first in line %d", key, p.sec.name, old.Line)
	}
	p.key, p.first = key, p.number
	p.lines = append(p.lines[:0], strings.TrimSpace(bare[i+1:]))
	p.sec.set(key, Value{"", p.file.name, p.number})
	return nil
}

// finish ends the value that was going on.
func (p *fileParser) finish() {
	if p.key == "" {
		return
	}
	text := strings.TrimRightFunc(strings.Join(p.lines, "\n"), unicode.IsSpace)
	p.sec.set(p.key, Value{text, p.file.name, p.first})
	p.key = ""
}

// shorten cuts a text for an error.
func shorten(s string) string {
	const limit = 60
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "") + "..."
}
