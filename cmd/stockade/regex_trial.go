package main

import (
	"bytes"
	"net/netip"
	"slices"
	"time"

	"stockade/cmd/stockade/control"
	"stockade/jails/filter"
	"stockade/jails/filter/dates"
	"stockade/receiver/decode"
)

// trial looks at lines as the pipeline does, without grants, trust and origin.
type trial struct {
	decoder *decode.Decoder
	set     *filter.Set
	matcher *filter.Matcher
	filter  *filter.Filter
	route   filter.Route
	now     time.Time
	dates   *dates.Detector
	message decode.Message
	lines   int
	ignored uint64 // by the matcher so far

	lastIgnored bool
}

func newTrial(f *filter.Filter, o *regexOptions) (*trial, error) {
	found, err := dates.Compile(o.datePattern, dates.Options{Location: o.location})
	if err != nil {
		return nil, err
	}
	set := filter.NewSet([]*filter.Filter{f}, nil)
	return &trial{
		decoder: decode.New(o.location), set: set, matcher: set.NewMatcher(), filter: f, route: set.All(), now: o.clock,
		dates: found,
	}, nil
}

// verdict is what the filter says about one line.
type verdict struct {
	number  int
	header  bool // it began with a syslog header
	form    decode.Form
	stamp   time.Time // zero: none found
	date    string    // the pattern that found it in a line without a header
	ignored bool
	matched bool // a failure
	found   bool // a failure or a success: match is set
	match   filter.Match
}

func (t *trial) line(line []byte) verdict {
	t.lines++
	m := &t.message
	v := verdict{number: t.lines, header: t.decoder.DecodeLine(line, t.now, m)}
	v.form, v.stamp = m.Form, m.Stamp
	native := len(t.filter.Spec().Patterns) > 0
	if !v.header {
		cut, at, found := t.dates.Find(line, t.now)
		if found {
			v.stamp, v.date = at, t.dates.Templates()[cut.Template]
		}
		if found && !native { // native patterns know the dates of their daemons
			m.Text = slices.Concat(line[:cut.Start], line[cut.End:])
		}
	}
	at := v.stamp
	if at.IsZero() {
		at = t.now
	}
	in := filter.Line{
		App: m.App, Host: m.Hostname, PID: m.ProcID, Whole: line, Text: m.Text, Time: at, Facility: m.Facility, Source: "regex",
	}
	matches := t.match(&in)
	if len(matches) == 0 && !t.lastIgnored && !t.filter.Stateful() && len(m.Text) < len(line) && !v.header {
		if text := bytes.TrimLeft(m.Text, " "); len(text) < len(m.Text) { // the blank behind the date is optional
			in.Text = text
			matches = t.match(&in)
		}
	}
	v.ignored = t.lastIgnored
	times := max(m.Repeat, 1)
	if len(matches) == 0 && !v.ignored && native && t.filter.Stateful() {
		// Alone it may be a failure: then it belongs to an attempt that an earlier line counted.
		matches, times = t.set.NewMatcher().Match(&in, t.route), 0
	}
	if len(matches) > 0 {
		v.found, v.match = true, matches[0]
		v.match.Attempts *= times
		v.matched = v.match.Kind == filter.Failure
	}
	return v
}

// match asks the filter and notes whether an ignoreregex took a match back.
func (t *trial) match(line *filter.Line) []filter.Match {
	matches := t.matcher.Match(line, t.route)
	ignored := t.matcher.Stats().Ignored
	t.lastIgnored = ignored > t.ignored
	t.ignored = ignored
	return matches
}

// dateForm says where the line's time comes from.
func (v *verdict) dateForm() string {
	switch {
	case v.stamp.IsZero():
		return "no date"
	case v.form != decode.File:
		return v.form.String()
	case v.header:
		return "syslog header without PRI"
	}
	return v.date
}

// regexLine is one line's answer in JSON. Pattern is null when nothing matched.
type regexLine struct {
	Line     int               `json:"line"`
	Matched  bool              `json:"matched"`
	Ignored  bool              `json:"ignored"`
	Address  control.Text      `json:"address"`
	ID       control.Text      `json:"id"` // what is counted where it is no address
	User     control.Text      `json:"user"`
	Port     control.Text      `json:"port"`
	Time     *time.Time        `json:"time"` // the line's own
	Pattern  *int              `json:"pattern"`
	Kind     control.Text      `json:"kind"`     // failure or success
	Attempts int               `json:"attempts"` // 0: an earlier line counted this attempt
	Fields   map[string]string `json:"fields"`
}

func (v *verdict) wire() regexLine {
	out := regexLine{
		Line: v.number, Matched: v.matched, Ignored: v.ignored, Time: control.Moment(v.stamp), Fields: map[string]string{},
	}
	if !v.found {
		return out
	}
	m := &v.match
	out.Address, out.ID = control.Text(matchAddress(m)), control.Text(m.ID)
	out.User, out.Port = control.Text(m.User), control.Text(m.Port)
	out.Pattern, out.Kind, out.Attempts = &m.Pattern, "failure", m.Attempts
	if m.Kind == filter.Success {
		out.Kind = "success"
	}
	for _, f := range m.Fields {
		out.Fields[f.Name] = f.Value
	}
	return out
}

// matchAddress is the address as the line named it, with its length where the line named a subnet.
func matchAddress(m *filter.Match) string {
	if !m.Addr.IsValid() {
		return ""
	}
	if m.Bits >= 0 && m.Bits < m.Addr.BitLen() {
		return netip.PrefixFrom(m.Addr, m.Bits).String()
	}
	return m.Addr.String()
}
