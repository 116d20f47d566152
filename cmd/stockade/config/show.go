package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strings"
)

// Show writes the merged configuration as YAML, each value with a comment that says where it was
// written: file:line, $NAME of a variable, or "built-in default". Read again, it gives the same
// Config.
func (l *Loaded) Show(w io.Writer) error {
	var s shower
	s.mapping(l.Origins.tree, "")
	if _, err := w.Write(s.out.Bytes()); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	return nil
}

// shower writes a tree as block YAML.
type shower struct{ out bytes.Buffer }

// mapping writes the keys of n, each on its own line. The first key continues the line that the
// caller began.
func (s *shower) mapping(n *node, indent string) {
	for i, e := range n.entries {
		if i > 0 {
			s.out.WriteString(indent)
		}
		s.out.WriteString(showScalar(e.key, true) + ":")
		s.value(e.value, indent)
	}
}

// value writes what stands after `key:` or `-` of a line indented so, with the line's end.
func (s *shower) value(n *node, indent string) {
	switch {
	case n.kind == mapNode && len(n.entries) > 0:
		s.out.WriteString("\n" + indent + "  ")
		s.mapping(n, indent+"  ")
	case n.kind == listNode && len(n.items) > 0:
		s.out.WriteString("\n")
		for _, item := range n.items {
			s.out.WriteString(indent + "  -")
			if item.kind == mapNode && len(item.entries) > 0 {
				s.out.WriteString(" ")
				s.mapping(item, indent+"    ")
				continue
			}
			s.value(item, indent+"  ")
		}
	case n.kind == mapNode:
		s.line("{}", n)
	case n.kind == listNode:
		s.line("[]", n)
	case n.kind == scalarNode:
		s.line(showScalar(n.text, n.plain), n)
	default:
		s.line("", n)
	}
}

func (s *shower) line(text string, n *node) {
	at := n.at.file
	if n.at.line > 0 && at != defaultFile {
		at = fmt.Sprintf("%s:%d", at, n.at.line)
	}
	if text != "" {
		text = " " + text
	}
	s.out.WriteString(text + " # " + strings.Map(printable, at) + "\n")
}

// printable keeps a file's name from ending the comment it stands in.
func printable(r rune) rune {
	if r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) || r == '\u2028' || r == '\u2029' {
		return '?'
	}
	return r
}

var (
	bareWord   = regexp.MustCompile(`^[A-Za-z_/][A-Za-z0-9_./-]*$`)
	bareNumber = regexp.MustCompile(`^-?[0-9][A-Za-z0-9./]*$`)
	reserved11 = regexp.MustCompile(`^(?i:true|false|null|yes|no|on|off|y|n|\.inf|\.nan)$`)
	quotable   = regexp.MustCompile(`^[ -~]*$`)
)

// showScalar returns text as a YAML scalar: plain where it was plain and simple, so that it
// keeps its type, else quoted.
func showScalar(text string, plain bool) string {
	switch {
	case plain && (bareNumber.MatchString(text) || bareWord.MatchString(text)):
		return text
	case bareWord.MatchString(text) && !reserved11.MatchString(text):
		return text
	case quotable.MatchString(text):
		return "'" + strings.ReplaceAll(text, "'", "''") + "'"
	}
	quoted, _ := json.Marshal(text) // a string always marshals
	return string(quoted)
}
