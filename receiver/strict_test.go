package receiver

import (
	"strings"
	"testing"
	"time"

	"stockade/receiver/decode"
)

func TestStrictFormats(t *testing.T) {
	const bsd, iso = "<38>Nov 24 06:00:00 web1 sshd[7]: Failed password", "<38>1 2026-11-24T06:00:00Z web1 sshd 7 ID1 [x@1 a=\"b\"] Failed password"
	for _, tt := range []struct {
		name, format, line string
		ok                 bool
	}{
		{"BSD", "rfc3164", bsd, true},
		{"new", "rfc5424", iso, true},
		{"BSD where the new one is due", "rfc5424", bsd, false},
		{"a line without PRI", "rfc3164", "sshd: hello", false},
		{"a bare PRI, which crashes the parser", "rfc3164", "<34>", false},
		{"PRI and a space", "rfc3164", "<34>    ", true},
		{"PRI above 191", "rfc5424", strings.Replace(iso, "<38>", "<999>", 1), false},
		{"too long", "rfc3164", bsd + strings.Repeat("x", 9000), false},
		{"empty", "rfc5424", "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var m decode.Message
			ok := newStrict(tt.format).decode([]byte(tt.line), time.UTC, time.Now(), &m)
			if ok != tt.ok {
				t.Fatalf("accepted %v, want %v (%+v)", ok, tt.ok, m)
			}
			if !strings.Contains(tt.line, "Failed") || !ok {
				return
			}
			if m.Facility != 4 || m.Severity != 6 || string(m.Hostname) != "web1" || string(m.App) != "sshd" || string(m.Text) != "Failed password" || m.Repeat != 1 {
				t.Fatalf("message %+v", m)
			}
		})
	}
}

func TestStrictYearIsTheNearest(t *testing.T) {
	var m decode.Message
	now := time.Date(time.Now().Year(), 1, 2, 0, 0, 0, 0, time.UTC)
	if !newStrict("rfc3164").decode([]byte("<38>Dec 31 23:59:59 web1 sshd[7]: x"), time.UTC, now, &m) {
		t.Fatal("refused")
	}
	if m.Stamp.Year() != now.Year()-1 {
		t.Fatalf("stamp %s, received %s", m.Stamp, now)
	}
}

func FuzzStrict(f *testing.F) {
	for _, s := range []string{"<34>", "<13>1 ", "<38>Nov 24 06:00:00 web1 sshd[7]: x", "<38>1 2026-11-24T06:00:00Z w s 7 - - x", "<0>1 - - - - - [a b=\"\\]", "<167>2022-08-21T00:07:06.7"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, name := range []string{"rfc3164", "rfc5424"} {
			var m decode.Message
			if s := newStrict(name); s.decode(b, time.UTC, time.Now(), &m) && (m.Facility < 0 || m.Facility > 23 || m.Severity < 0 || m.Severity > 7) {
				t.Fatalf("%s: facility %d, severity %d", name, m.Facility, m.Severity)
			}
		}
	})
}

func TestStrictListenerRefusesTheRest(t *testing.T) {
	cfg := loopback("tcp")
	cfg.Format = "rfc5424"
	r := start(t, cfg, local, nil)
	c := r.dial()
	r.send(c, "<38>1 2026-11-24T06:00:00Z web1 sshd 7 - - good\n<34>\nhello\n<38>1 2026-11-24T06:00:00Z web1 sshd 7 - - better\n")
	if got := r.lines(2); got[0].text != "good" || got[1].text != "better" || got[1].app != "sshd" {
		t.Fatalf("got %+v", got)
	}
	if n := r.refusals(ReasonFormat); n != 2 {
		t.Fatalf("%d refusals, want 2", n)
	}
}
