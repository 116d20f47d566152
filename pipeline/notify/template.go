package notify

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// template is a text with ${name} for values. One that begins with { or [ is JSON: there values
// stand inside strings and are escaped as parts of them; numbers may stand bare.
type template struct {
	parts []part
	json  bool
}

// part is a literal, or a name when that is not empty.
type part struct {
	literal string
	name    string
}

var placeholder = regexp.MustCompile(`\$\{([^}]*)\}`)

// parseTemplate reads the template of a body and refuses one whose values could break out of it.
func parseTemplate(text string) (*template, error) {
	t := &template{json: strings.HasPrefix(text, "{") || strings.HasPrefix(text, "[")}
	if err := t.split(text); err != nil {
		return nil, err
	}
	if !t.json {
		return t, nil
	}
	quoted, escaped := false, false
	last := byte(' ')
	for _, p := range t.parts {
		for _, c := range []byte(p.literal) {
			switch {
			case escaped:
				escaped = false
			case quoted && c == '\\':
				escaped = true
			case c == '"':
				quoted = !quoted
			}
			last = c
		}
		switch {
		case p.name == "":
		case escaped:
			return nil, fmt.Errorf("a backslash before ${%s}", p.name)
		case !quoted && !fieldNames[p.name].number:
			return nil, fmt.Errorf("${%s} is a text: in JSON it stands inside quotes", p.name)
		case !quoted && !strings.ContainsRune(" \t\r\n:,[", rune(last)):
			return nil, fmt.Errorf("${%s} is a number and stands right behind something else", p.name)
		}
	}
	if !json.Valid([]byte(t.expand(func(name string) string { return fieldNames[name].value }))) {
		return nil, errors.New("begins as JSON and is none")
	}
	return t, nil
}

// parseArgument reads an argument of a command. What a line says may not be in it: a program could
// take it for an option or a name of a file. Programs find it in their environment.
func parseArgument(text string) (*template, error) {
	t := new(template)
	if err := t.split(text); err != nil {
		return nil, err
	}
	if strings.ContainsRune(text, 0) {
		return nil, errors.New("an argument holds no zero byte")
	}
	for _, p := range t.parts {
		if p.name != "" && !fieldNames[p.name].ours {
			return nil, fmt.Errorf("${%s} can hold what an attacker wrote: read it from STOCKADE_EVENT_%s instead", p.name, strings.ToUpper(p.name))
		}
	}
	return t, nil
}

// split cuts the text at its placeholders.
func (t *template) split(text string) error {
	for {
		at := placeholder.FindStringSubmatchIndex(text)
		if at == nil {
			t.parts = append(t.parts, part{literal: text})
			return nil
		}
		name := text[at[2]:at[3]]
		if _, ok := fieldNames[name]; !ok {
			return fmt.Errorf("unknown value ${%s}; there are %s", clip(name), strings.Join(names(), ", "))
		}
		t.parts = append(t.parts, part{literal: text[:at[0]]}, part{name: name})
		text = text[at[1]:]
	}
}

// expand puts values in, escaped for JSON where the template is.
func (t *template) expand(value func(name string) string) string {
	var b strings.Builder
	for _, p := range t.parts {
		b.WriteString(p.literal)
		switch {
		case p.name == "":
		case t.json:
			b.WriteString(jsonText(value(p.name)))
		default:
			b.WriteString(value(p.name))
		}
	}
	return b.String()
}

// fill puts the values of a message in.
func (t *template) fill(m *message) string {
	fields := m.fields()
	return t.expand(func(name string) string {
		i := slices.IndexFunc(fields, func(f field) bool { return f.name == name })
		return fields[i].value
	})
}

// jsonText escapes a text for the inside of a JSON string.
func jsonText(s string) string {
	quoted, err := json.Marshal(s)
	if err != nil {
		return "" // a string can always be written
	}
	return string(quoted[1 : len(quoted)-1])
}

func names() []string {
	list := make([]string, 0, len(fieldNames))
	for name := range fieldNames {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}
