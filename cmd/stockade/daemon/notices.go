package daemon

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"stockade/cmd/stockade/control"
	"stockade/pipeline"
	"stockade/pipeline/notify"
)

// tell posts a ban, an unban or an alert to the channels of its jail.
func (d *daemon) tell(e pipeline.Event) {
	b := e.Ban
	n := notify.Event{
		Kind: notify.KindBan, Jail: b.Jail, Prefix: b.Prefix, Start: b.Start, End: b.End, Source: b.Source, Trust: b.Trust,
		Reason: b.Reason, Failures: b.Failures, Recorded: !e.Enforced || b.Shadow, Channels: d.channels(b.Jail),
	}
	switch {
	case e.User != "":
		n = notify.Event{Kind: notify.KindAlert, Jail: b.Jail, Name: "failures of user " + e.User + " in jail " + b.Jail,
			Cause: b.Reason, Source: b.Source, Trust: b.Trust, Failures: b.Failures, Channels: n.Channels}
	case e.Lifted:
		n.Kind = notify.KindUnban
	}
	if e.Ended {
		n.Reason = "its time is over"
	}
	for _, line := range b.Evidence {
		n.Evidence = append(n.Evidence, line.Raw)
	}
	d.notifier.Post(n)
	if e.User == "" {
		d.act(b, e.Lifted)
	}
}

// channels are those that a jail names; nil: all.
func (d *daemon) channels(jail string) []string {
	if j := d.jail(jail); j != nil {
		return j.Notify
	}
	return nil
}

// bansFor lists the bans that a channel is told of.
func (d *daemon) bansFor(channel string) []notify.Ban {
	told := make(map[string]bool)
	var list []notify.Ban
	for _, b := range d.store.Bans("") {
		yes, known := told[b.Jail]
		if !known {
			names := d.channels(b.Jail)
			yes = names == nil
			for _, name := range names {
				yes = yes || name == channel
			}
			told[b.Jail] = yes
		}
		if yes && !b.Shadow {
			list = append(list, notify.Ban{Prefix: b.Prefix, Jail: b.Jail, End: b.End})
		}
	}
	return list
}

// NotifyTest sends a test over one channel, or tells what the channel would send.
func (d *daemon) NotifyTest(ctx context.Context, r control.NotifyRequest) (control.NotifyResult, error) {
	result := control.NotifyResult{Delivered: !r.DryRun}
	var err error
	if r.DryRun {
		result.Message, err = d.notifier.Preview(r.Name)
	} else {
		err = d.notifier.Test(ctx, r.Name)
	}
	switch {
	case err == nil:
		return result, nil
	case errors.Is(err, notify.ErrUnknown):
		var names []string
		for _, s := range d.notifier.Stats() {
			names = append(names, s.Name)
		}
		return control.NotifyResult{}, &control.Error{Code: control.CodeUsage, Message: fmt.Sprintf("unknown channel %q: the channels are %s", r.Name, strings.Join(names, ", "))}
	}
	return control.NotifyResult{}, &control.Error{Code: control.CodeRefused, Message: fmt.Sprintf("channel %s: %v", r.Name, err)}
}

// notices tells of the conditions that begin and end.
type notices struct {
	on map[string]control.Degraded // by name and subject, as last told
}

// update compares the conditions with the last ones and posts what changed.
func (n *notices) update(list []condition, post func(notify.Event)) {
	next := make(map[string]control.Degraded, len(list))
	for _, c := range list {
		key := c.Name + "\x00" + c.subject
		next[key] = c.Degraded
		if _, was := n.on[key]; !was {
			post(notice(c.Degraded, false))
		}
	}
	for key, c := range n.on {
		if _, still := next[key]; !still {
			post(notice(c, true))
		}
	}
	n.on = next
}

func notice(c control.Degraded, over bool) notify.Event {
	e := notify.Event{Kind: notify.KindDegraded, Name: c.Name, Cause: c.Cause, Over: over}
	switch c.Name {
	case "quarantine":
		e.Kind = notify.KindQuarantine
	case "silent":
		e.Kind = notify.KindSilent
	}
	return e
}

// named are all conditions with what each is about, which stays the same while it holds.
func (d *daemon) named() []condition {
	var list []condition
	for _, c := range append(d.degraded.all(), d.faults()...) {
		subject := ""
		if rest, ok := strings.CutPrefix(c.Cause, "source "); ok {
			subject, _, _ = strings.Cut(rest, " ")
		}
		list = append(list, condition{c, subject})
	}
	d.health.mu.Lock()
	defer d.health.mu.Unlock()
	return append(list, d.health.on...)
}

// notifyMetrics are what became of the events of each channel.
func (d *daemon) notifyMetrics() []control.Metric {
	const help = "Events by channel and what became of them."
	var m []control.Metric
	for _, s := range d.notifier.Stats() {
		m = append(m,
			counter("stockade_notify_events_total", help, s.Sent, "channel", s.Name, "outcome", "sent"),
			counter("stockade_notify_events_total", help, s.Failed, "channel", s.Name, "outcome", "failed"),
			counter("stockade_notify_events_total", help, s.Dropped, "channel", s.Name, "outcome", "dropped"))
	}
	return m
}
