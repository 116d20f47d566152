// Package controltest has a daemon of a few lines, for tests of the API and of the commands that
// use it. Only tests import it.
package controltest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"stockade/cmd/stockade/control"
)

// Now is the fixed time at which the fake daemon lives.
var Now = time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)

// Fake implements control.Daemon in memory: the jails sshd (bantime 1 h) and manual, the source
// this-host, and whatever was banned by hand. 203.0.113.7 is protected. Its methods may be
// called concurrently.
type Fake struct {
	mu       sync.Mutex
	bans     []control.Ban
	banned   int64
	changes  int
	degraded []control.Degraded
	reload   *control.Error
	pending  *control.Pending
	log      control.LogState
	hang     chan struct{} // Status waits for it; nil: it does not
	hanging  chan struct{} // closed when Status waits
}

// Degrade sets the reasons why the daemon is degraded.
func (f *Fake) Degrade(d ...control.Degraded) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.degraded = d
}

// FailReload makes reloads fail with err; nil makes them work again.
func (f *Fake) FailReload(err *control.Error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reload = err
}

// Hang makes the next Status wait until its context ends or release is called. hanging is closed
// once it waits.
func (f *Fake) Hang() (hanging <-chan struct{}, release func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	hang := make(chan struct{})
	f.hang, f.hanging = hang, make(chan struct{})
	return f.hanging, sync.OnceFunc(func() { close(hang) })
}

// Add puts a ban in without asking.
func (f *Fake) Add(b control.Ban) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.bans = append(f.bans, b)
	f.banned++
}

// Changes is how many requests changed something.
func (f *Fake) Changes() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.changes
}

// Status implements control.StatusReporter.
func (f *Fake) Status(ctx context.Context) (control.Status, error) {
	f.mu.Lock()
	hang, hanging := f.hang, f.hanging
	f.hang = nil
	f.mu.Unlock()
	if hang != nil {
		close(hanging)
		select {
		case <-hang:
		case <-ctx.Done():
			return control.Status{}, ctx.Err()
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return control.Status{
		Degraded: slices.Clone(f.degraded), Backend: "observe", Started: Now, Pending: f.pending,
		Jails: []control.JailStatus{f.numbersLocked("sshd"), f.numbersLocked("manual")},
	}, nil
}

func (f *Fake) numbersLocked(jail string) control.JailStatus {
	n := control.JailStatus{Name: jail}
	for _, b := range f.bans {
		if b.Jail == jail {
			n.BannedCurrent++
		}
	}
	if jail == "sshd" {
		n.FailedCurrent, n.FailedTotal = 1, 7
		n.BannedTotal = f.banned
	}
	return n
}

func known(jail string) error {
	if jail == "sshd" || jail == "manual" {
		return nil
	}
	return &control.Error{Code: control.CodeUsage, Message: fmt.Sprintf("unknown jail %q: one of sshd, manual", jail)}
}

// JailReport implements control.JailReporter.
func (f *Fake) JailReport(_ context.Context, jail string) (control.JailReport, error) {
	if err := known(jail); err != nil {
		return control.JailReport{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	r := control.JailReport{JailStatus: f.numbersLocked(jail)}
	if jail == "sshd" {
		r.Sources = []string{"this-host"}
	}
	for _, b := range f.bans {
		if b.Jail == jail {
			r.Banned = append(r.Banned, b.Address)
		}
	}
	return r, nil
}

// Jails implements control.JailLister.
func (f *Fake) Jails(context.Context) ([]control.Jail, error) {
	return []control.Jail{
		{Name: "sshd", Filter: "sshd", Enabled: true, Enforce: true, MaxRetry: 5, FindTime: 600, BanTime: 3600,
			Ports: []string{"22"}, MinTrust: "address", Apps: []string{"sshd", "sshd-session", "sshd-auth"}},
		{Name: "web", Filter: "inline", MaxRetry: 2, FindTime: 10, BanTime: -1, MinTrust: "tls"},
	}, nil
}

// Sources implements control.SourceLister.
func (f *Fake) Sources(context.Context) ([]control.Source, error) {
	left := int64(60)
	seen := Now.Add(-time.Minute)
	return []control.Source{
		{Name: "this-host", Listener: "local", Identity: "uid 0", Trust: "kernel", State: "ok",
			Lines: 120, Failures: 7, Bans: 1, LastSeen: &seen, Grants: control.Grants{Jails: control.List[string]{"*"}}},
		{Name: "web1", Listener: "secure", Identity: "san web1.lan", Trust: "tls", State: "never seen",
			Grants:    control.Grants{Jails: control.List[string]{"sshd", "nginx"}, Hostnames: control.List[string]{"web1"}, Vouches: true},
			QuotaLeft: &left, Refused: control.Counts{"app not granted": 3}, ListenerRefused: control.Counts{"unknown_peer": 4}},
		{Name: "web-log", Listener: "web-log", Identity: "any peer", Trust: "address", State: "ok", Lines: 3, LastSeen: &seen,
			TrustReason: "/var/log/app belongs to uid 33"},
	}, nil
}

// Explain implements control.Explainer.
func (f *Fake) Explain(_ context.Context, t control.Target) (control.Explain, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e := control.Explain{Address: t.String()}
	p := t.Counted(64)
	for _, b := range f.bans {
		if b.Address.Overlaps(p) {
			e.Banned = true
			e.Bans = append(e.Bans, b)
			if b.Enforced {
				e.Kernel = append(e.Kernel, control.Element{Address: b.Address, Ports: b.Ports, Present: true, Packets: 12, Bytes: 720})
			}
		}
	}
	switch t.String() {
	case "203.0.113.7":
		e.NeverBan = "never_ban: 203.0.113.7"
	case "198.51.100.9":
		e.Windows = []control.Window{{Jail: "sshd", Address: p, Failures: 3, MaxRetry: 5, FindTime: 600,
			First: Now.Add(-2 * time.Minute), Last: Now.Add(-time.Minute), Left: 2, Until: control.Moment(Now.Add(8 * time.Minute))}}
		e.Evidence = []control.Evidence{{Jail: "sshd", Time: Now.Add(-time.Minute), Received: Now.Add(-time.Minute),
			Source: "this-host", Trust: "kernel", Origin: "uid 0", User: "root",
			Raw:  "sshd[7]: Failed password for root\x1b[2J\u009b31m from 198.51.100.9 port 22 ssh2",
			Name: "failed", Expr: "Failed {method} for {user*} from {addr} port {port}", Filter: "sshd", Pattern: 2}}
	case "198.51.100.20":
		e.Refused = []control.Refused{{Source: "web1", Reason: "app_not_granted", Count: 3, Last: Now.Add(-time.Minute),
			Sample: "<38>cron[1]: bad \x1b[2J from 198.51.100.20", Remedy: "if source web1 may speak for that app, add it to its apps"}}
		e.Ignored = []control.Ignored{{Jail: "web", Entry: "ignoreip: 198.51.100.16/28"}}
	case "198.51.100.21":
		e.Foreign = []control.Foreign{{Table: "inet f2b-table", Chain: "f2b-chain", Handle: 6, Verdict: "reject", Match: "set addr-set-sshd", Conditional: true}}
		e.Earlier = []control.Earlier{{Jail: "sshd", Address: p, Count: 2, Last: Now.Add(-24 * time.Hour), Evidence: []control.Evidence{{
			Jail: "sshd", Time: Now.Add(-24 * time.Hour), Received: Now.Add(-24 * time.Hour), Source: "this-host", Trust: "kernel", Raw: "an old line"}}}}
		e.Witnessed = new(bool)
		e.Notes = []string{"bridge br0 is not filtered"}
	}
	return e, nil
}
