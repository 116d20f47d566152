package dates

import "time"

// The parts of a date that a template can capture, by the names of their groups.
const (
	fieldYear    = iota // four digits
	fieldYear2          // two digits
	fieldMonth          // a number
	fieldMon            // a short name
	fieldMonName        // a full name
	fieldDay
	fieldYearDay // day of the year
	fieldHour
	fieldHour12
	fieldHalf // am or pm
	fieldMinute
	fieldSecond
	fieldOffset // zone as an offset
	fieldZone   // zone as a name
	fieldEpoch  // the digits of a count of seconds
	numFields
)

var fieldNames = [numFields]string{"Y", "y", "m", "b", "B", "d", "j", "H", "I", "p", "M", "S", "z", "Z", "epoch"}

// token is what a %-letter stands for.
type token struct {
	regex string
	width int  // most bytes that it takes
	fold  bool // the whole pattern then ignores case
}

const (
	months     = `jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec`
	monthNames = `january|february|march|april|may|june|july|august|september|october|november|december`
	days       = `mon|tue|wed|thu|fri|sat|sun`
	dayNames   = `monday|tuesday|wednesday|thursday|friday|saturday|sunday`
	offset     = `[+-][01]\d(?::?\d\d)?`
	zoneName   = `[A-Z](?:[A-Z]{2,4})?`
	epochShort = `\d{10,11}\b(?:\.\d{3,6})?`
	epochLong  = `\d{16,17}|\d{13,14}(?:\.\d{1,6})?|\d{10,11}\b(?:\.\d{3,6})?`
)

// tokens by their letters. The forms with Ex demand all their digits.
var tokens = map[string]token{
	"Y":   {`(?P<Y>\d{4})`, 4, false},
	"y":   {`(?P<y>\d\d)`, 2, false},
	"m":   {`(?P<m>0?[1-9]|1[0-2])`, 2, false},
	"d":   {`(?P<d>[12]\d|[ 0]?[1-9]|3[01])`, 2, false},
	"j":   {`(?P<j>36[0-6]|3[0-5]\d|[12]\d\d|0[1-9]\d|00[1-9]|[1-9]\d|0[1-9]|[1-9])`, 3, false},
	"H":   {`(?P<H>[01]?\d|2[0-3])`, 2, false},
	"k":   {` ?(?P<H>[0-2]?\d)`, 3, false},
	"I":   {`(?P<I>1[0-2]|0?[1-9])`, 2, false},
	"l":   {` ?(?P<I>1[0-2]|0?[1-9])`, 3, false},
	"M":   {`(?P<M>[0-5]?\d)`, 2, false},
	"S":   {`(?P<S>[0-5]?\d|6[01])`, 2, false},
	"f":   {`(?P<f>\d{1,6})`, 6, false},
	"w":   {`(?P<w>[0-6])`, 1, false},
	"U":   {`(?P<U>5[0-3]|[0-4]\d|\d)`, 2, false},
	"W":   {`(?P<W>5[0-3]|[0-4]\d|\d)`, 2, false},
	"a":   {`(?P<a>` + days + `)`, 3, true},
	"A":   {`(?P<A>` + dayNames + `)`, 9, true},
	"b":   {`(?P<b>` + months + `)`, 3, true},
	"B":   {`(?P<B>` + monthNames + `)`, 9, true},
	"p":   {`(?P<p>am|pm)`, 2, true},
	"c":   {`(?P<a>` + days + `) (?P<b>` + months + `) (?P<d>[12]\d|[ 0]?[1-9]|3[01]) (?P<H>[01]?\d|2[0-3]):(?P<M>[0-5]?\d):(?P<S>[0-5]?\d|6[01]) (?P<Y>\d{4})`, 24, true},
	"x":   {`(?P<m>0?[1-9]|1[0-2])/(?P<d>[12]\d|[ 0]?[1-9]|3[01])/(?P<y>\d\d)`, 8, false},
	"X":   {`(?P<H>[01]?\d|2[0-3]):(?P<M>[0-5]?\d):(?P<S>[0-5]?\d|6[01])`, 8, false},
	"z":   {`(?P<z>Z|UTC|GMT|` + offset + `)`, 6, false},
	"Z":   {`(?P<Z>[A-Z]{3,5}|Z)`, 5, false},
	"%":   {`%`, 1, false},
	"Exy": {`(?P<y>\d\d)`, 2, false},
	"Exm": {`(?P<m>0[1-9]|1[0-2])`, 2, false},
	"Exd": {`(?P<d>[12]\d|0[1-9]|3[01])`, 2, false},
	"ExH": {`(?P<H>[01]\d|2[0-3])`, 2, false},
	"Exk": {` ?(?P<H>[01]\d|2[0-3])`, 3, false},
	"Exl": {` ?(?P<I>1[0-2]|0[1-9])`, 3, false},
	"ExM": {`(?P<M>[0-5]\d)`, 2, false},
	"ExS": {`(?P<S>[0-5]\d|6[01])`, 2, false},
	"ExZ": {`(?P<Z>` + zoneName + `)`, 5, false},
	"Exz": {`(?P<z>(?:` + zoneName + `)?` + offset + `|` + zoneName + `)`, 11, false},
	"ExY": {exactYear(now()), 4, false},
}

// now is the clock that decides which years an exact year may be.
var now = time.Now

// exactYear matches the years of this century up to the end of the decade in three years.
func exactYear(at time.Time) string {
	last := min(max((at.Year()+3-2000)/10, 2), 9)
	return `(?P<Y>20[0-` + string(rune('0'+last)) + `]\d)`
}

// The patterns that a filter has without one of its own, in their order.
var defaults = []string{
	`%ExY(?P<_sep>[-/.])%m(?P=_sep)%d(?:T|  ?)%H:%M:%S(?:[.,]%f)?(?:\s*%z)?`,
	`(?:%a )?%b %d %k:%M:%S(?:\.%f)?(?: %ExY)?`,
	`(?:%a )?%b %d %ExY %k:%M:%S(?:\.%f)?`,
	`%d(?P<_sep>[-/])%m(?P=_sep)(?:%ExY|%Exy) %k:%M:%S`,
	`%d(?P<_sep>[-/])%b(?P=_sep)%ExY[ :]?%H:%M:%S(?:\.%f)?(?: %z)?`,
	`%m/%d/%ExY:%H:%M:%S`,
	`%m-%d-%ExY %k:%M:%S(?:\.%f)?`,
	nameEpoch,
	lineBegin + `%H:%M:%S`,
	`^<%m/%d/%Exy@%H:%M:%S>`,
	`%Exy%Exm%Exd  ?%H:%M:%S`,
	`%b %d, %ExY %I:%M:%S %p`,
	`^%b-%d-%Exy %k:%M:%S`,
	`%ExY%Exm%Exd(?:-|T|  ?)%ExH:?%ExM:?%ExS(?:[.,]%f)?(?:\s*%z)?`,
	`(?:%Z )?(?:%a )?%b %d %k:%M:%S(?:\.%f)?(?: %ExY)?`,
	`(?:%z )?(?:%a )?%b %d %k:%M:%S(?:\.%f)?(?: %ExY)?`,
	nameTAI,
}

const (
	lineBegin = "{^LN-BEG}"
	unbound   = "{UNB}" // in front of a pattern: nothing is demanded of what stands around it
	nameEpoch = "Epoch"
	nameTAI   = "TAI64N"
)
