package daemon

import (
	"stockade/cmd/stockade/control"
	"stockade/receiver"
	"stockade/receiver/decode"
)

// Metrics takes a snapshot of all counters.
func (d *daemon) Metrics() []control.Metric {
	st := d.pipeline.Stats()
	m := []control.Metric{
		counter("stockade_lines_total", "Lines by what became of them.", st.Ignored.Load(), "outcome", "ignored"),
		counter("stockade_lines_total", "Lines by what became of them.", st.Continued.Load(), "outcome", "continued"),
		counter("stockade_lines_total", "Lines by what became of them.", st.Refused.Load(), "outcome", "refused"),
		counter("stockade_lines_total", "Lines by what became of them.", st.Repeated.Load(), "outcome", "repeated"),
		counter("stockade_lines_total", "Lines by what became of them.", st.Dropped.Load(), "outcome", "dropped"),
		counter("stockade_lines_total", "Lines by what became of them.", st.Unmatched.Load(), "outcome", "unmatched"),
		counter("stockade_lines_total", "Lines by what became of them.", st.Matched.Load(), "outcome", "matched"),
		counter("stockade_failures_total", "Matches that counted.", st.Failures.Load()),
		counter("stockade_distrusted_total", "Matches that did not count: grants, trust, origin.", st.Distrust.Load()),
		counter("stockade_protected_total", "Matches that named a protected or ignored address.", st.Protected.Load()),
		counter("stockade_bans_total", "Bans begun.", st.Bans.Load()),
	}
	batches, changes := d.pipeline.QueueDepth()
	m = append(m,
		gauge("stockade_queue_depth", "What waits in a queue.", float64(batches), "queue", "lines"),
		gauge("stockade_queue_depth", "What waits in a queue.", float64(changes), "queue", "firewall"))
	for _, l := range d.listenerStats() {
		for form, n := range l.Entries {
			if n > 0 {
				m = append(m, counter("stockade_messages_total", "Messages by listener and format.", n,
					"listener", l.Name, "format", decode.Form(form).String()))
			}
		}
		for _, r := range l.Refused {
			m = append(m, counter("stockade_dropped_total", "Peers and messages refused by a listener.", r.Count, "listener", l.Name, "reason", r.Reason))
		}
		m = append(m, counter("stockade_kernel_drops_total", "Datagrams the kernel dropped for want of room.", l.KernelDrops, "listener", l.Name))
	}
	for _, j := range d.current.get().all {
		c := d.store.Counts(j.Name)
		m = append(m, gauge("stockade_banned", "Bans in force.", float64(c.BannedCurrent), "jail", j.Name))
	}
	degraded := append(d.degraded.all(), d.faults()...)
	m = append(m, gauge("stockade_degraded", "How many reasons there are to say that you are not wholly protected.", float64(len(degraded))))
	limits, cumulative, sum := st.ToKernel.Snapshot()
	h := control.Metric{
		Name: "stockade_line_to_ban_seconds", Help: "From the arrival of the deciding line to the ban read back from the kernel.",
		Kind: control.Histogram, Count: uint64(cumulative[len(cumulative)-1]), Sum: sum.Seconds(), Buckets: make(map[float64]uint64),
	}
	for i, limit := range limits {
		h.Buckets[limit.Seconds()] = uint64(cumulative[i])
	}
	return append(m, h)
}

func (d *daemon) listenerStats() []receiver.ListenerStats {
	var all []receiver.ListenerStats
	d.inputs.each(func(t Task) {
		if l, ok := t.(*receiver.Listener); ok {
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

func pairs(labels []string) []control.Label {
	var list []control.Label
	for i := 0; i+1 < len(labels); i += 2 {
		list = append(list, control.Label{Name: labels[i], Value: labels[i+1]})
	}
	return list
}
