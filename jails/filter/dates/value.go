package dates

import "time"

// value turns the captures of a match into a time, zero when they are no valid date.
func (t *template) value(f *form, line []byte, caps []int, now time.Time, loc *time.Location) time.Time {
	switch t.kind {
	case epoch:
		return epochTime(f.get(fieldEpoch, line, caps))
	case tai64n:
		return taiTime(line[caps[2]:caps[3]])
	}
	return f.calendar(line, caps, now, loc)
}

// get returns the text of a part, nil when the match does not have it.
func (f *form) get(field int, line []byte, caps []int) []byte {
	g := f.fields[field]
	if g == 0 || caps[2*g] < 0 {
		return nil
	}
	return line[caps[2*g]:caps[2*g+1]]
}

// epochTime reads seconds with or without a fraction, or without a point milliseconds (13 or 14
// digits) and microseconds (16 or 17).
func epochTime(text []byte) time.Time {
	whole, frac := 0, 0
	if len(text) == 0 {
		return time.Time{} // the other branch of a pattern that may have no epoch in it
	}
	for whole < len(text) && isDigit(text[whole]) {
		whole++
	}
	var n int64
	for _, c := range text[:whole] {
		n = n*10 + int64(c-'0')
	}
	unit := int64(time.Second)
	switch {
	case whole >= 16:
		unit = int64(time.Microsecond)
	case whole >= 13:
		unit = int64(time.Millisecond)
	}
	scale := unit
	var nanos int64
	for _, c := range text[whole:] {
		if isDigit(c) && frac < 9 {
			scale /= 10
			nanos += int64(c-'0') * scale
			frac++
		}
	}
	per := int64(time.Second) / unit
	return time.Unix(n/per, n%per*unit+nanos)
}

// taiTime reads the seconds of a TAI64N label, as 24 hexadecimal digits behind an @.
func taiTime(text []byte) time.Time {
	if len(text) < 25 {
		return time.Time{}
	}
	var n int64
	for _, c := range text[3:17] {
		d := int64(c - '0')
		if c >= 'a' {
			d = int64(c-'a') + 10
		}
		n = n<<4 | d
	}
	if n > maxSeconds {
		return time.Time{}
	}
	return time.Unix(n, 0)
}

// maxSeconds is the last second of the year 9999.
const maxSeconds = 253402300799

// calendar reads a date of parts. What is missing comes from now.
func (f *form) calendar(line []byte, caps []int, now time.Time, loc *time.Location) time.Time {
	get := func(field int) []byte { return f.get(field, line, caps) }
	var zone int
	zoned := false
	for _, field := range [...]int{fieldOffset, fieldZone} {
		if text := get(field); len(text) > 0 {
			if seconds, ok := zoneOffset(text); ok {
				zone, zoned = seconds, true
			}
		}
	}
	if zoned {
		loc = time.UTC
		now = now.Add(time.Duration(zone) * time.Second)
	}
	now = now.In(loc)

	hour, minute, second := number(get(fieldHour)), number(get(fieldMinute)), number(get(fieldSecond))
	if text := get(fieldHour12); len(text) > 0 {
		hour = number(text) % 12
		if half := get(fieldHalf); len(half) > 0 && half[0]|0x20 == 'p' {
			hour += 12
		}
	}
	year, guessed := 0, false
	switch {
	case len(get(fieldYear)) > 0:
		year = number(get(fieldYear))
	case len(get(fieldYear2)) > 0:
		year = 2000 + number(get(fieldYear2))
	default:
		year, guessed = now.Year(), true
	}
	month, day, dated := f.day(line, caps)
	if !dated {
		if !f.timed(line, caps) && guessed {
			return time.Time{}
		}
		if !guessed {
			month, day = 1, 1
		} else {
			return f.today(now, hour, minute, second, zone, loc)
		}
	}
	t := time.Date(year, time.Month(month), day, hour, minute, second, 0, loc)
	if guessed && t.Sub(now) > 24*time.Hour {
		year--
		t = time.Date(year, time.Month(month), day, hour, minute, second, 0, loc)
	}
	if !valid(year, month, day) || hour > 23 || second > 61 {
		return time.Time{}
	}
	return shift(t, zone)
}

// timed reports whether the match has a clock.
func (f *form) timed(line []byte, caps []int) bool {
	return f.get(fieldHour, line, caps) != nil || f.get(fieldHour12, line, caps) != nil
}

// today is a clock alone: of today, or of yesterday when it would be in the future.
func (f *form) today(now time.Time, hour, minute, second, zone int, loc *time.Location) time.Time {
	t := time.Date(now.Year(), now.Month(), now.Day(), hour, minute, second, 0, loc)
	if t.After(now) {
		t = time.Date(now.Year(), now.Month(), now.Day()-1, hour, minute, second, 0, loc)
	}
	return shift(t, zone)
}

// day returns month and day of a match.
func (f *form) day(line []byte, caps []int) (month, day int, ok bool) {
	if text := f.get(fieldYearDay, line, caps); len(text) > 0 {
		return 1, number(text), true
	}
	month = number(f.get(fieldMonth, line, caps))
	for _, field := range [...]int{fieldMon, fieldMonName} {
		if text := f.get(field, line, caps); len(text) >= 3 {
			month = monthOf(text)
		}
	}
	text := f.get(fieldDay, line, caps)
	if month == 0 && text == nil {
		return 0, 0, false
	}
	day = number(text)
	return max(month, 1), max(day, 1), true
}

// monthOf returns the month that a name begins, 0 for none.
func monthOf(name []byte) int { return indexName(months, name) + 1 }

// indexName returns the position of the first three letters of a text in a list of such names
// that are parted by bars, or -1.
func indexName(list string, text []byte) int {
	for i := 0; i < len(list); i += 4 {
		if list[i] == text[0]|0x20 && list[i+1] == text[1]|0x20 && list[i+2] == text[2]|0x20 {
			return i / 4
		}
	}
	return -1
}

// valid reports whether the month has that day. A day of the year counts from January.
func valid(year, month, day int) bool {
	if month == 1 && day > 31 {
		return day <= 365 || day == 366 && time.Date(year, 12, 31, 0, 0, 0, 0, time.UTC).YearDay() == 366
	}
	return day >= 1 && day <= time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
}
