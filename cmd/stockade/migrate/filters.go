package migrate

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"stockade/jails/filter"
	"stockade/jails/filter/catalogue"
	"stockade/jails/filter/fail2ban"
)

// input is a tail or a journal that feeds jails.
type input struct {
	name    string
	paths   []string // of a tail
	app     string
	matches []string // of a journal
	journal bool
	jails   []string
}

// filter writes the filter of a jail and finds its input; nil when it has none.
func (t *translator) filter(j *Jail, r *JailReport, m *mapping) (*input, error) {
	if j.Filter == nil {
		m.key("enabled", "false")
		m.key("filter", "{failregex: ['^no filter <HOST>$']}")
		r.left("filter", "name one, then remove enabled: false", "the jail has no filter")
		return nil, nil
	}
	if isRecidive(j) {
		m.key("filter", "recidive")
		r.replaced("filter recidive and its logpath", "filter: recidive, which counts Stockade's own bans in all other jails", "no log of its own is read")
		return nil, nil
	}
	f, err := fail2ban.New(j.Filter.Expanded)
	if err != nil {
		return nil, err
	}
	if _, err := filter.Compile(f.Spec); err != nil {
		return nil, patternError(j, err)
	}
	apps := f.Spec.Apps
	if entry := t.native(j, r); entry != nil {
		apps = entry.Apps
		name := entry.Name
		if slices.Contains(entry.Modes(), j.Filter.Options["mode"]) && j.Filter.Options["mode"] != catalogue.ModeNormal {
			name += "[mode=" + j.Filter.Options["mode"] + "]"
		}
		m.str("filter", name)
		r.replaced("filter "+j.Filter.Name, "filter: "+name+" ("+entry.Title+")", "it cannot be fooled by what a client writes into a line")
		if carried := t.carried(f, j); carried != "" {
			r.different("who wrote a line", "not known; forward by syslog (see below) to have the daemon's user checked", carried)
		}
	} else {
		ref := reference(j.Filter, j)
		if ref == "" {
			m.key("enabled", "false")
			m.str("filter", fail2ban.Prefix+j.Filter.Path)
			r.left(strings.Join(usesOwn(j), ", ")+" of the jail", "put them into "+strings.TrimSuffix(j.Filter.Path, ".conf")+".local, then remove enabled: false",
				"they hold both kinds of quotes, which no reference to a filter can")
		} else {
			m.str("filter", ref)
			r.moved("filter "+j.Filter.Name, "filter: "+ref+", read in place")
		}
		for _, w := range f.Warnings {
			if !strings.HasPrefix(w, "usedns") { // said of the jail
				r.different("the filter's wish", w, "")
			}
		}
	}
	if logtype(j) == fail2ban.LogJournal {
		return t.journal(j, r), nil
	}
	return t.tail(j, r, f, apps), nil
}

// patternError says where the patterns stand that do not compile.
func patternError(j *Jail, err error) error {
	option := "failregex"
	var at *filter.Error
	if errors.As(err, &at) && at.List != "" {
		option = at.List
	}
	if slices.Contains(usesOwn(j), option) {
		return fmt.Errorf("%s:%d: %w", j.File, j.Line, err)
	}
	c, readErr := fail2ban.ReadConfig(j.Filter.Path, fail2ban.Reader{})
	if readErr != nil {
		return readErr
	}
	if v, ok := c.Raw("Definition", option); ok {
		return &fail2ban.Error{File: v.File, Line: v.Line, Reason: err.Error()}
	}
	return fmt.Errorf("%s: %w", j.Filter.Path, err)
}

// native returns Stockade's own filter for the daemon, where it is asked for and does the same.
func (t *translator) native(j *Jail, r *JailReport) *catalogue.Entry {
	if !t.options.Native {
		return nil
	}
	name := strings.TrimSuffix(filepath.Base(j.Filter.Path), ".conf")
	entry, err := catalogue.Find(name)
	if err != nil {
		return nil
	}
	why := ""
	if own := usesOwn(j); len(own) > 0 {
		why = "the jail sets " + strings.Join(own, ", ") + " itself"
	}
	for option, value := range j.Filter.Options {
		if option != "mode" && option != "logtype" {
			why = "the jail gives it " + option + "=" + clip(value)
		}
	}
	for _, file := range j.Filter.Expanded.Files {
		if strings.HasSuffix(file, ".local") && exists(file) {
			why = file + " changes it"
		}
	}
	if why != "" {
		r.different("--native", "fail2ban's filter is kept", why)
		return nil
	}
	return entry
}

// carried says why nothing tells who wrote the lines of a log file, "" where the daemon writes it.
func (t *translator) carried(f *fail2ban.Filter, j *Jail) string {
	if !f.Header || logtype(j) == fail2ban.LogJournal {
		return ""
	}
	return "a log daemon writes the file, and anybody may have handed it the line"
}

// journal finds or makes the reader of the journal that a jail needs.
func (t *translator) journal(j *Jail, r *JailReport) *input {
	var matches []string
	for _, line := range j.Filter.Expanded.JournalMatch {
		if len(matches) > 0 {
			matches = append(matches, "+")
		}
		matches = append(matches, line...)
	}
	key := "journal " + strings.Join(matches, "\x00")
	in := t.inputs[key]
	if in == nil {
		in = &input{name: t.inputName(r.Name), matches: matches, journal: true}
		t.inputs[key], t.order = in, append(t.order, in)
	}
	r.moved("backend = "+j.Options["backend"], "journals: "+in.name)
	return in
}

// tail finds or makes the tail that a jail needs. Jails with the same files share one.
func (t *translator) tail(j *Jail, r *JailReport, f *fail2ban.Filter, apps []string) *input {
	var paths []string
	for _, l := range j.logs() {
		switch ending := strings.ToLower(filepath.Ext(l.pattern)); {
		case !filepath.IsAbs(l.pattern):
			r.left("logpath = "+clip(l.pattern), "write an absolute path", "it is relative to the folder that fail2ban was started in")
		case slices.Contains([]string{".gz", ".bz2", ".xz", ".zst", ".lz4"}, ending):
			r.left("logpath = "+clip(l.pattern), "read it once with stockade replay", "a compressed file is never written to again")
		case !slices.Contains(paths, l.pattern):
			paths = append(paths, l.pattern)
		}
	}
	if len(paths) == 0 {
		return nil
	}
	app := ""
	if !f.Header {
		app = appOf(apps, folderOf(paths[0], r.Name))
	}
	key := "tail " + app + "\x00" + strings.Join(paths, "\x00")
	in := t.inputs[key]
	if in == nil {
		in = &input{name: t.inputName(r.Name), paths: paths, app: app}
		t.inputs[key], t.order = in, append(t.order, in)
	}
	r.moved("logpath = "+strings.Join(paths, " "), "tails: "+in.name)
	r.different("where reading begins", "at the end of each file, at the first start", "fail2ban reads back as far as findtime; stockade replay shows what that would have banned")
	return in
}

func (t *translator) inputName(jail string) string {
	name := "f2b-" + jail
	for i := 2; slices.ContainsFunc(t.order, func(in *input) bool { return in.name == name }); i++ {
		name = "f2b-" + jail + "-" + strconv.Itoa(i)
	}
	return name
}

// folderOf is the name of the folder that a file is in, where that says something.
func folderOf(path, otherwise string) string {
	name := filepath.Base(filepath.Dir(path))
	if name == "log" || name == "logs" || name == Name(otherwise) || Name(name) != name {
		return otherwise
	}
	return name
}

// appOf chooses the app name of lines without a syslog header, so that the filter listens to it.
func appOf(apps []string, otherwise string) string {
	for _, a := range apps {
		if !strings.ContainsAny(a, `*?[\`) {
			return a
		}
	}
	for _, a := range apps {
		if plain := strings.TrimRight(a, "*"); plain != "" && !strings.ContainsAny(plain, `*?[\`) {
			return plain
		}
	}
	return otherwise
}
