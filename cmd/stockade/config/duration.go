package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Permanent is the duration of a ban without an end, written -1.
const Permanent = -time.Second

// unitSeconds are the lengths of the units. A month and a year are the calendar's averages, as
// fail2ban has them.
var unitSeconds = map[string]float64{
	"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600,
	"d": 86400, "w": 7 * 86400, "mo": 2629800, "y": 31557600,
}

// ParseDuration reads a duration of the configuration and the command line: a sum of numbers
// with units (ns us ms s m h d w mo y), such as 90s, 1h30m or `1d 12h`, bare seconds such as 600, or -1, which
// is [Permanent]. The result is otherwise between 0 and 292 years.
func ParseDuration(text string) (time.Duration, error) {
	rest := strings.TrimSpace(text)
	if rest == "-1" {
		return Permanent, nil
	}
	if strings.HasPrefix(rest, "-") {
		return 0, fmt.Errorf("%s is negative; only -1 may be, which means permanent", clip(text))
	}
	if number, tail := cutNumber(rest); number != "" && tail == "" {
		rest += "s"
	}
	if rest == "" {
		return 0, fmt.Errorf("%s is not a duration; write 10m, 1d 12h or seconds", clip(text))
	}
	var total time.Duration
	for rest != "" {
		number, tail := cutNumber(rest)
		unit := tail[:len(tail)-len(strings.TrimLeft(tail, "abcdefghijklmnopqrstuvwxyzµ"))]
		seconds, known := unitSeconds[unit]
		if number == "" || (!known && unit == "") {
			return 0, fmt.Errorf("%s is not a duration; write 10m, 1d 12h or seconds", clip(text))
		}
		if !known {
			return 0, fmt.Errorf("%s: unknown unit %s; legal: ns, us, ms, s, m, h, d, w, mo, y", clip(text), clip(unit))
		}
		part, ok := multiply(number, seconds)
		if !ok || total > math.MaxInt64-part {
			return 0, fmt.Errorf("%s is too long; at most 292 years, or -1 for permanent", clip(text))
		}
		total += part
		rest = strings.TrimLeft(tail[len(unit):], " ")
	}
	return total, nil
}

// cutNumber returns the decimal number at the start of s, and the rest.
func cutNumber(s string) (number, rest string) {
	end := len(s) - len(strings.TrimLeft(s, "0123456789"))
	if end < len(s) && s[end] == '.' {
		fraction := len(s[end+1:]) - len(strings.TrimLeft(s[end+1:], "0123456789"))
		if end == 0 || fraction == 0 {
			return "", s
		}
		end += 1 + fraction
	}
	return s[:end], s[end:]
}

// multiply returns number units of that many seconds. Whole numbers are exact.
func multiply(number string, seconds float64) (time.Duration, bool) {
	unit := math.Round(seconds * 1e9)
	if n, err := strconv.ParseInt(number, 10, 64); err == nil {
		if n > math.MaxInt64/int64(unit) {
			return 0, false
		}
		return time.Duration(n * int64(unit)), true
	}
	f, err := strconv.ParseFloat(number, 64)
	if err != nil || f*unit >= math.MaxInt64 {
		return 0, false
	}
	return time.Duration(math.Round(f * unit)), true
}
