package action

import (
	"fmt"
	"strings"
)

// place is where in a command a character stands.
type place byte

const (
	plain    place = iota // unquoted
	double                // in "…"
	single                // in '…'
	backtick              // in `…`
	paren                 // in $(…) or (…): unquoted
	brace                 // in ${…}
	sum                   // in $((…))
	hereDoc               // in a here-document whose text is expanded
	rawDoc                // in one that is not
)

// shell follows the quoting of a command as a POSIX shell reads it (2.2, 2.3, 2.6.3, 2.7.4).
type shell struct {
	text  string
	at    int
	stack []place
	docs  []document // here-documents whose texts begin at the next line
	word  bool       // a word has begun: a # in it begins no comment
	verb  bool       // a command's name has been seen
	note  bool       // in a comment
	doc   document   // that is being read
}

type document struct {
	end  string
	raw  bool
	tabs bool // <<-: tabs before the end are no part of it
}

func (p *shell) place() place {
	if len(p.stack) == 0 {
		return plain
	}
	return p.stack[len(p.stack)-1]
}

func (p *shell) push(s place) { p.stack = append(p.stack, s) }
func (p *shell) pop()         { p.stack = p.stack[:max(len(p.stack)-1, 0)] }

func (p *shell) rest() string { return p.text[p.at:] }

// past goes on behind a tag, which is a word or a part of one.
func (p *shell) past(at int) {
	p.at = at
	if !p.note {
		p.word, p.verb = true, true
	}
}

// to reads the command up to a position.
func (p *shell) to(end int) error {
	for p.at < end {
		if err := p.step(); err != nil {
			return err
		}
	}
	return nil
}

// step reads one character, or a few that belong together.
func (p *shell) step() error {
	c := p.text[p.at]
	switch p.place() {
	case single:
		if c == '\'' {
			p.pop()
		}
	case hereDoc, rawDoc:
		return p.inDocument(c)
	case double:
		return p.inDouble(c)
	case sum:
		switch {
		case strings.HasPrefix(p.rest(), "))"):
			p.at++
			p.pop()
		case c == '(':
			p.at++
			return fmt.Errorf("is in a command with arithmetic in brackets, which is not followed")
		}
	case brace:
		switch c {
		case '}':
			p.pop()
		case '\\':
			p.at++
		case '"':
			p.push(double)
		case '\'':
			p.push(single)
		case '$', '`':
			return p.expansion(c)
		}
	default:
		return p.unquoted(c)
	}
	p.at++
	return nil
}

func (p *shell) inDouble(c byte) error {
	switch c {
	case '"':
		p.pop()
	case '\\':
		p.at++
	case '$', '`':
		return p.expansion(c)
	}
	p.at++
	return nil
}

// expansion reads what begins with $ or `.
func (p *shell) expansion(c byte) error {
	rest := p.rest()
	switch {
	case c == '`' && p.inBacktick():
		for p.place() != backtick {
			p.pop()
		}
		p.pop()
	case c == '`':
		p.push(backtick)
		p.word, p.verb = false, false
		p.at++
		return nil
	case strings.HasPrefix(rest, "$(("):
		p.push(sum)
		p.at += 2
	case strings.HasPrefix(rest, "$("):
		p.push(paren)
		p.at += 2
		p.word, p.verb = false, false
		return nil
	case strings.HasPrefix(rest, "${"):
		p.push(brace)
		p.at++
	case strings.HasPrefix(rest, "$'") && p.place() != double:
		return fmt.Errorf("is in a command with $'…', which means something else in each shell")
	}
	p.word, p.verb = true, true
	p.at++
	return nil
}

func (p *shell) inBacktick() bool {
	for _, s := range p.stack {
		if s == backtick {
			return true
		}
	}
	return false
}

// unquoted reads a character outside of quotes.
func (p *shell) unquoted(c byte) error {
	if p.note && c != '\n' {
		if c == '`' && p.inBacktick() {
			p.note = false
			return p.expansion(c)
		}
		p.at++
		return nil
	}
	switch c {
	case '\'':
		p.push(single)
		p.word, p.verb = true, true
	case '"':
		p.push(double)
		p.word, p.verb = true, true
	case '\\':
		p.at++
		p.word, p.verb = true, true
	case '$', '`':
		return p.expansion(c)
	case '#':
		p.note = !p.word
	case '(':
		p.push(paren)
		p.word, p.verb = false, false
	case ')':
		if p.place() == paren {
			p.pop()
		}
		p.word = true
		p.verb = p.place() == double || p.place() == brace
	case '\n':
		p.note, p.word, p.verb = false, false, false
		p.at++
		return p.beginDocument()
	case ';', '&', '|':
		p.word, p.verb = false, false
	case ' ', '\t':
		if p.word && keyword(p.text[:p.at]) {
			p.verb = false
		}
		p.word = false
	case '<':
		if strings.HasPrefix(p.rest(), "<<") {
			return p.announce()
		}
	case '>':
	default:
		p.word, p.verb = true, true
	}
	p.at++
	return nil
}

// keyword reports whether the word that ends here is one behind which a command begins, or an
// assignment in front of one.
func keyword(before string) bool {
	word := before[strings.LastIndexAny(before, " \t\n;&|(`")+1:]
	switch word {
	case "if", "then", "else", "elif", "while", "until", "do", "!", "{", "exec", "command", "time", "env", "nohup", "nice", "sudo", "doas", "setsid", "xargs", "timeout":
		return true
	}
	return strings.Contains(word, "=") && !strings.HasPrefix(word, "-") && !strings.HasPrefix(word, "=")
}

// announce reads <<END.
func (p *shell) announce() error {
	p.at += 2
	d := document{tabs: strings.HasPrefix(p.rest(), "-")}
	if d.tabs {
		p.at++
	}
	p.at += len(p.rest()) - len(strings.TrimLeft(p.rest(), " \t"))
	end := strings.IndexAny(p.rest(), " \t\n;&|<>()")
	if end < 0 {
		end = len(p.rest())
	}
	word := p.rest()[:end]
	d.end = strings.NewReplacer("'", "", `"`, "", `\`, "").Replace(word)
	d.raw = d.end != word
	if d.end == "" {
		return fmt.Errorf("is in a command with a here-document without an end")
	}
	p.docs = append(p.docs, d)
	p.at += end
	return nil
}

// beginDocument goes into the next here-document, at the beginning of a line.
func (p *shell) beginDocument() error {
	if len(p.docs) == 0 {
		return nil
	}
	p.doc, p.docs = p.docs[0], p.docs[1:]
	if p.doc.raw {
		p.push(rawDoc)
	} else {
		p.push(hereDoc)
	}
	return p.endDocument()
}

func (p *shell) inDocument(c byte) error {
	switch {
	case c == '\n':
		p.at++
		return p.endDocument()
	case p.place() == hereDoc && c == '\\':
		p.at++
	case p.place() == hereDoc && (c == '$' || c == '`'):
		return p.expansion(c)
	}
	p.at++
	return nil
}

// endDocument leaves a here-document when its last line is next.
func (p *shell) endDocument() error {
	line, _, more := strings.Cut(p.rest(), "\n")
	if p.doc.tabs {
		line = strings.TrimLeft(line, "\t")
	}
	if line != p.doc.end {
		return nil
	}
	p.pop()
	length, _, _ := strings.Cut(p.rest(), "\n")
	p.at += len(length)
	if more {
		p.at++
		p.word, p.verb = false, false
		return p.beginDocument()
	}
	return nil
}

// reference is how a variable is written here, so that its value stays one piece of text.
func (p *shell) reference(name string) (string, error) {
	value := "${" + name + "}"
	if p.note {
		return "", nil
	}
	inner := false // quotes of its own would end the outer ones
	for i, s := range p.stack {
		switch s {
		case brace:
			return "", fmt.Errorf("%w${…}", errPlace)
		case sum:
			return "", fmt.Errorf("%warithmetic", errPlace)
		case backtick:
			inner = inner || i > 0 && p.stack[i-1] == double
		}
	}
	switch p.place() {
	case single:
		return `'"` + value + `"'`, nil
	case double, hereDoc:
		return value, nil
	case rawDoc:
		return "", fmt.Errorf("%wa here-document that is not expanded", errPlace)
	}
	if !p.verb && !p.word {
		return "", fmt.Errorf("%wthe name of a command", errPlace)
	}
	if inner {
		return value, nil
	}
	return `"` + value + `"`, nil
}
