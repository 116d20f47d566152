package fail2ban

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"stockade/jails/filter"
	"stockade/jails/filter/dates"
)

// TestConformance gives every sample line to the filter that it was written for and compares
// match, time, host, user, users and attempts with what the sample expects.
func TestConformance(t *testing.T) {
	dir := dataFolder(t)
	if dir == "" {
		return
	}
	instances := map[string]*instance{}
	all := records(t, dir)
	agree := 0
	var differ []string
	for _, r := range all {
		in := instances[r.Instance]
		if in == nil {
			var err error
			if in, err = newInstance(dir, r, zone(t)); err != nil {
				in = &instance{err: err}
			}
			instances[r.Instance] = in
		}
		if reason := in.check(&r); reason != "" {
			differ = append(differ, r.ID+": "+reason)
			continue
		}
		agree++
	}
	fmt.Printf("conformance: %d of %d records agree\n", agree, len(all))
	for _, d := range differ {
		t.Error(d)
	}
	if len(all) == 0 {
		t.Error("no samples*.jsonl has a record")
	}
}

// instance is a filter with options and the memory that its lines share.
type instance struct {
	err     error
	filter  *Filter
	dates   *dates.Detector
	set     *filter.Set
	matcher *filter.Matcher
	memory  dates.Memory
	rebuilt bool // entries of the journal are taken apart and written again
}

// entryFacility marks lines of the journal in tests.
const entryFacility = 3

func newInstance(dir string, r record, loc *time.Location) (*instance, error) {
	e, err := Load(filterFile(dir, r.Filter), Options{Filter: r.Options})
	if err != nil {
		return nil, err
	}
	f, err := New(e)
	if err != nil {
		return nil, err
	}
	in := &instance{filter: f}
	if in.dates, err = dates.Compile(e.DatePattern, dates.Options{Location: loc}); err != nil {
		return nil, err
	}
	spec := f.Raw
	spec.Names = true // the samples' names were never looked up either
	entry := &filter.Form{Build: func(dst []byte, l *filter.Line) []byte { return append(dst, l.Text...) }}
	if in.rebuilt = f.Header && strings.HasPrefix(f.Spec.Form.Name, headerForm(LogJournal).Name); in.rebuilt {
		entry = f.Spec.Form
	}
	spec.Form = &filter.Form{
		Name: "sample",
		Build: func(dst []byte, l *filter.Line) []byte {
			if l.Facility == entryFacility {
				return entry.Build(dst, l)
			}
			return f.Raw.Form.Build(dst, l)
		},
		Original: func(dst []byte, l *filter.Line) []byte { return append(dst, l.Text...) },
	}
	compiled, err := filter.Compile(spec)
	if err != nil {
		return nil, err
	}
	in.set = filter.NewSet([]*filter.Filter{compiled}, nil)
	in.matcher = in.set.NewMatcher()
	return in, nil
}

// check returns why a record does not agree, or an empty string.
func (in *instance) check(r *record) string {
	if in.err != nil {
		return in.err.Error()
	}
	line := filter.Line{Text: []byte(r.Line), Time: sampleNow, Facility: -1, Source: "sample"}
	var at time.Time
	if r.Input == "journal" {
		at = time.UnixMicro(int64(r.JournalTime * 1e6))
		line.Facility = entryFacility
		if in.rebuilt && asEntry(&line) {
			if got := string(in.filter.Spec.Form.Build(nil, &line)); got != r.Line {
				return fmt.Sprintf("the entry is rebuilt as %q", got)
			}
		}
	} else {
		var reason string
		if at, reason = in.date(r, line.Text); reason != "" {
			return reason
		}
	}
	matches := in.matcher.Match(&line, in.set.All())
	if len(matches) > 1 {
		return fmt.Sprintf("%d failures", len(matches))
	}
	if got := len(matches) == 1; got != r.Expect.Match {
		return fmt.Sprintf("match is %t", got)
	}
	if !r.Expect.Match {
		return ""
	}
	return compare(r, &matches[0], at)
}

// date finds the date of a line of a file.
func (in *instance) date(r *record, text []byte) (time.Time, string) {
	cut, at, ok := in.dates.Find(text, sampleNow)
	if o := r.Observed; o != nil && ok != (o.Date != nil) {
		return at, fmt.Sprintf("a date was found: %t", ok)
	} else if o != nil && ok && !slices.Equal(runeCut(text, cut), o.Date.Cut) {
		return at, fmt.Sprintf("the date is cut at %v, fail2ban's at %v", runeCut(text, cut), o.Date.Cut)
	}
	return in.memory.Time(at, sampleNow), ""
}

// runeCut counts a cut in characters, as the records do.
func runeCut(text []byte, c dates.Cut) []int {
	return []int{len([]rune(string(text[:c.Start]))), len([]rune(string(text[:c.End])))}
}

// asEntry takes a line of the journal apart: host app[pid]: message.
func asEntry(l *filter.Line) bool {
	host, rest, ok := bytes.Cut(l.Text, []byte(" "))
	tag, text, ok2 := bytes.Cut(rest, []byte(": "))
	if !ok || !ok2 || bytes.ContainsAny(tag, " ") {
		return false
	}
	l.Host, l.App, l.Text = host, tag, text
	if app, pid, ok := bytes.Cut(bytes.TrimSuffix(tag, []byte("]")), []byte("[")); ok {
		l.App, l.PID = app, pid
	}
	return true
}

func compare(r *record, m *filter.Match, at time.Time) string {
	if want := r.Expect.Time; want != nil && at.UnixMicro() != int64(*want*1e6) {
		return fmt.Sprintf("time is %v, not %v", at, time.UnixMicro(int64(*want*1e6)))
	}
	if o := r.Observed; o != nil && len(o.Failures) == 1 && o.Failures[0].Regex != m.Pattern {
		return fmt.Sprintf("pattern is %d, fail2ban's is %d", m.Pattern, o.Failures[0].Regex)
	}
	for name, want := range r.Expect.Attrs {
		if reason := compareAttr(name, want, m); reason != "" {
			return reason
		}
	}
	return ""
}

func compareAttr(name string, want any, m *filter.Match) string {
	got := any(nil)
	switch name {
	case "host":
		got, want = identity(m), canonical(fmt.Sprint(want))
	case "user":
		got = m.User
	case "attempts":
		got = float64(m.Lines)
	case "fport", "port":
		got = m.Port
	case "ip4", "ip6":
		if m.Addr.IsValid() && m.Addr.Is4() == (name == "ip4") {
			got = m.Addr.String()
		}
	case "users":
		return compareUsers(want, m)
	default:
		for _, f := range m.Fields {
			if f.Name == name {
				got = f.Value
			}
		}
	}
	if got != want {
		return fmt.Sprintf("%s is %v, not %v", name, got, want)
	}
	return ""
}

// identity is who failed: the id if there is one, else the address or the subnet.
func identity(m *filter.Match) string {
	switch {
	case m.ID != "":
		return canonical(m.ID)
	case m.Bits >= 0 && m.Bits < m.Addr.BitLen():
		return netip.PrefixFrom(m.Addr, m.Bits).Masked().String()
	}
	return m.Addr.String()
}

// canonical gives addresses and subnets one spelling.
func canonical(text string) string {
	if a, err := netip.ParseAddr(text); err == nil {
		return a.Unmap().String()
	}
	if p, err := netip.ParsePrefix(text); err == nil {
		return p.Masked().String()
	}
	return text
}

// compareUsers asks that the users of the failure's connection are those expected, in any order.
func compareUsers(want any, m *filter.Match) string {
	list, ok := want.([]any)
	if !ok {
		list = []any{want}
	}
	users := make([]string, len(list))
	for i, u := range list {
		users[i] = fmt.Sprint(u)
	}
	got := slices.Clone(m.Users)
	slices.Sort(users)
	slices.Sort(got)
	if !slices.Equal(got, slices.Compact(users)) {
		return fmt.Sprintf("users are %q, not %q", m.Users, want)
	}
	return ""
}
