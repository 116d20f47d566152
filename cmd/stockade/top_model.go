package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"stockade/cmd/stockade/control"
)

// sample is what the daemon said at one moment.
type sample struct {
	at      time.Time
	status  control.Status
	sources []control.Source
	bans    []control.Ban // nil: as before
}

// topModel is what `top` shows: the latest sample, and the one before it for the rates.
type topModel struct {
	last, before sample
	newest       []control.Ban // newest first
	err          error         // why there is no newer sample
}

// maxNewest is how many of the newest bans are kept.
const maxNewest = 100

func (m *topModel) add(s sample) {
	m.before, m.last, m.err = m.last, s, nil
	if s.bans == nil {
		return
	}
	slices.SortStableFunc(s.bans, func(a, b control.Ban) int { return b.Start.Compare(a.Start) })
	m.newest = slices.Clone(s.bans[:min(len(s.bans), maxNewest)])
	m.last.bans = nil
}

// stale reports whether the list of bans may have changed since the sample before.
func (m *topModel) stale(s control.Status) bool {
	count := func(s control.Status) (now, total int64) {
		for _, j := range s.Jails {
			now, total = now+j.BannedCurrent, total+j.BannedTotal
		}
		return now, total
	}
	now, total := count(s)
	before, totalBefore := count(m.last.status)
	return m.last.at.IsZero() || now != before || total != totalBefore
}

// perSecond is a difference per second; ok is false before there are two samples.
func (m *topModel) perSecond(now, before int64) (r float64, ok bool) {
	span := m.last.at.Sub(m.before.at).Seconds()
	if m.before.at.IsZero() || span <= 0 {
		return 0, false
	}
	return max(float64(now-before), 0) / span, true // a counter that began anew has no rate yet
}

// rate is a difference per second, "" before there are two samples.
func (m *topModel) rate(now, before int64) string {
	r, ok := m.perSecond(now, before)
	if !ok {
		return ""
	}
	if r >= 100 || r == 0 {
		return fmt.Sprintf("%.0f", r)
	}
	return fmt.Sprintf("%.1f", r)
}

// view returns the screen: at most height lines of at most width characters.
func (m *topModel) view(width, height int) []string {
	lines := append(m.head(), "")
	lines = append(lines, columns(m.jails(), 1, width)...)
	lines = append(lines, "")
	lines = append(lines, columns(m.sources(), 3, width)...)
	foot := []string{"q ends"}
	if left := height - len(lines) - len(foot) - 2; left >= 2 && len(m.newest) > 0 {
		lines = append(lines, "")
		lines = append(lines, columns(m.bans(left-1), bansColumns, width)...)
	}
	if len(lines) > height-len(foot) {
		lines = lines[:max(height-len(foot), 0)]
	}
	lines = append(lines, foot...)
	for i := range lines {
		lines[i] = clipTo(lines[i], width)
	}
	return lines
}

// totals are the numbers of all jails and sources of a sample.
type totals struct{ lines, failures, bans, banned int64 }

func (s *sample) totals() (t totals) {
	for _, j := range s.status.Jails {
		t.failures, t.bans, t.banned = t.failures+j.FailedTotal, t.bans+j.BannedTotal, t.banned+j.BannedCurrent
	}
	for _, x := range s.sources {
		t.lines += x.Lines
	}
	return t
}

func (m *topModel) head() []string {
	st, now, before := m.last.status, m.last.totals(), m.before.totals()
	up := shortSeconds(control.SecondsOf(m.last.at.Sub(st.Started).Truncate(time.Second)))
	lines := []string{
		fmt.Sprintf("stockade  %s  %s  up %s  %s", strings.ToUpper(st.State), st.Backend, up, m.last.at.Local().Format(time.DateTime)),
		fmt.Sprintf("lines %d (%s/s)  failures %d (%s/s)  bans %d (%s/s)  banned now %d",
			now.lines, cmp.Or(m.rate(now.lines, before.lines), "-"), now.failures, cmp.Or(m.rate(now.failures, before.failures), "-"),
			now.bans, cmp.Or(m.rate(now.bans, before.bans), "-"), now.banned),
	}
	if m.err != nil {
		lines = append(lines, "NO ANSWER "+control.Escape(m.err.Error()))
	}
	for _, d := range st.Degraded {
		lines = append(lines, control.Escape("DEGRADED "+d.Name+": "+d.Cause))
	}
	return lines
}

func (m *topModel) jails() table {
	before := make(map[string]control.JailStatus)
	for _, j := range m.before.status.Jails {
		before[j.Name] = j
	}
	rows := slices.Clone(m.last.status.Jails)
	slices.SortStableFunc(rows, func(a, b control.JailStatus) int { return cmp.Compare(b.BannedCurrent, a.BannedCurrent) })
	t := table{{"JAIL", "FAILED", "/s", "WATCHED", "BANS", "/s", "BANNED"}}
	for _, j := range rows {
		b := before[j.Name]
		t = append(t, []string{
			j.Name, number(j.FailedTotal), m.rate(j.FailedTotal, b.FailedTotal), number(j.FailedCurrent),
			number(j.BannedTotal), m.rate(j.BannedTotal, b.BannedTotal), number(j.BannedCurrent),
		})
	}
	return t
}

func (m *topModel) sources() table {
	before := make(map[string]control.Source)
	for _, s := range m.before.sources {
		before[s.Name] = s
	}
	rows := slices.Clone(m.last.sources)
	slices.SortStableFunc(rows, func(a, b control.Source) int {
		return cmp.Compare(b.Lines-before[b.Name].Lines, a.Lines-before[a.Name].Lines)
	})
	t := table{{"SOURCE", "TRUST", "STATE", "LINES", "/s", "FAILURES", "BANS", "PENDING", "REFUSED", "LAST"}}
	for _, s := range rows {
		refused := int64(0)
		for _, n := range s.Refused {
			refused += n
		}
		last := ""
		if s.LastSeen != nil {
			last = shortSeconds(control.SecondsOf(max(m.last.at.Sub(*s.LastSeen), 0).Truncate(time.Second)))
		}
		t = append(t, []string{
			s.Name, s.Trust, s.State, number(s.Lines), m.rate(s.Lines, before[s.Name].Lines),
			number(s.Failures), number(s.Bans), number(s.Pending), number(refused), last,
		})
	}
	return t
}

// bansColumns is the number of columns of bans, all of them words.
const bansColumns = 6

func (m *topModel) bans(most int) table {
	t := table{{"NEWEST BANS", "JAIL", "AT", "LEFT", "SOURCE", "REASON"}}
	for _, b := range m.newest[:min(len(m.newest), most)] {
		left := "permanent"
		if b.End != nil {
			left = shortSeconds(control.SecondsOf(max(b.End.Sub(m.last.at), 0).Truncate(time.Second)))
		}
		t = append(t, []string{
			shortPrefix(b.Address), b.Jail, b.Start.Local().Format(time.TimeOnly), left, string(b.Source), string(b.Reason),
		})
	}
	return t
}

// columns lays a table out. The first columns, as many as text says, hold words; the others hold
// numbers and are set to the right. Rows may be wider than the screen: they are cut later.
func columns(t table, text, width int) []string {
	widths := make([]int, len(t[0]))
	for _, row := range t {
		for i := range row {
			row[i] = clipTo(control.Escape(cmp.Or(row[i], "-")), width)
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
	}
	lines := make([]string, len(t))
	for n, row := range t {
		var b strings.Builder
		for i, cell := range row {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i > 0 {
				b.WriteString("  ")
			}
			if i >= text {
				b.WriteString(pad + cell)
			} else {
				b.WriteString(cell + pad)
			}
		}
		lines[n] = strings.TrimRight(b.String(), " ")
	}
	return lines
}

// clipTo cuts a text to a number of characters.
func clipTo(s string, width int) string {
	if utf8.RuneCountInString(s) <= width {
		return s
	}
	return string([]rune(s)[:max(width, 0)])
}
