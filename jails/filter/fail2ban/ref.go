package fail2ban

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Prefix is what a reference to a filter file may begin with.
const Prefix = "fail2ban:"

// Folder is where a filter is looked for that is named without a folder and is not in the
// working directory.
const Folder = "/etc/fail2ban/filter.d"

// Parse splits a reference, fail2ban:PATH[name=value, name="a, b"][name='c'], into the path and
// the options, whose names are in lower case. The prefix may be missing. It reads no file.
func Parse(ref string) (path string, options map[string]string, err error) {
	text := strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(ref), Prefix))
	path, rest, found := strings.Cut(text, "[")
	if path = strings.TrimSpace(path); path == "" {
		return "", nil, fmt.Errorf("filter %q: no path; write fail2ban:/etc/fail2ban/filter.d/NAME.conf[options]", ref)
	}
	options = map[string]string{}
	p := optionParser{rest, options}
	for found {
		if err := p.group(); err != nil {
			return "", nil, fmt.Errorf("filter %q: %w", ref, err)
		}
		p.rest = strings.TrimSpace(p.rest)
		if p.rest == "" {
			break
		}
		if p.rest[0] != '[' {
			return "", nil, fmt.Errorf("filter %q: %q stands behind the options", ref, shorten(p.rest))
		}
		p.rest = p.rest[1:]
	}
	return path, options, nil
}

// optionParser reads options behind an opening bracket.
type optionParser struct {
	rest    string
	options map[string]string
}

func (p *optionParser) group() error {
	for {
		p.rest = strings.TrimLeft(p.rest, " \t\r\n,")
		if p.rest == "" {
			return fmt.Errorf("the options are not closed by ]")
		}
		if p.rest[0] == ']' {
			p.rest = p.rest[1:]
			return nil
		}
		name, value, ok := strings.Cut(p.rest, "=")
		if name = strings.TrimSpace(name); !ok || !isOption(name) {
			return fmt.Errorf("%q is no option: write name=value, parted by commas", shorten(p.rest))
		}
		p.rest = strings.TrimLeft(value, " \t\r\n")
		text, err := p.value()
		if err != nil {
			return fmt.Errorf("option %q: %w", name, err)
		}
		p.options[strings.ToLower(name)] = text
	}
}

func (p *optionParser) value() (string, error) {
	if p.rest != "" && (p.rest[0] == '"' || p.rest[0] == '\'') {
		end := strings.IndexByte(p.rest[1:], p.rest[0])
		if end < 0 {
			return "", fmt.Errorf("the quote is not closed")
		}
		text := p.rest[1 : 1+end]
		p.rest = strings.TrimLeft(p.rest[end+2:], " \t\r\n")
		if p.rest != "" && p.rest[0] != ',' && p.rest[0] != ']' {
			return "", fmt.Errorf("%q stands behind the closing quote", shorten(p.rest))
		}
		return text, nil
	}
	end := strings.IndexAny(p.rest, ",]")
	if end < 0 {
		return "", fmt.Errorf("the options are not closed by ]")
	}
	text := strings.TrimSpace(p.rest[:end])
	p.rest = p.rest[end:]
	return text, nil
}

// isOption reports whether a text is the name of an option, with or without a ?condition.
func isOption(name string) bool {
	base, condition, _ := strings.Cut(name, "?")
	for i := range len(base) {
		c := base[i]
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '_' && c != '.' && c != '-' {
			return false
		}
	}
	return base != "" && !strings.ContainsAny(condition, "[],\"'")
}

// find returns where the filter that a path names is.
func find(path string) string {
	if strings.ContainsRune(path, filepath.Separator) {
		return path
	}
	base := strings.TrimSuffix(strings.TrimSuffix(path, ".conf"), ".local")
	for _, ending := range []string{".conf", ".local"} {
		if _, err := os.Stat(base + ending); err == nil {
			return path
		}
	}
	return filepath.Join(Folder, path)
}
