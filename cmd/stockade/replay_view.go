package main

import (
	"bufio"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"stockade/cmd/stockade/control"
	"stockade/cmd/stockade/replay"
)

// replayBan is one ban of `replay --json`.
type replayBan struct {
	Only     string               `json:"only,omitempty"` // with --against: "config" or "against"
	Address  netip.Prefix         `json:"address"`
	Jail     string               `json:"jail"`
	Source   control.Text         `json:"source"`
	Start    time.Time            `json:"start"`
	End      *time.Time           `json:"end"` // null: permanent
	Reason   control.Text         `json:"reason"`
	Failures int                  `json:"failures"`
	Count    int                  `json:"count"`
	Ports    control.List[string] `json:"ports"`
	Shadow   bool                 `json:"shadow"` // of a jail that does not enforce
	User     control.Text         `json:"user"`
	File     string               `json:"file"`
	Line     int64                `json:"line"` // the deciding one, from 1
	Raw      string               `json:"raw"`
}

// replaySummary is the last object of `replay --json`; with --against one a configuration.
type replaySummary struct {
	Summary   bool                 `json:"summary"` // true: tells it from the bans
	Config    string               `json:"config,omitempty"`
	Same      *int64               `json:"same,omitempty"` // with --against: bans that both make
	Lines     int64                `json:"lines"`
	Undated   int64                `json:"undated"`
	Unheard   int64                `json:"unheard"`
	First     *time.Time           `json:"first"`
	Last      *time.Time           `json:"last"`
	Matched   int64                `json:"matched"`
	Failures  int64                `json:"failures"`
	Successes int64                `json:"successes"`
	Unproven  int64                `json:"unproven"`
	Protected control.Counts       `json:"protected"`
	Bans      int64                `json:"bans"`
	Shadow    int64                `json:"shadow"`
	Addresses int64                `json:"addresses"`
	Lost      int64                `json:"lost"`
	Widening  control.List[string] `json:"widening"` // jails whose bans of networks are not replayed
	Names     control.List[string] `json:"names"`    // of lists of addresses: not looked up
	Took      float64              `json:"took"`     // seconds
}

// replayView prints bans and summaries.
type replayView struct {
	app  *app
	json bool
	live bool // to a terminal: each ban is shown at once
	out  *bufio.Writer
	bar  *bar
	err  error
}

func (v *replayView) print(err error) {
	if v.err == nil {
		v.err = err
	}
}

// ban prints one ban; only says which of two configurations makes it.
func (v *replayView) ban(only string, b *replay.Ban) {
	if v.json {
		v.print(v.app.printJSON(replayBan{
			Only: only, Address: b.Address, Jail: b.Jail, Source: control.Text(b.Source), Start: b.Start,
			End: control.Moment(b.End), Reason: control.Text(b.Reason), Failures: b.Failures, Count: b.Count, Ports: b.Ports,
			Shadow: b.Shadow, User: control.Text(b.User), File: b.File, Line: b.Line, Raw: b.Raw,
		}))
		return
	}
	long := "permanent"
	if !b.End.IsZero() {
		long = shortSeconds(control.SecondsOf(b.End.Sub(b.Start)))
	}
	mark := map[string]string{"": "", "config": "- ", "against": "+ "}[only]
	note := ""
	if b.Shadow {
		note = " (would only be reported)"
	}
	if v.live {
		v.bar.clear()
	}
	v.print(v.app.printf("%s%s  %-18s %-15s %-9s  %s%s  %s:%d\n",
		mark, shortTime(b.Start), shortPrefix(b.Address), b.Jail, long, b.Reason, note, shortFile(b.File), b.Line))
	if v.live {
		v.print(v.out.Flush())
	}
}

// summary prints what became of the lines. same is how many bans two configurations both make.
func (v *replayView) summary(sums []replay.Summary, same int64) {
	for i, s := range sums {
		name, both := "", (*int64)(nil)
		if len(sums) > 1 {
			name, both = sideNames[i], &same
		}
		if v.json {
			v.print(v.app.printJSON(replaySummary{
				Summary: true, Config: name, Same: both, Lines: s.Lines, Undated: s.Undated, Unheard: s.Unheard,
				First: control.Moment(s.First), Last: control.Moment(s.Last), Matched: s.Matched, Failures: s.Failures,
				Successes: s.Successes, Unproven: s.Unproven, Protected: s.Protected, Bans: s.Bans, Shadow: s.Shadow,
				Addresses: s.Addresses, Lost: s.Lost, Widening: s.Widening, Names: s.Names, Took: s.Took.Round(time.Millisecond).Seconds(),
			}))
			continue
		}
		if i == 0 {
			v.lines(s)
		}
		v.verdict(name, s)
	}
	if len(sums) > 1 && !v.json {
		v.print(v.app.printf("%d bans are the same; - only the configuration, + only the other one\n", same))
	}
}

func (v *replayView) lines(s replay.Summary) {
	span := "none of them dated"
	if !s.First.IsZero() {
		span = shortTime(s.First) + " to " + shortTime(s.Last)
	}
	rate := float64(s.Lines) / max(s.Took.Seconds(), 1e-3)
	v.print(v.app.printf("%d lines, %s, in %s (%.0f a second)\n", s.Lines, span, s.Took.Round(time.Millisecond).String(), rate))
	if s.Unheard > 0 {
		v.print(v.app.printf("%d lines have no syslog header and no jail listens to them: name their app with --app\n", s.Unheard))
	}
	if s.Undated > 0 {
		v.print(v.app.printf("%d lines have no date: they count at the time of the line before\n", s.Undated))
	}
}

func (v *replayView) verdict(name string, s replay.Summary) {
	if name != "" {
		name += ": "
	}
	v.print(v.app.printf("%s%d failures, %s of %d addresses", name, s.Failures, plural(int(s.Bans+s.Shadow), "ban"), s.Addresses))
	if s.Shadow > 0 {
		v.print(v.app.printf(", %d of them only reported", s.Shadow))
	}
	v.print(v.app.printf("\n"))
	if s.Unproven > 0 {
		v.print(v.app.printf("%s%d failures prove no address: they count only where the kernel saw the address connect\n", name, s.Unproven))
	}
	if s.Lost > 0 {
		v.print(v.app.printf("%s%d addresses near a ban were forgotten for want of room\n", name, s.Lost))
	}
	if len(s.Names) > 0 {
		v.print(v.app.printf("%snames are not looked up, and serve may spare the addresses of %s\n", name, strings.Join(s.Names, ", ")))
	}
	if len(s.Widening) > 0 {
		v.print(v.app.printf("%sbans of whole networks (widen) are not replayed, and serve may make some in %s\n", name, strings.Join(s.Widening, ", ")))
	}
	var why []string
	for _, reason := range slices.Sorted(maps.Keys(s.Protected)) {
		why = append(why, number(s.Protected[reason])+" "+reason)
	}
	if len(why) > 0 {
		v.print(v.app.printf("%snot counted, because never banned: %s\n", name, strings.Join(why, ", ")))
	}
}
