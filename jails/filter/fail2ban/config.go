package fail2ban

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// maxFiles bounds how many files one configuration is made of.
const maxFiles = 1000

// Reader reads files. The zero Reader reads the file system.
type Reader struct {
	ReadFile func(name string) ([]byte, error)      // nil: os.ReadFile
	Glob     func(pattern string) ([]string, error) // nil: filepath.Glob
}

func (r Reader) read(name string) ([]byte, error) {
	if r.ReadFile != nil {
		return r.ReadFile(name)
	}
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "read", Path: name, Err: errors.New("not a regular file")}
	}
	if info.Size() > maxFile {
		return nil, &fs.PathError{Op: "read", Path: name, Err: fmt.Errorf("%d bytes: at most %d", info.Size(), maxFile)}
	}
	return os.ReadFile(name)
}

func (r Reader) glob(pattern string) []string {
	find := r.Glob
	if find == nil {
		find = filepath.Glob
	}
	names, err := find(pattern)
	if err != nil {
		return nil // the folder's own name has a bracket in it: then it has no such folder
	}
	slices.Sort(names)
	return names
}

// Config is a configuration made of layers of files. It is immutable once read.
type Config struct {
	path     string // of the main file, with its .conf, whether it exists or not
	files    []string
	order    []string
	sections map[string]*section
	defaults *section
	known    map[string]map[string]Value // what a section's option was before its last layer
}

// ReadConfig reads a configuration: the file, the .conf files of the folder of its name with .d,
// the file's .local and the .local files of that folder, each with what it includes; later ones
// win. path may lack its .conf. At least one of the files must exist.
func ReadConfig(path string, r Reader) (*Config, error) {
	base := strings.TrimSuffix(strings.TrimSuffix(path, ".conf"), ".local")
	l := &loader{reader: r, config: &Config{
		path: base + ".conf", sections: map[string]*section{}, defaults: newSection(defaultSection), known: map[string]map[string]Value{},
	}}
	list := []string{base + ".conf"}
	list = append(list, r.glob(escapeGlob(base)+".d/*.conf")...)
	list = append(list, base+".local")
	list = append(list, r.glob(escapeGlob(base)+".d/*.local")...)
	if err := l.layers(list, nil); err != nil {
		return nil, err
	}
	if len(l.config.files) == 0 {
		return nil, &Error{base + ".conf", 0, "no such file"}
	}
	return l.config, nil
}

// escapeGlob makes a path match itself only.
func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

// Files returns the files that were read, in order.
func (c *Config) Files() []string { return slices.Clone(c.files) }

// Sections returns the names of the sections in order of appearance, without DEFAULT.
func (c *Config) Sections() []string { return slices.Clone(c.order) }

// Has reports whether the section exists.
func (c *Config) Has(name string) bool { return c.sections[name] != nil }

// Options returns the options that a section sets itself, in order of appearance, in lower case.
func (c *Config) Options(name string) []string {
	if s := c.sections[name]; s != nil {
		return slices.Clone(s.keys)
	}
	return nil
}

// Raw returns the text of an option before interpolation: that of the section, else the default.
func (c *Config) Raw(name, option string) (Value, bool) {
	option = strings.ToLower(option)
	if s := c.sections[name]; s != nil {
		if v, ok := s.options[option]; ok {
			return v, true
		}
	}
	v, ok := c.defaults.options[option]
	return v, ok
}

// With returns a copy with further options in a section, which is made if need be. Options that
// are set already stay, unless replace is true. It is how a jail comes to know its filter's
// options.
func (c *Config) With(name string, options map[string]string, replace bool) *Config {
	out := *c
	out.sections = make(map[string]*section, len(c.sections)+1)
	for k, s := range c.sections {
		out.sections[k] = s
	}
	var target *section
	if name == defaultSection {
		target = c.defaults.clone()
		out.defaults = target
	} else {
		if old := c.sections[name]; old != nil {
			target = old.clone()
		} else {
			target = newSection(name)
			out.order = append(slices.Clone(c.order), name)
		}
		out.sections[name] = target
	}
	for _, key := range sortedKeys(options) {
		k := strings.ToLower(key)
		if _, ok := target.options[k]; !ok || replace {
			// The text is final: a percent sign in it means itself.
			target.set(k, Value{Text: strings.ReplaceAll(options[key], "%", "%%")})
		}
	}
	return &out
}

func (s *section) clone() *section {
	c := newSection(s.name)
	for _, k := range s.keys {
		c.set(k, s.options[k])
	}
	return c
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// loader reads the layers of a Config.
type loader struct {
	reader Reader
	config *Config
}

// layers merges files in order. chain holds the files that are being read now.
func (l *loader) layers(list, chain []string) error {
	for _, name := range list {
		if slices.Contains(chain, name) {
			continue
		}
		if err := l.layer(name, chain); err != nil {
			return err
		}
	}
	return nil
}

func (l *loader) layer(name string, chain []string) error {
	text, err := l.reader.read(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return &Error{name, 0, reason(err)}
	}
	if len(l.config.files) >= maxFiles {
		return &Error{name, 0, fmt.Sprintf("the configuration is made of more than %d files", maxFiles)}
	}
	f, err := parseFile(name, text)
	if err != nil {
		return err
	}
	chain = append(slices.Clone(chain), name)
	before, err := l.includes(f, "before")
	if err != nil {
		return err
	}
	if err := l.layers(before, chain); err != nil {
		return err
	}
	l.config.files = append(l.config.files, name)
	l.config.merge(f)
	after, err := l.includes(f, "after")
	if err != nil {
		return err
	}
	return l.layers(after, chain)
}

// reason is the cause of a failed read without the path, which the Error names.
func reason(err error) string {
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err.Error()
	}
	return err.Error()
}

// includes returns the files that an option of [INCLUDES] names, each followed by its .local.
func (l *loader) includes(f *file, option string) ([]string, error) {
	s := f.section("INCLUDES")
	if s == nil {
		return nil, nil
	}
	if _, ok := s.options[option]; !ok {
		return nil, nil
	}
	alone := &Config{sections: map[string]*section{s.name: s}, defaults: newSection(defaultSection)}
	if d := f.section(defaultSection); d != nil {
		alone.defaults = d
	}
	text, _, err := alone.Get(s.name, option, nil)
	if err != nil {
		return nil, err
	}
	var list []string
	for name := range strings.SplitSeq(text, "\n") {
		if name = strings.TrimSpace(name); name == "" {
			continue
		}
		if !filepath.IsAbs(name) {
			name = filepath.Join(filepath.Dir(f.name), name)
		}
		list = append(list, name)
	}
	var out []string
	for _, name := range list {
		out = append(out, name)
		if root, ok := strings.CutSuffix(name, ".conf"); ok && !slices.Contains(list, root+".local") {
			out = append(out, root+".local")
		}
	}
	return out, nil
}

// merge lays a file over what was read before it.
func (c *Config) merge(f *file) {
	for _, s := range f.sections {
		if s.name == defaultSection {
			for _, k := range s.keys {
				c.defaults.set(k, s.options[k])
			}
			continue
		}
		name, condition, conditional := strings.Cut(s.name, "?")
		into := c.sections[name]
		if into == nil {
			into = newSection(name)
			c.sections[name] = into
			c.order = append(c.order, name)
		} else if c.known[name] == nil {
			c.known[name] = map[string]Value{}
		}
		for _, k := range s.keys {
			key := k
			if conditional {
				key += "?" + condition
			}
			if old, ok := into.options[key]; ok {
				c.known[name][key] = old
			}
			into.set(key, s.options[k])
		}
	}
}
