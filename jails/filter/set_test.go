package filter

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestRoutes(t *testing.T) {
	inline := Spec{Name: "any", FailRegex: []string{`^<HOST> bad$`}}
	ssh := Spec{Name: "sshd", Apps: []string{"sshd", "sshd-session"}, Join: JoinPID, Patterns: []Pattern{{Text: "bad {addr}"}}}
	ssh2 := Spec{Name: "mine", Apps: []string{"sshd-session", "other"}, Join: JoinPID, Patterns: []Pattern{{Text: "bad {addr}"}}}
	glob := Spec{Name: "postfix", Apps: []string{"postfix/*"}, Patterns: []Pattern{{Text: "bad {addr}"}}}
	var filters []*Filter
	for _, s := range []Spec{inline, ssh, ssh2, glob} {
		filters = append(filters, compile(t, s))
	}
	set := NewSet(filters, [][]string{{"nginx", "/dev*"}})
	tests := []struct {
		app, family string
		filters     string
		stateful    bool
	}{
		{"nginx", "", "[0]", false},
		{"sshd", "sshd", "[1]", true},
		{"/usr/sbin/sshd", "sshd", "[1]", true},
		{"sshd-session", "sshd", "[1 2]", true},
		{"other", "sshd", "[2]", true},
		{"postfix/smtpd", "", "[3]", false},
		{"cron", "", "[]", false},
		{"", "", "[]", false},
	}
	for _, tt := range tests {
		for range 2 {
			r := set.Route([]byte(tt.app))
			if got := fmt.Sprint(r.r.filters); got != tt.filters || r.Family() != tt.family || r.Stateful() != tt.stateful || r.Empty() != (tt.filters == "[]") {
				t.Errorf("%q: filters %s family %q stateful %v", tt.app, got, r.Family(), r.Stateful())
			}
		}
	}
	all := NewSet(filters[:1], nil)
	if all.Route([]byte("whatever")).Empty() || all.Route(nil).Empty() {
		t.Error("a filter without apps does not listen to all")
	}
}

func TestRoutesAreBounded(t *testing.T) {
	set := setOf(t, Spec{Apps: []string{"a*"}, FailRegex: []string{`<HOST>`}})
	for i := range maxCachedRoutes + 500 {
		if set.Route(fmt.Appendf(nil, "a%d", i)).Empty() {
			t.Fatal("no route")
		}
	}
	set.Route([]byte(strings.Repeat("a", 100)))
	if n := len(*set.cached.Load()); n != maxCachedRoutes {
		t.Errorf("%d routes are kept", n)
	}
}

// manySpecs returns native and inline filters that all listen to everything.
func manySpecs(n int) []Spec {
	var specs []Spec
	for i := range n {
		specs = append(specs,
			Spec{Name: fmt.Sprint("n", i), Join: JoinPID, Patterns: []Pattern{{Text: fmt.Sprintf("Failed service%d for {user*} from {addr} port {port}", i)}, {Text: "Nothing like {addr}"}}},
			Spec{Name: fmt.Sprint("r", i), FailRegex: []string{fmt.Sprintf(`^<HOST> - .+ denied by rule%d$`, i)}},
		)
	}
	return specs
}

func TestLinesThatMatchNothingAllocateNothing(t *testing.T) {
	set := setOf(t, manySpecs(40)...)
	m := set.NewMatcher()
	lines := []*Line{
		line("pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)"),
		line("Failed service39 for bob from host.example port 22"),
		line("192.0.2.1 - - denied by rule99"),
		line("message repeated 2 times: [ nothing]"),
		line(strings.Repeat("x ", 4000)),
	}
	app := []byte("someapp")
	run := func() {
		for _, l := range lines {
			if len(m.Match(l, set.Route(app))) != 0 {
				t.Fatal("matched")
			}
		}
	}
	run()
	if n := testing.AllocsPerRun(100, run); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestManyFiltersFindTheirLine(t *testing.T) {
	set := setOf(t, manySpecs(40)...)
	m := set.NewMatcher()
	for i := range 40 {
		got := m.Match(line(fmt.Sprintf("Failed service%d for bob from 192.0.2.1 port 22", i)), set.All())
		if len(got) != 1 || got[0].Filter != 2*i || got[0].User != "bob" {
			t.Errorf("native %d: %+v", i, got)
		}
		got = m.Match(line(fmt.Sprintf("192.0.2.1 - - denied by rule%d", i)), set.All())
		if len(got) != 1 || got[0].Filter != 2*i+1 {
			t.Errorf("regex %d: %+v", i, got)
		}
	}
}

// TestAFilterOverWordBorders has more patterns than fit a word of the scan's answer.
func TestAFilterOverWordBorders(t *testing.T) {
	var regexes []string
	for i := range 200 {
		regexes = append(regexes, fmt.Sprintf(`^rule%d(?: and rule\d+)? <HOST>$`, i))
	}
	set := setOf(t, Spec{FailRegex: regexes}, Spec{FailRegex: regexes})
	m := set.NewMatcher()
	for i := range 200 {
		text := fmt.Sprintf("rule%d and rule%d 192.0.2.1", i, 199-i)
		got := m.Match(line(text), set.All())
		if len(got) != 2 || got[0].Pattern != i || got[1].Pattern != i || got[0].Filter != 0 || got[1].Filter != 1 {
			t.Fatalf("%q: %+v", text, got)
		}
	}
}

func TestFormsAreBuiltOnce(t *testing.T) {
	built := 0
	form := &Form{Name: "header", Build: func(dst []byte, l *Line) []byte {
		built++
		dst = append(dst, l.Host...)
		dst = append(dst, ' ')
		return append(dst, l.Text...)
	}, Original: func(dst []byte, l *Line) []byte { return append(append(dst, "DATE "...), l.Text...) }}
	set := setOf(t,
		Spec{Form: form, FailRegex: []string{`^host bad <HOST>$`}},
		Spec{Form: form, FailRegex: []string{`^host bad <HOST>$`}, IgnoreRegex: []string{`^DATE bad`}},
		Spec{FailRegex: []string{`^bad <HOST>$`}},
	)
	got := set.NewMatcher().Match(line("bad 192.0.2.1"), set.All())
	if len(got) != 2 || built != 1 {
		t.Errorf("%d matches, built %d times", len(got), built)
	}
}

func TestMatchesAreCopies(t *testing.T) {
	set := setOf(t, Spec{Patterns: []Pattern{{Text: "bad {user} {addr} {word}"}}})
	l := line("bad bob\x01 192.0.2.1 w")
	got := set.NewMatcher().Match(l, set.All())
	if len(got) != 1 {
		t.Fatal("no match")
	}
	for i := range l.Text {
		l.Text[i] = 'X'
	}
	if got[0].User != "bob?" || got[0].Fields[0] != (Field{"word", "w"}) {
		t.Errorf("%+v", got[0])
	}
}

func TestFacility(t *testing.T) {
	set := setOf(t, Spec{Facility: []int8{0}, Patterns: []Pattern{{Text: "drop {addr}"}}})
	m := set.NewMatcher()
	for facility, want := range map[int8]int{0: 1, -1: 1, 1: 0, 4: 0} {
		l := line("drop 192.0.2.1")
		l.Facility = facility
		if got := len(m.Match(l, set.All())); got != want {
			t.Errorf("facility %d: %d matches", facility, got)
		}
	}
}

func TestLinesOfOtherHostsAreNotJoined(t *testing.T) {
	set := setOf(t, Spec{Join: JoinPID, Patterns: []Pattern{
		{Text: "try {addr}", Count: CountNone}, {Text: "end {addr}", Count: CountClose},
	}})
	m := set.NewMatcher()
	for _, step := range []struct {
		host, source, text string
		after              time.Duration
		want               int
	}{
		{"a", "s", "try 192.0.2.1", 0, 0},
		{"b", "s", "end 192.0.2.1", 0, 0},
		{"a", "t", "end 192.0.2.1", 0, 0},
		{"a", "s", "end 192.0.2.1", 0, 1},
		{"a", "s", "end 192.0.2.1", 0, 0},
		{"c", "s", "try 192.0.2.1", 0, 0},
		{"c", "s", "end 192.0.2.1", idLife + time.Second, 0},
	} {
		l := line(step.text)
		l.Host, l.Source, l.Time = []byte(step.host), step.source, l.Time.Add(step.after)
		if got := len(m.Match(l, set.All())); got != step.want {
			t.Errorf("%+v: %d matches", step, got)
		}
	}
}

func TestDevicesDoNotSeeProgramsOfHosts(t *testing.T) {
	device := compile(t, Spec{Name: "d", Apps: []string{"*"}, Device: true, FailRegex: []string{`^fail <HOST>$`}})
	all := compile(t, Spec{Name: "a", Apps: []string{"*"}, FailRegex: []string{`^fail <HOST>$`}})
	globs := compile(t, Spec{Name: "g", Apps: []string{"openvpn-*", "named"}, FailRegex: []string{`^fail <HOST>$`}})
	set := NewSet([]*Filter{device, all, globs}, nil)
	for app, want := range map[string]int{
		"": 2, "CRON": 1, "systemd-logind": 1, "postfix/smtpd": 1, "kernel": 1, "named": 2,
		"%ASA-6-605004": 2, "system,error,critical": 2, "CEF": 2, "router-7": 2, "openvpn-server": 3,
	} {
		m := set.NewMatcher()
		got := m.Match(&Line{App: []byte(app), Text: []byte("fail 192.0.2.1"), Facility: -1}, set.Route([]byte(app)))
		if len(got) != want {
			t.Errorf("app %q: %d filters match, want %d", app, len(got), want)
		}
	}
	named := NewSet([]*Filter{device}, [][]string{{"kernel"}})
	if named.Route([]byte("kernel")).Empty() {
		t.Error("a jail that names the app does not get its lines")
	}
}
