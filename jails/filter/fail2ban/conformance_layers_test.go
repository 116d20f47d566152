package fail2ban

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"stockade/jails/filter"
	"stockade/jails/filter/dates"
	"stockade/jails/filter/engine"
)

// TestConformanceExpansion compares what the reader makes of filter files with what fail2ban's
// makes of them.
func TestConformanceExpansion(t *testing.T) {
	dir := dataFolder(t)
	if dir == "" {
		return
	}
	var all map[string]struct {
		Filter                         string
		Options                        map[string]string
		PrefRegex, DatePattern, UseDNS *string
		FailRegex, IgnoreRegex         []string
		JournalMatch                   [][]string
		MaxLines                       int
	}
	if !decodeFile(t, dir, "expanded.json", &all) {
		return
	}
	text := func(p *string) string {
		if p == nil {
			return ""
		}
		return *p
	}
	compared := 0
	for id, want := range all {
		got, err := Load(filterFile(dir, want.Filter), Options{Filter: want.Options})
		if err != nil {
			t.Errorf("%s: %v", id, err)
			continue
		}
		equal := func(name string, got, want any) {
			compared++
			if g, w := reflect.ValueOf(got), reflect.ValueOf(want); g.Kind() == reflect.Slice && g.Len()+w.Len() == 0 {
				return
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s: %s is\n%q, not\n%q", id, name, got, want)
			}
		}
		equal("prefregex", got.PrefRegex, text(want.PrefRegex))
		equal("failregex", got.FailRegex, want.FailRegex)
		equal("ignoreregex", got.IgnoreRegex, want.IgnoreRegex)
		equal("maxlines", got.MaxLines, want.MaxLines)
		equal("datepattern", got.DatePattern, text(want.DatePattern))
		equal("journalmatch", got.JournalMatch, want.JournalMatch)
		equal("usedns", got.UseDNS, text(want.UseDNS))
	}
	t.Logf("%d options of %d filters compared", compared, len(all))
}

// selectors are the options by which filters choose among their patterns.
var selectors = []string{"mode", "logtype", "logging", "publickey", "type"}

// selectorValues returns what a selector can be in a configuration: <a-<mode>-b> is any option
// a-X-b, <lt_<logtype>/x> any section lt_X.
func selectorValues(c *Config, selector string) []string {
	var texts []string
	sections := append(c.Sections(), defaultSection)
	for _, s := range sections {
		keys := c.Options(s)
		if s == defaultSection {
			keys = c.defaults.keys
		}
		for _, k := range keys {
			v, _ := c.Raw(s, k)
			texts = append(texts, v.Text)
		}
	}
	names := append(slices.Clone(c.Options(definition)), c.Options(initSection)...)
	names = append(names, c.defaults.keys...)
	tag := regexp.MustCompile(`<([^<> ]*)<` + selector + `>([^<> ]*)>`)
	var values []string
	for _, text := range texts {
		for _, m := range tag.FindAllStringSubmatch(text, -1) {
			list, after := names, m[2]
			if i := strings.IndexByte(after, '/'); i >= 0 {
				list, after = sections, after[:i]
			}
			for _, n := range list {
				v, ok := strings.CutPrefix(n, m[1])
				if v, ok2 := strings.CutSuffix(v, after); ok && ok2 && v != "" && !strings.ContainsAny(v, "-/?") &&
					!selects(c, n, selector) && !slices.Contains(values, v) {
					values = append(values, v)
				}
			}
		}
	}
	return values
}

// selects reports whether the option itself chooses by the selector, so that it is none of the
// choices.
func selects(c *Config, option, selector string) bool {
	v, _ := c.Raw(definition, option)
	return strings.Contains(v.Text, "<"+selector+">")
}

// TestConformanceEveryFilterLoads compiles every filter of the folder with every value of the
// options that it chooses its patterns by.
func TestConformanceEveryFilterLoads(t *testing.T) {
	dir := dataFolder(t)
	if dir == "" {
		return
	}
	files, err := filepath.Glob(filepath.Join(dir, "filter.d", "*.conf"))
	if err != nil {
		t.Fatal(err)
	}
	filters, instances, common := 0, 0, 0
	for i, file := range files {
		if testing.Short() && i%4 > 0 {
			continue
		}
		c, err := ReadConfig(file, Reader{})
		if err != nil {
			t.Error(err)
			continue
		}
		if _, ok := c.Raw(definition, "failregex"); !ok || strings.HasSuffix(file, "-common.conf") {
			common++
			continue
		}
		filters++
		sets := []map[string]string{{}}
		for _, s := range selectors {
			for _, v := range selectorValues(c, s) {
				sets = append(sets, map[string]string{s: v})
			}
		}
		if testing.Short() || raceEnabled {
			sets = sets[:1]
		}
		for _, options := range sets {
			instances++
			e, err := c.Filter(Options{Filter: options})
			if err != nil {
				t.Errorf("%v: %v", options, err)
				continue
			}
			f, err := New(e)
			if err != nil {
				t.Errorf("%v: %v", options, err)
				continue
			}
			if _, err := filter.Compile(f.Spec); err != nil {
				t.Errorf("%s %v: %v", file, options, err)
			}
		}
	}
	t.Logf("%d filters, %d with their options; %d files are for others to include", filters, instances, common)
}

// dateTemplate is one of fail2ban's finished templates.
type dateTemplate struct {
	Pattern *string
	Regex   string
}

// TestConformanceDates compares the templates of every date pattern with fail2ban's: which they
// are, and what each of them cuts out of the sample lines and of made-up ones.
func TestConformanceDates(t *testing.T) {
	dir := dataFolder(t)
	if dir == "" {
		return
	}
	var all map[string][]dateTemplate
	if !decodeFile(t, dir, "datetemplates.json", &all) {
		return
	}
	lines := dateLines(records(t, dir))
	if testing.Short() || raceEnabled {
		lines = lines[len(lines)*9/10:]
	}
	seen := map[string]bool{}
	for pattern, want := range all {
		if pattern == "(default)" {
			pattern = ""
		}
		d, err := dates.Compile(pattern, dates.Options{})
		if err != nil {
			t.Error(err)
			continue
		}
		got := d.Templates()
		if len(got) != len(want) {
			t.Errorf("%q: %d templates, not %d", pattern, len(got), len(want))
			continue
		}
		for i, w := range want {
			if w.Pattern != nil && got[i] != *w.Pattern {
				t.Errorf("%q: template %d is %q, not %q", pattern, i, got[i], *w.Pattern)
			}
			if !seen[w.Regex] && (!testing.Short() || i%4 == 0) {
				seen[w.Regex] = true
				compareTemplate(t, got[i], w.Regex, lines)
			}
		}
	}
	t.Logf("%d templates on %d lines", len(seen), len(lines))
}

// compareTemplate looks at lines with one template and with the expression that fail2ban has for it.
func compareTemplate(t *testing.T, name, regex string, lines []string) {
	t.Helper()
	d, err := dates.Compile(name, dates.Options{})
	if err != nil {
		t.Error(err)
		return
	}
	re, err := engine.Compile(regex, engine.Options{NoNewline: true})
	if err != nil {
		t.Errorf("%s: %v", regex, err)
		return
	}
	machine, caps := engine.NewMachine(), make([]int, 2*(re.Groups()+1))
	for _, l := range lines {
		want, err := machine.Search(re, []byte(l), caps)
		if err != nil {
			t.Fatal(err)
		}
		c, _, got := d.Find([]byte(l), sampleNow)
		if got != want || got && (c.Start != caps[2] || c.End != caps[3] || c.From != caps[0] || c.To != caps[1]) {
			t.Errorf("%s on %q: %t %+v, fail2ban's %t %v", name, l, got, c, want, caps[:4])
			return
		}
	}
}

// dateLines returns the lines of the records and as many that are made of parts of dates.
func dateLines(all []record) []string {
	var lines []string
	for _, r := range all {
		if !slices.Contains(lines, r.Line) {
			lines = append(lines, r.Line)
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	pick := func(list ...string) string { return list[random.IntN(len(list))] }
	at := func(layout string) string {
		return time.Unix(random.Int64N(1893456000), random.Int64N(1e9)).UTC().Format(layout)
	}
	for range len(lines) {
		date := at(pick("2006-01-02T15:04:05.000000Z07:00", "2006/01/02 15:04:05", "Mon Jan _2 15:04:05 2006", "Jan 2 15:04:05",
			"02/01/06 15:04:05", "2/1/2006 3:04:05", "02/Jan/2006:15:04:05 -0700", "01/02/2006:15:04:05", "01-02-2006 15:04:05.000",
			"060102 15:04:05", "Jan 2, 2006 3:04:05 PM", "Jan-02-06 15:04:05", "20060102T150405", "20060102-15:04:05,000 +0200",
			"MST Jan _2 15:04:05", "-07:00 Mon Jan 02 15:04:05 2006", "15:04:05", "<01/02/06@15:04:05>", "2006.01.02 15:04:05 GMT",
			"2006:01:02-15:04:05", "2 Jan 2006 - 15:04:05", "Jan 2 2006 15:04:05.00", "L 01/02/2006 - 15:04:05", "2006-01/02 15:04:05"))
		if random.IntN(6) == 0 {
			date = pick(fmt.Sprint(random.Int64N(1<<34)), fmt.Sprintf("%d.%06d", 1e9+random.IntN(1e9), random.IntN(1e6)),
				fmt.Sprintf("@%024x", random.Int64()), fmt.Sprintf("@4000%020x", random.Int64()))
		}
		if random.IntN(4) == 0 {
			i := random.IntN(len(date))
			date = date[:i] + pick("", " ", "0", "9", "x", ":", "-", "/") + date[i+1:]
		}
		lines = append(lines, pick("", "", "", " ", "[", "<134>1 ", "x", "--", "?!*", "\"timestamp\":\"", "host app[3]: ", "audit(", "type=X msg=audit(",
			"<W>", "I(", "WARNING:", "t=", "<co ts=\"", "=ERROR REPORT==== ", "1.2.3.4 - - [", "a -- b -- - ", "é ",
			strings.Repeat("long ", 100)+"[")+date+
			pick("", "]", " ", "x", ": y", ":12)", "\"", ">", " 7", ",123", " +0100", " PST z", "\t\t+01:00", "é",
				strings.Repeat(" ", 400)+"+0100", strings.Repeat(" ", 400)+"]", strings.Repeat("long ", 100)))
	}
	return lines
}

// TestConformanceEntries sends the samples of syslog files by another way: as received entries,
// whose header is gone and must be written again. The answers are the same as for the files.
func TestConformanceEntries(t *testing.T) {
	dir := dataFolder(t)
	if dir == "" {
		return
	}
	type pair struct {
		file  *instance
		set   *filter.Set
		entry *filter.Matcher
	}
	pairs := map[string]pair{}
	compared := 0
	for _, r := range records(t, dir) {
		if r.Input != "file" || testing.Short() && r.Filter != "sshd" {
			continue
		}
		p, ok := pairs[r.Instance]
		if !ok {
			file, err := newInstance(dir, r, zone(t))
			if err != nil {
				t.Fatalf("%s: %v", r.ID, err)
			}
			spec := file.filter.Spec
			spec.Names = true
			compiled, err := filter.Compile(spec)
			if err != nil {
				t.Fatalf("%s: %v", r.ID, err)
			}
			set := filter.NewSet([]*filter.Filter{compiled}, nil)
			p = pair{file, set, set.NewMatcher()}
			pairs[r.Instance] = p
		}
		line := filter.Line{Text: []byte(r.Line), Time: sampleNow, Facility: -1, Source: "sample"}
		want := p.file.matcher.Match(&line, p.file.set.All())
		if !p.file.filter.Header || p.file.filter.Spec.MaxLines > 1 {
			continue
		}
		c, _, found := p.file.dates.Find(line.Text, sampleNow)
		rest := bytes.TrimPrefix(line.Text[min(c.To, len(line.Text)):], []byte(" "))
		l := filter.Line{Text: rest, Time: sampleNow, Facility: -1, Source: "sample"}
		if !found || c.Start != 0 || !asEntry(&l) || bytes.ContainsAny(l.App, "()<>@ ") || bytes.ContainsAny(l.Host, "[]:") || !bytes.Contains(rest, []byte("]: ")) {
			continue // not a line that a syslog daemon wrote
		}
		got := p.entry.Match(&l, p.set.All())
		compared++
		if len(got) != len(want) || len(got) == 1 && (got[0].Addr != want[0].Addr || got[0].User != want[0].User || got[0].Pattern != want[0].Pattern) {
			t.Errorf("%s: as an entry %+v, as a line %+v\n%q", r.ID, got, want, r.Line)
		}
	}
	t.Logf("%d lines compared", compared)
}
