// Package controltest has a daemon of a few lines, for tests of the API and of the commands that
// use it. Only tests import it.
package controltest

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
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

// Bans implements control.BanLister.
func (f *Fake) Bans(_ context.Context, jail string) ([]control.Ban, error) {
	if jail != "" {
		if err := known(jail); err != nil {
			return nil, err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(f.bans), func(b control.Ban) bool { return jail != "" && b.Jail != jail }), nil
}

// Ban implements control.Banner.
func (f *Fake) Ban(_ context.Context, r control.BanRequest) (control.BanResult, error) {
	if r.Jail == "" {
		r.Jail = "manual"
	}
	if err := known(r.Jail); err != nil {
		return control.BanResult{}, err
	}
	p := r.Address.Counted(64)
	if p.Contains(netip.MustParseAddr("203.0.113.7")) {
		return control.BanResult{}, &control.Error{Code: control.CodeProtected,
			Message: fmt.Sprintf("%s must not be banned: never_ban has 203.0.113.7", r.Address)}
	}
	bantime := control.Seconds(3600)
	if r.For != nil {
		bantime = *r.For
	}
	b := control.Ban{Address: p, Jail: r.Jail, Source: "operator", Trust: "kernel", Start: Now,
		Reason: control.Text(r.Reason), Enforced: true, Count: 1}
	if bantime > 0 {
		b.End = control.Moment(Now.Add(bantime.Duration()))
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, old := range f.bans {
		if old.Address == p && old.Jail == r.Jail {
			if old.End == nil || b.End != nil && !b.End.After(*old.End) {
				return control.BanResult{Ban: old}, nil
			}
			f.bans[i] = b
			f.changes++
			return control.BanResult{Ban: b, Changed: true}, nil
		}
	}
	f.bans = append(f.bans, b)
	f.changes++
	return control.BanResult{Ban: b, Changed: true}, nil
}

// Unban implements control.Unbanner.
func (f *Fake) Unban(_ context.Context, r control.UnbanRequest) (control.UnbanResult, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	before := len(f.bans)
	var wider *control.Ban
	f.bans = slices.DeleteFunc(f.bans, func(b control.Ban) bool {
		if r.Jail != "" && b.Jail != r.Jail {
			return false
		}
		switch {
		case r.All:
			return true
		case r.Source != "":
			return string(b.Source) == r.Source && (r.Since == nil || !b.Start.Before(*r.Since))
		}
		p := r.Address.Counted(64)
		if b.Address.Bits() < p.Bits() && b.Address.Contains(p.Addr()) {
			wider = &b
		}
		return b.Address == p
	})
	n := int64(before - len(f.bans))
	if n > 0 {
		f.changes++
		return control.UnbanResult{Unbanned: n}, nil
	}
	if wider != nil {
		return control.UnbanResult{}, &control.Error{Code: control.CodeCovered,
			Message: fmt.Sprintf("%s lies in %s, which jail %s bans", r.Address, wider.Address, wider.Jail)}
	}
	return control.UnbanResult{}, &control.Error{Code: control.CodeNotFound, Message: "nothing to unban"}
}

// Adopt implements control.Adopter: it adopts every ban.
func (f *Fake) Adopt(_ context.Context, r control.AdoptRequest) (control.AdoptResult, error) {
	return control.AdoptResult{Adopted: int64(len(r.Bans))}, nil
}

// Approve implements control.Approver: the source this-host has two bans waiting.
func (f *Fake) Approve(_ context.Context, r control.SourceRequest) (control.ApproveResult, error) {
	if err := knownSource(r.Source); err != nil {
		return control.ApproveResult{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.changes++
	return control.ApproveResult{Approved: 2}, nil
}

// Release implements control.Releaser: this-host is in no quarantine.
func (f *Fake) Release(_ context.Context, r control.SourceRequest) (control.ReleaseResult, error) {
	if err := knownSource(r.Source); err != nil {
		return control.ReleaseResult{}, err
	}
	return control.ReleaseResult{}, &control.Error{Code: control.CodeNotFound, Message: "source this-host is not in quarantine"}
}

func knownSource(name string) error {
	if name == "this-host" {
		return nil
	}
	return &control.Error{Code: control.CodeUsage, Message: fmt.Sprintf("unknown source %q: one of this-host", name)}
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
			Raw: "sshd[7]: Failed password for root\x1b[2J\u009b31m from 198.51.100.9 port 22 ssh2"}}
	case "198.51.100.20":
		e.Refused = []control.Refused{{Source: "web1", Reason: "app_not_granted", Count: 3, Last: Now.Add(-time.Minute),
			Sample: "<38>cron[1]: bad \x1b[2J from 198.51.100.20", Remedy: "if source web1 may speak for that app, add it to its apps"}}
		e.Ignored = []control.Ignored{{Jail: "web", Entry: "ignoreip"}}
	case "198.51.100.21":
		e.Foreign = []control.Foreign{{Table: "inet f2b-table", Chain: "f2b-chain", Handle: 6, Verdict: "reject", Match: "set addr-set-sshd", Conditional: true}}
		e.Earlier = []control.Earlier{{Jail: "sshd", Address: p, Count: 2, Last: Now.Add(-24 * time.Hour), Evidence: []control.Evidence{{
			Jail: "sshd", Time: Now.Add(-24 * time.Hour), Received: Now.Add(-24 * time.Hour), Source: "this-host", Trust: "kernel", Raw: "an old line"}}}}
		e.Witnessed = new(bool)
		e.Notes = []string{"bridge br0 is not filtered"}
	}
	return e, nil
}

// Doctor implements control.Doctor: all is well, or the first degraded state breaks the hook.
func (f *Fake) Doctor(_ context.Context, jail string) (control.Diagnosis, error) {
	if jail != "" {
		if err := known(jail); err != nil {
			return control.Diagnosis{}, err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	d := control.Diagnosis{Links: []control.Finding{
		{Link: "source", State: control.LinkOK, Subject: "this-host", Finding: "120 lines, the last 1m0s ago"},
		{Link: "line", State: control.LinkOK, Finding: "120 lines"},
		{Link: "trust", State: control.LinkWarning, Subject: "web1", Finding: "refused 3 times: app_not_granted", Remedy: "add the app"},
	}}
	for _, x := range f.degraded {
		d.Links = append(d.Links, control.Finding{Link: "hook", State: control.LinkBroken, Finding: x.Name + ": " + x.Cause, Remedy: "run as root"})
	}
	return d, nil
}

// Reload implements control.Reloader. Nothing waits for a confirmation unless Confirm was asked for.
func (f *Fake) Reload(_ context.Context, r control.ReloadRequest) (control.ReloadResult, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.reload != nil:
		return control.ReloadResult{}, f.reload
	case r.Keep && f.pending == nil:
		return control.ReloadResult{}, &control.Error{Code: control.CodeNotFound, Message: "no configuration waits for a confirmation"}
	}
	f.changes++
	var out control.ReloadResult
	switch {
	case r.Keep:
		f.pending = nil
		return out, nil
	case r.Confirm > 0:
		f.pending = &control.Pending{Since: Now, Until: Now.Add(r.Confirm.Duration())}
	}
	if f.pending != nil {
		out.ConfirmUntil = &f.pending.Until
	}
	return out, nil
}

// Shadow implements control.Shadower: the jail quiet only reports, and sshd enforces.
func (f *Fake) Shadow(_ context.Context, jail string) ([]control.Shadow, error) {
	switch jail {
	case "", "quiet":
	case "sshd":
		return nil, &control.Error{Code: control.CodeRefused, Message: "jail sshd is no shadow jail: it enforces, or is disabled"}
	default:
		return nil, known(jail)
	}
	end := Now.Add(time.Hour)
	login := Now.Add(-time.Hour)
	return []control.Shadow{{
		Jail: "quiet", Total: 7, LoggedIn: 1, Proxies: 1, Named: 12, Bans: []control.ShadowBan{
			{Address: netip.MustParsePrefix("10.0.0.5/32"), Source: "web1", Trust: "tls", Start: Now, End: &end, Failures: 5,
				Reason: "5 failures within 10m", Proxy: "a private address: a proxy, a NAT or a container of yours"},
			{Address: netip.MustParsePrefix("2001:db8:ffff:ffff::/64"), Source: "web1", Trust: "tls", Start: Now, Failures: 5,
				Reason: "5 failures within 10m", LoggedIn: &login},
		}, Sources: []control.ShadowFrom{{Source: "web1", Bans: 2}},
	}}, nil
}

// CanaryKey implements control.CanarySetter for the source this-host.
func (f *Fake) CanaryKey(_ context.Context, r control.CanaryRequest) (control.CanaryKey, error) {
	if err := knownSource(r.Source); err != nil {
		return control.CanaryKey{}, err
	}
	if r.Forget && r.Jail == "web" {
		return control.CanaryKey{}, &control.Error{Code: control.CodeNotFound, Message: "no canary of source this-host has arrived"}
	}
	if r.Jail == "web" {
		return control.CanaryKey{Source: r.Source, Jail: "web", Key: "0123456789abcdef0123456789abcdef", App: "nginx", File: "/var/log/nginx/error.log"}, nil
	}
	return control.CanaryKey{Source: r.Source, Jail: "sshd", Key: "0123456789abcdef0123456789abcdef", App: "sshd",
		Line: "Failed password for CANARY from 192.0.2.7 port 55000 ssh2"}, nil
}

// Canaries implements control.CanaryLister: none came unless the daemon is degraded; then one is
// overdue.
func (f *Fake) Canaries(context.Context) ([]control.Canary, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.degraded) == 0 {
		return nil, nil
	}
	return []control.Canary{
		{Source: "this-host", Jail: "sshd", State: control.CanaryOK, Trust: "kernel", Count: 3, Last: Now, Every: 300, Latency: 0.0124},
		{Source: "web1", Jail: "web", State: control.CanaryOverdue, Trust: "tls", Count: 1, Last: Now.Add(-time.Hour), Every: 300, Latency: 1.5},
	}, nil
}

// Log implements control.Logger.
func (f *Fake) Log(context.Context) (control.LogState, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.logLocked(), nil
}

func (f *Fake) logLocked() control.LogState {
	if f.log == (control.LogState{}) {
		f.log = control.LogState{Level: "info", Format: "json", Target: "stderr"}
	}
	return f.log
}

// SetLog implements control.LogSetter: files in /var/log can be opened.
func (f *Fake) SetLog(_ context.Context, r control.LogRequest) (control.LogState, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.logLocked()
	if r.Target != "" && r.Target != "stderr" && filepath.Dir(r.Target) != "/var/log" {
		return control.LogState{}, &control.Error{Code: control.CodeUsage, Message: fmt.Sprintf("the log's target %q must be a file in /var/log", r.Target)}
	}
	f.changes++
	f.log.Level = cmp.Or(r.Level, f.log.Level)
	f.log.Target = cmp.Or(r.Target, f.log.Target)
	return f.log, nil
}

// Metrics implements control.Meter.
func (f *Fake) Metrics() []control.Metric {
	return []control.Metric{
		{Name: "stockade_messages_total", Help: "Messages received.", Kind: control.Counter, Value: 120,
			Labels: []control.Label{{Name: "listener", Value: "local"}, {Name: "format", Value: "rfc3164"}}},
		{Name: "stockade_queue_depth", Help: "Entries that wait.", Kind: control.Gauge, Value: 3},
		{Name: "stockade_line_to_ban_seconds", Help: "From the line to the ban.", Kind: control.Histogram,
			Count: 4, Sum: 0.004, Buckets: map[float64]uint64{0.001: 3, 0.01: 4}},
	}
}

// NotifyTest implements control.NotifyTester: there are the channels good and bad.
func (f *Fake) NotifyTest(_ context.Context, r control.NotifyRequest) (control.NotifyResult, error) {
	switch r.Name {
	case "good":
		return control.NotifyResult{Delivered: true}, nil
	case "bad":
		return control.NotifyResult{}, &control.Error{Code: control.CodeRefused, Message: "channel bad: connection refused"}
	}
	return control.NotifyResult{}, &control.Error{Code: control.CodeUsage, Message: fmt.Sprintf("unknown channel %q: the channels are good, bad", r.Name)}
}
