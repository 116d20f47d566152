package fail2ban

import (
	"fmt"
	"strings"
)

// maxTagUses bounds how often one tag is replaced in one value: beyond it, tags refer to each
// other in a circle.
const maxTagUses = 25

// tagger replaces <tags> in the options of a filter.
type tagger struct {
	config  *Config
	options map[string]string // the combined options, in lower case
	vars    map[string]string
	plain   map[string]bool // options that have conditional variants: their tags stay
}

// resolve replaces all tags of a value, innermost first, until nothing changes. What no option is
// called stays as it is, so that <HOST> and (?P<name>...) survive.
func (t *tagger) resolve(option, text string) (string, error) {
	uses := map[string]int{}
	for {
		changed := false
		for at := 0; ; {
			open, end := innermost(text, at)
			if open < 0 {
				break
			}
			tag := text[open+1 : end]
			value, ok, err := t.value(tag)
			if err != nil {
				return "", err
			}
			if !ok {
				at = open + 1
				continue
			}
			name := strings.ToLower(tag)
			if name == option {
				return "", fmt.Errorf("option %q refers to itself by <%s>", option, tag)
			}
			if uses[name]++; uses[name] > maxTagUses {
				return "", fmt.Errorf("option %q uses <%s> more than %d times: the tags refer to each other in a circle", option, tag, maxTagUses)
			}
			if text = text[:open] + value + text[end+1:]; len(text) > maxValue {
				return "", fmt.Errorf("option %q becomes longer than %d bytes", option, maxValue)
			}
			at, changed = open, true
		}
		if !changed {
			return text, nil
		}
	}
}

// innermost finds the next tag from a position on that has no other tag in it.
func innermost(text string, at int) (open, end int) {
	open = -1
	for i := at; i < len(text); i++ {
		switch text[i] {
		case '<':
			open = i
		case ' ':
			open = -1
		case '>':
			if open >= 0 && i > open+1 {
				return open, i
			}
			open = -1
		}
	}
	return -1, -1
}

// value returns what a tag stands for.
func (t *tagger) value(tag string) (string, bool, error) {
	name := strings.ToLower(tag)
	if t.plain[name] {
		return "", false, nil
	}
	if v, ok := t.options[name]; ok {
		return v, true, nil
	}
	from, option, ok := strings.Cut(tag, "/")
	if !ok {
		return t.config.Get(definition, name, t.vars)
	}
	option = strings.ToLower(option)
	home := definition
	switch strings.ToLower(from) {
	case "known", "default":
	default:
		if !t.config.Has(from) {
			return "", false, nil
		}
		home = from
	}
	v, ok := t.config.lookUp(definition, from, option)
	if strings.EqualFold(from, "known") && (!ok || !t.config.layered(definition, option)) {
		// Nothing was laid over it: it is the section's own.
		v, ok = t.config.Raw(definition, option)
	}
	if !ok {
		return "", false, nil
	}
	in := interpolation{config: t.config, section: home}
	text, err := in.text(option, v, 1)
	return text, err == nil, err
}
