package fail2ban

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"stockade/jails/filter"
	"stockade/jails/filter/dates"
)

// Filter is what a reference to a filter file names.
type Filter struct {
	Expanded *Expanded
	// Spec is made for received entries: its Form writes the line that the filter expects.
	Spec filter.Spec
	// Raw is made for lines of files: the text of a line is all of it, and its Form cuts the date.
	Raw filter.Spec
	// Dates finds the date of lines of files, with the zone of this host. Clone it for other
	// goroutines.
	Dates *dates.Detector
	// Header says that Spec's lines begin with host, app and process id.
	Header bool
	// Warnings are things that the filter asks for and does not get, one sentence each.
	Warnings []string
}

// Spec returns the filter that a reference names, made for received entries. logtype is file,
// short, journal or rfc5424 and decides which lines the filter expects where neither its options
// nor its own definition do; empty means file.
func Spec(ref, logtype string) (filter.Spec, error) {
	f, err := Read(ref, logtype)
	if err != nil {
		return filter.Spec{}, err
	}
	return f.Spec, nil
}

// Read returns the filter that a reference names, with all that is known of it. See Spec for
// logtype.
func Read(ref, logtype string) (*Filter, error) {
	path, options, err := Parse(ref)
	if err != nil {
		return nil, err
	}
	switch logtype {
	case "", LogFile, LogShort, LogJournal, LogRFC5424:
	default:
		return nil, fmt.Errorf("filter %q: logtype %q must be file, short, journal or rfc5424", ref, logtype)
	}
	e, err := Load(find(path), Options{Filter: options, Logtype: logtype})
	if err != nil {
		return nil, err
	}
	return New(e)
}

// unproven are filters of daemons that speak UDP, so that one packet with a forged sender makes
// them name any address.
var unproven = []string{
	"named-refused", "nsd", "asterisk", "freeswitch", "openvpn", "portsentry", "scanlogd", "counter-strike", "murmur",
}

// New makes a filter of a resolved file.
//
// The apps that it listens to: if its patterns begin with a syslog header, all that its _daemon
// can be, or where that says nothing what its journalmatch names as _COMM, or else the name in the
// header itself. A filter of a program's own file listens to _daemon and _COMM, and to names that
// begin with these, because whoever forwards a file chooses the name (nginx-error). In either case
// also to what its journalmatch names as SYSLOG_IDENTIFIER. Where this gives no name it is what is
// known of the programs of well-known filters, by the filter's name; else all apps.
func New(e *Expanded) (*Filter, error) {
	name := strings.TrimSuffix(strings.TrimSuffix(filepath.Base(e.Path), ".conf"), ".local")
	d, err := dates.Compile(e.DatePattern, dates.Options{})
	if err != nil {
		return nil, &Error{e.Path, 0, fmt.Sprintf("datepattern: %v", err)}
	}
	if len(e.FailRegex) == 0 {
		return nil, &Error{e.Path, 0, "it has no failregex: is it a file for others to include?"}
	}
	if e.MaxLines > filter.MaxMaxLines {
		return nil, &Error{e.Path, 0, fmt.Sprintf("maxlines %d must be between 1 and %d", e.MaxLines, filter.MaxMaxLines)}
	}
	f := &Filter{Expanded: e, Dates: d, Spec: filter.Spec{
		Name: name, FailRegex: e.FailRegex, IgnoreRegex: e.IgnoreRegex, PrefRegex: e.PrefRegex,
		MaxLines: e.MaxLines, Unproven: slices.Contains(unproven, name), Names: e.UseDNS == "raw",
	}}
	f.warn()
	daemons := appGlobs(e.Daemon)
	header := e.Logtype
	named := f.header(header, daemons)
	if !f.Header && header != LogFile {
		header = LogFile
		named = f.header(header, daemons)
	}
	if f.Header {
		f.Spec.Apps = daemons
		if len(daemons) == 0 {
			f.Spec.Apps = journalNames(e.JournalMatch, "_COMM")
		}
		if len(f.Spec.Apps) == 0 && named != "" {
			f.Spec.Apps = []string{escapeName(named)}
		}
	} else {
		f.Spec.Apps = widen(append(slices.Clone(daemons), journalNames(e.JournalMatch, "_COMM")...))
	}
	for _, n := range journalNames(e.JournalMatch, "SYSLOG_IDENTIFIER") {
		if !slices.Contains(f.Spec.Apps, n) {
			f.Spec.Apps = append(f.Spec.Apps, n)
		}
	}
	if len(f.Spec.Apps) == 0 {
		f.Spec.Apps = slices.Clone(programs[name])
	}
	f.Raw = f.Spec
	cut := textForm("fail2ban/date "+strconv.Quote(e.DatePattern), d, false)
	f.Raw.Form = cut
	switch {
	case f.Header:
		f.Spec.Form = orWhole(headerForm(header), cut, e.DatePattern)
	case f.startsWithHost():
		f.Spec.Form = orWhole(hostForm(), cut, e.DatePattern)
	case f.startsBlank():
		f.Spec.Form = textForm("fail2ban/blank "+strconv.Quote(e.DatePattern), d, true)
	default:
		f.Spec.Form = cut
	}
	return f, nil
}

// warn tells what the filter asks for in vain.
func (f *Filter) warn() {
	switch dns := strings.ToLower(strings.TrimSpace(f.Expanded.UseDNS)); dns {
	case "", "no", "raw":
	default:
		f.Warnings = append(f.Warnings, fmt.Sprintf("usedns = %s: names are never looked up, because the answer belongs to whoever "+
			"owns the name; lines that name a host without its address do not match", shorten(dns)))
	}
}

// beginnings returns the patterns that see a line from its beginning.
func (f *Filter) beginnings() []string {
	if f.Spec.PrefRegex != "" {
		return []string{f.Spec.PrefRegex}
	}
	return f.Spec.FailRegex[:min(len(f.Spec.FailRegex), maxWords)]
}

// header finds out whether the filter's lines begin with a syslog header: whether one of its
// patterns can take one as its first part. Where that works only with a name that stands in the
// pattern itself, it returns the name.
func (f *Filter) header(logtype string, daemons []string) string {
	const any = "daemon"
	known := append(slices.Clone(daemons[:min(len(daemons), 4)]), any)
	for _, p := range f.beginnings() {
		own := words(p)
		names := append(slices.Clone(known), own...)
		anchored := strings.HasPrefix(p, "^")
		var texts []string
		for _, n := range names {
			texts = append(texts, headerTexts(logtype, n, anchored)...)
		}
		if !anchored {
			texts = texts[len(texts)/len(names)*len(known):] // that anything goes says nothing
		}
		i := accepts(p, texts)
		if i < 0 {
			continue
		}
		f.Header = true
		if i /= len(texts) / max(len(names), 1); anchored && i >= len(known) {
			return own[i-len(known)]
		}
		return ""
	}
	return ""
}

// headerTexts returns headers as lines of a log type have them: whole ones, or for patterns that
// may begin anywhere the part from the daemon's name on.
func headerTexts(logtype, daemon string, whole bool) []string {
	daemon = strings.NewReplacer("/**", "/x", "*", "x", "?", "x", `\`, "").Replace(daemon)
	if !whole {
		return []string{daemon + "[1]: ", daemon + "[1]:", daemon + ": "}
	}
	var out []string
	for _, pid := range []string{"1", ""} {
		l := &filter.Line{Host: []byte("host"), App: []byte(daemon), PID: []byte(pid)}
		out = append(out, string(headerForm(logtype).Build(nil, l)))
	}
	return out
}

// startsWithHost reports whether a line of the filter's file begins with the host, and the
// message follows without the name of a program: so do those of some routers.
func (f *Filter) startsWithHost() bool {
	for _, p := range f.beginnings() {
		if strings.HasPrefix(p, "^") && demands(p, " host ", " ", "") {
			return true
		}
	}
	return false
}

// startsBlank reports whether a line of the filter's file has a blank behind its date.
func (f *Filter) startsBlank() bool {
	for _, p := range f.beginnings() {
		if strings.HasPrefix(p, "^") && accepts(p, []string{" "}) >= 0 {
			return true
		}
	}
	return false
}

// Dated returns an inline filter that finds the date of lines of files by a date pattern of its own.
// Entries bring their own time: their text is left as it is.
func Dated(s filter.Spec, datePattern string) (filter.Spec, error) {
	d, err := dates.Compile(datePattern, dates.Options{})
	if err != nil {
		return s, fmt.Errorf("datepattern: %w", err)
	}
	cut := textForm("", d, false)
	s.Form = &filter.Form{
		Name: "inline/date " + strconv.Quote(datePattern),
		Build: func(dst []byte, l *filter.Line) []byte {
			if len(l.Whole) > 0 {
				return cut.Build(dst, l)
			}
			return append(dst, l.Text...)
		},
		Original: cut.Original,
	}
	return s, nil
}
