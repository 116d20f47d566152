package doctor

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"
)

var now = time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)

// well is a daemon that protects.
func well() Facts {
	return Facts{
		Now: now, Started: now.Add(-time.Hour), Backend: "nftables", Table: "inet stockade",
		Listeners: []Listener{{Name: "local"}},
		Sources:   []Source{{Name: "this-host", From: "listener local", Lines: 100, Failures: 7, LastSeen: now.Add(-time.Second), Jails: []string{"sshd"}}},
		Jails:     []Jail{{Name: "sshd", Enabled: true, Enforce: true, Failures: 7, Banned: 1, MaxRetry: 5, FindTime: 10 * time.Minute}},
		Lines:     Lines{All: 100, Ignored: 60, Matched: 7, Unmatched: 33, Failures: 7},
		Bans:      1,
		Sampled:   []Ban{{netip.MustParsePrefix("192.0.2.7/32"), "sshd", true, 12}},
		Foreign:   &Ruleset{},
	}
}

func TestWalk(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(*Facts)
		link  string // of the first broken one; "": none
		text  string // part of its finding or remedy
	}{
		{"all is well", func(*Facts) {}, "", ""},
		{"no source", func(f *Facts) { f.Sources = nil }, "source", "every line is refused"},
		{"nothing ever came", func(f *Facts) { f.Sources[0].LastSeen = time.Time{}; f.Lines = Lines{} }, "source", "no line came"},
		{"an unknown peer knocks", func(f *Facts) {
			f.Sources[0].LastSeen = time.Time{}
			f.Listeners[0].Refused = []Refusal{{"unknown_peer", 3, now}}
		}, "source", "refused 3 times: unknown_peer"},
		{"a source is silent", func(f *Facts) { f.Degraded = []Degraded{{"silent", "source this-host sent nothing"}} }, "source", "silent: source"},
		{"no jail listens", func(f *Facts) { f.Lines = Lines{All: 100, Ignored: 100} }, "line", "no jail listens to"},
		{"all lines refused", func(f *Facts) {
			f.Sources[0].Failures = 0
			f.Sources[0].Refused = []Refusal{{"app_not_granted", 40, now}}
		}, "trust", "app_not_granted"},
		{"some lines refused is a warning", func(f *Facts) { f.Sources[0].Refused = []Refusal{{"forged", 4, now}} }, "", ""},
		{"no filter matches is a warning", func(f *Facts) { f.Lines.Matched = 0 }, "", ""},
		{"nobody feeds the jail", func(f *Facts) { f.Sources[0].Jails = nil }, "jail", "no source may feed"},
		{"no jail", func(f *Facts) { f.Jails = nil }, "jail", "no jail is enabled"},
		{"quota", func(f *Facts) { f.Degraded = []Degraded{{"quota", "9 bans wait"}} }, "jail", "approve"},
		{"observe", func(f *Facts) { f.Observe = true }, "hook", "backend is observe"},
		{"observe by force", func(f *Facts) {
			f.Observe, f.Degraded = true, []Degraded{{"observe_fallback", "no CAP_NET_ADMIN"}}
		}, "hook", "CAP_NET_ADMIN"},
		{"a rule is gone", func(f *Facts) { f.Flaws = []string{"rule 3 of chain gate is missing"} }, "hook", "rule 3"},
		{"the table cannot be read", func(f *Facts) { f.FlawsErr = errors.New("no") }, "", ""},
		{"a state that nobody knows", func(f *Facts) { f.Degraded = []Degraded{{"new", "who knows"}} }, "hook", "who knows"},
		{"an element is gone", func(f *Facts) { f.Sampled[0].Present = false }, "packet", "not in the kernel: 192.0.2.7/32"},
		{"past us", func(f *Facts) { f.Degraded = []Degraded{{"ineffective:sshd", "a bridge"}} }, "packet", "ineffective: a bridge"},
		{"the first link counts", func(f *Facts) {
			f.Sampled[0].Present, f.Lines = false, Lines{All: 1, Ignored: 1}
		}, "line", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := well()
			tt.spoil(&f)
			r := Walk(t.Context(), f, "")
			first := r.First()
			switch {
			case tt.link == "" && first != nil:
				t.Fatalf("broken: %+v", *first)
			case tt.link == "":
			case first == nil || first.Name != tt.link || !strings.Contains(first.Finding+first.Remedy, tt.text):
				t.Fatalf("first broken link %+v, want %s with %q", first, tt.link, tt.text)
			case first.Remedy == "":
				t.Errorf("no remedy for %+v", *first)
			}
			at := 0
			for _, l := range r {
				for at < len(Names) && Names[at] != l.Name {
					at++
				}
				if at == len(Names) {
					t.Fatalf("%q is out of order in %+v", l.Name, r)
				}
			}
			if len(r) < len(Names) {
				t.Errorf("%d findings for %d links", len(r), len(Names))
			}
		})
	}
}

func TestWalkOfOneJail(t *testing.T) {
	f := well()
	f.Jails = append(f.Jails, Jail{Name: "web", Enabled: false})
	f.Sources = append(f.Sources, Source{Name: "web1", From: "listener lan", Jails: []string{"web"}})
	if first := Walk(t.Context(), f, "sshd").First(); first != nil {
		t.Errorf("sshd: %+v", *first)
	}
	if first := Walk(t.Context(), f, "web").First(); first == nil || first.Name != "source" || first.Subject != "web1" {
		t.Errorf("web: %+v", first)
	}
}

func TestWalkNamesOtherTables(t *testing.T) {
	f := well()
	f.Foreign = foreign(t, map[string]bool{"addr-set-sshd { 192.0.2.7 }": true})
	r := Walk(t.Context(), f, "")
	last := r[len(r)-1]
	if last.State != Warning || !strings.Contains(last.Finding, "table inet f2b-table, chain f2b-chain, rule 6 (set addr-set-sshd)") {
		t.Errorf("%+v", last)
	}
}

func TestEveryReasonHasARemedy(t *testing.T) {
	for _, reason := range []string{
		"hostname_not_granted", "app_not_granted", "jail_not_granted", "below_min_trust", "forged", "origin_unknown",
		"origin_not_vouched", "names_protected", "names_proxy", "quarantined", "quota_queue_full", "queue_full",
		"unknown_peer", "unknown_certificate", "wrong_interface", "no_certificate", "untrusted", "handshake", "plaintext",
		"tls_on_plain", "format", "framing", "partial_frame", "too_many",
	} {
		if Remedy(reason, "web1") == "" || Remedy(reason, "") == "" {
			t.Errorf("no remedy for %s", reason)
		}
	}
}
