package main

import (
	"testing"
	"time"
)

func TestCutDate(t *testing.T) {
	now := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
	loc := time.FixedZone("", 3600)
	tests := []struct{ name, line, date, rest string }{
		{"ISO with T and zone", "2026-11-24T09:59:58.123+02:00 failed", "2026-11-24T07:59:58Z", " failed"},
		{"ISO with a blank", "2026-11-24 09:59:58,123 failed", "2026-11-24T08:59:58Z", " failed"},
		{"slashes", "2026/11/24 09:59:58 [error] 7#7: x", "2026-11-24T08:59:58Z", " [error] 7#7: x"},
		{"mixed separators are no date", "2026/11-24 09:59:58 x", "", "2026/11-24 09:59:58 x"},
		{"Z", "2026-11-24 09:59:58 UTC x", "2026-11-24T09:59:58Z", " x"},
		{"web server", `192.0.2.7 - - [24/Nov/2026:10:59:58 +0100] "GET"`, "2026-11-24T09:59:58Z", `192.0.2.7 - - [] "GET"`},
		{"BSD", "Nov 24 10:59:58 x", "2026-11-24T09:59:58Z", " x"},
		{"BSD of last year", "Dec  1 10:59:58 x", "2025-12-01T09:59:58Z", " x"},
		{"BSD a little ahead", "Nov 25 10:59:58 x", "2026-11-25T09:59:58Z", " x"},
		{"with the day of the week and the year", "Tue Nov 24 10:59:58 2026 x", "2026-11-24T09:59:58Z", " x"},
		{"in brackets", "[Tue Nov 24 10:59:58.123456 2026] [auth] x", "2026-11-24T09:59:58Z", "[] [auth] x"},
		{"year before the clock", "Nov 24 2026 10:59:58 x", "2026-11-24T09:59:58Z", " x"},
		{"six digits", "261124 10:59:58 x", "2026-11-24T09:59:58Z", " x"},
		{"epoch", "1795514398 x", "2026-11-24T09:59:58Z", " x"},
		{"epoch in brackets", "[1795514398.123] x", "2026-11-24T09:59:58Z", "[] x"},
		{"audit", "type=USER msg=audit(1795514398.123:7): x", "2026-11-24T09:59:58Z", "type=USER msg=audit(:7): x"},
		{"the start of the line wins", "2026-11-24 10:59:58 since Nov 23 01:02:03", "2026-11-24T09:59:58Z", " since Nov 23 01:02:03"},
		{"the leftmost wins", "x Nov 24 10:59:58, 2026-01-02 03:04:05", "2026-11-24T09:59:58Z", "x , 2026-01-02 03:04:05"},
		{"none", "192.0.2.7 failed 10:00", "", "192.0.2.7 failed 10:00"},
		{"empty", "", "", ""},
	}
	for _, tt := range tests {
		at, rest := cutDate([]byte(tt.line), now, loc)
		date := ""
		if !at.IsZero() {
			date = at.UTC().Format(time.RFC3339)
		}
		if date != tt.date || string(rest) != tt.rest {
			t.Errorf("%s: %q, %q; want %q, %q", tt.name, date, rest, tt.date, tt.rest)
		}
	}
}

func FuzzCutDate(f *testing.F) {
	for _, s := range []string{"2026-11-24T09:59:58+02:00 x", "[24/Nov/2026:10:00:00 +0000]", "Nov 24 10:59:58 x", "[1795514398.123] x", "261124 10:59:58", "\xff", ""} {
		f.Add(s)
	}
	now := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, s string) {
		at, rest := cutDate([]byte(s), now, time.UTC)
		if at.IsZero() != (string(rest) == s) || len(rest) > len(s) {
			t.Fatalf("%q: %s, rest %q", s, at, rest)
		}
		if !at.IsZero() && (at.Year() < 1990 || at.Year() > 2300) {
			t.Fatalf("%q: year %d", s, at.Year())
		}
	})
}

func BenchmarkCutDate(b *testing.B) {
	now := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
	for name, line := range map[string]string{
		"web":  `192.0.2.7 - - [24/Nov/2026:10:00:00 +0000] "GET /x HTTP/1.1" 401 5 "-" "-"`,
		"iso":  "2026-11-24 09:59:58,123 failed login of somebody from 192.0.2.7",
		"none": "nothing that looks like a date is in this line from 192.0.2.7",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				cutDate([]byte(line), now, time.UTC)
			}
		})
	}
}
