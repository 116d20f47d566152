package fail2ban

import (
	"strings"
	"testing"
)

func TestParseFile(t *testing.T) {
	f, err := parseFile("x.conf", []byte("\ufeff# first\n"+
		"[DEFAULT]\n"+
		"Name = value\n"+
		"colon: a=b\n"+
		"empty =\n"+
		"[Definition] trailing is not read\n"+
		"list = one\n"+
		"       # hidden\n"+
		"\n"+
		"       two ; comment\n"+
		"\ttab=3;4\n"+
		"\n\n"+
		"hash = a # b\r\n"+
		"semi = a;b ;c\n"+
		"  ; comment\n"+
		"  deeper = x\n"+
		"    goes on\n"))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct{ section, key, want string }{
		{"DEFAULT", "name", "value"},
		{"DEFAULT", "colon", "a=b"},
		{"DEFAULT", "empty", ""},
		{"Definition", "list", "one\n\ntwo\ntab=3;4"},
		{"Definition", "hash", "a # b"},
		{"Definition", "semi", "a;b\ndeeper = x\ngoes on"},
	}
	for _, tt := range tests {
		v, ok := f.section(tt.section).options[tt.key]
		if !ok || v.Text != tt.want {
			t.Errorf("[%s] %s is %q %t, want %q", tt.section, tt.key, v.Text, ok, tt.want)
		}
	}
	if v := f.section("Definition").options["hash"]; v.Line != 14 || v.File != "x.conf" {
		t.Errorf("hash is at %s:%d", v.File, v.Line)
	}
}

func TestFilesAtFault(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"option before a section", "a = b\n", `x.conf:1: "a = b" stands before the first [section]`},
		{"section twice", "[A]\nx=1\n[A]\n", "x.conf:3: section [A] is here twice"},
		{"option twice", "[A]\nx=1\ny=2\nX=3\n", `x.conf:4: option "x" of [A] is here twice, first in line 2`},
		{"neither", "[A]\nwords alone\n", `x.conf:2: "words alone" is neither a [section] nor an option`},
		{"no name", "[A]\n= 3\n", "has no name before the ="},
		{"not UTF-8", "[A]\nx = \xff\n", "x.conf: it is not UTF-8"},
		{"too large", strings.Repeat("#", maxFile+1), "at most 1048576"},
		{"a long line is cut", "[A]\n" + strings.Repeat("y", 500) + "\n", strings.Repeat("y", 60) + `..."`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parseFile("x.conf", []byte(tt.text))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error is %v, want %q", err, tt.want)
			}
		})
	}
}
