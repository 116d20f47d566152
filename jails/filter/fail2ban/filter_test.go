package fail2ban

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"stockade/jails/filter"
)

// write puts files into a folder and returns the path of one of them.
func (f files) write(t testing.TB, name string) string {
	t.Helper()
	dir := t.TempDir()
	for n, text := range f {
		if err := os.WriteFile(filepath.Join(dir, n), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, name)
}

func read(t testing.TB, f files, ref, logtype string) *Filter {
	t.Helper()
	path := f.write(t, "app.conf")
	out, err := Read(Prefix+path+ref, logtype)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func entry(app, pid, message string) *filter.Line {
	return &filter.Line{
		App: []byte(app), Host: []byte("web1"), PID: []byte(pid), Text: []byte(message), Facility: 4, Source: "s",
		Time: time.Date(2026, 1, 14, 10, 0, 0, 0, time.UTC),
	}
}

func TestAFilterOfASyslogFile(t *testing.T) {
	f := read(t, appFiles(), "[mode=strict]", "")
	if !f.Header || f.Spec.Name != "app" || !slices.Equal(f.Spec.Apps, []string{"app"}) || f.Spec.MaxLines != 3 || f.Spec.Unproven {
		t.Errorf("%+v", f.Spec)
	}
	compiled, err := filter.Compile(f.Spec)
	if err != nil {
		t.Fatal(err)
	}
	set := filter.NewSet([]*filter.Filter{compiled}, nil)
	l := entry("app", "7", "mary from 192.0.2.7")
	got := set.NewMatcher().Match(l, set.Route(l.App))
	if len(got) != 1 || got[0].Addr.String() != "192.0.2.7" || got[0].User != "mary" {
		t.Errorf("%+v", got)
	}
}

func TestForms(t *testing.T) {
	l := entry("app", "7", "one\ntwo")
	bare := &filter.Line{Text: []byte("one"), Time: l.Time}
	tests := []struct {
		logtype, build, original string
		bare                     string
	}{
		{LogFile, " web1 app[7]: one#012two", "Jan 14 10:00:00 web1 app[7]: one#012two", " one"},
		{LogShort, " web1 app[7]: one#012two", "Jan 14 10:00:00 web1 app[7]: one#012two", " one"},
		{LogJournal, `web1 app[7]: one\ntwo`, "", "one"},
		{LogRFC5424, " web1 app 7 - - one#012two", "<13>1 2026-01-14T10:00:00Z web1 app 7 - - one#012two", " - - 0 - - one"},
	}
	for _, tt := range tests {
		form := headerForm(tt.logtype)
		if got := string(form.Build(nil, l)); got != tt.build {
			t.Errorf("%s: %q, want %q", tt.logtype, got, tt.build)
		}
		if got := string(form.Build(nil, bare)); got != tt.bare {
			t.Errorf("%s without a header: %q, want %q", tt.logtype, got, tt.bare)
		}
		if form.Original != nil {
			if got := string(form.Original(nil, l)); got != tt.original {
				t.Errorf("%s: original %q, want %q", tt.logtype, got, tt.original)
			}
		}
	}
}

func TestALineWithoutHostAndAppIsALineOfAFile(t *testing.T) {
	form := read(t, appFiles(), "", "").Spec.Form
	l := &filter.Line{Text: []byte("Jan 14 10:00:00 web1 app[7]: mary from 192.0.2.7"), Time: entry("", "", "").Time}
	if got := string(form.Build(nil, l)); got != " web1 app[7]: mary from 192.0.2.7" {
		t.Errorf("%q", got)
	}
	if got := string(form.Original(nil, l)); got != string(l.Text) {
		t.Errorf("original %q", got)
	}
	l = entry("app", "", "mary from 192.0.2.7")
	l.Host = nil
	if got := string(form.Build(nil, l)); got != " localhost app: mary from 192.0.2.7" {
		t.Errorf("without a host: %q", got)
	}
}

func TestAFilterOfAFileOfItsOwn(t *testing.T) {
	f := files{"app.conf": "[Definition]\nfailregex = ^\\s*\\[error\\] <HOST>\ndatepattern = {^LN-BEG}\njournalmatch = _COMM=app\n"}
	got := read(t, f, "", "")
	if got.Header || !slices.Equal(got.Spec.Apps, []string{"app*", "app*/**"}) {
		t.Errorf("%+v", got)
	}
	for text, want := range map[string]string{
		"2026/01/14 10:00:00 [error] 192.0.2.7": " [error] 192.0.2.7",
		"[error] 192.0.2.7":                     " [error] 192.0.2.7",
	} {
		if subject := string(got.Spec.Form.Build(nil, entry("app", "7", text))); subject != want {
			t.Errorf("%q is seen as %q, want %q", text, subject, want)
		}
		if original := string(got.Spec.Form.Original(nil, entry("app", "7", text))); original != text {
			t.Errorf("the original of %q is %q", text, original)
		}
	}
	f["app.conf"] = "[Definition]\nfailregex = ^<HOST> error\njournalmatch = SYSLOG_IDENTIFIER=my-app\n"
	got = read(t, f, "", LogJournal)
	if subject := string(got.Spec.Form.Build(nil, entry("app", "7", "192.0.2.7 error"))); subject != "192.0.2.7 error" {
		t.Errorf("without a date and without a place for one: %q", subject)
	}
	if !slices.Equal(got.Spec.Apps, []string{"my-app"}) {
		t.Errorf("apps %q", got.Spec.Apps)
	}
}

func TestLinesThatAreJoined(t *testing.T) {
	f := read(t, files{"app.conf": "[Definition]\nmaxlines = 4\n" +
		"failregex = ^(?P<__prefix>\\s*\\S+ app\\[\\d+\\]: )user <F-USER>\\S+</F-USER> locked<SKIPLINES>(?P=__prefix)bye <HOST>$\n"}, "", "")
	compiled, err := filter.Compile(f.Spec)
	if err != nil {
		t.Fatal(err)
	}
	set := filter.NewSet([]*filter.Filter{compiled}, nil)
	m := set.NewMatcher()
	steps := []struct{ pid, text, want string }{
		{"7", "user mary locked", ""},
		{"8", "user eve locked", ""},
		{"9", "user x locked\n web1 app[9]: bye 192.0.2.9", ""}, // one message is one line
		{"7", "bye 192.0.2.7", "192.0.2.7 mary"},
		{"7", "bye 192.0.2.7", ""},
		{"8", "bye 192.0.2.8", "192.0.2.8 eve"},
	}
	for _, s := range steps {
		got := ""
		for _, match := range m.Match(entry("app", s.pid, s.text), set.All()) {
			got += match.Addr.String() + " " + match.User
		}
		if got != s.want {
			t.Errorf("app[%s]: %q: %q, want %q", s.pid, s.text, got, s.want)
		}
	}
}

func TestMessagesWithoutAProgram(t *testing.T) {
	f := read(t, files{"app.conf": "[Definition]\nfailregex = ^\\s*\\S+ system,error login failure from <HOST>$\n"}, "", "")
	if f.Header || len(f.Spec.Apps) != 0 {
		t.Errorf("%+v", f.Spec)
	}
	for _, l := range []*filter.Line{
		entry("system,error", "", "login failure from 192.0.2.7"), entry("", "", "system,error login failure from 192.0.2.7"),
	} {
		if got := string(f.Spec.Form.Build(nil, l)); got != " web1 system,error login failure from 192.0.2.7" {
			t.Errorf("%q", got)
		}
		if got := string(f.Spec.Form.Original(nil, l)); got != "Jan 14 10:00:00 web1 system,error login failure from 192.0.2.7" {
			t.Errorf("%q", got)
		}
	}
}

func TestWarnings(t *testing.T) {
	for dns, want := range map[string]int{"no": 0, "raw": 0, "warn": 1, "yes": 1, "": 0} {
		f := read(t, files{"app.conf": "[Definition]\nfailregex = ^<HOST>$\nusedns = " + dns + "\n"}, "", "")
		if len(f.Warnings) != want || want > 0 && !strings.Contains(f.Warnings[0], "never looked up") {
			t.Errorf("usedns = %s: %q", dns, f.Warnings)
		}
		if f.Spec.Names != (dns == "raw") {
			t.Errorf("usedns = %s: names %t", dns, f.Spec.Names)
		}
	}
}

func TestReferencesAtFault(t *testing.T) {
	path := files{
		"app.conf": "[Definition]\nx = 1\n", "date.conf": "[Definition]\nfailregex = ^<HOST>\ndatepattern = %%Q\n",
		"many.conf": "[Definition]\nfailregex = ^<HOST>\nmaxlines = 5000\n", "broken.conf": "what\n",
	}.write(t, "")
	tests := []struct{ ref, logtype, want string }{
		{"/app", "", "no failregex: is it a file for others to include?"},
		{"/date", "", "%Q is no part of a date"},
		{"/many", "", "maxlines 5000 must be between 1 and 100"},
		{"/broken", "", "broken.conf:1: "},
		{"/absent", "", "no such file"},
		{"/app[mode", "", "is no option"},
		{"/app", "paper", `logtype "paper" must be file, short, journal or rfc5424`},
	}
	for _, tt := range tests {
		if _, err := Spec(Prefix+path+tt.ref, tt.logtype); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error is %v, want %q", tt.ref, err, tt.want)
		}
	}
}

func TestFormsAllocateNothing(t *testing.T) {
	own := read(t, files{"app.conf": "[Definition]\nfailregex = ^ \\[error\\] <HOST>\n"}, "", "").Spec.Form
	lines := []*filter.Line{entry("app", "7", "2026/01/14 10:00:00 [error] 192.0.2.7"), entry("app", "7", "no date")}
	buf := make([]byte, 0, 1024)
	for _, form := range []*filter.Form{headerForm(LogFile), headerForm(LogJournal), headerForm(LogRFC5424), own} {
		for _, l := range lines {
			form.Build(buf, l)
			if n := testing.AllocsPerRun(100, func() { form.Build(buf, l) }); n != 0 {
				t.Errorf("%s on %q: %v allocations", form.Name, l.Text, n)
			}
		}
	}
}
