package fail2ban

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Names of sections in filter files.
const (
	definition  = "Definition"
	initSection = "Init"
)

// filterOptions are the options of a filter that are its own, in their order.
var filterOptions = []string{
	"prefregex", "failregex", "ignoreregex", "maxlines", "datepattern", "journalmatch", "usedns",
}

// Options say how a filter file is resolved. Names of options are in any case.
type Options struct {
	Filter map[string]string // options in brackets behind the filter's name
	Jail   map[string]string // options of the jail
	// Logtype is what the tag <logtype> becomes, where neither the options nor the filter's own
	// definition say: file, short, journal, rfc5424. Empty leaves it to the files.
	Logtype string
	Keep    []string // tags that stay as they are, in lower case
	Reader  Reader
}

// Expanded is a filter after inclusion, interpolation and substitution of tags. Lists have no
// empty entries.
type Expanded struct {
	Path         string // of the filter's .conf
	Files        []string
	PrefRegex    string
	FailRegex    []string
	IgnoreRegex  []string
	MaxLines     int // at least 1
	DatePattern  string
	JournalMatch [][]string // the words of each line
	UseDNS       string     // empty: the jail's
	Logtype      string
	Daemon       string // the regular expression of the daemon's name, where the filter has one
}

// Load reads and resolves a filter file. path may lack its .conf.
func Load(path string, o Options) (*Expanded, error) {
	c, err := ReadConfig(path, o.Reader)
	if err != nil {
		return nil, err
	}
	return c.Filter(o)
}

// Filter resolves the filter that a configuration of a filter's files describes.
func (c *Config) Filter(o Options) (*Expanded, error) {
	r, err := c.resolver(filterOptions, o)
	if err != nil {
		return nil, err
	}
	e := &Expanded{Path: c.path, Files: c.Files(), MaxLines: 1}
	text := func(option string) string {
		s, _, rerr := r.text(option)
		if err == nil {
			err = rerr
		}
		return s
	}
	e.PrefRegex = strings.TrimSpace(text("prefregex"))
	e.FailRegex = lines(text("failregex"))
	e.IgnoreRegex = lines(text("ignoreregex"))
	e.DatePattern = text("datepattern")
	e.UseDNS = text("usedns")
	// These two only help to find the apps and the form: what is wrong with them stops nothing.
	e.Logtype, _, _ = r.text("logtype")
	e.Daemon, _, _ = r.text("_daemon")
	for _, l := range lines(text("journalmatch")) {
		words, werr := shellWords(l)
		if werr != nil && err == nil {
			err = &Error{e.Path, 0, fmt.Sprintf("journalmatch %q: %v", shorten(l), werr)}
		}
		e.JournalMatch = append(e.JournalMatch, words)
	}
	if s := strings.TrimSpace(text("maxlines")); s != "" && err == nil {
		n, nerr := strconv.Atoi(s)
		if nerr != nil || n < 1 {
			return nil, &Error{e.Path, 0, fmt.Sprintf("maxlines %q must be a number from 1 on", shorten(s))}
		}
		e.MaxLines = n
	}
	if err != nil {
		return nil, err
	}
	return e, nil
}

// resolver holds the combined options of a filter or an action.
type resolver struct {
	tagger
	names []string // the options that are a filter's or an action's own
	jail  map[string]string
	path  string
}

func (c *Config) resolver(names []string, o Options) (*resolver, error) {
	own := lowerKeys(o.Filter)
	if _, ok := own["logtype"]; !ok && o.Logtype != "" {
		_, jail := lowerKeys(o.Jail)["logtype"]
		if !jail && !slices.Contains(c.Options(definition), "logtype") {
			own["logtype"] = o.Logtype
		}
	}
	r := &resolver{names: names, jail: lowerKeys(o.Jail), path: c.path}
	vars := lowerKeys(o.Jail)
	for k, v := range own {
		vars[k] = v
	}
	combined := map[string]string{}
	for _, option := range names {
		if _, ok := vars[option]; ok {
			continue
		}
		text, ok, err := c.Get(definition, option, vars)
		if err != nil {
			return nil, err
		}
		if ok {
			combined[option] = text
		}
	}
	for _, option := range c.Options(initSection) {
		text, _, err := c.Get(initSection, option, nil)
		if err != nil {
			return nil, err
		}
		combined["known/"+option] = text
		combined[option] = text
	}
	for k, v := range own {
		combined[k] = v
	}
	plain := map[string]bool{}
	for _, k := range o.Keep {
		plain[k] = true
	}
	for k := range combined {
		if base, _, ok := strings.Cut(k, "?"); ok {
			plain[base] = true
		}
	}
	r.tagger = tagger{config: c, options: combined, vars: vars, plain: plain}
	return r, nil
}

// text returns an option with all tags replaced. The jail's own option is taken as it is.
func (r *resolver) text(option string) (string, bool, error) {
	text, ok := r.options[option]
	if !ok {
		if text, ok = r.jail[option]; ok {
			return text, true, nil
		}
		if slices.Contains(r.names, option) {
			return "", false, nil
		}
		var err error
		if text, ok, err = r.config.Get(definition, option, r.vars); err != nil || !ok {
			return "", false, err
		}
	}
	out, err := r.resolve(option, text)
	if err != nil {
		return "", false, r.at(option, err)
	}
	return out, true, nil
}

// at says in which file the option is that a fault was found in.
func (r *resolver) at(option string, err error) error {
	if at, ok := err.(*Error); ok { //nolint:errorlint // made by this package, never wrapped
		return at
	}
	if v, ok := r.config.Raw(definition, option); ok {
		return &Error{v.File, v.Line, err.Error()}
	}
	return &Error{r.path, 0, err.Error()}
}

func lowerKeys(m map[string]string) map[string]string {
	out := make(map[string]string, len(m)+1)
	for k, v := range m {
		out[strings.ToLower(k)] = v
	}
	return out
}

// lines splits a list at its line ends and drops what is empty.
func lines(text string) []string {
	var out []string
	for l := range strings.SplitSeq(text, "\n") {
		if strings.TrimSpace(l) != "" {
			out = append(out, l)
		}
	}
	return out
}

// shellWords splits a line into words as a shell does, with quotes and backslashes.
func shellWords(line string) ([]string, error) {
	var (
		words []string
		word  strings.Builder
		open  bool // a word has begun
		quote byte
	)
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case c == '\\' && quote != '\'' && i+1 < len(line):
			i++
			word.WriteByte(line[i])
			open = true
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			word.WriteByte(c)
		case c == '"' || c == '\'':
			quote, open = c, true
		case c == ' ' || c == '\t':
			if open {
				words = append(words, word.String())
				word.Reset()
				open = false
			}
		default:
			word.WriteByte(c)
			open = true
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("a %c is not closed", quote)
	}
	if open {
		words = append(words, word.String())
	}
	return words, nil
}
