package daemon

import (
	"slices"
	"strings"
	"time"

	"stockade/cmd/stockade/control"
	"stockade/pipeline"
	"stockade/receiver"
	"stockade/receiver/decode"
)

// Metrics takes a snapshot of all counters. Labels are names of the configuration and words of this
// program, never anything that a line says.
func (d *daemon) Metrics() []control.Metric {
	listeners := d.listenerStats()
	return slices.Concat(
		d.lineMetrics(), d.dropMetrics(listeners), d.queueMetrics(),
		d.listenerMetrics(listeners), d.sourceMetrics(), d.jailMetrics(), d.stateMetrics(), d.healthMetrics(), d.notifyMetrics(), d.actionMetrics(),
		[]control.Metric{
			histogram("stockade_line_to_ban_seconds", "From the arrival of the deciding line to the ban read back from the kernel.", &d.pipeline.Stats().ToKernel),
			histogram("stockade_nft_flush_seconds", "Batches of changes to nftables, sent and read back.", &d.flush),
			histogram("stockade_fsync_seconds", "Writes of the journal of bans and windows, with their fsync.", &d.synced),
			histogram("stockade_match_seconds", "Matching, judging and counting of a line.", &d.pipeline.Stats().Match),
		})
}

func (d *daemon) lineMetrics() []control.Metric {
	st := d.pipeline.Stats()
	const lines = "Lines by what became of them."
	return []control.Metric{
		counter("stockade_lines_total", lines, st.Ignored.Load(), "outcome", "ignored"),
		counter("stockade_lines_total", lines, st.Continued.Load(), "outcome", "continued"),
		counter("stockade_cut_matches_total", "Matches that do not count because the end of their line is missing.", st.Truncated.Load()),
		counter("stockade_lines_total", lines, st.Refused.Load(), "outcome", "refused"),
		counter("stockade_lines_total", lines, st.Repeated.Load(), "outcome", "repeated"),
		counter("stockade_lines_total", lines, st.Dropped.Load(), "outcome", "dropped"),
		counter("stockade_lines_total", lines, st.Unmatched.Load(), "outcome", "unmatched"),
		counter("stockade_lines_total", lines, st.Matched.Load(), "outcome", "matched"),
		counter("stockade_failures_total", "Matches that counted.", st.Failures.Load()),
		counter("stockade_successes_total", "Logins seen.", st.Successes.Load()),
		counter("stockade_distrusted_total", "Matches that did not count: grants, trust, origin.", st.Distrust.Load()),
		counter("stockade_unproven_total", "Matches that prove no address, without a witness.", st.Unproven.Load()),
		counter("stockade_protected_total", "Matches that named a protected or ignored address.", st.Protected.Load()),
		counter("stockade_weightless_total", "Matches of patterns with the weight 0.", st.Weightless.Load()),
		counter("stockade_bans_total", "Bans begun.", st.Bans.Load()),
		counter("stockade_widened_bans_total", "Networks banned for several of their addresses.", st.Widened.Load()),
		counter("stockade_user_alerts_total", "Thresholds reached by a user, which ban nobody.", st.Alerts.Load()),
		counter("stockade_shadow_bans_total", "Bans that jails with enforce: false would have begun.", st.Shadowed.Load()),
		counter("stockade_repaired_total", "Bans that were missing in the kernel and were set again.", st.Repaired.Load()),
	}
}

// The stages of stockade_dropped_total, by the reasons that only later stages have. What is not in
// here is refused by a listener, before anything is decoded.
var stages = map[string]string{
	"queue_full":           "queue",
	"hostname_not_granted": "admit", "app_not_granted": "admit", "origin_not_vouched": "admit",
	"jail_not_granted": "judge", "below_min_trust": "judge", "forged": "judge", "origin_unknown": "judge",
	"names_protected": "judge", "names_proxy": "judge", "quarantined": "judge",
	"quota_queue_full": "ban",
}

// dropMetrics are what was refused, once each: by listeners, or by what comes after them.
func (d *daemon) dropMetrics(listeners []receiver.ListenerStats) []control.Metric {
	type key struct{ stage, reason string }
	sums := make(map[key]int64)
	for _, l := range listeners {
		for _, r := range l.Refused {
			sums[key{"receive", r.Reason}] += r.Count
		}
	}
	for _, s := range d.registry.Load().All() {
		for _, r := range s.Refused.All() {
			if stage, ok := stages[r.Reason]; ok {
				sums[key{stage, r.Reason}] += r.Count
			}
		}
	}
	m := make([]control.Metric, 0, len(sums))
	for k, n := range sums {
		m = append(m, counter("stockade_dropped_total", "Peers, lines, failures and bans refused, by stage and reason.", n, "stage", k.stage, "reason", k.reason))
	}
	return m
}

func (d *daemon) queueMetrics() []control.Metric {
	batches, changes := d.pipeline.QueueDepth()
	const help = "What waits in a queue."
	return []control.Metric{
		gauge("stockade_queue_depth", help, float64(batches), "queue", "lines"),
		gauge("stockade_queue_depth", help, float64(changes), "queue", "firewall"),
		gauge("stockade_queue_depth", help, float64(d.store.Stats().Pending), "queue", "state"),
		gauge("stockade_queue_depth", help, float64(d.store.Logged()-min(d.store.Logged(), d.store.Durable())), "queue", "fsync"),
	}
}

func (d *daemon) listenerMetrics(listeners []receiver.ListenerStats) (m []control.Metric) {
	for _, l := range listeners {
		for form, n := range l.Entries {
			if n > 0 {
				m = append(m, counter("stockade_messages_total", "Messages by listener and format.", n,
					"listener", l.Name, "format", decode.Form(form).String()))
			}
		}
		for _, r := range l.Refused {
			m = append(m, counter("stockade_listener_refused_total", "Peers and messages refused by a listener.", r.Count, "listener", l.Name, "reason", r.Reason))
		}
		m = append(m,
			counter("stockade_kernel_drops_total", "Datagrams the kernel dropped for want of room.", l.KernelDrops, "listener", l.Name),
			counter("stockade_received_bytes_total", "Bytes of messages taken.", l.Bytes, "listener", l.Name),
			counter("stockade_truncated_total", "Messages longer than the limit, whose end is gone.", l.Truncated, "listener", l.Name),
			counter("stockade_malformed_total", "Messages that break their own format's rules; their text is whole.", l.Malformed, "listener", l.Name),
			counter("stockade_connections_total", "Connections accepted.", l.Accepted, "listener", l.Name),
			gauge("stockade_connections", "Connections open now.", float64(l.Open), "listener", l.Name))
		if !l.Expires.IsZero() {
			m = append(m, expiry(l.Expires, l.Name))
		}
	}
	if end := d.server.Expires(); !end.IsZero() {
		m = append(m, expiry(end, "(control)")) // no listener can have that name
	}
	return m
}

// expiry is how long a certificate is still good.
func expiry(end time.Time, listener string) control.Metric {
	return gauge("stockade_tls_cert_expiry_seconds", "Seconds until the certificate of a listener ends; negative once it has.", time.Until(end).Seconds(), "listener", listener)
}

func (d *daemon) sourceMetrics() (m []control.Metric) {
	for _, s := range d.registry.Load().All() {
		m = append(m,
			counter("stockade_source_lines_total", "Lines of a source.", s.Lines.Load(), "source", s.Name),
			counter("stockade_source_failures_total", "Matches of a source that counted.", s.Failures.Load(), "source", s.Name),
			counter("stockade_source_bans_total", "Bans that a source caused.", s.Bans.Load(), "source", s.Name))
		if seen := s.LastSeen.Load(); seen != 0 {
			m = append(m, gauge("stockade_source_last_seen_timestamp_seconds", "When the last line of a source arrived, in Unix time.", float64(seen)/1e9, "source", s.Name))
		}
		for _, r := range s.Refused.All() {
			m = append(m, counter("stockade_source_refused_total", "Lines and peers of a source that were refused.", r.Count, "source", s.Name, "reason", r.Reason))
		}
		if q, limited := d.admission.Quotas.State(s.Name); limited {
			m = append(m,
				gauge("stockade_source_quota_left", "New bans that a source may begin now.", float64(q.Left), "source", s.Name),
				gauge("stockade_source_pending", "Bans that wait for the quota of their source.", float64(q.Pending), "source", s.Name))
		}
		if _, delay, known := d.pipeline.Skew(s.Name); known {
			m = append(m, gauge("stockade_source_delay_seconds", "How long the last line of a source waited on the way.", delay.Seconds(), "source", s.Name))
		}
	}
	return m
}

func (d *daemon) jailMetrics() (m []control.Metric) {
	for _, j := range d.current.get().all {
		c := d.store.Counts(j.Name)
		m = append(m,
			gauge("stockade_banned", "Bans in force.", float64(c.BannedCurrent), "jail", j.Name),
			gauge("stockade_failing", "Addresses with recent failures.", float64(c.FailedCurrent), "jail", j.Name),
			counter("stockade_jail_bans_total", "Bans of a jail since its counters began; they outlive restarts.", c.BannedTotal, "jail", j.Name),
			counter("stockade_jail_failures_total", "Failures of a jail since its counters began; they outlive restarts.", c.FailedTotal, "jail", j.Name))
	}
	return m
}

func (d *daemon) stateMetrics() []control.Metric {
	s := d.store.Stats()
	return []control.Metric{
		gauge("stockade_windows", "Windows kept.", float64(s.Windows)),
		gauge("stockade_offenders", "Earlier offenders remembered.", float64(s.Offenders)),
		gauge("stockade_evidence_bytes", "Bytes of lines kept as evidence.", float64(s.Evidence)),
		counter("stockade_windows_evicted_total", "Windows given up for want of room.", s.Evicted),
		counter("stockade_windows_lost_total", "Windows given up at half their threshold or more.", s.Lost),
	}
}

// reasons are the names of degraded states, so that a series exists before the state does.
var reasons = []string{
	"canary", "certificate", "disk", "drift", "enforcer", "firewall", "ineffective", "observe_fallback", "quarantine", "quota", "reload", "silent", "stale", "state",
}

func (d *daemon) healthMetrics() []control.Metric {
	list := d.conditions()
	counts := make(map[string]int)
	for _, name := range reasons {
		counts[name] = 0
	}
	for _, c := range list {
		name, _, _ := strings.Cut(c.Name, ":") // without the jail
		counts[name]++
	}
	m := []control.Metric{gauge("stockade_degraded", "How many reasons there are to say that you are not wholly protected.", float64(len(list)))}
	for name, n := range counts {
		m = append(m, gauge("stockade_degraded_reasons", "Reasons for being degraded, by their name in status.", float64(n), "name", name))
	}
	return m
}

func (d *daemon) listenerStats() []receiver.ListenerStats {
	var all []receiver.ListenerStats
	d.inputs.each(func(t Task) {
		if l, ok := t.(interface{ Stats() receiver.ListenerStats }); ok {
			all = append(all, l.Stats())
		}
	})
	return all
}

func counter(name, help string, value int64, labels ...string) control.Metric {
	return control.Metric{Name: name, Help: help, Kind: control.Counter, Value: float64(value), Labels: pairs(labels)}
}

func gauge(name, help string, value float64, labels ...string) control.Metric {
	return control.Metric{Name: name, Help: help, Kind: control.Gauge, Value: value, Labels: pairs(labels)}
}

func histogram(name, help string, h *pipeline.Histogram) control.Metric {
	limits, cumulative, sum := h.Snapshot()
	m := control.Metric{
		Name: name, Help: help, Kind: control.Histogram,
		Count: uint64(cumulative[len(cumulative)-1]), Sum: sum.Seconds(), Buckets: make(map[float64]uint64),
	}
	for i, limit := range limits {
		m.Buckets[limit.Seconds()] = uint64(cumulative[i])
	}
	return m
}

func pairs(labels []string) []control.Label {
	var list []control.Label
	for i := 0; i+1 < len(labels); i += 2 {
		list = append(list, control.Label{Name: labels[i], Value: labels[i+1]})
	}
	return list
}
