package doctor

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// State is how a link is.
type State string

// The states. Broken stops the walk's question from being answered with yes: abusers get through.
const (
	OK      State = "ok"
	Warning State = "warning"
	Broken  State = "broken"
	Unknown State = "unknown" // it could not be looked at
)

// Names are the links in the order of a line's way.
var Names = []string{"source", "line", "trust", "filter", "jail", "hook", "packet"}

// Link is one finding.
type Link struct {
	Name    string
	State   State
	Subject string // the source, listener, jail or table that it is about; "" for all
	Finding string
	Remedy  string // "" when there is nothing to do
}

// Report is a walk over all links, in order: each has at least one finding.
type Report []Link

// First is the first broken link; nil when none is.
func (r Report) First() *Link {
	for i := range r {
		if r[i].State == Broken {
			return &r[i]
		}
	}
	return nil
}

// walk gathers findings.
type walk struct {
	f     *Facts
	links Report
}

// Walk follows the way of a line. jail limits it to one jail and the sources that feed it; "" is all.
func Walk(ctx context.Context, f Facts, jail string) Report {
	if jail != "" {
		f.Jails = slices.DeleteFunc(slices.Clone(f.Jails), func(j Jail) bool { return j.Name != jail })
		f.Sources = slices.DeleteFunc(slices.Clone(f.Sources), func(s Source) bool { return !slices.Contains(s.Jails, jail) })
		f.Sampled = slices.DeleteFunc(slices.Clone(f.Sampled), func(b Ban) bool { return b.Jail != jail })
	}
	w := &walk{f: &f}
	for i, look := range []func(){w.source, w.line, w.trust, w.filter, w.jail, w.hook, func() { w.packet(ctx) }} {
		before := len(w.links)
		look()
		w.faults(Names[i])
		if len(w.links) == before {
			w.add(Names[i], OK, "", "nothing is wrong", "")
		}
	}
	return w.links
}

func (w *walk) add(name string, s State, subject, finding, remedy string) {
	w.links = append(w.links, Link{name, s, subject, finding, remedy})
}

// places are the links that the daemon's own degraded states belong to, and what helps.
var places = map[string]struct{ link, remedy string }{
	"silent":           {"source", "look at the sender and the network between"},
	"certificate":      {"source", "renew the certificate; it is read again by itself"},
	"stale":            {"line", "look at the sender's queue and at its clock"},
	"quarantine":       {"trust", "look at what the source sends, then `stockade sources release NAME`"},
	"quota":            {"jail", "`stockade approve --source NAME` begins the bans; a larger quota keeps this from happening"},
	"state":            {"jail", "make room in state_dir, or repair the disk"},
	"disk":             {"jail", "make room in state_dir"},
	"observe_fallback": {"hook", "run as root or give the process CAP_NET_ADMIN"},
	"enforcer":         {"hook", "`stockade firewall verify` shows what is wrong with the table"},
	"firewall":         {"hook", "`stockade firewall verify` shows what is wrong with the table"},
	"drift":            {"hook", "find the program that changes our table: `nft monitor` shows it"},
	"ineffective":      {"packet", "the cause names the way past us"},
}

// faults adds what the daemon itself reports and belongs to a link. What nobody knows belongs to the
// last but one: it is about enforcing.
func (w *walk) faults(link string) {
	for _, d := range w.f.Degraded {
		name, subject, _ := strings.Cut(d.Name, ":")
		place, known := places[name]
		if !known {
			place.link, place.remedy = "hook", "`stockade status` and the log tell more"
		}
		if place.link == link {
			w.add(link, Broken, subject, name+": "+d.Cause, place.remedy)
		}
	}
}

func (w *walk) source() {
	f := w.f
	if len(f.Sources) == 0 {
		w.add("source", Broken, "", "no source may send: every line is refused", "add an entry to sources")
		return
	}
	seen := 0
	for _, s := range f.Sources {
		if !s.LastSeen.IsZero() {
			seen++
		}
	}
	for _, l := range f.Listeners {
		for _, r := range l.Refused {
			state := Warning
			if seen == 0 {
				state = Broken // something knocks, and nobody is let in
			}
			w.add("source", state, l.Name, fmt.Sprintf("the listener refused %s: %s", times(r.Count), r.Reason), Remedy(r.Reason, ""))
		}
	}
	for _, s := range f.Sources {
		switch {
		case !s.LastSeen.IsZero():
			w.add("source", OK, s.Name, fmt.Sprintf("%d lines, the last %s ago", s.Lines, age(f.Now, s.LastSeen)), "")
		case seen == 0:
			w.add("source", Broken, s.Name, fmt.Sprintf("no line came since the start, %s ago, from %s", age(f.Now, f.Started), s.From), sendHint(s.From))
		default:
			w.add("source", Warning, s.Name, fmt.Sprintf("no line came since the start, %s ago, from %s", age(f.Now, f.Started), s.From), sendHint(s.From))
		}
	}
}

func sendHint(from string) string {
	if strings.HasPrefix(from, "listener") {
		return "check that the sender forwards to this listener: try logger, and look at the sender's own log"
	}
	return "check that something is written there"
}

func (w *walk) line() {
	l := w.f.Lines
	for _, x := range w.f.Listeners {
		if x.KernelDrops > 0 {
			w.add("line", Warning, x.Name, fmt.Sprintf("the kernel dropped %d datagrams for want of room", x.KernelDrops), "send over TCP or TLS, or raise net.core.rmem_max")
		}
	}
	if l.Dropped > 0 {
		w.add("line", Warning, "", fmt.Sprintf("%d lines found a queue full", l.Dropped), "send over TCP or TLS, where the sender waits")
	}
	switch {
	case l.All == 0:
		w.add("line", Unknown, "", "no line came yet", "")
	case l.Ignored == l.All:
		w.add("line", Broken, "", fmt.Sprintf("all %d lines are of apps that no jail listens to", l.All), "look at the app names in the log, and at `stockade jails --json`: apps of the jail must name them")
	default:
		w.add("line", OK, "", fmt.Sprintf("%d lines, of which %d are of apps that no jail listens to", l.All, l.Ignored), "")
	}
}

func (w *walk) trust() {
	for _, s := range w.f.Sources {
		list := slices.Clone(s.Refused)
		slices.SortFunc(list, func(a, b Refusal) int { return cmp.Compare(b.Count, a.Count) })
		for _, r := range list {
			state := Warning
			if s.Failures == 0 && s.Lines > 0 && r.Reason != "names_protected" && r.Reason != "names_proxy" {
				state = Broken // whatever it sends, nothing ever counted
			}
			w.add("trust", state, s.Name, fmt.Sprintf("refused %s, the last %s ago: %s", times(r.Count), age(w.f.Now, r.Last), r.Reason), Remedy(r.Reason, s.Name))
		}
	}
}

func (w *walk) filter() {
	l := w.f.Lines
	switch {
	case l.Matched+l.Unmatched == 0:
		w.add("filter", Unknown, "", "no line reached a filter yet", "")
	case l.Matched == 0:
		w.add("filter", Warning, "", fmt.Sprintf("%d lines were looked at and none matched", l.Unmatched), "if a failure was among them: `stockade regex LINE FILTER` shows why it does not match")
	default:
		w.add("filter", OK, "", fmt.Sprintf("%d lines matched, %d did not", l.Matched, l.Unmatched), "")
	}
}

func (w *walk) jail() {
	enabled := 0
	for _, j := range w.f.Jails {
		fed := slices.ContainsFunc(w.f.Sources, func(s Source) bool { return slices.Contains(s.Jails, j.Name) })
		if j.Enabled {
			enabled++
		}
		switch {
		case !j.Enabled && len(w.f.Jails) == 1:
			w.add("jail", Broken, j.Name, "the jail is not enabled", "set enabled: true")
		case !j.Enabled:
		case !fed:
			w.add("jail", Broken, j.Name, "no source may feed the jail", "add the jail to jails of a source")
		case !j.Enforce:
			w.add("jail", Warning, j.Name, "the jail only reports what it would ban (enforce: false)", "set enforce: true when its reports are right")
		default:
			w.add("jail", OK, j.Name, fmt.Sprintf("%d failures counted, %d addresses banned; %d failures within %s ban", j.Failures, j.Banned, j.MaxRetry, j.FindTime), "")
		}
	}
	if enabled == 0 && len(w.f.Jails) != 1 {
		w.add("jail", Broken, "", "no jail is enabled", "add an entry to jails")
	}
}

func (w *walk) hook() {
	f := w.f
	if f.Observe {
		if !slices.ContainsFunc(f.Degraded, func(d Degraded) bool { return d.Name == "observe_fallback" }) {
			w.add("hook", Broken, "", "bans are recorded and not enforced: the backend is observe", "set firewall.backend: nftables, or serve without --observe")
		}
		return
	}
	switch {
	case f.FlawsErr != nil:
		w.add("hook", Unknown, f.Table, "the table cannot be looked at: "+f.FlawsErr.Error(), "")
	case len(f.Flaws) > 0:
		for _, flaw := range f.Flaws {
			w.add("hook", Broken, f.Table, flaw, "the daemon repairs it within seconds; if not, another program holds the table")
		}
	default:
		w.add("hook", OK, f.Table, "chains, rules and sets are as they must be", "")
	}
	for _, b := range f.Bypass {
		w.add("hook", Warning, "", b, "")
	}
}

// askedOfOthers is how many banned addresses are looked for in the tables of other programs.
const askedOfOthers = 3

func (w *walk) packet(ctx context.Context) {
	f := w.f
	if f.Observe {
		w.add("packet", Unknown, "", "nothing is enforced", "")
		return
	}
	if len(f.Sampled) == 0 {
		w.add("packet", Unknown, "", "no ban holds now", "")
		w.others(ctx)
		return
	}
	var missing []string
	var packets uint64
	for _, b := range f.Sampled {
		packets += b.Packets
		if !b.Present {
			missing = append(missing, b.Prefix.String())
		}
	}
	if len(missing) > 0 {
		w.add("packet", Broken, f.Table, fmt.Sprintf("%d of %d bans looked for are not in the kernel: %s", len(missing), len(f.Sampled), strings.Join(missing[:min(len(missing), 3)], ", ")),
			"the audit sets them again within 30 s; if not, look at `stockade status`")
	} else {
		w.add("packet", OK, f.Table, fmt.Sprintf("%d of %d bans were looked for, all are in the kernel; it stopped %d of their packets", len(f.Sampled), max(f.Bans, len(f.Sampled)), packets), "")
	}
	w.others(ctx)
}

// others says which banned addresses are stopped by other programs too, and where packets may be
// lost or passed on before they come to us.
func (w *walk) others(ctx context.Context) {
	f := w.f
	if f.Foreign == nil {
		if f.NoRules != nil {
			w.add("packet", Unknown, "", "other tables cannot be read: "+f.NoRules.Error(), "")
		}
		return
	}
	notes := make(map[string]bool)
	for _, b := range f.Sampled[:min(len(f.Sampled), askedOfOthers)] {
		stops, said := f.Foreign.Stopping(ctx, b.Prefix)
		for _, n := range said {
			notes[n] = true
		}
		if len(stops) > 0 {
			s := stops[0]
			w.add("packet", Warning, b.Prefix.String(), fmt.Sprintf("another table stops it too: table %s, chain %s, rule %d (%s)", s.Table, s.Chain, s.Handle, s.Match),
				"our counters may miss what it drops first; to lift the ban, lift it there too")
		}
	}
	for n := range notes {
		w.add("packet", Unknown, "", n, "")
	}
}

// age is how long ago t was, in whole seconds.
func age(now, t time.Time) string { return max(0, now.Sub(t)).Round(time.Second).String() }

func times(n int64) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}
