package notify

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	maxValue    = 256 // bytes of one value
	maxLine     = 512 // bytes of a line of evidence
	maxEvidence = 10  // lines of a message
	maxListed   = 20  // events that a digest names
	timeShape   = time.RFC3339
)

// clean returns s with everything that does not print replaced by a space, as valid UTF-8, cut to at
// most limit bytes. Line breaks, terminal controls and direction marks are among what does not print.
func clean(s string, limit int) string {
	var b strings.Builder
	for _, r := range s {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			r = ' '
		}
		if b.Len()+utf8.RuneLen(r) > limit-len("…") {
			b.WriteString("…")
			break
		}
		b.WriteRune(r)
	}
	return b.String()
}

// addressText is the prefix, or the address alone where it is one.
func addressText(p netip.Prefix) string {
	switch {
	case !p.IsValid():
		return ""
	case p.IsSingleIP():
		return p.Addr().String()
	}
	return p.String()
}

// sentence tells an event in one line. Its values are clean.
func (e *Event) sentence() string {
	switch e.Kind {
	case KindBan, KindUnban:
		return e.banSentence()
	case KindQuarantine, KindSilent, KindDegraded, KindAlert:
		what := clean(e.Name, maxValue)
		if e.Over {
			return fmt.Sprintf("no longer %s: %s", what, clean(e.Cause, maxLine))
		}
		return fmt.Sprintf("%s: %s", what, clean(e.Cause, maxLine))
	case KindStart:
		return "stockade started"
	case KindStop:
		return "stockade stops"
	}
	return "a test: this channel works"
}

func (e *Event) banSentence() string {
	var b strings.Builder
	switch {
	case e.Kind == KindUnban:
		b.WriteString("unbanned ")
	case e.Recorded:
		b.WriteString("recorded, not enforced: ban of ")
	default:
		b.WriteString("banned ")
	}
	fmt.Fprintf(&b, "%s in jail %s", addressText(e.Prefix), clean(e.Jail, maxValue))
	if e.Kind == KindBan {
		fmt.Fprintf(&b, ", %s", e.length())
	}
	if e.Failures > 0 {
		fmt.Fprintf(&b, ", after %d failures", e.Failures)
	}
	if e.Source != "" {
		fmt.Fprintf(&b, ", source %s", clean(e.Source, maxValue))
	}
	if e.Reason != "" {
		fmt.Fprintf(&b, ": %s", clean(e.Reason, maxValue))
	}
	return b.String()
}

// length says how long a ban lasts.
func (e *Event) length() string {
	if e.End.IsZero() {
		return "permanently"
	}
	return "for " + e.End.Sub(e.Start).Round(time.Second).String()
}

// message is what a channel sends at once: one event, or a digest of several.
type message struct {
	id     string // unique; the same in every attempt
	host   string
	events []Event // the oldest; at least one
	counts map[Kind]int
	total  int // events, those that are not kept among them

	registry string // what a registry says of the address, in clean lines
}

func (m *message) digest() bool { return m.total > 1 }

// title is a few words: no value of a line is in it.
func (m *message) title() string {
	if m.digest() {
		return "stockade on " + m.host + ": " + m.tally()
	}
	e := &m.events[0]
	switch {
	case e.Kind == KindBan || e.Kind == KindUnban:
		return fmt.Sprintf("stockade on %s: %s %s (%s)", m.host, e.Kind, addressText(e.Prefix), clean(e.Jail, maxValue))
	case e.Over:
		return fmt.Sprintf("stockade on %s: %s is over", m.host, e.Kind)
	}
	return fmt.Sprintf("stockade on %s: %s", m.host, e.Kind)
}

// tally counts the events by kind.
func (m *message) tally() string {
	var parts []string
	for _, k := range append(kinds[:len(kinds):len(kinds)], kindTest) {
		if n := m.counts[k]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d × %s", n, k))
		}
	}
	return strings.Join(parts, ", ")
}

// text tells the message in one line, or a digest in at most maxListed more.
func (m *message) text() string {
	if !m.digest() {
		return m.host + ": " + m.events[0].sentence()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", m.host, m.tally())
	shown := m.listed()
	for i := range shown {
		b.WriteString("\n" + shown[i].sentence())
	}
	if more := m.total - len(shown); more > 0 {
		fmt.Fprintf(&b, "\nand %d more", more)
	}
	return b.String()
}

func (m *message) listed() []Event { return m.events[:min(len(m.events), maxListed)] }

// field is a value that templates, arguments and environments may hold. It is clean.
type field struct {
	name   string
	value  string
	number bool // it is one, and stands outside quotes too
	ours   bool // no line and no peer had a say in it
	lines  bool // it may hold line breaks, of ours
}

// fieldNames are the fields in order, as fields returns them.
var fieldNames = func() map[string]field {
	names := make(map[string]field)
	m := message{events: []Event{{}}, total: 1}
	for _, f := range m.fields() {
		names[f.name] = f
	}
	return names
}()

// fields are the values of a message. Those of a digest are of its first event, but for the texts.
func (m *message) fields() []field {
	e := &m.events[0]
	state := "began"
	if e.Over {
		state = "ended"
	}
	kind := string(e.Kind)
	if m.digest() {
		kind = "digest"
	}
	ours := func(name, value string) field { return field{name: name, value: value, ours: true} }
	theirs := func(name, value string) field { return field{name: name, value: clean(value, maxValue)} }
	number := func(name string, n int64) field {
		return field{name: name, value: strconv.FormatInt(n, 10), ours: true, number: true}
	}
	return []field{
		ours("event", kind),
		ours("host", m.host),
		ours("time", stamp(e.Time)),
		ours("jail", clean(e.Jail, maxValue)),
		ours("address", addressText(e.Prefix)),
		ours("start", stamp(e.Start)),
		ours("end", stamp(e.End)),
		number("bantime", e.seconds()),
		number("failures", int64(e.Failures)),
		number("count", int64(m.total)),
		ours("source", clean(e.Source, maxValue)),
		ours("trust", clean(e.Trust, maxValue)),
		ours("state", state),
		ours("name", clean(e.Name, maxValue)),
		ours("title", m.title()),
		theirs("reason", e.Reason),
		theirs("cause", e.Cause),
		{name: "evidence", value: e.evidence(), lines: true},
		{name: "text", value: m.text(), lines: true},
	}
}

func (e *Event) evidence() string {
	var b strings.Builder
	for i, line := range e.Evidence[max(0, len(e.Evidence)-maxEvidence):] {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(clean(line, maxLine))
	}
	return b.String()
}

// seconds is the length of a ban; -1 of a permanent one, 0 where there is none.
func (e *Event) seconds() int64 {
	switch {
	case e.Kind != KindBan && e.Kind != KindUnban:
		return 0
	case e.End.IsZero():
		return -1
	}
	return int64(e.End.Sub(e.Start).Round(time.Second) / time.Second)
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(timeShape)
}
