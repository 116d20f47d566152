package pipeline

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"stockade/firewall"
	"stockade/jails"
	"stockade/jails/filter"
	"stockade/jails/state"
	"stockade/receiver"
	"stockade/receiver/decode"
)

// rig is a running pipeline over a recording firewall.
type rig struct {
	*Pipeline
	fw      *flaky
	sources map[string]*receiver.Source
	stop    func()
}

// flaky is a firewall that can be told to refuse, and that a test may look at while it works.
type flaky struct {
	mu sync.Mutex
	*firewall.Observe
	broken atomic.Bool
}

func (f *flaky) Elements(ctx context.Context, yield func(firewall.Element, firewall.Counters) bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.Observe.Elements(ctx, yield)
}

func (f *flaky) Protect(ctx context.Context, never []netip.Prefix) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.Observe.Protect(ctx, never)
}

func (f *flaky) Reconcile(ctx context.Context, desired iter.Seq[firewall.Element], foreign firewall.Foreign) (firewall.Report, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.Observe.Reconcile(ctx, desired, foreign)
}

// Usage says that no packet was stopped.
func (f *flaky) Usage(_ context.Context, elements []firewall.Element) ([]firewall.Usage, error) {
	usage := make([]firewall.Usage, len(elements))
	for i := range usage {
		usage[i].Present = true
	}
	return usage, nil
}

// Witnessed vouches for 198.51.100.0/24 alone.
func (f *flaky) Witnessed(_ context.Context, addrs []netip.Addr) ([]bool, error) {
	seen := make([]bool, len(addrs))
	for i, a := range addrs {
		seen[i] = netip.MustParsePrefix("198.51.100.0/24").Contains(a)
	}
	return seen, nil
}

// Name is that of a real backend: what it takes is enforced.
func (f *flaky) Name() string { return "flaky" }

var errBroken = errors.New("the kernel is away")

func (f *flaky) Apply(ctx context.Context, changes []firewall.Change) ([]firewall.Result, error) {
	if f.broken.Load() {
		results := make([]firewall.Result, len(changes))
		for i := range results {
			results[i] = firewall.Result{Change: changes[i], Err: errBroken}
		}
		return results, errBroken
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	results, err := f.Observe.Apply(ctx, changes)
	for i := range results {
		results[i].Enforced = results[i].Err == nil && err == nil
	}
	return results, err
}

var testSources = []receiver.SourceConfig{
	{Name: "host", Listener: "local", Jails: []string{"*"}},
	{Name: "web", Listener: "lan", Jails: []string{"web"}, Apps: []string{"httpd", "nginx*"}, Hostnames: []string{"web1"}},
	{Name: "botnet", Listener: "tcp", Jails: []string{"*"}, Quota: receiver.QuotaConfig{BansPerMinute: 60, Burst: 10}},
	{Name: "liar", Listener: "tls", Certificate: receiver.CertificateConfig{SAN: "liar"}, Jails: []string{"*"}, Quota: receiver.QuotaConfig{BansPerMinute: 60, Burst: 10, Over: "quarantine"}},
	{Name: "narrow", Listener: "tls", Certificate: receiver.CertificateConfig{SAN: "narrow"}, Apps: []string{"httpd"}, Jails: []string{"web"}, Quota: receiver.QuotaConfig{Over: "quarantine"}},
	{Name: "voucher", Listener: "tls", Certificate: receiver.CertificateConfig{SAN: "voucher"}, Jails: []string{"*"}, Vouches: true},
	{Name: "switch", Listener: "udp", Jails: []string{"*"}, AcceptSpoofable: true},
}

var testJails = []jails.Config{
	{Name: "login", Filter: jails.FilterConfig{FailRegex: []string{`^failed login from <HOST>$`}}, Apps: []string{"login"}, Ports: []string{"22"}, IgnoreIP: []string{"198.51.100.99"}},
	{Name: "web", Filter: jails.FilterConfig{FailRegex: []string{`^<HOST> 401$`}}, Apps: []string{"httpd", "nginx*"}},
	{Name: "other", Filter: jails.FilterConfig{FailRegex: []string{`^other <HOST>$`}}, Apps: []string{"httpd"}},
	{Name: "strict", Filter: jails.FilterConfig{FailRegex: []string{`^strict <HOST>$`}}, Apps: []string{"strict"}, MinTrust: "tls"},
	{Name: "mine", Filter: jails.FilterConfig{FailRegex: []string{`^mine <HOST>$`}}, Apps: []string{"mine"}, Origin: &jails.OriginConfig{UID: []uint32{0}}},
	{Name: "daemon", Filter: jails.FilterConfig{FailRegex: []string{`^daemon <HOST>$`}}, Apps: []string{"daemon"}, Origin: &jails.OriginConfig{UID: []uint32{0}, Exe: "/usr/{sbin,lib/openssh}/sshd*"}},
	{Name: "spoofable", Filter: jails.FilterConfig{FailRegex: []string{`^dropped <HOST>$`}}, Apps: []string{"kernel"}, IgnoreIP: []string{"198.51.100.98"}},
	{Name: "recidive", Filter: jails.FilterConfig{FailRegex: []string{`^\[login\] Ban <HOST>$`}}, Apps: []string{"fail2ban"}, IgnoreIP: []string{"198.51.100.96", "2001:db8:5::9"}},
	{Name: "shadow", Filter: jails.FilterConfig{FailRegex: []string{`^shadow <HOST>$`}}, Apps: []string{"shadow"}, Enforce: new(bool)},
}

func plan(t testing.TB, configs []jails.Config, sources *receiver.Sources) *Plan {
	t.Helper()
	var bound []Bound
	for _, c := range configs {
		three := 3
		c.MaxRetry = &three
		j, err := jails.New(jails.Defaults(), c, os.ReadFile)
		if err != nil {
			t.Fatal(err)
		}
		f, err := filter.Compile(filter.Spec{Name: c.Name, FailRegex: c.Filter.FailRegex, Unproven: c.Name == "spoofable"})
		if err != nil {
			t.Fatal(err)
		}
		bound = append(bound, Bound{Jail: j, Filter: f})
	}
	return NewPlan(bound, sources.All())
}

func newRig(t testing.TB, workers int) *rig {
	t.Helper()
	sources, err := receiver.NewSources(testSources, nil)
	if err != nil {
		t.Fatal(err)
	}
	quotas := NewQuotas()
	quotas.Set(sources.All(), func(s *receiver.Source) bool { return s.Name != "botnet" })
	admission := Admission{quotas, NewSuccesses()}
	store, err := state.Open(state.Options{Admit: admission.Admit})
	if err != nil {
		t.Fatal(err)
	}
	fw := &flaky{Observe: firewall.NewObserve()}
	guard := NewGuard()
	guard.Set(LayerOperator, []Protected{{netip.MustParsePrefix("203.0.113.7/32"), "never_ban"}, {netip.MustParsePrefix("2001:db8:1::1/128"), "never_ban"}})
	p := New(Options{Plan: plan(t, testJails, sources), Guard: guard, Store: store, Admission: admission, Enforcer: fw, Log: slog.New(slog.DiscardHandler), Workers: workers})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	<-p.Ready()
	r := &rig{Pipeline: p, fw: fw, sources: make(map[string]*receiver.Source)}
	for _, s := range sources.All() {
		r.sources[s.Name] = s
	}
	var stopped bool
	r.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(r.stop)
	return r
}

// line is an entry of the local host, level kernel, uid 0.
func (r *rig) line(app, text string) *receiver.Entry {
	return &receiver.Entry{
		Message:  decode.Message{Facility: 4, Severity: 5, Hostname: []byte("web1"), App: []byte(app), Text: []byte(text), Repeat: 1},
		Received: time.Now(),
		Source:   r.sources["host"],
		Peer:     receiver.Peer{Level: receiver.LevelKernel},
		Origin:   receiver.Origin{Known: true, UID: 0},
		Raw:      []byte(text),
	}
}

// send puts the entries and waits until every one has been judged.
func (r *rig) send(t testing.TB, entries ...*receiver.Entry) {
	t.Helper()
	sink := r.Open(false)
	for _, e := range entries {
		sink.Put(e)
	}
	sink.Flush()
	r.settle(t)
}

func (r *rig) settle(t testing.TB) {
	t.Helper()
	st := r.Stats()
	eventually(t, "every line is judged", func() bool {
		return st.Lines.Load() == st.Ignored.Load()+st.Continued.Load()+st.Refused.Load()+st.Repeated.Load()+st.Dropped.Load()+st.Unmatched.Load()+st.Matched.Load()
	})
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within 30 s: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

func (r *rig) enforced(t testing.TB) map[string]firewall.Scope {
	t.Helper()
	held := make(map[string]firewall.Scope)
	done := make(chan error, 1)
	r.enforcer.in <- notice{done: done} // behind everything that is queued
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if err := r.fw.Elements(context.Background(), func(e firewall.Element, _ firewall.Counters) bool {
		held[e.Prefix.String()] = e.Scope
		return true
	}); err != nil {
		t.Fatal(err)
	}
	return held
}

func repeat(n int, e *receiver.Entry) []*receiver.Entry {
	var list []*receiver.Entry
	for range n {
		list = append(list, e)
	}
	return list
}

func TestBanOnTheThirdFailure(t *testing.T) {
	r := newRig(t, 2)
	r.send(t, repeat(2, r.line("login", "failed login from 198.51.100.7"))...)
	if held := r.enforced(t); len(held) != 0 {
		t.Fatalf("banned after two of three failures: %v", held)
	}
	r.send(t, r.line("login", "failed login from 198.51.100.7"))
	eventually(t, "the element is there", func() bool { return r.enforced(t)["198.51.100.7/32"] == "22" })
	eventually(t, "the ban is shown as enforced", func() bool { b := r.store.Bans("login"); return len(b) == 1 && b[0].Enforced })
	bans := r.store.Bans("login")
	if bans[0].Failures != 3 || bans[0].Source != "host" || bans[0].Trust != "kernel" {
		t.Errorf("bans = %+v", bans)
	}
	if e := bans[0].Evidence; len(e) != 3 || e[2].Raw != "failed login from 198.51.100.7" || e[2].Origin != "uid=0" {
		t.Errorf("evidence = %+v", e)
	}
}

func TestDoesNotCount(t *testing.T) {
	for _, tt := range []struct {
		name    string
		change  func(r *rig, e *receiver.Entry)
		refused string // by the source for this reason; "" for not at all
	}{
		{"jail not granted", func(r *rig, e *receiver.Entry) {
			e.Source, e.App, e.Text = r.sources["web"], []byte("httpd"), []byte("other 198.51.100.7")
		}, refusedJail},
		{"app not granted", func(r *rig, e *receiver.Entry) { e.Source = r.sources["web"] }, refusedApp},
		{"host not granted", func(r *rig, e *receiver.Entry) {
			e.Source, e.App, e.Hostname = r.sources["web"], []byte("httpd"), []byte("web2")
		}, refusedHostname},
		{"a source that may not feed the jail", func(r *rig, e *receiver.Entry) {
			e.Source, e.App, e.Hostname = r.sources["web"], []byte("login"), []byte("web1")
		}, refusedApp},
		{"spoofable peer", func(_ *rig, e *receiver.Entry) { e.Peer.Level = receiver.LevelSpoofable }, refusedTrust},
		{"explicit min_trust is absolute", func(r *rig, e *receiver.Entry) {
			e.Source, e.Peer.Level = r.sources["switch"], receiver.LevelSpoofable
			e.App, e.Text = []byte("strict"), []byte("strict 198.51.100.7")
		}, refusedTrust},
		{"another user wrote it", func(_ *rig, e *receiver.Entry) {
			e.App, e.Text, e.Peer.UID = []byte("mine"), []byte("mine 198.51.100.7"), 1000
		}, refusedForged},
		{"nobody knows who wrote it", func(_ *rig, e *receiver.Entry) {
			e.App, e.Text, e.Peer.Level = []byte("mine"), []byte("mine 198.51.100.7"), receiver.LevelTLS
		}, refusedUnknown},
		{"a syslog file of root's, into which anybody may log", func(_ *rig, e *receiver.Entry) {
			e.App, e.Text, e.Form, e.Origin = []byte("mine"), []byte("mine 198.51.100.7"), decode.File, receiver.Origin{}
		}, refusedUnknown},
		{"never_ban", func(_ *rig, e *receiver.Entry) { e.Text = []byte("failed login from 203.0.113.7") }, refusedProtected},
		{"ignoreip", func(_ *rig, e *receiver.Entry) { e.Text = []byte("failed login from 198.51.100.99") }, ""},
		{"mapped never_ban", func(_ *rig, e *receiver.Entry) { e.Text = []byte("failed login from ::ffff:203.0.113.7") }, refusedProtected},
		{"loopback", func(_ *rig, e *receiver.Entry) { e.Text = []byte("failed login from 127.0.0.1") }, refusedProtected},
		{"line without its end", func(_ *rig, e *receiver.Entry) { e.Truncated = true }, refusedTruncated},
		{"continuation of a cut record", func(_ *rig, e *receiver.Entry) { e.Continued = true }, ""},
		{"another app", func(_ *rig, e *receiver.Entry) { e.App = []byte("cron") }, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, 1)
			e := r.line("login", "failed login from 198.51.100.7")
			tt.change(r, e)
			r.send(t, repeat(5, e)...)
			if held := r.enforced(t); len(held) != 0 {
				t.Errorf("banned: %v", held)
			}
			if tt.refused != "" {
				all := e.Source.Refused.All()
				if len(all) != 1 || all[0].Reason != tt.refused || all[0].Count != 5 {
					t.Errorf("refused = %+v, want 5 of %s", all, tt.refused)
				}
			}
		})
	}
}

func TestAcceptSpoofableLiftsTheDefault(t *testing.T) {
	r := newRig(t, 1)
	e := r.line("login", "failed login from 198.51.100.7")
	e.Source, e.Peer.Level, e.Origin = r.sources["switch"], receiver.LevelSpoofable, receiver.Origin{}
	r.send(t, repeat(3, e)...)
	eventually(t, "banned", func() bool { return len(r.enforced(t)) == 1 })
}

func TestIPv6IsCountedByNetwork(t *testing.T) {
	r := newRig(t, 1)
	r.send(t, r.line("login", "failed login from 2001:db8:2::1"), r.line("login", "failed login from 2001:db8:2::2"), r.line("login", "failed login from 2001:db8:2::3"))
	eventually(t, "the /64 is banned", func() bool { _, ok := r.enforced(t)["2001:db8:2::/64"]; return ok })
	// 2001:db8:1::1 is protected, so its neighbours are counted one by one.
	r.send(t, repeat(3, r.line("login", "failed login from 2001:db8:1::5"))...)
	eventually(t, "the single address is banned", func() bool { _, ok := r.enforced(t)["2001:db8:1::5/128"]; return ok })
}

func TestShadowJailBansNobody(t *testing.T) {
	r := newRig(t, 1)
	r.send(t, repeat(3, r.line("shadow", "shadow 198.51.100.7"))...)
	if held := r.enforced(t); len(held) != 0 || r.Stats().Shadowed.Load() != 1 {
		t.Errorf("held %v, shadowed %d; want nothing and 1", held, r.Stats().Shadowed.Load())
	}
}

func TestAnEventThatProvesNothingNeedsAWitness(t *testing.T) {
	r := newRig(t, 1)
	r.send(t, repeat(3, r.line("kernel", "dropped 192.0.2.7"))...)
	eventually(t, "three failures without a witness", func() bool { return r.Stats().Unproven.Load() == 3 })
	r.send(t, repeat(3, r.line("kernel", "dropped 198.51.100.7"))...)
	eventually(t, "the address that completed a handshake is banned", func() bool { return len(r.enforced(t)) == 1 })
	if _, victim := r.enforced(t)["192.0.2.7/32"]; victim {
		t.Error("a spoofed packet banned its victim")
	}
}

func TestABanThatDoesNotWorkIsReported(t *testing.T) {
	r := newRig(t, 1)
	r.send(t, repeat(3, r.line("login", "failed login from 198.51.100.7"))...)
	eventually(t, "enforced", func() bool { b := r.store.Bans("login"); return len(b) == 1 && b[0].Enforced })
	late := r.line("login", "failed login from 198.51.100.7")
	r.send(t, late)
	if f := r.Faults(); len(f) != 0 {
		t.Errorf("faults = %+v right after the ban", f)
	}
	late.Received = late.Received.Add(leakGrace + time.Second)
	r.send(t, late)
	eventually(t, "the leak is a fault", func() bool { f := r.Faults(); return len(f) == 1 && f[0].Name == "ineffective:login" })
	r.leaks.forget(late.Received.Add(leakMemory))
	if f := r.Faults(); len(f) != 0 {
		t.Errorf("faults = %+v ten minutes later", f)
	}
}

func TestRecidiveCountsBans(t *testing.T) {
	r := newRig(t, 1)
	for range 3 {
		r.send(t, repeat(3, r.line("login", "failed login from 198.51.100.7"))...)
		if _, err := r.Unban(context.Background(), func(b *state.Ban) bool { return b.Jail == "login" }); err != nil {
			t.Fatal(err)
		}
	}
	bans := r.store.Bans("recidive")
	if len(bans) != 1 || bans[0].Evidence[0].Raw != "ban in jail login: 3 failures within 10m0s" {
		t.Errorf("bans = %+v; want one for three bans in another jail", bans)
	}
}

// TestALoginMakesTheFirstBanShort: somebody who knows the password and mistypes it is kept from the ports
// of the jail for five minutes, which the ban says; the second time he is an offender like others.
func TestALoginMakesTheFirstBanShort(t *testing.T) {
	r := newRig(t, 1)
	r.successes.note(netip.MustParseAddr("198.51.100.7"))
	r.successes.note(netip.MustParseAddr("2001:db8:2::9"))
	mistyped := repeat(3, r.line("login", "failed login from 198.51.100.7"))
	r.send(t, mistyped...)
	r.send(t, repeat(3, r.line("login", "failed login from 2001:db8:2::1"))...)
	held := r.enforced(t)
	if held["198.51.100.7/32"] != "22" {
		t.Errorf("held = %v; want the address, at port 22 alone", held)
	}
	if _, ok := held["2001:db8:2::1/128"]; !ok {
		t.Errorf("held = %v; want the single address, for another of its network logged in", held)
	}
	only := func() *state.Ban {
		t.Helper()
		for _, b := range r.store.Bans("login") {
			if b.Prefix.Addr().Is4() {
				return b
			}
		}
		t.Fatal("no ban of the address")
		return nil
	}
	first := only()
	if first.End.Sub(first.Start) != gentleBan || first.Scope != "22" || !strings.HasSuffix(first.Reason, "; short, because the address logged in lately") {
		t.Errorf("the first ban after a login lasts %s at ports %q, for %q; want %s at the jail's", first.End.Sub(first.Start), first.Scope, first.Reason, gentleBan)
	}
	if _, err := r.Unban(context.Background(), func(b *state.Ban) bool { return b.Jail == "login" }); err != nil {
		t.Fatal(err)
	}
	r.send(t, mistyped...)
	if second := only(); second.End.Sub(second.Start) <= gentleBan || strings.Contains(second.Reason, "short") {
		t.Errorf("the second ban lasts %s, for %q; want a whole one", second.End.Sub(second.Start), second.Reason)
	}
}

func TestUnbanLetsIn(t *testing.T) {
	r := newRig(t, 1)
	r.send(t, repeat(3, r.line("login", "failed login from 198.51.100.7"))...)
	ctx := context.Background()
	if _, _, err := r.Ban(ctx, state.Ban{Jail: "manual", Prefix: netip.MustParsePrefix("198.51.100.7/32"), Source: "operator"}); err != nil {
		t.Fatal(err)
	}
	lifted, err := r.Unban(ctx, func(b *state.Ban) bool { return b.Jail == "login" })
	if err != nil || len(lifted) != 1 {
		t.Fatalf("lifted %v, %v", lifted, err)
	}
	if held := r.enforced(t); held["198.51.100.7/32"] != "" || len(held) != 1 {
		t.Errorf("held = %v; want the manual ban of everything alone", held)
	}
}

func TestProtectionLiftsABan(t *testing.T) {
	r := newRig(t, 1)
	r.send(t, repeat(3, r.line("login", "failed login from 198.51.100.7"))...)
	eventually(t, "banned", func() bool { return len(r.enforced(t)) == 1 })
	if err := r.Protect(context.Background(), LayerLive, []Protected{{netip.MustParsePrefix("198.51.100.7/32"), "own address"}}); err != nil {
		t.Fatal(err)
	}
	if held := r.enforced(t); len(held) != 0 {
		t.Errorf("held = %v", held)
	}
}

func TestAFirewallThatIsAwayGetsTheBansLater(t *testing.T) {
	r := newRig(t, 1)
	r.fw.broken.Store(true)
	r.send(t, repeat(3, r.line("login", "failed login from 198.51.100.7"))...)
	eventually(t, "degraded", func() bool { return len(r.Faults()) == 1 })
	if b := r.store.Bans("login"); len(b) != 1 || b[0].Enforced {
		t.Errorf("bans = %+v; want one that is not enforced", b)
	}
	r.fw.broken.Store(false)
	eventually(t, "enforced", func() bool { b := r.store.Bans("login"); return len(b) == 1 && b[0].Enforced })
	eventually(t, "no longer degraded", func() bool { return len(r.Faults()) == 0 })
}

func TestPing(t *testing.T) {
	r := newRig(t, 2)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := r.Ping(ctx); err != nil {
		t.Error(err)
	}
	r.fw.mu.Lock() // the firewall's goroutine hangs in the next batch
	defer r.fw.mu.Unlock()
	sink := r.Open(false)
	for range 3 {
		sink.Put(r.line("login", "failed login from 198.51.100.7"))
	}
	sink.Flush()
	short, stop := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer stop()
	if err := r.Ping(short); err == nil {
		t.Error("a hanging firewall answers")
	}
}

func TestStopDrains(t *testing.T) {
	r := newRig(t, 2)
	sink := r.Open(false)
	for i := range 3000 {
		sink.Put(r.line("login", fmt.Sprintf("failed login from 198.18.%d.%d", i/3>>8, i/3&255)))
	}
	sink.Flush()
	r.stop()
	if got := len(r.store.Bans("login")); got != 1000 {
		t.Errorf("%d bans after the drain, want 1000", got)
	}
	held := 0
	if err := r.fw.Elements(context.Background(), func(firewall.Element, firewall.Counters) bool { held++; return true }); err != nil || held != 1000 {
		t.Errorf("%d elements (%v), want 1000", held, err)
	}
}

func TestSwap(t *testing.T) {
	r := newRig(t, 1)
	r.send(t, repeat(2, r.line("login", "failed login from 198.51.100.7"))...)
	sources, err := receiver.NewSources(testSources, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Swap(plan(t, testJails[:2], sources))
	r.send(t, r.line("login", "failed login from 198.51.100.7"), r.line("strict", "strict 198.51.100.8"))
	eventually(t, "the window survived the swap", func() bool { return len(r.enforced(t)) == 1 })
	if r.Stats().Ignored.Load() != 1 {
		t.Error("a jail that is gone still listens")
	}
}

func TestLossyFeedDropsAndCounts(t *testing.T) {
	sources, err := receiver.NewSources(testSources, nil)
	if err != nil {
		t.Fatal(err)
	}
	store, err := state.Open(state.Options{})
	if err != nil {
		t.Fatal(err)
	}
	p := New(Options{Plan: plan(t, testJails, sources), Guard: NewGuard(), Store: store, Admission: Admission{NewQuotas(), NewSuccesses()}, Enforcer: firewall.NewObserve(), Log: slog.New(slog.DiscardHandler), Workers: 1})
	r := &rig{Pipeline: p, sources: map[string]*receiver.Source{"host": sources.All()[0]}}
	sink := p.Open(true)
	const lines = (datagramQueue + 10) * 3
	for range lines / 3 { // nobody runs: the queue fills up
		for range 3 {
			sink.Put(r.line("login", "noise"))
		}
		sink.Flush()
	}
	if got := p.Stats().Dropped.Load(); got != 30 {
		t.Errorf("dropped %d lines, want 30", got)
	}
	if all := sources.All()[0].Refused.All(); len(all) != 1 || all[0].Reason != "queue_full" || all[0].Count != 30 {
		t.Errorf("refused = %+v, want 30 of queue_full", all)
	}
}

func TestNoAllocation(t *testing.T) {
	r := newRig(t, 1)
	sink := r.Open(false)
	for _, tt := range []struct{ name, app, text string }{
		{"an app that no jail listens to", "cron", "(root) CMD (true)"},
		{"a line that matches nothing", "login", "session opened for user alice by (uid=0)"},
	} {
		e := r.line(tt.app, tt.text)
		run := func() {
			for range batchLines {
				sink.Put(e)
			}
			sink.Flush()
			r.settle(t)
		}
		run()
		if got := testing.AllocsPerRun(20, run) / batchLines; got > 0.02 { // the pool may be emptied meanwhile
			t.Errorf("%s: %.3f allocations a line, want none", tt.name, got)
		}
	}
}

func BenchmarkUnmatched(b *testing.B) {
	r := newRig(b, 1)
	sink := r.Open(false)
	e := r.line("login", "session opened for user alice by (uid=0)")
	b.ReportAllocs()
	for b.Loop() {
		sink.Put(e)
	}
	sink.Flush()
	r.settle(b)
}
