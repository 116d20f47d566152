package config

import (
	"math"
	"testing"
	"time"
)

func TestParseDuration(t *testing.T) {
	const day = 24 * time.Hour
	for text, want := range map[string]time.Duration{
		"0": 0, "600": 600 * time.Second, "1.5": 1500 * time.Millisecond, "10m": 10 * time.Minute, "1h30m": 90 * time.Minute,
		"1d 12h": 36 * time.Hour, "1d12h": 36 * time.Hour, "2w": 14 * day, "1mo": 2629800 * time.Second, "1y": 31557600 * time.Second,
		"1y 6mo 1w 4d 5h 30m 10s": 31557600*time.Second + 6*2629800*time.Second + 11*day + 5*time.Hour + 30*time.Minute + 10*time.Second,
		"-1":                      Permanent, " 5s ": 5 * time.Second, "1ms": time.Millisecond, "3us": 3 * time.Microsecond, "3µs": 3 * time.Microsecond,
		"7ns": 7, "1.5h": 90 * time.Minute, "0.1s": 100 * time.Millisecond, "292y": 292 * 31557600 * time.Second,
		"9223372036854775807ns": math.MaxInt64, "010": 10 * time.Second,
	} {
		if got, err := ParseDuration(text); err != nil || got != want {
			t.Errorf("%q is %v (%v), want %v", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", " ", "-", "-2", "-1s", "-1d", "--1", "+1", "s", "1 s", "1x", "1min", "1S", "1,5s", ".5s", "5.s", "1e3", "1h-1m", "1h+1m",
		"0x10", "1_0", "∞", "1d,12h", "9223372036854775808ns", "293y", "1e400", "99999999999999999999999999s", "1d 12", "inf", "nan",
	} {
		if got, err := ParseDuration(text); err == nil {
			t.Errorf("%q is %v, want an error", text, got)
		}
	}
}

func FuzzParseDuration(f *testing.F) {
	for _, seed := range []string{"1d 12h", "-1", "600", "1.5h", "9223372036854775807ns", "1mo"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := ParseDuration(text)
		if err != nil {
			return
		}
		if d < 0 && d != Permanent {
			t.Fatalf("%q is %d", text, d)
		}
		if d == Permanent {
			return
		}
		if back, err := ParseDuration(d.String()); err != nil || back != d {
			t.Errorf("%q is %s, which reads as %s (%v)", text, d, back, err)
		}
	})
}
