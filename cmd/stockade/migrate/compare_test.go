package migrate

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"stockade/jails"
)

// policy is a configuration of two jails, one of them off.
func policy(t *testing.T) Policy {
	t.Helper()
	off, flat, three := false, false, 3
	find, ban := 10*time.Minute, time.Hour
	p := Policy{IPv6: 64, Protect: func(p netip.Prefix) (string, bool) {
		return "never_ban", p == netip.MustParsePrefix("203.0.113.7/32")
	}}
	for _, c := range []jails.Config{
		{Name: "sshd", IgnoreIP: []string{"198.51.100.9"}},
		{Name: "mail", Enabled: &off},
	} {
		c.Filter, c.MaxRetry, c.FindTime, c.BanTime = jails.FilterConfig{Name: "sshd"}, &three, &find, &ban
		c.Increment = &jails.IncrementConfig{Enabled: &flat}
		j, err := jails.New(jails.DefaultsConfig{}, c, os.ReadFile)
		if err != nil {
			t.Fatal(err)
		}
		p.Jails = append(p.Jails, j)
	}
	return p
}

func TestCompare(t *testing.T) {
	begin := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
	var theirs, ours strings.Builder
	f2b := func(at time.Duration, text string) {
		fmt.Fprintf(&theirs, "%s fail2ban.x        [77]: NOTICE  %s\n", begin.Add(at).Format("2006-01-02 15:04:05,000"), text)
	}
	found := func(jail, addr string, at ...time.Duration) {
		for _, d := range at {
			f2b(d, fmt.Sprintf("[%s] Found %s - %s", jail, addr, begin.Add(d).Format(time.DateTime)))
		}
	}
	stk := func(at time.Duration, msg, jail, addr, source string) {
		fmt.Fprintf(&ours, `{"time":%q,"level":"INFO","msg":%q,"jail":%q,"addr":%q,"source":%q}`+"\n", begin.Add(at).Format(time.RFC3339Nano), msg, jail, addr, source)
	}
	const s, m = time.Second, time.Minute
	f2b(0, "Starting")
	stk(0, "serving", "", "", "")
	// Both, Stockade first.
	found("sshd", "192.0.2.1", m, m+s, m+2*s)
	f2b(m+3*s+400*time.Millisecond, "[sshd] Ban 192.0.2.1")
	stk(m+2*s, "ban", "sshd", "192.0.2.1/32", "f2b-sshd")
	// Both at once.
	f2b(2*m, "[sshd] Ban 192.0.2.2")
	stk(2*m+200*time.Millisecond, "ban", "sshd", "192.0.2.2/32", "f2b-sshd")
	// A counter that was rescaled: three failures, never within ten minutes.
	found("sshd", "192.0.2.3", 3*m, 9*m, 14*m)
	f2b(14*m, "[sshd] Ban 192.0.2.3")
	// Others that fail2ban bans alone.
	f2b(15*m, "[sshd] Ban 198.51.100.9")
	f2b(15*m, "[sshd] Ban 203.0.113.7")
	f2b(15*m, "[sshd] Ban host.example.net")
	f2b(15*m, "[nginx] Ban 192.0.2.4")
	f2b(15*m, "[mail] Ban 192.0.2.4")
	f2b(15*m, "[sshd] Ban 192.0.2.5")
	found("sshd", "192.0.2.6", 16*m, 16*m+s, 16*m+2*s)
	f2b(16*m+3*s, "[sshd] Ban 192.0.2.6") // not explained
	// Stockade alone.
	found("sshd", "2001:db8::1", 17*m)
	found("sshd", "2001:db8::2", 17*m, 17*m)
	stk(17*m, "ban", "sshd", "2001:db8::/64", "f2b-sshd")
	stk(18*m, "ban", "sshd", "192.0.2.8/32", "operator")
	found("sshd", "192.0.2.9", 19*m)
	stk(19*m, "ban", "sshd", "192.0.2.9/32", "f2b-sshd")
	stk(20*m, "ban", "other", "192.0.2.9/32", "f2b-sshd")
	// After a ban that both made, one ends earlier.
	f2b(30*m, "[sshd] Unban 192.0.2.2")
	f2b(31*m, "[sshd] Ban 192.0.2.2")
	f2b(40*m, "the end")
	stk(39*m, "stopping", "", "", "")
	stk(41*m, "ban", "sshd", "192.0.2.10/32", "x") // only one of them logged

	tl, err := ReadFail2banLog(strings.NewReader("noise\n"+theirs.String()), time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	ol, err := ReadLog(strings.NewReader("noise\n" + ours.String()))
	if err != nil {
		t.Fatal(err)
	}
	c := Compare(tl, ol, policy(t))
	var got []string
	for _, p := range c.Pairs {
		got = append(got, fmt.Sprintf("%s %s %s %.1f %s", p.Jail, p.Address, p.First, p.Lead, p.Reason))
	}
	want := []string{
		"sshd 192.0.2.1 stockade 1.4 fail2ban came to the line later",
		"sshd 192.0.2.2 both 0.2 ",
		"sshd 192.0.2.3 fail2ban 0.0 fail2ban's counter was rescaled: 2 failures lie within",
		"mail 192.0.2.4 fail2ban 0.0 the jail mail is off here",
		"nginx 192.0.2.4 fail2ban 0.0 there is no jail nginx here",
		"sshd 192.0.2.5 fail2ban 0.0 fail2ban's log has no failure of it",
		"sshd 198.51.100.9 fail2ban 0.0 ignoreip of the jail sshd",
		"sshd 203.0.113.7 fail2ban 0.0 it is never banned here: never_ban",
		"sshd host.example.net fail2ban 0.0 fail2ban looked a name up",
		"sshd 192.0.2.6 fail2ban 0.0 ",
		"sshd 2001:db8::/64 stockade 0.0 2 addresses of the network",
		"sshd 192.0.2.8/32 stockade 0.0 it was banned by hand",
		"sshd 192.0.2.9/32 stockade 0.0 fail2ban found 1 failures",
		"other 192.0.2.9/32 stockade 0.0 fail2ban's log has nothing of a jail other",
		"sshd 192.0.2.2 fail2ban 0.0 it was banned here already, since 2026-11-24 10:02:00",
	}
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			t.Errorf("missing: %s", want[i])
		case i >= len(want):
			t.Errorf("too many: %s", got[i])
		case !strings.HasPrefix(got[i], want[i]):
			t.Errorf("row %d is\n%s, want\n%s", i, got[i], want[i])
		}
	}
	if c.Both != 2 || c.OnlyFail2ban != 9 || c.OnlyStockade != 4 || c.Unexplained != 1 || c.Outside != 1 {
		t.Errorf("%d both, %d and %d alone, %d unexplained, %d outside", c.Both, c.OnlyFail2ban, c.OnlyStockade, c.Unexplained, c.Outside)
	}
}
