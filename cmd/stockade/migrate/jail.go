package migrate

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"stockade/jails/filter/fail2ban"
	"stockade/pipeline/action"
)

// Jail is one jail as fail2ban resolves it.
type Jail struct {
	Name    string            // as fail2ban calls it
	File    string            // where its section begins
	Line    int               // from 1; 0 when the section sets nothing itself
	Options map[string]string // its options by name, interpolated, those of the defaults too
	Filter  *Filter           // nil when the jail has none
	Actions []Action
}

// Filter is the filter of a jail.
type Filter struct {
	Name     string
	Path     string            // of its .conf
	Options  map[string]string // in brackets behind its name
	Expanded *fail2ban.Expanded
}

// Action is one action of a jail.
type Action struct {
	Name    string            // of the file, without its ending
	Path    string            // of its .conf; or the file of an action written in Python
	Given   map[string]string // in brackets behind its name
	Options map[string]string // all, with their tags replaced; nil for Python
}

// Python reports whether the action is a program in Python.
func (a *Action) Python() bool { return strings.HasSuffix(a.Path, ".py") }

// jailOptions are the options of a jail that mean something, in the order in which they are told.
var jailOptions = []string{
	"enabled", "backend", "maxretry", "maxmatches", "findtime", "bantime",
	"bantime.increment", "bantime.factor", "bantime.formula", "bantime.multipliers", "bantime.maxtime",
	"bantime.rndtime", "bantime.overalljails",
	"ignorecommand", "ignoreself", "ignoreip", "ignorecache", "filter", "logtimezone", "logencoding", "logpath",
	"action", "prefregex", "failregex", "ignoreregex", "maxlines", "datepattern", "journalmatch", "usedns",
}

// jailReader resolves one jail.
type jailReader struct {
	setup  *Setup
	config *fail2ban.Config
	name   string
}

func (r *jailReader) enabled() (bool, error) {
	text, ok, err := r.config.Get(r.name, "enabled", nil)
	if err != nil || !ok {
		return false, err
	}
	return truth(text), nil
}

// truth reads a switch as fail2ban does.
func truth(text string) bool {
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "1", "on", "true", "yes":
		return true
	}
	return false
}

func (r *jailReader) read() (*Jail, error) {
	j := &Jail{Name: r.name, Options: map[string]string{}}
	for _, option := range r.config.Options(r.name) {
		if v, ok := r.config.Raw(r.name, option); ok && (j.Line == 0 || v.File == j.File && v.Line < j.Line) {
			j.File, j.Line = v.File, v.Line
		}
	}
	for _, option := range []string{"enabled", "backend", "filter"} {
		if err := r.option(j, option); err != nil {
			return nil, err
		}
	}
	if err := r.filter(j); err != nil {
		return nil, err
	}
	for _, option := range jailOptions {
		if err := r.option(j, option); err != nil {
			return nil, err
		}
	}
	if j.Filter != nil {
		// What the jail says itself goes before what its filter says.
		c, err := fail2ban.ReadConfig(j.Filter.Path, fail2ban.Reader{})
		if err != nil {
			return nil, err
		}
		if j.Filter.Expanded, err = c.Filter(fail2ban.Options{Filter: j.Filter.Options, Jail: j.Options, Logtype: logtype(j)}); err != nil {
			return nil, err
		}
	}
	return j, r.actions(j)
}

func (r *jailReader) option(j *Jail, option string) error {
	text, ok, err := r.config.Get(r.name, option, nil)
	if err != nil {
		return err
	}
	if ok {
		j.Options[option] = text
	}
	return nil
}

// logtype is the kind of lines that the jail's filter is told to expect.
func logtype(j *Jail) string {
	if strings.HasPrefix(j.Options["backend"], "systemd") {
		return fail2ban.LogJournal
	}
	return fail2ban.LogFile
}

// filter finds the jail's filter and lets the jail know its options as known/NAME.
func (r *jailReader) filter(j *Jail) error {
	ref := strings.TrimSpace(j.Options["filter"])
	if ref == "" {
		return nil
	}
	name, options, err := fail2ban.Parse(ref)
	if err != nil {
		return r.at("filter", err)
	}
	f := &Filter{Name: name, Options: options, Path: filepath.Join(r.setup.Dir, "filter.d", strings.TrimSuffix(name, ".conf")+".conf")}
	c, err := fail2ban.ReadConfig(f.Path, fail2ban.Reader{})
	if err != nil {
		return r.at("filter", err)
	}
	j.Filter = f
	d, err := c.Definition(nil, fail2ban.Options{Filter: options, Jail: map[string]string{}, Logtype: logtype(j)})
	if err != nil {
		return err
	}
	known := map[string]string{}
	for _, option := range r.mentioned() {
		text, ok, err := d.Get(option)
		if err != nil {
			return err
		}
		if ok {
			known["known/"+option] = text
		}
	}
	r.config = r.config.With(r.name, known, true)
	return nil
}

// mentioned are the options that the jail or the defaults call %(known/NAME)s.
func (r *jailReader) mentioned() []string {
	var names []string
	for _, option := range jailOptions {
		v, _ := r.config.Raw(r.name, option)
		for rest := v.Text; ; {
			_, after, ok := strings.Cut(rest, "%(known/")
			if !ok {
				break
			}
			name, after, _ := strings.Cut(after, ")s")
			if name = strings.ToLower(name); !slices.Contains(names, name) {
				names = append(names, name)
			}
			rest = after
		}
	}
	return names
}

// at puts the place of an option in front of an error that has none.
func (r *jailReader) at(option string, err error) error {
	v, ok := r.config.Raw(r.name, option)
	if !ok {
		return err
	}
	return &fail2ban.Error{File: v.File, Line: v.Line, Reason: err.Error()}
}

// actions resolves the list of actions.
func (r *jailReader) actions(j *Jail) error {
	for _, ref := range splitActions(j.Options["action"]) {
		name, given, err := fail2ban.Parse(ref)
		if err != nil {
			return r.at("action", err)
		}
		a := Action{Name: name, Given: given}
		if strings.HasSuffix(name, ".py") {
			a.Name, a.Path = strings.TrimSuffix(name, ".py"), filepath.Join(r.setup.Dir, "action.d", name)
			if !exists(a.Path) {
				return r.at("action", fmt.Errorf("there is no %s", a.Path))
			}
			j.Actions = append(j.Actions, a)
			continue
		}
		a.Name = strings.TrimSuffix(name, ".conf")
		a.Path = filepath.Join(r.setup.Dir, "action.d", a.Name+".conf")
		if a.Options, err = action.Resolve(a.Path, a.Given, j.Name, j.Options); err != nil {
			var at *fail2ban.Error
			missing := errors.As(err, &at) && at.File == a.Path && at.Line == 0
			if missing && replaced(&a) {
				j.Actions = append(j.Actions, a) // what it would do is done without it
				continue
			}
			if missing {
				err = r.at("action", err) // there is no such file
			}
			return err
		}
		j.Actions = append(j.Actions, a)
	}
	return nil
}

// splitActions splits the value of action: names with options in brackets, parted by white space.
func splitActions(text string) []string {
	var out []string
	for {
		text = strings.TrimLeft(text, " \t\r\n")
		if text == "" {
			return out
		}
		end := actionEnd(text)
		out = append(out, text[:end])
		text = text[end:]
	}
}

// actionEnd is where the first action of a text ends.
func actionEnd(text string) int {
	i := strings.IndexAny(text, " \t\r\n[")
	if i < 0 {
		return len(text)
	}
	for {
		next := i
		for next < len(text) && strings.IndexByte(" \t\r\n", text[next]) >= 0 {
			next++
		}
		if next == len(text) || text[next] != '[' {
			return i
		}
		var quote byte
		for i = next + 1; i < len(text); i++ {
			switch c := text[i]; {
			case quote != 0:
				if c == quote {
					quote = 0
				}
			case c == '"' || c == '\'':
				quote = c
			case c == ']':
				quote = ']'
			}
			if quote == ']' {
				i++
				break
			}
		}
	}
}
