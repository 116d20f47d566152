package main

import (
	"bytes"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// The parts of dates, as fail2ban's default date patterns have them.
const (
	reYear   = `(?P<Y>20[012]\d)`
	reMonth  = `(?P<m>0?[1-9]|1[0-2])`
	reName   = `(?P<b>(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec))`
	reDay    = `(?P<d>[12]\d|[0 ]?[1-9]|3[01])`
	reClock  = `(?P<H>[01]?\d|2[0-3]):(?P<M>[0-5]?\d):(?P<S>[0-5]?\d|6[01])`
	reFrac   = `(?:[.,]\d{1,9})?`
	reZone   = `(?:\s*(?P<z>Z|UTC|GMT|[+-][01]\d(?::?\d{2})?))?`
	reOfWeek = `(?:(?i:mon|tue|wed|thu|fri|sat|sun) )?`
)

// dateForms are the forms in the order in which they are tried. Group "date" is what is cut.
var dateForms = compileDates(
	reYear+`(?P<s>[-/.])`+reMonth+`(?P<t>[-/.])`+reDay+`(?:T|  ?)`+reClock+reFrac+reZone,
	reOfWeek+reName+` `+reDay+`  ?`+reClock+reFrac+`(?: `+reYear+`)?`,
	reOfWeek+reName+` `+reDay+` `+reYear+`  ?`+reClock+reFrac,
	reDay+`(?P<s>[-/])`+reName+`(?P<t>[-/])`+reYear+`[ :]?`+reClock+reFrac+reZone,
	`(?P<y>\d\d)(?P<m>0[1-9]|1[0-2])(?P<d>[0-2]\d|3[01])  ?`+reClock,
)

// epochForm is seconds since 1970 at the start of a line, bare or in brackets, or of the audit log.
var epochForm = regexp.MustCompile(`(?:^\[?|audit\()(?P<date>(?P<e>\d{10})(?:\.\d{3,6})?)(?:\]|:\d+\)|\s|$)`)

func compileDates(forms ...string) []*regexp.Regexp {
	list := make([]*regexp.Regexp, len(forms))
	for i, f := range forms {
		list[i] = regexp.MustCompile(`(?:^|\b|\W)(?P<date>` + f + `)(?:\b|\W|$)`)
	}
	return list
}

// cutDate locates the date of a line without a syslog header and returns the line without it. The
// first form that stands at the start of the line wins, else the leftmost date. Without one the
// time is zero and the rest is the line.
func cutDate(line []byte, now time.Time, loc *time.Location) (at time.Time, rest []byte) {
	first, end := len(line)+1, 0
	for _, re := range append([]*regexp.Regexp{epochForm}, dateForms...) {
		m := re.FindSubmatchIndex(line)
		if m == nil {
			continue
		}
		i := 2 * re.SubexpIndex("date")
		atStart := len(bytes.TrimLeft(line[:m[i]], `[(<{"'* `)) == 0 && m[i] <= 2
		if m[i] >= first && !atStart {
			continue
		}
		t, ok := dateValue(re, line, m, now, loc)
		if !ok {
			continue
		}
		at, first, end = t, m[i], m[i+1]
		if atStart {
			break
		}
	}
	if at.IsZero() {
		return at, line
	}
	return at, append(bytes.Clone(line[:first]), line[end:]...)
}

// dateValue turns the groups of a match into a time.
func dateValue(re *regexp.Regexp, line []byte, m []int, now time.Time, loc *time.Location) (time.Time, bool) {
	group := func(name string) string {
		if i := re.SubexpIndex(name); i >= 0 && m[2*i] >= 0 {
			return string(line[m[2*i]:m[2*i+1]])
		}
		return ""
	}
	number := func(name string) int {
		n, _ := strconv.Atoi(strings.TrimSpace(group(name))) // the pattern has digits only
		return n
	}
	if group("e") != "" {
		return time.Unix(int64(number("e")), 0), true
	}
	if group("s") != group("t") {
		return time.Time{}, false
	}
	month := time.Month(number("m"))
	if name := group("b"); name != "" {
		month = time.Month(strings.Index("janfebmaraprmayjunjulaugsepoctnovdec", strings.ToLower(name))/3 + 1)
	}
	year := number("Y")
	if y := group("y"); y != "" {
		year = 2000 + number("y")
	}
	if zone := group("z"); zone != "" {
		loc = fixedZone(zone)
	}
	guess := year == 0
	if guess {
		year = now.In(loc).Year()
	}
	t := time.Date(year, month, number("d"), number("H"), number("M"), number("S"), 0, loc)
	if guess && t.Sub(now) > 24*time.Hour {
		t = t.AddDate(-1, 0, 0)
	}
	return t, true
}

// fixedZone reads Z, UTC, GMT, +hh, +hhmm or +hh:mm.
func fixedZone(s string) *time.Location {
	if s[0] != '+' && s[0] != '-' {
		return time.UTC
	}
	digits := strings.ReplaceAll(s[1:], ":", "") + "00"
	hours, _ := strconv.Atoi(digits[:2]) // the pattern has digits only
	minutes, _ := strconv.Atoi(digits[2:4])
	offset := hours*3600 + minutes*60
	if s[0] == '-' {
		offset = -offset
	}
	return time.FixedZone("", offset)
}
