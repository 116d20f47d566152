package fail2ban

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	tests := []struct{ ref, path, options string }{
		{"fail2ban:/etc/fail2ban/filter.d/sshd.conf[mode=aggressive]", "/etc/fail2ban/filter.d/sshd.conf", "map[mode:aggressive]"},
		{"sshd", "sshd", "map[]"},
		{" fail2ban: sshd [ ]", "sshd", "map[]"},
		{`x[a=1, b="x, y]", c='z'][D = 2 ]`, "x", "map[a:1 b:x, y] c:z d:2]"},
		{"x[a=,b=]", "x", "map[a: b:]"},
		{"x[a=1,a=2]", "x", "map[a:2]"},
		{"x[a?family=inet6=2]", "x", ""},
		{"x[a=\"1\n2\"\n, b=3]", "x", "map[a:1\n2 b:3]"},
		{"x[a=b=c]", "x", "map[a:b=c]"},
		{"", "", ""},
		{"fail2ban:[a=1]", "", ""},
		{"x[a=1", "", ""},
		{"x[a", "", ""},
		{"x[a b=1]", "", ""},
		{`x[a="1]`, "", ""},
		{`x[a="1"2]`, "", ""},
		{"x[a=1]y", "", ""},
		{"x[=1]", "", ""},
	}
	for _, tt := range tests {
		path, options, err := Parse(tt.ref)
		if tt.options == "" {
			if err == nil && tt.ref != "x[a?family=inet6=2]" {
				t.Errorf("%q is accepted: %q %v", tt.ref, path, options)
			}
			continue
		}
		if got := fmt.Sprint(options); err != nil || path != tt.path || got != tt.options {
			t.Errorf("%q: %q %s %v, want %q %s", tt.ref, path, got, err, tt.path, tt.options)
		}
	}
}

func TestFind(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("here.conf", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"here": "here", "here.conf": "here.conf", "sshd": filepath.Join(Folder, "sshd"), "a/b": "a/b", "/x/y.conf": "/x/y.conf",
	} {
		if got := find(path); got != want {
			t.Errorf("%q is looked for at %q, want %q", path, got, want)
		}
	}
}

func TestAppGlobs(t *testing.T) {
	tests := []struct{ pattern, want string }{
		{`sshd(?:-session)?`, "[sshd sshd-session]"},
		{`(?:imap(d|s)?|pop3)`, "[imap imapd imaps pop3]"},
		{`[Ff]roxlor`, "[[Ff]roxlor]"},
		{`postfix\b([^\[\s]+)?`, "[postfix postfix* postfix*/**]"},
		{`named(?:-\w+)?`, "[named named-*]"},
		{`ovpn-server\d*`, "[ovpn-server*]"},
		{`(?:fail2ban(?:-server|\.actions)\s*)`, "[fail2ban-server fail2ban.actions]"},
		{`a{2}b?`, "[aa aab]"},
		{`ab[0-9]`, "[ab?]"},
		{`we\*ird`, `[we\*ird]`},
		{`\S*`, "[]"},
		{`.+`, "[]"},
		{`(?i)a-p`, "[[Aa]-[Pp]]"},
		{`(`, "[]"},
		{`(?!x)y`, "[]"},
		{``, "[]"},
		{`[abcd][abcd][abcd][abcd]`, "[]"},
	}
	for _, tt := range tests {
		if got := fmt.Sprint(appGlobs(tt.pattern)); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.pattern, got, tt.want)
		}
	}
}

func TestAccepts(t *testing.T) {
	const header = " host app[1]: "
	tests := []struct {
		pattern string
		want    bool
	}{
		{`^\s*\S+ app(?:\[\d+\])?:\s+<F-USER>.+</F-USER> from <HOST>`, true},
		{`^<F-MLFID>\s*\S+ app(?:\[\d+\])?:\s</F-MLFID>x <HOST>`, true},
		{`^(?:\s*\S+ app\[\d+\]: |)x <HOST>`, true},
		{`^(?:\s*\S+ (?:a|app)\[\d+\]: )?[^]:(]*x <HOST>`, true},
		{`^\s*\S+ other(?:\[\d+\])?:\s+x <HOST>`, false},
		{`^<HOST> - - `, false},
		{`^\[\] \[error\] <HOST>`, false},
		{`\S+ app: <HOST>`, false},
		{`^a|^\s*\S+ app\[\d+\]: <HOST>`, false},
		{`^(?P<q>")?(?(q)x|y) <HOST>`, false},
	}
	for _, tt := range tests {
		if got := accepts(tt.pattern, []string{header}) == 0; got != tt.want {
			t.Errorf("%s: %t", tt.pattern, got)
		}
	}
	if accepts("^"+strings.Repeat("a?", 5000), []string{header}) >= 0 {
		t.Error("a long pattern is accepted")
	}
}

func TestWords(t *testing.T) {
	tests := []struct{ pattern, want string }{
		{`^\s*\S+ my-app\[\d+\]: (?:login|bad [a-z]+) <HOST> later`, "[my-app login bad]"},
		{`^(?P<name>postfix/smtpd)\b(?i:x\.y)<F-USER>zed</F-USER>`, "[postfix/smtpd x.y zed]"},
		{`a.bc.*`, "[bc]"},
	}
	for _, tt := range tests {
		if got := fmt.Sprint(words(tt.pattern)); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.pattern, got, tt.want)
		}
	}
}

func TestWhatAFilterListensTo(t *testing.T) {
	tests := []struct {
		regex, apps string
		header      bool
	}{
		{`^\s*\S+ my-app\[\d+\]: bad <HOST>$`, "[my-app]", true},
		{`^\s*\S+ my-app: bad <HOST>$`, "[my-app]", true},
		{`my-app\[\d+\]: bad <HOST>$`, "[]", true},
		{`my-app.*bad <HOST>$`, "[]", true},
		{`^.*my-app.*bad <HOST>$`, "[]", true},
		{`^<HOST> .* 401$`, "[]", false},
		{`<HOST> .* 401$`, "[]", false},
		{`^\s*\[error\] client <HOST>$`, "[]", false},
		{`\[error\] client: <HOST>$`, "[]", false},
	}
	for _, tt := range tests {
		f := read(t, files{"app.conf": "[Definition]\nfailregex = " + tt.regex + "\n"}, "", "")
		if got := fmt.Sprint(f.Spec.Apps); f.Header != tt.header || got != tt.apps {
			t.Errorf("%s: header %t, apps %s", tt.regex, f.Header, got)
		}
	}
}
