package catalogue

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"stockade/jails/filter"
)

// The marks around what a client controls in a sample line.
const (
	openMark  = "«"
	closeMark = "»"
)

var marks = strings.NewReplacer(openMark, "", closeMark, "")

// Plain returns a sample line without the marks around its user-controlled parts.
func Plain(line string) string { return marks.Replace(line) }

// Test runs the samples of the entry and returns one text for each that the filter gets wrong.
func (e *Entry) Test() []string {
	var faults []string
	sets := map[string]*filter.Set{}
	for _, mode := range e.Modes() {
		spec, err := e.Spec(mode)
		if err != nil {
			return []string{err.Error()}
		}
		f, err := filter.Compile(spec)
		if err != nil {
			return []string{err.Error()}
		}
		sets[mode] = filter.NewSet([]*filter.Filter{f}, nil)
	}
	for i := range e.Samples {
		s := &e.Samples[i]
		mode := s.Mode
		if mode == "" {
			mode = ModeNormal
		}
		set := sets[mode]
		if set == nil {
			faults = append(faults, fmt.Sprintf("sample %d: the filter has no mode %q", i, mode))
			continue
		}
		for _, f := range e.run(s, set) {
			faults = append(faults, fmt.Sprintf("sample %d: %s", i, f))
		}
	}
	return faults
}

func (e *Entry) run(s *Sample, set *filter.Set) []string {
	app := s.App
	if app == "" {
		app = strings.ReplaceAll(e.Apps[0], "*", "x")
	}
	route := set.Route([]byte(app))
	if route.Empty() {
		return []string{fmt.Sprintf("app %q is not listened to", app)}
	}
	lines, want := s.Lines, s.Counts
	switch {
	case s.Line != "":
		lines, want = []string{s.Line}, []int{max(1, s.Attempts)}
	case s.None != "":
		lines, want = []string{s.None}, []int{0}
	}
	if len(want) != len(lines) {
		return []string{"counts must have one number for each of lines"}
	}
	var faults []string
	m := set.NewMatcher()
	for i, text := range lines {
		text = Plain(text)
		got := m.Match(&filter.Line{
			App: []byte(app), Host: []byte("host"), PID: []byte("77"), Text: []byte(text),
			Time: time.Unix(1_700_000_000, 0), Facility: e.facility(), Source: "sample",
		}, route)
		n := 0
		if len(got) > 0 {
			n = got[0].Attempts
			faults = append(faults, s.compare(&got[0], text)...)
		}
		if n != want[i] {
			faults = append(faults, fmt.Sprintf("%d attempts, want %d: %q", n, want[i], text))
		}
	}
	return faults
}

func (e *Entry) facility() int8 {
	if len(e.Facility) > 0 {
		return facilities[e.Facility[0]]
	}
	if slices.ContainsFunc(e.Patterns, func(p Pattern) bool { return len(p.Facility) > 0 }) {
		return -1 // not known: both kinds of its patterns see the line
	}
	return 3
}

func (s *Sample) compare(got *filter.Match, text string) []string {
	var faults []string
	if s.Addr != "" {
		want, err := netip.ParseAddr(s.Addr)
		if err != nil || got.Addr != want {
			faults = append(faults, fmt.Sprintf("address %v, want %s: %q", got.Addr, s.Addr, text))
		}
	}
	if s.User != "" && got.User != s.User {
		faults = append(faults, fmt.Sprintf("user %q, want %q: %q", got.User, s.User, text))
	}
	if got.Kind != kinds[s.Kind] {
		faults = append(faults, fmt.Sprintf("kind %d, want %d: %q", got.Kind, kinds[s.Kind], text))
	}
	return faults
}
