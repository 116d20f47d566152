package filter

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestInlineFilters(t *testing.T) {
	access := `192.0.2.1 - - [02/Jan/2026:03:04:05 +0000] "GET /admin HTTP/1.1" 401 12`
	tests := []struct {
		name, addr, user, port, id string
		spec                       Spec
		text                       string
		pattern, bits              int
	}{
		{name: "the access line of the walkthrough", spec: Spec{FailRegex: []string{`^<HOST> - .+(GET|POST).*$`}}, text: access, addr: "192.0.2.1"},
		{name: "a status", spec: Spec{FailRegex: []string{`^<HOST> - .+(GET|POST).+ 401 .*$`}}, text: access, addr: "192.0.2.1"},
		{
			name: "the first of two", spec: Spec{FailRegex: []string{`^never <HOST>$`, `from <HOST>$`, `<HOST>$`}},
			text: "failed from 192.0.2.2", addr: "192.0.2.2", pattern: 1,
		},
		{name: "IPv6", spec: Spec{FailRegex: []string{`from <ADDR> port <F-PORT/>$`}}, text: "bad login from 2001:db8::7 port 99", addr: "2001:db8::7", port: "99"},
		{name: "IPv6 in brackets", spec: Spec{FailRegex: []string{`from <HOST>:`}}, text: "bad login from [2001:db8::7]:99", addr: "2001:db8::7"},
		{name: "IPv6 that ends in two colons", spec: Spec{FailRegex: []string{`from <HOST>$`}}, text: "bad login from 2001:db8::", addr: "2001:db8::"},
		{name: "a colon behind IPv6 is not its own", spec: Spec{FailRegex: []string{`from <HOST>`}}, text: "bad login from 2001:db8::7: no", addr: "2001:db8::7"},
		{name: "half an IPv6 address is none", spec: Spec{FailRegex: []string{`from <HOST>:? `}}, text: "bad login from 2001: no"},
		{name: "IPv4 in IPv6", spec: Spec{FailRegex: []string{`from <HOST>$`}}, text: "bad login from ::ffff:192.0.2.3", addr: "192.0.2.3"},
		{name: "a subnet", spec: Spec{FailRegex: []string{`net <SUBNET>$`}}, text: "net 192.0.2.0/24", addr: "192.0.2.0", bits: 24},
		{name: "a user", spec: Spec{FailRegex: []string{`user=<F-USER>\S+</F-USER> <IP4>`}}, text: "user=bob 192.0.2.4", addr: "192.0.2.4", user: "bob"},
		{
			name: "an alternative user", spec: Spec{FailRegex: []string{`^(?:a <F-USER>\S+</F-USER>|b <F-ALT_USER>\S+</F-ALT_USER>|c <F-ALT_USER_1>\S+</F-ALT_USER_1>) <ADDR>`}},
			text: "c eve 192.0.2.4", addr: "192.0.2.4", user: "eve",
		},
		{name: "an id", spec: Spec{FailRegex: []string{`session <F-ID>\w+</F-ID> failed`}}, text: "session ab12 failed", id: "ab12"},
		{name: "an id that is an address", spec: Spec{FailRegex: []string{`peer <F-ID/>`}}, text: "peer 192.0.2.5", addr: "192.0.2.5"},
		{
			name: "content", spec: Spec{PrefRegex: `^\[\w+\] <F-CONTENT>.+</F-CONTENT>$`, FailRegex: []string{`^bad <HOST>$`}},
			text: "[auth] bad 192.0.2.6", addr: "192.0.2.6",
		},
		{
			name: "address in the prefix", spec: Spec{PrefRegex: `^<HOST>: <F-CONTENT>.+</F-CONTENT>$`, FailRegex: []string{`^bad (?:login|password)$`}},
			text: "192.0.2.6: bad password", addr: "192.0.2.6",
		},
		{name: "ignored", spec: Spec{FailRegex: []string{`^<HOST> `}, IgnoreRegex: []string{`\.(?i:jpg|png|css)`}}, text: "192.0.2.1 GET /a.PNG"},
		{
			name: "the ignoreregex sees the content", addr: "192.0.2.6",
			spec: Spec{PrefRegex: `^\[\w+\] <F-CONTENT>.+</F-CONTENT>$`, FailRegex: []string{`^bad <HOST>$`}, IgnoreRegex: []string{`auth`}},
			text: "[auth] bad 192.0.2.6",
		},
		{name: "no name is an address", spec: Spec{FailRegex: []string{`from <HOST>$`}}, text: "failed from host.example"},
		{name: "no address at all", spec: Spec{FailRegex: []string{`from <HOST>$`}}, text: "failed from 999.1.1.1"},
		{name: "an app's repeated line", spec: Spec{FailRegex: []string{`^bad <HOST>$`}}, text: "message repeated 3 times: [ bad 192.0.2.9]", addr: "192.0.2.9"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, _ := feed(t, tt.spec, tt.text)
			g := got[0]
			if tt.addr == "" && tt.id == "" {
				if g != nil {
					t.Fatalf("matched %+v", g)
				}
				return
			}
			if g == nil {
				t.Fatal("no match")
			}
			addr := ""
			if g.Addr.IsValid() {
				addr = g.Addr.String()
			}
			bits := g.Bits
			if bits < 0 {
				bits = 0
			}
			if addr != tt.addr || g.User != tt.user || g.Port != tt.port || g.ID != tt.id || g.Pattern != tt.pattern || bits != tt.bits {
				t.Errorf("got %+v", g)
			}
		})
	}
}

func TestRepeatedLinesCount(t *testing.T) {
	got, _ := feed(t, Spec{FailRegex: []string{`^bad <HOST>$`}}, "message repeated 3 times: [ bad 192.0.2.9]", "message repeated 999999 times: [bad 192.0.2.9]")
	if got[0].Attempts != 3 || got[1].Attempts != maxRepeated {
		t.Errorf("attempts %d and %d", got[0].Attempts, got[1].Attempts)
	}
}

func TestNamesAreCounted(t *testing.T) {
	set := setOf(t, Spec{FailRegex: []string{`from (?:<ADDR>|<DNS>)$`}})
	m := set.NewMatcher()
	if got := m.Match(line("failed from host.example"), set.All()); len(got) != 0 {
		t.Errorf("matched %+v", got)
	}
	if m.Stats().Names != 1 {
		t.Errorf("stats %+v", m.Stats())
	}
}

// TestJoinedLines checks the memory of ids: FAIL2BAN.md section 2.4.
func TestJoinedLines(t *testing.T) {
	spec := Spec{FailRegex: []string{
		`^<F-MLFID>\w+</F-MLFID>: <F-NOFAIL>connect</F-NOFAIL> from <ADDR>$`,
		`^<F-MLFID>\w+</F-MLFID>: failed (?:for )?<F-USER>\S*</F-USER>$`,
		`^<F-MLFID>\w+</F-MLFID>: <F-MLFGAINED>welcome</F-MLFGAINED> <F-USER>\S+</F-USER>$`,
		`^<F-MLFID>\w+</F-MLFID>: <F-NOFAIL><F-MLFFORGET>bye</F-MLFFORGET></F-NOFAIL>$`,
	}}
	type step struct {
		text  string
		addr  string
		lines int
	}
	tests := []struct {
		name  string
		steps []step
	}{
		{"the address comes first", []step{{"a: connect from 192.0.2.1", "", 0}, {"a: failed for bob", "192.0.2.1", 2}}},
		{"ids are apart", []step{{"a: connect from 192.0.2.1", "", 0}, {"b: failed for bob", "", 0}, {"a: failed for bob", "192.0.2.1", 2}}},
		{"the failure waits for the address", []step{{"a: failed for bob", "", 0}, {"a: connect from 192.0.2.1", "192.0.2.1", 2}}},
		{"the end forgets", []step{{"a: connect from 192.0.2.1", "", 0}, {"a: bye", "", 0}, {"a: failed for bob", "", 0}}},
		{"a success ends it", []step{{"a: connect from 192.0.2.1", "", 0}, {"a: welcome bob", "", 0}, {"a: bye", "", 0}}},
		{"two users are no success", []step{
			{"a: connect from 192.0.2.1", "", 0}, {"a: failed for bob", "192.0.2.1", 2}, {"a: welcome eve", "192.0.2.1", 1},
		}},
		{"each failure is one", []step{
			{"a: connect from 192.0.2.1", "", 0}, {"a: failed for bob", "192.0.2.1", 2}, {"a: failed for bob", "192.0.2.1", 1},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var texts []string
			for _, s := range tt.steps {
				texts = append(texts, s.text)
			}
			got, _ := feed(t, spec, texts...)
			for i, s := range tt.steps {
				switch g := got[i]; {
				case g == nil && s.addr != "":
					t.Errorf("%q: no match", s.text)
				case g != nil && (g.Addr.String() != s.addr || g.Lines != s.lines || g.Attempts != 1):
					t.Errorf("%q: got %+v, want %s of %d lines", s.text, g, s.addr, s.lines)
				}
			}
		})
	}
}

func TestUsersOfAConnection(t *testing.T) {
	got, _ := feed(t, Spec{FailRegex: []string{
		`^<F-MLFID>\w+</F-MLFID>: failed for <F-USER>\S*</F-USER> from <ADDR>$`,
		`^<F-MLFID>\w+</F-MLFID>: <F-MLFFORGET>bye</F-MLFFORGET> <F-USER>\S+</F-USER> from <ADDR>$`,
	}}, "a: failed for bob from 192.0.2.1", "a: failed for eve from 192.0.2.1", "a: failed for bob from 192.0.2.1",
		"b: bye bob from 192.0.2.1", "a: bye mary from 192.0.2.1", "a: failed for  from 192.0.2.1")
	for i, want := range []string{"[bob]", "[bob eve]", "[bob eve]", "[]", "[bob eve mary]", "[]"} {
		if got[i] == nil || fmt.Sprint(got[i].Users) != want {
			t.Errorf("line %d: %+v, want the users %s", i, got[i], want)
		}
	}
}

func TestSeveralLines(t *testing.T) {
	spec := Spec{MaxLines: 4, FailRegex: []string{`^id=(\w+) connect <ADDR>$<SKIPLINES>^id=\1 failed$`}}
	got, _ := feed(t, spec, "id=a connect 192.0.2.1", "noise", "id=b failed", "id=a failed", "id=a failed", "noise")
	for i, g := range got {
		if (g != nil) != (i == 3) {
			t.Errorf("line %d: %+v", i, g)
		}
	}
	if g := got[3]; g != nil && (g.Addr.String() != "192.0.2.1" || g.Lines != 2) {
		t.Errorf("got %+v", g)
	}
}

func TestCompileReportsAllFaults(t *testing.T) {
	_, err := Compile(Spec{
		Name:      "bad",
		FailRegex: []string{`^no address$`, `^<HOST> (unclosed$`, ``, `<DNS> failed`},
		MaxLines:  1000,
	})
	if err == nil {
		t.Fatal("compiled")
	}
	for _, want := range []string{
		`filter "bad": failregex[0]: it names no address`, `failregex[1]: `, ` at offset 8 of `,
		`failregex[2]: it is empty`, `failregex[3]: it can only capture a host name`, `maxlines: 1000 must be between 1 and 100`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in\n%v", want, err)
		}
	}
}

func TestCaret(t *testing.T) {
	e := Error{Text: "^<HOST> (x", Offset: 8}
	if got := e.Caret(); got != "^<HOST> (x\n        ^" {
		t.Errorf("%q", got)
	}
}

func TestIDsAreBounded(t *testing.T) {
	c := newIDCache(20, 10)
	at := func(i int) time.Time { return epoch.Add(time.Duration(i) * time.Millisecond) }
	key := func(host string, i int) *idKey {
		return &idKey{source: "s", host: []byte(host), id: []byte(fmt.Sprint(i))}
	}
	for i := range 8 {
		c.touch(c.add(key("a", i), at(i)), i == 0)
	}
	for i := 8; i < 30; i++ {
		c.add(key("a", i), at(i))
	}
	if n := c.n; n != 10 {
		t.Errorf("%d ids of one host, want 10", n)
	}
	if c.get(key("a", 0), at(30)) == nil {
		t.Error("an id that waits was evicted before others")
	}
	for h := range 30 {
		c.add(key(fmt.Sprint(h), 0), at(100+h))
	}
	if n := c.n; n != 20 {
		t.Errorf("%d ids over all, want 20", n)
	}
	if c.evicted == 0 || c.evictedPending != 0 {
		t.Errorf("evicted %d, pending %d", c.evicted, c.evictedPending)
	}
	if c.get(key("29", 0), at(0).Add(idLife+time.Hour)) != nil {
		t.Error("an old id is still known")
	}
	n := 0
	for _, h := range c.hosts {
		n += h.n
	}
	if n != c.n || n != c.held() {
		t.Errorf("hosts hold %d ids, the cache %d, the table %d", n, c.n, c.held())
	}
}
