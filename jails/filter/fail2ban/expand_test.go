package fail2ban

import (
	"reflect"
	"strings"
	"testing"
)

const commonFile = `[DEFAULT]
_daemon = \S*
prefix = <lt_<logtype>/prefix>
logtype = file
datepattern = <lt_<logtype>/datepattern>
[lt_file]
prefix = \s*\S+ <_daemon>(?:\[\d+\])?:\s
datepattern = {^LN-BEG}
[lt_rfc5424]
prefix = \s*\S+ <_daemon> \d+ - -\s
datepattern = ^<\d+>\d+ {DATE}
`

const appFile = `[INCLUDES]
before = common.conf
[DEFAULT]
_daemon = app
[Definition]
mode = normal
re-normal = ^<F-USER>\S+</F-USER> from <HOST>$
re-strict = %(re-normal)s
            ^(?P<why>bad) from <HOST>$

failregex = <re-<mode>>

ignoreregex = ^local <nothing> %(prefix)s
prefregex = ^%(prefix)s<F-CONTENT>.+</F-CONTENT>$
journalmatch = _SYSTEMD_UNIT=app.service + SYSLOG_IDENTIFIER=app
               _COMM="my app"
[Init]
maxlines = 3
`

func appFiles() files { return files{"common.conf": commonFile, "app.conf": appFile} }

func TestExpand(t *testing.T) {
	e, err := Load("app", Options{Reader: appFiles().reader()})
	if err != nil {
		t.Fatal(err)
	}
	want := &Expanded{
		Path: "app.conf", Files: []string{"common.conf", "app.conf"},
		PrefRegex:    `^\s*\S+ app(?:\[\d+\])?:\s<F-CONTENT>.+</F-CONTENT>$`,
		FailRegex:    []string{`^<F-USER>\S+</F-USER> from <HOST>$`},
		IgnoreRegex:  []string{`^local <nothing> \s*\S+ app(?:\[\d+\])?:\s`},
		MaxLines:     3,
		DatePattern:  "{^LN-BEG}",
		JournalMatch: [][]string{{"_SYSTEMD_UNIT=app.service", "+", "SYSLOG_IDENTIFIER=app"}, {"_COMM=my app"}},
		Logtype:      "file", Daemon: "app",
	}
	if !reflect.DeepEqual(e, want) {
		t.Errorf("got\n%+v, want\n%+v", e, want)
	}
}

func TestExpandWithOptions(t *testing.T) {
	load := func(o Options) *Expanded {
		t.Helper()
		o.Reader = appFiles().reader()
		e, err := Load("app", o)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	e := load(Options{Filter: map[string]string{"MODE": "strict", "logtype": "rfc5424", "maxlines": "5"}})
	if len(e.FailRegex) != 2 || e.FailRegex[1] != `^(?P<why>bad) from <HOST>$` {
		t.Errorf("failregex %q", e.FailRegex)
	}
	if e.PrefRegex != `^\s*\S+ app \d+ - -\s<F-CONTENT>.+</F-CONTENT>$` || e.DatePattern != `^<\d+>\d+ {DATE}` || e.MaxLines != 5 {
		t.Errorf("%+v", e)
	}
	if e := load(Options{Logtype: "rfc5424"}); e.Logtype != "rfc5424" {
		t.Errorf("logtype %q", e.Logtype)
	}
	if e := load(Options{Logtype: "rfc5424", Jail: map[string]string{"logtype": "file"}}); e.Logtype != "file" {
		t.Errorf("logtype of the jail is %q", e.Logtype)
	}
	e = load(Options{Jail: map[string]string{"failregex": "^mine <HOST>\n\n^two <HOST>", "_daemon": "other"}})
	if !reflect.DeepEqual(e.FailRegex, []string{"^mine <HOST>", "^two <HOST>"}) {
		t.Errorf("failregex of the jail: %q", e.FailRegex)
	}
	// Tags look at the filter's own options before those of the jail, interpolation does not.
	e = load(Options{Filter: map[string]string{"host": "10.0.0.1"}})
	if e.FailRegex[0] != `^<F-USER>\S+</F-USER> from 10.0.0.1$` {
		t.Errorf("an option called host: %q", e.FailRegex)
	}
}

func TestOrderOfOptions(t *testing.T) {
	f := files{"x.conf": text(`
		[DEFAULT]
		a = default
		b = default
		c = default
		d = default
		[Definition]
		b = definition
		c = definition
		d = definition
		failregex = <a> <b> <c> <d> <known/c> %(c)s <HOST>
		[Init]
		c = init
		d = init
	`)}
	e, err := Load("x", Options{Filter: map[string]string{"d": "option"}, Reader: f.reader()})
	if err != nil {
		t.Fatal(err)
	}
	if want := "default definition init option init definition <HOST>"; e.FailRegex[0] != want {
		t.Errorf("%q, want %q", e.FailRegex[0], want)
	}
}

func TestConditionalOptionsStay(t *testing.T) {
	f := files{"x.conf": "[Definition]\nfailregex = <a> <b> <HOST>\n[Init]\na = 4\nb = x\n[Init?family=inet6]\na = 6\n"}
	e, err := Load("x", Options{Reader: f.reader()})
	if err != nil || e.FailRegex[0] != "<a> x <HOST>" {
		t.Errorf("%v %v", e, err)
	}
}

func TestKnownTags(t *testing.T) {
	tests := []struct {
		name string
		f    files
		want string
	}{
		{"nothing is laid over it", files{"x.conf": "[DEFAULT]\na = default\n[Definition]\na = own\nfailregex = <known/a> <HOST>\n"}, "own <HOST>"},
		{"a layer is laid over it", files{"x.conf": "[Definition]\na = one\n", "x.local": "[Definition]\na = two\nfailregex = <known/a> <HOST>\n"}, "one <HOST>"},
		{"a layer that leaves it alone, with a default", files{
			"x.conf": "[DEFAULT]\na = default\n[Definition]\na = own\n", "x.local": "[Definition]\nfailregex = <known/a> <HOST>\n",
		}, "default <HOST>"},
		{"a layer that leaves it alone", files{"x.conf": "[Definition]\na = own\n", "x.local": "[Definition]\nfailregex = <known/a> <HOST>\n"}, "own <HOST>"},
		{"an option of Init", files{"x.conf": "[Definition]\na = own\nfailregex = <known/a> <a> <HOST>\n[Init]\na = init\n"}, "init init <HOST>"},
		{"there is none", files{"x.conf": "[Definition]\nfailregex = <known/a> <HOST>\n"}, "<known/a> <HOST>"},
	}
	for _, tt := range tests {
		e, err := Load("x", Options{Reader: tt.f.reader()})
		if err != nil || len(e.FailRegex) != 1 || e.FailRegex[0] != tt.want {
			t.Errorf("%s: %v %v, want %q", tt.name, e, err, tt.want)
		}
	}
}

func TestNamesOfTheDaemonThatCannotBeResolvedStopNothing(t *testing.T) {
	f := files{"x.conf": "[Definition]\n_daemon = %(nowhere)s\nfailregex = <HOST>\n"}
	if e, err := Load("x", Options{Reader: f.reader()}); err != nil || e.Daemon != "" {
		t.Errorf("%v %v", e, err)
	}
}

func TestFiltersAtFault(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"self reference", "[Definition]\nfailregex = a <failregex>\n", `x.conf:2: option "failregex" refers to itself by <failregex>`},
		{"circle", "[Definition]\nfailregex = <a>\na = <b>\nb = <a>\n", "refer to each other in a circle"},
		{"growing circle", "[Definition]\nfailregex = <a>\na = x<b><b><b>\nb = <c><c><c>\nc = <d><d><d>\nd = y\n", "more than 25 times"},
		{"unknown option", "[Definition]\nfailregex = %(a)s\n", "there is no such option"},
		{"maxlines is no number", "[Definition]\nfailregex = <HOST>\nmaxlines = many\n", `maxlines "many" must be a number from 1 on`},
		{"open quote", "[Definition]\nfailregex = <HOST>\njournalmatch = _COMM=\"a\n", "a \" is not closed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Load("x", Options{Reader: files{"x.conf": tt.text}.reader()})
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "x.conf") {
				t.Errorf("error is %v, want %q", err, tt.want)
			}
		})
	}
}
