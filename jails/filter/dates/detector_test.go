package dates

import (
	"strings"
	"testing"
	"time"
)

// Wednesday noon, winter time in Berlin.
var wednesday = time.Date(2026, 1, 14, 12, 0, 0, 0, time.UTC)

func berlin(t testing.TB) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

func compileIn(t testing.TB, pattern string, loc *time.Location) *Detector {
	t.Helper()
	d, err := Compile(pattern, Options{Location: loc})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestFind(t *testing.T) {
	const none = "none"
	tests := []struct {
		name, pattern, line string
		cut, at             string // at in UTC; empty: no valid date
	}{
		{"ISO date with a zone", "", "2026-01-14T10:00:00.5+02:00 host x", "2026-01-14T10:00:00.5+02:00", "2026-01-14T08:00:00Z"},
		{"ISO date without a zone is local", "", "2026/01/14 10:00:00 x", "2026/01/14 10:00:00", "2026-01-14T09:00:00Z"},
		{"separators must be the same", "", "2026-01/14 10:00:00 x", none, ""},
		{"syslog date of this year", "", "Jan 14 10:00:00 host x", "Jan 14 10:00:00", "2026-01-14T09:00:00Z"},
		{"syslog date of tomorrow stays in this year", "", "Jan 15 10:00:00 host x", "Jan 15 10:00:00", "2026-01-15T09:00:00Z"},
		{"syslog date further ahead is of last year", "", "Dec 31 23:59:59 host x", "Dec 31 23:59:59", "2025-12-31T22:59:59Z"},
		{"day with a blank", "", "Jan  4 10:00:00 host x", "Jan  4 10:00:00", "2026-01-04T09:00:00Z"},
		{"weekday and year", "", "Sat Jun 01 02:17:42 2013 x", "Sat Jun 01 02:17:42 2013", "2013-06-01T00:17:42Z"},
		{"year before the clock", "", "Oct 27 2015 09:24:46 x", "Oct 27 2015 09:24:46", "2015-10-27T08:24:46Z"},
		{"case does not matter in names", "", "jAN 14 10:00:00 x", "jAN 14 10:00:00", "2026-01-14T09:00:00Z"},
		{"day first", "", "23/01/05 21:59:59 x", "23/01/05 21:59:59", "2005-01-23T20:59:59Z"},
		{"web server, in the middle", "", `1.2.3.4 - - [31/Oct/2025:09:22:55 -0100] "GET"`, "31/Oct/2025:09:22:55 -0100", "2025-10-31T10:22:55Z"},
		{"month first", "", "05/20/2025:01:57:39 x", "05/20/2025:01:57:39", "2025-05-19T23:57:39Z"},
		{"month first with dashes", "", "05-20-2025  1:57:39.123 x", "05-20-2025  1:57:39.123", "2025-05-19T23:57:39Z"},
		{"seconds since 1970", "", "1387288694 x", "1387288694", "2013-12-17T13:58:14Z"},
		{"seconds with a fraction in brackets", "", "[1387288694.250] x", "1387288694.250", "2013-12-17T13:58:14.25Z"},
		{"seconds of the audit log", "", "type=X msg=audit(1387288694.123:45): x", "1387288694.123", "2013-12-17T13:58:14.123Z"},
		{"a number elsewhere is no date", "", "id 1387288694 x", none, ""},
		{"clock alone is of today", "", "10:00:00 x", "10:00:00", "2026-01-14T09:00:00Z"},
		{"clock alone that is to come is of yesterday", "", "14:00:00 x", "14:00:00", "2026-01-13T13:00:00Z"},
		{"date in angle brackets", "", "<09/16/08@05:03:30>x", "<09/16/08@05:03:30>", "2008-09-16T03:03:30Z"},
		{"packed date", "", "130322 11:46:11 x", "130322 11:46:11", "2013-03-22T10:46:11Z"},
		{"twelve hours after noon", "", "Apr 15, 2013 8:34:08 PM x", "Apr 15, 2013 8:34:08 PM", "2013-04-15T18:34:08Z"},
		{"twelve at midnight", "", "Apr 15, 2013 12:34:08 am x", "Apr 15, 2013 12:34:08 am", "2013-04-14T22:34:08Z"},
		{"dashes with a name", "", "Apr-27-13 02:33:06 x", "Apr-27-13 02:33:06", "2013-04-27T00:33:06Z"},
		{"all digits", "", "20260114T100000,5 +0200 x", "20260114T100000,5 +0200", "2026-01-14T08:00:00Z"},
		{"abbreviation of a zone in front", "", "[PDT Apr 16 21:05:29] x", "PDT Apr 16 21:05:29", "2025-04-17T04:05:29Z"},
		{"offset in front", "", "+0100 Jan 14 10:00:00 x", "+0100 Jan 14 10:00:00", "2026-01-14T09:00:00Z"},
		{"TAI64N", "", "@400000004c91b044077a9e94 x", "@400000004c91b044077a9e94", "2010-09-16T05:51:00Z"},
		{"day that does not exist", "", "2026-02-30 10:00:00 x", "2026-02-30 10:00:00", ""},
		{"leap day of a leap year", "", "2024-02-29 10:00:00 x", "2024-02-29 10:00:00", "2024-02-29T09:00:00Z"},
		{"hour that does not exist", "", "Jan 14 25:00:00 x", "Jan 14 25:00:00", ""},
		{"no date", "", "nothing to see", none, ""},
		{"empty line", "", "", none, ""},
		{"inside of a word", "", "x2026-01-14 10:00:00", none, ""},
		{"two signs may stand before it", "{^LN-BEG}", "[<2026-01-14 10:00:00 x", "2026-01-14 10:00:00", "2026-01-14T09:00:00Z"},
		{"three may not", "{^LN-BEG}", "[[<2026-01-14 10:00:00 x", none, ""},
		{"own pattern without a group is cut whole", `^L %d/%m/%Y - %H:%M:%S`, "L 14/01/2026 - 10:00:00: x", "L 14/01/2026 - 10:00:00", "2026-01-14T09:00:00Z"},
		{"own group is what is cut", `t="(%Y-%m-%d %H:%M)"`, `a t="2026-01-14 10:00" b`, "2026-01-14 10:00", "2026-01-14T09:00:00Z"},
		{"a default in a context", `^[^\[]*\[({DATE})`, "ab [2026-01-14 10:00:00] c", "2026-01-14 10:00:00", "2026-01-14T09:00:00Z"},
		{"nothing is cut", `^I\(()**`, "I(x) y", "", ""},
		{"milliseconds since 1970", "LEPOCH", "1387288694123 x", "1387288694123", "2013-12-17T13:58:14.123Z"},
		{"microseconds since 1970", "^LEPOCH", "1387288694123456 x", "1387288694123456", "2013-12-17T13:58:14.123456Z"},
		{"seconds in a context", `^ts={EPOCH}\s`, "ts=1387288694 x", "ts=1387288694 ", "2013-12-17T13:58:14Z"},
		{"day of the year", `^%Y %j %H:%M`, "2024 366 10:00", "2024 366 10:00", "2024-12-31T09:00:00Z"},
		{"year alone", `^%Y:`, "2025: x", "2025:", "2024-12-31T23:00:00Z"},
		{"full names", `^%A, %d %B %Y`, "Wednesday, 14 january 2026 x", "Wednesday, 14 january 2026", "2026-01-13T23:00:00Z"},
		{"abbreviation with an offset", `^%Y-%m-%d %H:%M:%S %Exz`, "2026-01-14 10:00:00 UTC+0300 x", "2026-01-14 10:00:00 UTC+0300", "2026-01-14T07:00:00Z"},
		{"a percent sign", `^%%%Y-%m-%d`, "%2026-01-14 x", "%2026-01-14", "2026-01-13T23:00:00Z"},
		{"a pattern that may stand in a word", "{UNB}%H:%M:%S", "x10:00:00y", "10:00:00", "2026-01-14T09:00:00Z"},
		{"a pattern at the beginning that may end in a word", "{UNB}^%Y-%m-%d", "2026-01-14Tx", "2026-01-14", "2026-01-13T23:00:00Z"},
		{"the branch without an epoch", "(?:{EPOCH}|now) x", "now x", "now x", ""},
		{"no dates wanted", "{NONE}", "2026-01-14 10:00:00", none, ""},
		{"patterns in order", "^%Y\n^%m/%d", "01/02 x", "01/02", "2026-01-01T23:00:00Z"},
		{"the leftmost of several", "%Y-%m-%d\n%d/%m/%Y", "at 14/01/2026 or 2025-01-01", "14/01/2026", "2026-01-13T23:00:00Z"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := compileIn(t, tt.pattern, berlin(t))
			c, at, ok := d.Find([]byte(tt.line), wednesday)
			if !ok {
				if tt.cut != none {
					t.Fatalf("no date in %q", tt.line)
				}
				return
			}
			if got := tt.line[c.Start:c.End]; got != tt.cut {
				t.Errorf("cut %q by %q, want %q", got, d.Templates()[c.Template], tt.cut)
			}
			got := ""
			if !at.IsZero() {
				got = at.UTC().Format(time.RFC3339Nano)
			}
			if got != tt.at {
				t.Errorf("time %s, want %s", got, tt.at)
			}
		})
	}
}

func TestPatternsAtFault(t *testing.T) {
	tests := []struct{ name, pattern, want string }{
		{"unknown token", `^%Y-%Q`, "%Q is no part of a date at offset 4"},
		{"percent at the end", `^%Y%`, "% is no part of a date"},
		{"unbalanced group", `^(%Y`, "date pattern"},
		{"one part twice", `^%Y %Y`, "date pattern"},
		{"too long", strings.Repeat("x", maxPattern+1), "longer than 16 KiB"},
		{"too many templates", strings.Repeat("{DATE}x\n{DATE}y\n", 1) + manyDates(20), "more than 256"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Compile(tt.pattern, Options{})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error is %v, want %q", err, tt.want)
			}
		})
	}
}

func manyDates(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("{DATE}" + strings.Repeat("z", i+1) + "\n")
	}
	return b.String()
}

func TestDefaultTemplates(t *testing.T) {
	for pattern, want := range map[string]int{"": 31, "{DEFAULT}": 31, "{^LN-BEG}": 17, "{DATE}": 17, "^{date}": 17, "{NONE}": 0, "{^LN-BEG}TAI64N\n{^LN-BEG}": 17} {
		if got := len(compileIn(t, pattern, nil).Templates()); got != want {
			t.Errorf("%q: %d templates, want %d", pattern, got, want)
		}
	}
	if got := len(Default(Options{}).Templates()); got != 31 {
		t.Errorf("the default has %d templates", got)
	}
}

func TestZones(t *testing.T) {
	tests := []struct {
		text string
		want int // seconds; -1: no zone
	}{
		{"Z", 0}, {"UTC", 0}, {"GMT", 0}, {"+01", 3600}, {"+0130", 5400}, {"-01:30", -5400}, {"CEST", 7200}, {"pdt", -25200},
		{"A", 3600}, {"M", 12 * 3600}, {"N", -3600}, {"Y", -12 * 3600}, {"GMT+02", 7200}, {"CET-0100", 0}, {"XYZ", -1}, {"J", -1}, {"+1", -1}, {"", -1},
	}
	for _, tt := range tests {
		got, ok := zoneOffset([]byte(tt.text))
		if ok != (tt.want != -1) || ok && got != tt.want {
			t.Errorf("%q: %d %t, want %d", tt.text, got, ok, tt.want)
		}
	}
}

func TestYearsOfThisCentury(t *testing.T) {
	for year, last := range map[int]string{2024: "2", 2026: "2", 2027: "3", 2037: "4", 2150: "9", 1999: "2"} {
		want := `(?P<Y>20[0-` + last + `]\d)`
		if got := exactYear(time.Date(year, 6, 1, 0, 0, 0, 0, time.UTC)); got != want {
			t.Errorf("in %d: %s, want %s", year, got, want)
		}
	}
}

func TestSpringForwardAndFallBack(t *testing.T) {
	d := compileIn(t, "", berlin(t))
	for line, want := range map[string]string{
		"2026-03-29 01:59:59 x": "2026-03-29T00:59:59Z",
		"2026-03-29 03:00:00 x": "2026-03-29T01:00:00Z",
		"2026-10-25 03:00:00 x": "2026-10-25T02:00:00Z",
	} {
		_, at, ok := d.Find([]byte(line), wednesday)
		if got := at.UTC().Format(time.RFC3339); !ok || got != want {
			t.Errorf("%s: %s, want %s", line, got, want)
		}
	}
}

func TestMemory(t *testing.T) {
	var m Memory
	now := wednesday
	if got := m.Time(time.Time{}, now); !got.Equal(now) {
		t.Errorf("before any date: %v", got)
	}
	seen := now.Add(-30 * time.Second)
	if got := m.Time(seen, now); !got.Equal(seen) {
		t.Errorf("a date: %v", got)
	}
	if got := m.Time(time.Time{}, now); !got.Equal(seen) {
		t.Errorf("soon after it: %v", got)
	}
	if got := m.Time(time.Time{}, now.Add(time.Minute)); !got.Equal(now.Add(time.Minute)) {
		t.Errorf("long after it: %v", got)
	}
}

func TestACloneFindsTheSame(t *testing.T) {
	d := compileIn(t, "", time.UTC)
	c := d.Clone()
	line := []byte("Jan 14 10:00:00 host x")
	a, at, _ := d.Find(line, wednesday)
	b, bt, _ := c.Find(line, wednesday)
	if a != b || !at.Equal(bt) {
		t.Errorf("%+v %v and %+v %v", a, at, b, bt)
	}
}

func TestNothingIsAllocated(t *testing.T) {
	lines := [][]byte{
		[]byte("Jan 14 10:00:00 host sshd[1]: x"), []byte("2026-01-14T10:00:00.5+02:00 host x"), []byte("nothing to see here"),
		[]byte(`1.2.3.4 - - [31/Oct/2025:09:22:55 -0100] "GET / HTTP/1.1" 401 0`), []byte("[1387288694.25] x"), []byte("PDT Apr 16 21:05:29 x"),
		[]byte("10:00:00 x"), []byte("@400000004c91b044077a9e94 x"),
	}
	for _, pattern := range []string{"", "{^LN-BEG}", `^[^\[]*\[({DATE})`} {
		d := compileIn(t, pattern, berlin(t))
		for _, l := range lines {
			d.Find(l, wednesday)
			if n := testing.AllocsPerRun(50, func() { d.Find(l, wednesday) }); n != 0 {
				t.Errorf("%q on %q: %v allocations", pattern, l, n)
			}
		}
	}
}
