package migrate

import (
	"regexp"
	"strings"
)

// document builds a file of the configuration: lists of named things, one thing after the other.
type document struct{ parts []part }

// part is a key of the top level.
type part struct {
	key   string
	value string   // of a scalar, as it stands in the file
	items []string // of a list, each with its lines
}

func (d *document) add(key, item string) {
	for i := range d.parts {
		if d.parts[i].key == key {
			d.parts[i].items = append(d.parts[i].items, item)
			return
		}
	}
	d.parts = append(d.parts, part{key: key, items: []string{item}})
}

// text writes the document with a comment in front.
func (d *document) text(comment string) []byte {
	var b strings.Builder
	for line := range strings.Lines(comment) {
		b.WriteString(strings.TrimRight("# "+strings.TrimRight(line, "\n"), " ") + "\n")
	}
	for _, p := range d.parts {
		b.WriteString("\n" + p.key + ":")
		if p.value != "" {
			b.WriteString(" " + p.value + "\n")
			continue
		}
		b.WriteString("\n")
		for _, item := range p.items {
			for i, line := range strings.Split(strings.TrimRight(item, "\n"), "\n") {
				if i == 0 {
					b.WriteString("  - " + line + "\n")
				} else {
					b.WriteString("    " + line + "\n")
				}
			}
		}
	}
	return []byte(b.String())
}

// mapping writes the keys of one thing, each on a line.
type mapping struct{ b strings.Builder }

func (m *mapping) key(name, value string) { m.b.WriteString(name + ": " + value + "\n") }

// str writes a text, unless it is empty.
func (m *mapping) str(name, value string) {
	if value != "" {
		m.key(name, quote(value))
	}
}

func (m *mapping) list(name string, values []string) {
	if len(values) > 0 {
		m.key(name, flow(values))
	}
}

func (m *mapping) String() string { return m.b.String() }

// flow writes a list on one line.
func flow(values []string) string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = quote(v)
	}
	return "[" + strings.Join(out, ", ") + "]"
}

// plainText is what YAML reads as the same text without quotes, here and in a flow.
var plainText = regexp.MustCompile(`^[A-Za-z/][A-Za-z0-9_./@-]*$`)

// words that YAML takes for something else than a text.
var words = regexp.MustCompile(`^(?i:true|false|yes|no|on|off|null|y|n)$`)

// quote writes a text as a YAML scalar.
func quote(s string) string {
	if plainText.MatchString(s) && !words.MatchString(s) {
		return s
	}
	control := func(r rune) bool {
		return r < ' ' || r == 0x7f || r == 0x85 || r == 0xa0 || r == 0x2028 || r == 0x2029 || r == 0xfeff
	}
	if !strings.ContainsFunc(s, control) {
		return "'" + strings.ReplaceAll(s, "'", "''") + "'"
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case control(r):
			const hex = "0123456789abcdef"
			b.WriteString(`\u`)
			for shift := 12; shift >= 0; shift -= 4 {
				b.WriteByte(hex[r>>shift&15])
			}
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
