package dates

import (
	"strings"
	"testing"
	"time"

	"stockade/jails/filter/engine"
)

// check holds what is true of every answer.
func check(t *testing.T, d *Detector, line string) {
	t.Helper()
	c, at, ok := d.Find([]byte(line), wednesday)
	if !ok {
		if c != (Cut{}) || !at.IsZero() {
			t.Fatalf("no date, but %+v %v", c, at)
		}
		return
	}
	if c.From < 0 || c.From > c.To || c.To > len(line) || c.Start < 0 || c.Start > c.End || c.End > len(line) ||
		c.Template < 0 || c.Template >= len(d.Templates()) {
		t.Fatalf("%+v of %d bytes", c, len(line))
	}
	if again, at2, ok := d.Find([]byte(line), wednesday); !ok || again != c || !at2.Equal(at) {
		t.Fatalf("%+v %v, then %+v %v", c, at, again, at2)
	}
}

// plain returns a detector that searches every line with every template, without a look first.
func plain(d *Detector) *Detector {
	c := d.Clone()
	c.templates = nil
	bit := 0
	for _, t := range d.templates {
		p := *t
		p.window, p.lead, p.clock, p.after, p.hour, p.run, p.soon, p.sep = 0, nil, false, 0, nil, 0, 0, nil
		p.forms = nil
		for _, f := range t.forms {
			f.bit, f.first, f.near = bit, nil, 0
			bit++
			p.forms = append(p.forms, f)
		}
		c.templates = append(c.templates, &p)
	}
	c.bare = engine.NewScanner(make([][]string, bit))
	c.scratch(len(d.caps)/2 - 1)
	return c
}

// same compares the answers of two detectors.
func same(t *testing.T, a, b *Detector, line string) {
	t.Helper()
	c, at, ok := a.Find([]byte(line), wednesday)
	c2, at2, ok2 := b.Find([]byte(line), wednesday)
	if c != c2 || ok != ok2 || !at.Equal(at2) {
		t.Fatalf("%q: %+v %v %t, without looking first %+v %v %t", line, c, at, ok, c2, at2, ok2)
	}
}

// FuzzLooks holds that the looks before a search never turn a match away.
func FuzzLooks(f *testing.F) {
	for _, s := range []string{
		"Jan 14 10:00:00 host x", "[<2026-01-14T10:00:00.5+02:00 x", "[1387288694.250]", "@400000004c91b044077a9e94", "PDT Apr 16 21:05:29",
		"type=X msg=audit(1387288694.123:45): x", "20260114T100000,5 +0200", "1.2 - [31/Oct/2006:09:22:55 -0000] x", "a -- b -- - 2026-01-14 10:00:00",
		"2026-01-14 10:00:00" + strings.Repeat(" ", 300) + "+0100", "\xff 10:00:00", "é2026-01-14 10:00:00", " 4/01/2026 10:00:00", "z Jan 14 10:00:00",
		`1.2 - - [24/Nov/2026:09:59:58 +0000] "GET http://a:80/ 1:2:3:4" 401`, "x 24/Nov/20269:59:58 01/14/2026:9:59:58", "a:1 b=c:2 (3:4 5:6) 7:8 9:1 /2:3 -4:5 _6:7 .8:9 01-14-2026  9:59:58",
		"at 260114  9:59:58", "x20260114-095958 1", "20260114T٠٩:59:58", "x ١٢345678T095958", "1387288694:30 x", "[1387288694] x", "Jan 4, 2026 1:02:03 pm", ":1", "1:1", "é1:1", "«€10:00:00 x", "😀😀1:2:3",
		"[ 4/Nov/2026 09:59:58", "<1-2-2026 1:2:3", "  1/2/2026:1:2:3", "((01/02/2026:1:2:3", " 1:2:3 x", "<(12:00:00", "((( 1:2:3", "x1:2:3", "9:59:581387288694",
	} {
		f.Add(s)
	}
	var pairs [][2]*Detector
	for _, pattern := range []string{
		"", "{^LN-BEG}", "^[^\\[]*\\[({DATE})\n{^LN-BEG}", "^[^\\[]*(\\[{DATE}\\s*\\])", "^(?:%Y-)?%m-%d[ T]%H:%M:%S(?:\\.%f)?", "(?:%H:%M)?%d|%Y",
		"{^LN-BEG}%d %b|%Y", "{^LN-BEG}(?:%a)? %H:%M",
		"%Exy%Exm%Exd  ?%k:%M", "@%l:%ExM %p", "x %%H:%M", "%Exd? %H:%M|%Y", "%b(?:T|  ?)%H:%M:%S", "%ExY%Exm+ %H:%M:%S",
		"{^LN-BEG}%H:%M\n{^LN-BEG}%k:%M:%S\n{^LN-BEG}%d/%m %k:%M\n{^LN-BEG}%m-%d\n{EPOCH}\nLEPOCH\n{^LN-BEG}Epoch",
	} {
		d := mustCompile(f, pattern)
		pairs = append(pairs, [2]*Detector{d, plain(d)})
	}
	f.Fuzz(func(t *testing.T, line string) {
		if len(line) > 2000 {
			return
		}
		for _, p := range pairs {
			same(t, p[0], p[1], line)
		}
	})
}

func FuzzFind(f *testing.F) {
	for _, s := range []string{
		"Jan 14 10:00:00 host x", "2026-01-14T10:00:00.5+02:00 x", "[1387288694.25]", "@400000004c91b044077a9e94", "PDT Apr 16 21:05:29",
		"type=X msg=audit(1387288694.123:45): x", "20260114T100000,5 +0200", "31/Oct/2006:09:22:55 -0000", "Feb 29 10:00:00", "\xff\xfe 10:00:00",
	} {
		f.Add(s)
	}
	d, anchored := Default(Options{Location: time.UTC}), mustCompile(f, "{^LN-BEG}")
	f.Fuzz(func(t *testing.T, line string) {
		if len(line) > 4096 {
			return
		}
		check(t, d, line)
		check(t, anchored, line)
	})
}

func FuzzCompile(f *testing.F) {
	for _, p := range []string{
		"", "{^LN-BEG}", "^{DATE}", "^[^\\[]*\\[({DATE})\n{^LN-BEG}", "^I\\(()**", "{LEPOCH}", "^ts={EPOCH}\\s", "(?i)^%Y", "%ExY(?P<_sep>[-/.])%m(?P=_sep)%d",
		"**%H:%M**", "(?:^%d|%m)", "%Exz %ExZ %c %x %X", "%Y%", "(%Y", "^%Y$", "{NONE}",
	} {
		f.Add(p, "2026-01-14T10:00:00 x")
	}
	f.Fuzz(func(t *testing.T, pattern, line string) {
		if len(pattern) > 200 || len(line) > 500 {
			return
		}
		d, err := Compile(pattern, Options{Location: time.UTC})
		if err != nil {
			return
		}
		check(t, d, line)
	})
}

func mustCompile(f *testing.F, pattern string) *Detector {
	d, err := Compile(pattern, Options{Location: time.UTC})
	if err != nil {
		f.Fatal(err)
	}
	return d
}
