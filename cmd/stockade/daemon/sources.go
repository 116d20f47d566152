package daemon

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"stockade/cmd/stockade/control"
	"stockade/receiver"
)

// Sources lists the configured sources with what each has sent.
func (d *daemon) Sources(context.Context) ([]control.Source, error) {
	all := d.registry.Load().All()
	transports := d.current.get().transports()
	refused := make(map[string]control.Counts)
	for _, l := range d.listenerStats() {
		refused[l.Name] = control.Counts{}
		for _, r := range l.Refused {
			refused[l.Name][r.Reason] = r.Count
		}
	}
	worth := d.worths()
	list := make([]control.Source, len(all))
	for i, s := range all {
		list[i] = source(s)
		least, why := trust(s, transports[s.Listener], worth)
		list[i].Trust, list[i].TrustReason = least.String(), control.Text(why)
		list[i].ListenerRefused = refused[s.Listener]
		if skew, delay, known := d.pipeline.Skew(s.Name); known {
			list[i].Skew, list[i].Delay = int64(skew/time.Second), int64(delay/time.Second)
		}
		if q, limited := d.admission.Quotas.State(s.Name); limited {
			list[i].QuotaLeft, list[i].Pending = &q.Left, q.Pending
			switch {
			case !q.Quarantined.IsZero():
				list[i].State = "quarantined"
			case q.Pending > 0:
				list[i].State = "throttled"
			}
		}
	}
	return list, nil
}

// transports maps the names of listeners to what they listen on.
func (b *built) transports() map[string]string {
	m := make(map[string]string)
	for _, l := range b.loaded.Config.Listeners {
		m[l.Name] = l.Transport
	}
	return m
}

func source(s *receiver.Source) control.Source {
	out := control.Source{
		Name:     s.Name,
		Listener: s.Listener + s.Tail + s.Journal, // exactly one is set
		Identity: control.Text(identity(s)),
		State:    "never seen",
		Lines:    s.Lines.Load(),
		Failures: s.Failures.Load(),
		Bans:     s.Bans.Load(),
		Refused:  control.Counts{},
		Grants:   control.Grants{Jails: s.Jails, Hostnames: s.Hostnames, Apps: s.Apps, Vouches: s.Vouches, Spoofable: s.AcceptSpoofable},
	}
	if seen := s.LastSeen.Load(); seen != 0 {
		at := time.Unix(0, seen)
		out.LastSeen, out.State = &at, "ok"
		if s.ExpectEvery > 0 && time.Since(at) > s.ExpectEvery {
			out.State = "silent"
		}
	}
	for _, r := range s.Refused.All() {
		out.Refused[r.Reason] = r.Count
	}
	return out
}

// identity says in one short text what a peer must prove.
func identity(s *receiver.Source) string {
	var parts []string
	switch c := s.Certificate; {
	case c.SAN != "":
		parts = append(parts, "san "+c.SAN)
	case c.SHA256 != "":
		parts = append(parts, "sha256 "+c.SHA256)
	}
	if len(s.UID) > 0 {
		uids := make([]string, len(s.UID))
		for i, u := range s.UID {
			uids[i] = strconv.FormatUint(uint64(u), 10)
		}
		parts = append(parts, "uid "+strings.Join(uids, ","))
	}
	if len(s.Addresses) > 0 {
		parts = append(parts, strings.Join(s.Addresses, ","))
	}
	if s.Interface != "" {
		parts = append(parts, fmt.Sprintf("on %s", s.Interface))
	}
	if len(parts) == 0 {
		return "any peer"
	}
	return strings.Join(parts, " ")
}

// level is the strongest that a transport proves.
func level(transport string) receiver.Level {
	switch transport {
	case "udp":
		return receiver.LevelOnLink
	case "tcp":
		return receiver.LevelAddress
	case "tls", "journal-upload":
		return receiver.LevelTLS
	}
	return receiver.LevelKernel // unix sockets and the local journal
}
