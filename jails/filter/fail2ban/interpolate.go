package fail2ban

import (
	"fmt"
	"strings"
)

// Bounds of interpolation.
const (
	maxDepth = 10
	maxValue = 1 << 20 // bytes
	maxSteps = 20_000  // references replaced for one option
)

// Get returns the text of an option with all %(name)s replaced: by vars, by the section's own
// options, by the defaults. %(section/name)s asks another section, %(known/name)s the layer below.
// Names in vars are in lower case, and their texts are final. It reports false when the option is
// not set.
func (c *Config) Get(name, option string, vars map[string]string) (string, bool, error) {
	v, ok := c.Raw(name, option)
	if !ok {
		return "", false, nil
	}
	in := interpolation{config: c, section: name, vars: vars}
	text, err := in.text(option, v, 1)
	return text, err == nil, err
}

// interpolation is the work on one option.
type interpolation struct {
	config  *Config
	section string
	vars    map[string]string
	steps   int
}

func (in *interpolation) text(option string, v Value, depth int) (string, error) {
	fail := func(format string, args ...any) error {
		return &Error{v.File, v.Line, fmt.Sprintf("option %q of [%s]: ", option, in.section) + fmt.Sprintf(format, args...)}
	}
	if depth > maxDepth {
		return "", fail("it refers to itself, or through more than %d others", maxDepth)
	}
	rest := v.Text
	if !strings.Contains(rest, "%") {
		return rest, nil
	}
	var b strings.Builder
	for {
		i := strings.IndexByte(rest, '%')
		if i < 0 {
			b.WriteString(rest)
			break
		}
		b.WriteString(rest[:i])
		rest = rest[i:]
		if strings.HasPrefix(rest, "%%") {
			b.WriteByte('%')
			rest = rest[2:]
			continue
		}
		end := strings.Index(rest, ")")
		if !strings.HasPrefix(rest, "%(") {
			return "", fail("a single %% in %q: a literal one is written %%%%", shorten(rest))
		}
		if end < 3 || !strings.HasPrefix(rest[end:], ")s") {
			return "", fail("%q is not closed by )s", shorten(rest))
		}
		ref := rest[2:end]
		rest = rest[end+2:]
		if in.steps++; in.steps > maxSteps {
			return "", fail("more than %d references", maxSteps)
		}
		text, next, found := in.config.reference(in.section, ref, in.vars)
		if !found {
			return "", fail("%%(%s)s: there is no such option", shorten(ref))
		}
		if next != nil {
			var err error
			if text, err = in.text(ref, *next, depth+1); err != nil {
				return "", err
			}
		}
		if b.WriteString(text); b.Len() > maxValue {
			return "", fail("its text is longer than %d bytes", maxValue)
		}
	}
	return b.String(), nil
}

// reference finds what %(ref)s means in a section: a final text, or a value to interpolate.
func (c *Config) reference(sec, ref string, vars map[string]string) (string, *Value, bool) {
	name := strings.ToLower(ref)
	if text, ok := vars[name]; ok {
		return text, nil, true
	}
	if name == "__name__" {
		return sec, nil, true
	}
	if v, ok := c.Raw(sec, name); ok {
		return "", &v, true
	}
	from, option, ok := strings.Cut(ref, "/")
	if !ok {
		return "", nil, false
	}
	v, ok := c.lookUp(sec, from, strings.ToLower(option))
	return "", &v, ok
}

// layered reports whether <known/option> of a section does not mean its own option: whether a layer
// was laid over the option, or over the section while there is a default of that name.
func (c *Config) layered(name, option string) bool {
	if _, ok := c.known[name][option]; ok {
		return true
	}
	_, ok := c.defaults.options[option]
	return ok && c.known[name] != nil
}

// lookUp finds the option of another section, of the layer below (known) or of the defaults.
func (c *Config) lookUp(sec, from, option string) (Value, bool) {
	switch strings.ToLower(from) {
	case "known":
		if v, ok := c.known[sec][option]; ok {
			return v, true
		}
	case "default":
	default:
		if s := c.sections[from]; s != nil {
			if v, ok := s.options[option]; ok {
				return v, true
			}
		} else {
			return Value{}, false
		}
	}
	v, ok := c.defaults.options[option]
	return v, ok
}
