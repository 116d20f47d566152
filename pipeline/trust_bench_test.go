package pipeline

import (
	"net/netip"
	"os"
	"testing"
	"time"

	"stockade/jails/filter"
	"stockade/receiver"
)

// trustCase is a line whose writer is to be judged.
type trustCase struct {
	name  string
	entry func(r *rig) *receiver.Entry
}

var trustCases = []trustCase{
	{"kernel", func(r *rig) *receiver.Entry {
		e := r.line("mine", "mine 198.51.100.7")
		e.Peer = receiver.Peer{Level: receiver.LevelKernel, UID: int64(os.Getuid()), PID: int64(os.Getpid())}
		return e
	}},
	{"vouched", func(r *rig) *receiver.Entry {
		e := r.line("mine", "mine 198.51.100.7")
		e.Source, e.Peer = r.sources["voucher"], receiver.Peer{Level: receiver.LevelTLS, UID: -1}
		e.SD = []byte(`[origin@32473 uid="0" pid="17" exe="/usr/sbin/sshd"]`)
		return e
	}},
	{"program", func(r *rig) *receiver.Entry {
		e := r.line("daemon", "daemon 198.51.100.7")
		e.Source, e.Peer = r.sources["voucher"], receiver.Peer{Level: receiver.LevelTLS, UID: -1}
		e.SD = []byte(`[origin@32473 uid="0" pid="17" exe="/usr/sbin/sshd"]`)
		return e
	}},
	{"network", func(r *rig) *receiver.Entry {
		e := r.line("nginx", "198.51.100.7 401")
		e.Source, e.Peer = r.sources["web"], receiver.Peer{Level: receiver.LevelAddress, UID: -1}
		return e
	}},
}

// checks are the trust checks of one line that a jail matched: may the source claim host and app, who
// wrote the line, may it feed the jail, is it believed, may the address be banned.
func (c *trustCase) checks(t testing.TB) func() {
	r := newRig(t, 1)
	e := c.entry(r)
	f := r.Open(false).(*Feed)
	f.take(e, r.Plan())
	bound := -1
	for i, b := range r.Plan().Bound() {
		if b.Jail.Apps[0] == string(e.App) || b.Jail.Name == "web" && string(e.App) == "nginx" {
			bound = i
		}
	}
	if bound < 0 {
		t.Fatalf("no jail for %s", e.App)
	}
	m := &filter.Match{Filter: bound, Addr: netip.MustParseAddr("198.51.100.7"), Bits: -1}
	it := &item{source: e.Source, grant: f.grant, level: e.Peer.Level, received: e.Received}
	jail := &r.Plan().bound[bound]
	return func() {
		if reason := f.grant.admit(e.Hostname, e.App); reason != "" {
			t.Fatal(reason)
		}
		f.identify(e)
		if reason := r.distrust(jail, it, &e.Origin, m); reason != "" && os.Getuid() == 0 {
			t.Fatal(reason)
		}
		if why := r.harms(jail.Jail, netip.PrefixFrom(m.Addr, 32)); why != "" {
			t.Fatal(why)
		}
	}
}

// least is the shortest time that run took on average of 500 runs on end: what it costs when nobody else
// wants the processor.
func least(run func()) time.Duration {
	const runs, windows = 500, 1000
	best := time.Hour
	for range windows {
		begin := time.Now()
		for range runs {
			run()
		}
		best = min(best, time.Since(begin))
	}
	return best / runs
}

// TestTrustChecks: a line's trust costs no allocation, and little time; the bar is 100 ns.
func TestTrustChecks(t *testing.T) {
	for _, c := range trustCases {
		run := c.checks(t)
		run()
		if n := testing.AllocsPerRun(1000, run); n != 0 {
			t.Errorf("%s: %.2f allocations a line, want none", c.name, n)
		}
		took := least(run)
		t.Logf("%s: %v a line", c.name, took)
		if took > 500*time.Nanosecond && !raceEnabled {
			t.Errorf("%s: %v a line, want less than 100ns and at most five times that on a busy machine", c.name, took)
		}
	}
}

// BenchmarkTrustChecks measures them, and as least-ns/op what they cost on a quiet processor.
func BenchmarkTrustChecks(b *testing.B) {
	for _, c := range trustCases {
		b.Run(c.name, func(b *testing.B) {
			run := c.checks(b)
			b.ReportAllocs()
			for b.Loop() {
				run()
			}
			b.ReportMetric(float64(least(run).Nanoseconds()), "least-ns/op")
		})
	}
}
