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

// The forms of dates. Group "date" is what is cut. A form is tried only where the text in front
// of the clock can be of it: see formsFor.
var (
	numberForms = compileDates( // 2026-11-24 10:00:00 and 261124 10:00:00
		reYear+`(?P<s>[-/.])`+reMonth+`(?P<t>[-/.])`+reDay+`(?:T|  ?)`+reClock+reFrac+reZone,
		`(?P<y>\d\d)(?P<m>0[1-9]|1[0-2])(?P<d>[0-2]\d|3[01])  ?`+reClock,
	)
	nameForms = compileDates( // Tue Nov 24 10:00:00 2026 and Nov 24 2026 10:00:00
		reOfWeek+reName+` `+reDay+`  ?`+reClock+reFrac+`(?: `+reYear+`)?`,
		reOfWeek+reName+` `+reDay+` `+reYear+`  ?`+reClock+reFrac,
	)
	webForms = compileDates( // 24/Nov/2026:10:00:00 +0000
		reDay + `(?P<s>[-/])` + reName + `(?P<t>[-/])` + reYear + `[ :]?` + reClock + reFrac + reZone,
	)
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

const (
	beforeClock = 32 // bytes in front of a clock in which its date begins
	afterClock  = 32 // bytes behind the start of a clock in which its date ends
)

// cutDate locates the first date of a line without a syslog header and returns the line without
// it. Without one the time is zero and the rest is the line.
func cutDate(line []byte, now time.Time, loc *time.Location) (at time.Time, rest []byte) {
	if len(line) > 0 && (line[0] == '[' || isDigit(line[0]) || bytes.Contains(line, []byte("audit("))) {
		if at, rest, ok := cutForm(epochForm, line, 0, len(line), -1, now, loc); ok {
			return at, rest
		}
	}
	for i := 0; ; i++ {
		n := clock(line[i:])
		if n < 0 {
			return time.Time{}, line
		}
		i += n
		begin := max(0, i-beforeClock)
		for begin > 0 && isWord(line[begin-1]) { // never in the middle of a word
			begin++
		}
		for _, re := range formsFor(line[begin:i]) {
			if at, rest, ok := cutForm(re, line, begin, min(len(line), i+afterClock), i, now, loc); ok {
				return at, rest
			}
		}
	}
}

// monthNames are the names that dates have, one behind the other.
const monthNames = "janfebmaraprmayjunjulaugsepoctnovdec"

// formsFor chooses the forms by the month's name in front of a clock, and what follows it.
func formsFor(text []byte) []*regexp.Regexp {
	for i := 0; i+3 < len(text); i++ {
		if monthNumber(text[i:i+3]) == 0 {
			continue
		}
		switch text[i+3] {
		case '/', '-':
			return webForms
		case ' ':
			return nameForms
		}
	}
	return numberForms
}

// monthNumber returns the month of a name of three letters in any case, or 0.
func monthNumber(name []byte) time.Month {
	var lower [3]byte
	for i := range lower {
		lower[i] = name[i] | 0x20
	}
	for i := 0; i < len(monthNames); i += 3 {
		if monthNames[i] == lower[0] && monthNames[i+1] == lower[1] && monthNames[i+2] == lower[2] {
			return time.Month(i/3 + 1)
		}
	}
	return 0
}

// clock returns the position of the first ":NN:" or ":N:", which every date has in its clock, or -1.
func clock(line []byte) int {
	for i := 0; i+3 < len(line); i++ {
		if line[i] == ':' && isDigit(line[i+1]) && (line[i+2] == ':' || isDigit(line[i+2]) && line[i+3] == ':') {
			return i
		}
	}
	return -1
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isWord(c byte) bool {
	return isDigit(c) || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_'
}

// cutForm looks for one form between two positions of the line. A date must span the position
// at, when that is not negative.
func cutForm(re *regexp.Regexp, line []byte, begin, end, at int, now time.Time, loc *time.Location) (time.Time, []byte, bool) {
	if begin > end {
		return time.Time{}, nil, false
	}
	part := line[begin:end]
	m := re.FindSubmatchIndex(part)
	if m == nil {
		return time.Time{}, nil, false
	}
	i := 2 * re.SubexpIndex("date")
	first, last := begin+m[i], begin+m[i+1]
	if at >= 0 && (at < first || at >= last) {
		return time.Time{}, nil, false
	}
	t, ok := dateValue(re, part, m, now, loc)
	if !ok {
		return time.Time{}, nil, false
	}
	return t, append(bytes.Clone(line[:first]), line[last:]...), true
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
		month = monthNumber([]byte(name))
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
