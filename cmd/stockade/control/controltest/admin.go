package controltest

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"time"

	"stockade/cmd/stockade/control"
)

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
		if r.DryRun {
			return control.NotifyResult{Message: "POST https://chat.example.net/…\nContent-Type: application/json\n\n{\"text\": \"banned\"}\n"}, nil
		}
		return control.NotifyResult{Delivered: true}, nil
	case "bad":
		return control.NotifyResult{}, &control.Error{Code: control.CodeRefused, Message: "channel bad: connection refused"}
	}
	return control.NotifyResult{}, &control.Error{Code: control.CodeUsage, Message: fmt.Sprintf("unknown channel %q: the channels are good, bad", r.Name)}
}
