package main

import (
	"context"
	"math"
	"time"

	"stockade/cmd/stockade/control"
)

// topNow is what `top --json` prints: the screen of one moment, with the rates of the second before.
type topNow struct {
	Time     time.Time                 `json:"time"`
	State    string                    `json:"state"`
	Backend  string                    `json:"backend"`
	Lines    topCount                  `json:"lines"`
	Failures topCount                  `json:"failures"`
	Bans     topCount                  `json:"bans"`
	Banned   int64                     `json:"banned"` // now
	Jails    control.List[topJail]     `json:"jails"`
	Sources  control.List[topSource]   `json:"sources"`
	Newest   control.List[control.Ban] `json:"newest"` // bans, newest first, at most 100
}

// topCount is a number since the start, and how fast it grows.
type topCount struct {
	Total     int64   `json:"total"`
	PerSecond float64 `json:"per_second"` // to a tenth
}

type topJail struct {
	Name     string   `json:"name"`
	Failures topCount `json:"failures"`
	Watched  int64    `json:"watched"` // addresses with failures in their window
	Bans     topCount `json:"bans"`
	Banned   int64    `json:"banned"` // now
}

type topSource struct {
	Name     string   `json:"name"`
	State    string   `json:"state"`
	Lines    topCount `json:"lines"`
	Failures int64    `json:"failures"`
	Bans     int64    `json:"bans"`
	Pending  int64    `json:"pending"`
}

// topOnce looks twice and prints what it saw.
func (a *app) topOnce(ctx context.Context) error {
	c, err := a.dial(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	m := &topModel{}
	if err := m.look(ctx, c); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(topEvery):
	}
	if err := m.look(ctx, c); err != nil {
		return err
	}
	return a.printJSON(m.now())
}

func (m *topModel) count(now, before int64) topCount {
	r, _ := m.perSecond(now, before)
	return topCount{now, math.Round(10*r) / 10}
}

func (m *topModel) now() topNow {
	st, now, before := m.last.status, m.last.totals(), m.before.totals()
	out := topNow{
		Time: m.last.at, State: st.State, Backend: st.Backend, Banned: now.banned, Newest: m.newest,
		Lines: m.count(now.lines, before.lines), Failures: m.count(now.failures, before.failures), Bans: m.count(now.bans, before.bans),
	}
	jails := make(map[string]control.JailStatus)
	for _, j := range m.before.status.Jails {
		jails[j.Name] = j
	}
	for _, j := range st.Jails {
		b := jails[j.Name]
		out.Jails = append(out.Jails, topJail{j.Name, m.count(j.FailedTotal, b.FailedTotal), j.FailedCurrent,
			m.count(j.BannedTotal, b.BannedTotal), j.BannedCurrent})
	}
	sources := make(map[string]control.Source)
	for _, s := range m.before.sources {
		sources[s.Name] = s
	}
	for _, s := range m.last.sources {
		out.Sources = append(out.Sources, topSource{s.Name, s.State, m.count(s.Lines, sources[s.Name].Lines), s.Failures, s.Bans, s.Pending})
	}
	return out
}
