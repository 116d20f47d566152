package senders

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stockade/cmd/stockade/e2e/rig"
	"stockade/receiver/receivertest"
)

// rsyslog is a real rsyslogd that forwards what its socket gets, and keeps it while it cannot.
type rsyslog struct {
	*rig.Process
	t  testing.TB
	in net.Conn
}

const (
	traditional = "RSYSLOG_TraditionalForwardFormat"
	withZone    = "RSYSLOG_ForwardFormat"
)

func startRsyslog(t testing.TB, port, template string) *rsyslog {
	t.Helper()
	dir, err := os.MkdirTemp("", "rsl")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "in")
	conf := filepath.Join(dir, "conf")
	err = os.WriteFile(conf, fmt.Appendf(nil, `global(workDirectory=%q)
module(load="imuxsock" SysSock.Use="off")
input(type="imuxsock" Socket=%q RateLimit.Interval="0" UseSysTimeStamp="off" IgnoreTimestamp="off")
if $programname == "sshd" then action(type="omfwd" target="127.0.0.1" port=%q protocol="tcp" template=%q
  queue.type="LinkedList" queue.filename="ban" queue.size="100000" queue.saveOnShutdown="on" queue.dequeueBatchSize="1000"
  action.resumeRetryCount="-1" action.resumeInterval="1")
`, dir, socket, port, template), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	r := &rsyslog{t: t, Process: rig.Start(t, exec.Command("rsyslogd", "-n", "-f", conf, "-i", filepath.Join(dir, "pid")))}
	if !rig.Soon(20*time.Second, func() bool {
		r.in, err = net.Dial("unixgram", socket)
		return err == nil
	}) {
		t.Fatalf("rsyslogd does not listen: %v\n%s", err, r.Log)
	}
	t.Cleanup(func() { _ = r.in.Close() })
	return r
}

// log writes what sshd would have logged at a moment, in the zone of the sender.
func (r *rsyslog) log(at time.Time, layout string, pid int, format string, args ...any) {
	r.t.Helper()
	if _, err := fmt.Fprintf(r.in, "<38>%s sshd[%d]: %s", at.Format(layout), pid, fmt.Sprintf(format, args...)); err != nil {
		r.t.Fatal(err)
	}
}

const wrongPassword = "Failed password for root from %s port %d ssh2"

// TestQueueAfterOutage releases a queue of two hours after an outage of the network, of Stockade
// stopped, and of Stockade killed, for senders with each kind of stamp.
func TestQueueAfterOutage(t *testing.T) {
	rig.RequirePrograms(t, "rsyslogd")
	kolkata := time.FixedZone("", 5*3600+1800)
	for i, sender := range []struct {
		name, template, layout string
		zone                   *time.Location
	}{
		{"stamps without zone", traditional, time.Stamp, time.Local},
		{"stamps without zone, half past five ahead", traditional, time.Stamp, kolkata},
		{"stamps with +05:30", withZone, "2006-01-02T15:04:05.000000Z07:00", kolkata},
	} {
		for j, outage := range []string{"network", "stopped", "killed"} {
			if testing.Short() && i != j {
				continue
			}
			t.Run(sender.name+", "+outage, func(t *testing.T) {
				t.Parallel()
				port := receivertest.FreePort(t)
				d := observe(t, fmt.Sprintf(`
listeners: [{name: lan, transport: tcp, address: "127.0.0.1:%d"}]
sources: [{name: web1, listener: lan, addresses: [127.0.0.1], jails: ["*"]}]
jails: [{name: sshd, filter: sshd, maxretry: 5, findtime: 10m, bantime: 1h}]
`, port)).Start()
				c := newCable(t, port)
				c.mend(-1)
				_, target, _ := net.SplitHostPort(c.from)
				r := startRsyslog(t, target, sender.template)
				now := func() time.Time { return time.Now().In(sender.zone) }
				pid, failures := 1000, 0
				fail := func(at time.Time, address string) {
					pid++
					failures++
					r.log(at, sender.layout, pid, wrongPassword, address, 30000+pid)
				}
				counted := func() bool { return d.Jail("sshd").FailedTotal >= failures }

				for i := range 3 { // live: the sender's clock becomes known
					fail(now(), fmt.Sprintf("198.51.100.%d", 200+i))
				}
				if !rig.Soon(30*time.Second, counted) {
					t.Fatalf("%d of %d live failures", d.Jail("sshd").FailedTotal, failures)
				}
				before := failures
				switch outage {
				case "network":
					c.cut()
				case "stopped":
					d.Stop()
					c.cut()
				case "killed":
					if !rig.Soon(10*time.Second, func() bool {
						_, err := os.Stat(filepath.Join(d.Dir, "state/sources.json"))
						return err == nil
					}) {
						t.Error("the sender's clock is not saved soon after it became known")
					}
					d.End(9)
					c.cut()
				}
				begin := now().Add(-2 * time.Hour)
				// rsyslogd finds out with its first lines; what it writes into a dead connection is lost,
				// as plain TCP cannot tell.
				for range 3 {
					r.log(begin, sender.layout, 1, "Server listening on 0.0.0.0 port 22.")
					time.Sleep(100 * time.Millisecond)
				}
				for minute := range 120 {
					at := begin.Add(time.Duration(minute) * time.Minute)
					if minute%15 == 0 { // somebody forgetful: never five in ten minutes
						fail(at, "198.51.100.50")
					}
					if minute < 105 { // attackers, long gone
						for i := range 6 {
							fail(at.Add(time.Duration(i)*time.Second), fmt.Sprintf("198.51.100.%d", 1+minute/3))
						}
					}
					r.log(at, sender.layout, 1, "Accepted password for user from 198.51.100.51 port 22 ssh2")
				}
				if outage != "network" {
					d.Start()
					failures += d.Jail("sshd").FailedTotal - before // what a restart keeps of the count
				}
				c.mend(-1)
				if !rig.Soon(60*time.Second, counted) {
					t.Fatalf("%d of %d failures of the queue", d.Jail("sshd").FailedTotal, failures)
				}
				if got := d.Jail("sshd").FailedTotal; got != failures {
					t.Errorf("%d failures counted, %d sent", got, failures)
				}
				if list := d.Bans(); len(list) != 0 {
					t.Errorf("the queue banned %+v", list)
				}

				began := time.Now()
				for range 5 {
					fail(now(), "198.51.100.99")
				}
				var list []rig.Ban
				if !rig.Soon(30*time.Second, func() bool { list = d.Bans(); return len(list) == 1 }) {
					t.Fatalf("bans after live failures: %+v; %s", list, d.Ask("sources"))
				}
				took := time.Since(began)
				if list[0].Address != "198.51.100.99/32" || list[0].Start.Before(began.Add(-time.Second)) {
					t.Errorf("ban %+v, want 198.51.100.99 from %s on", list[0], began)
				}
				t.Logf("%d failures of two hours: 0 bans; five live ones: a ban after %s", failures-5, took.Round(time.Millisecond))
			})
		}
	}
}

// TestRepeatedLinesCountOnce cuts connections in the middle of a batch of rsyslogd: it begins the
// batch again, and what had arrived comes twice. Each line accuses an address of its own, so that
// the addresses with a failure are the lines that arrived, and each must have one failure.
func TestRepeatedLinesCountOnce(t *testing.T) {
	rig.RequirePrograms(t, "rsyslogd")
	for _, template := range []string{traditional, withZone} {
		t.Run(template, func(t *testing.T) {
			t.Parallel()
			port := receivertest.FreePort(t)
			d := observe(t, fmt.Sprintf(`
listeners: [{name: lan, transport: tcp, address: "127.0.0.1:%d"}]
sources: [{name: web1, listener: lan, addresses: [127.0.0.1], jails: ["*"]}]
jails: [{name: sshd, filter: sshd, maxretry: 5}]
`, port)).Start()
			c := newCable(t, port)
			_, target, _ := net.SplitHostPort(c.from)
			r := startRsyslog(t, target, template)
			user := strings.Repeat("x", 40)
			lines, cuts, again, total, distinct := 0, 0, 0, 0, 0
			for ; cuts < 6 && again == 0; cuts++ {
				for range 2000 {
					r.log(time.Now(), time.Stamp, lines, "Failed password for invalid user %s from 198.18.%d.%d port %d ssh2", user, lines/250, lines%250, 20000)
					lines++
				}
				c.mend(int64(60_000 + 777*cuts))
				rig.Soon(5*time.Second, func() bool { return !c.whole() })
				c.cut()
				// An outage is longer than the daemon needs to read what had arrived.
				rig.Soon(10*time.Second, func() bool { return d.Source("web1").Refused["partial_frame"] > int64(2*cuts) })
				c.mend(-1)
				arrives := func(try int) bool { // a line of its own each time: it may be lost in a dead socket
					marker := fmt.Sprintf("198.19.%d.%d", cuts, try)
					r.log(time.Now(), time.Stamp, try, wrongPassword, marker, 22)
					return rig.Soon(time.Second, func() bool { return strings.Contains(d.Ask("explain", marker), "port 22") })
				}
				for try := 0; !arrives(try); try++ {
					if try == 30 {
						t.Fatalf("nothing comes any more: %s\n%s", d.Ask("sources"), r.Log)
					}
				}
				c.cut()
				jail := d.Jail("sshd")
				total, distinct = jail.FailedTotal, jail.FailedCurrent
				again = int(d.Source("web1").Lines) - distinct
			}
			t.Logf("%d cuts of the connection: %d distinct lines arrived, %d came again, %d failures counted", cuts, distinct, again, total)
			if total != distinct {
				t.Errorf("%d failures counted of %d distinct lines", total, distinct)
			}
			if again == 0 {
				t.Log("rsyslogd lost what was under way each time, and repeated nothing: this run shows nothing")
			}
		})
	}
}
