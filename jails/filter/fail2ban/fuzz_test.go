package fail2ban

import (
	"strings"
	"testing"
	"unicode/utf8"

	"stockade/jails/filter"
)

func FuzzParseFile(f *testing.F) {
	for _, s := range []string{
		commonFile, appFile, "[A]\nx=1\n  y\n\n z ; c\n", "[A]\n=\n", "[[A]]\nx:\n", "a", "[A\nx=1", "\ufeff[A]\r\nx=1\r", "[A]\n#\n ;\n\tx = 1\n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		parsed, err := parseFile("x.conf", []byte(text))
		if err != nil {
			if !strings.HasPrefix(err.Error(), "x.conf") || !utf8.ValidString(err.Error()) {
				t.Fatalf("error %q", err)
			}
			return
		}
		for _, s := range parsed.sections {
			if s.name == "" || len(s.keys) != len(s.options) {
				t.Fatalf("section %q has %d names of %d options", s.name, len(s.keys), len(s.options))
			}
			for _, k := range s.keys {
				v := s.options[k]
				if k != strings.ToLower(k) || k == "" || v.Line < 1 || v.Line > strings.Count(text, "\n")+strings.Count(text, "\r")+1 {
					t.Fatalf("%q = %+v", k, v)
				}
				if strings.TrimSpace(v.Text) != strings.TrimLeft(v.Text, "\n") && strings.TrimSpace(v.Text) != v.Text {
					t.Fatalf("%q = %q has blanks around it", k, v.Text)
				}
			}
		}
	})
}

func FuzzExpand(f *testing.F) {
	f.Add(commonFile, appFile, "mode=strict")
	f.Add("[Definition]\nfailregex = <a>\na = <b>\nb = <a>\n", "[INCLUDES]\nbefore = common.conf\n after\n", "")
	f.Add("[Definition]\nfailregex = %(a)s\na = %(known/a)s\n", "[INCLUDES]\nafter = app.conf\n[Init]\na=1\n[Init?x]\na=2\n", "logtype=journal, b=\"x, y\"")
	f.Add("[Definition]\nfailregex = x<b><b>\nb = <c><c>\nc = %(__name__)s %(default/x)s\n", "", "c=<b>")
	f.Fuzz(func(t *testing.T, common, app, options string) {
		if len(common)+len(app) > 4096 {
			return
		}
		r := files{"common.conf": common, "app.conf": app, "app.local": common}.reader()
		_, opts, err := Parse("app[" + options + "]")
		if err != nil {
			return
		}
		e, err := Load("app", Options{Filter: opts, Reader: r})
		if err != nil {
			return
		}
		if e.MaxLines < 1 || len(e.PrefRegex) > maxValue {
			t.Fatalf("%+v", e)
		}
		if total := len(strings.Join(e.FailRegex, "")); total > 2000 || len(e.DatePattern) > 200 {
			return // to compile it would only be slow
		}
		out, err := New(e)
		if err != nil {
			return
		}
		_, _ = filter.Compile(out.Spec) // may find faults, must return
	})
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"fail2ban:x[a=1]", "x[a=\"1, 2\"][b='c']", "x[", "[]", "x[a?b=c=d]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, ref string) {
		path, options, err := Parse(ref)
		if err == nil && (path == "" || options == nil) {
			t.Fatalf("%q: path %q options %v", ref, path, options)
		}
	})
}
