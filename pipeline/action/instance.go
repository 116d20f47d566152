package action

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"stockade/pipeline/child"
)

// work is what an instance's goroutine knows.
type work struct {
	*instance
	started map[string]bool // families whose actionstart ran
	bans    map[netip.Prefix]Ban
	next    time.Time // the earliest end among them; zero: none ends
}

// run works until ctx is done.
func (in *instance) run(ctx context.Context) {
	w := &work{instance: in, started: map[string]bool{}, bans: map[netip.Prefix]Ban{}}
	if !in.def.onDemand {
		for _, f := range in.def.families {
			w.start(ctx, f)
		}
	}
	for _, b := range in.o.Bans(in.jail) {
		if ctx.Err() != nil {
			break
		}
		b.Restored = b.Start.Before(in.began) // one that began meanwhile is news; its event comes, too
		w.ban(ctx, b)
	}
	for ctx.Err() == nil {
		timer := time.NewTimer(w.pause(time.Now()))
		select {
		case <-ctx.Done():
		case e := <-in.queue:
			if e.lifted {
				w.unban(ctx, e.ban.Prefix)
			} else {
				w.ban(ctx, e.ban)
			}
		case now := <-timer.C:
			w.expire(ctx, now)
		}
		timer.Stop()
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), in.last)
	defer cancel()
	w.stop(last)
}

// pause is how long nothing ends.
func (w *work) pause(now time.Time) time.Duration {
	if w.next.IsZero() {
		return time.Hour
	}
	return max(w.next.Sub(now), 0)
}

// start runs actionstart of a family, once.
func (w *work) start(ctx context.Context, family string) {
	if w.started[family] {
		return
	}
	if s := w.def.script(cmdStart, family); s != nil {
		if other := w.def.families; family == inet6 && len(other) > 1 && w.started[inet4] && w.same(cmdStart) {
			w.started[family] = true // the one command was for both
			return
		}
		if w.command(ctx, cmdStart, family, Ban{Jail: w.jail}) != nil && ctx.Err() == nil {
			return // one that a stop cut short may have done something: actionstop takes it back
		}
	}
	w.started[family] = true
}

// same reports whether a command is the same for both families.
func (w *work) same(name string) bool {
	a, _ := w.def.script(name, inet4).fill(&values{})
	b, _ := w.def.script(name, inet6).fill(&values{})
	return a == b
}

// ban runs actionban, or actionprolong for a ban that is known and changed.
func (w *work) ban(ctx context.Context, b Ban) {
	old, known := w.bans[b.Prefix]
	w.bans[b.Prefix] = b
	w.note(b)
	family := w.def.family(b.Prefix.Addr().Is6())
	switch {
	case known && old.End.Equal(b.End):
		return
	case known:
		if w.def.script(cmdProlong, family) != nil {
			w.checked(ctx, cmdProlong, family, b)
		}
		return
	case b.Restored && w.def.norestored:
		return
	}
	w.start(ctx, family)
	w.checked(ctx, cmdBan, family, b)
}

// note takes a ban's end into account.
func (w *work) note(b Ban) {
	if !b.End.IsZero() && (w.next.IsZero() || b.End.Before(w.next)) {
		w.next = b.End
	}
}

// unban runs actionunban for a ban that is known.
func (w *work) unban(ctx context.Context, p netip.Prefix) {
	b, known := w.bans[p]
	if !known {
		return
	}
	delete(w.bans, p)
	if b.Restored && w.def.norestored {
		return
	}
	w.checked(ctx, cmdUnban, w.def.family(p.Addr().Is6()), b)
}

// expire ends the bans whose time is over.
func (w *work) expire(ctx context.Context, now time.Time) {
	w.next = time.Time{}
	var over []netip.Prefix
	for p, b := range w.bans {
		if !b.End.IsZero() && !b.End.After(now) {
			over = append(over, p)
			continue
		}
		w.note(b)
	}
	for _, p := range over {
		w.unban(ctx, p)
	}
}

// checked runs a command; when it fails and actioncheck fails too, the action is repaired or started
// anew, and the command is tried once more.
func (w *work) checked(ctx context.Context, name, family string, b Ban) {
	if w.def.script(name, family) == nil {
		return
	}
	err := w.command(ctx, name, family, b)
	if err == nil || ctx.Err() != nil || w.def.script(cmdCheck, family) == nil || w.command(ctx, cmdCheck, family, Ban{Jail: w.jail}) == nil {
		return
	}
	if name == cmdUnban && !w.def.repairs {
		return
	}
	if w.def.script(cmdRepair, family) != nil {
		_ = w.command(ctx, cmdRepair, family, Ban{Jail: w.jail}) // the check below tells
	} else {
		_ = w.command(ctx, cmdStop, family, Ban{Jail: w.jail})
		w.started[family] = false
		w.start(ctx, family)
	}
	if w.command(ctx, cmdCheck, family, Ban{Jail: w.jail}) == nil {
		_ = w.command(ctx, name, family, b)
	}
}

// stop ends the bans, all at once where the action can, and then the action.
func (w *work) stop(ctx context.Context) {
	left := 0
	for _, family := range w.def.families {
		has := false
		for p := range w.bans {
			has = has || w.def.family(p.Addr().Is6()) == family
		}
		if !has {
			continue
		}
		if w.def.script(cmdFlush, family) != nil {
			_ = w.command(ctx, cmdFlush, family, Ban{Jail: w.jail})
			continue
		}
		for p, b := range w.bans {
			if w.def.family(p.Addr().Is6()) != family || b.Restored && w.def.norestored || w.def.script(cmdUnban, family) == nil {
				continue
			}
			if ctx.Err() != nil {
				left++
				continue
			}
			_ = w.command(ctx, cmdUnban, family, b)
		}
	}
	if left > 0 {
		w.log.Warn("an action was stopped before it had ended all bans", "left", left)
	}
	done := map[string]bool{}
	for _, family := range w.def.families {
		s := w.def.script(cmdStop, family)
		if !w.started[family] || s == nil {
			continue
		}
		text, _ := s.fill(&values{})
		if done[text] {
			continue // one command for both families
		}
		done[text] = true
		_ = w.command(ctx, cmdStop, family, Ban{Jail: w.jail})
	}
}

// command runs one command of the action. An error was logged.
func (w *work) command(ctx context.Context, name, family string, b Ban) error {
	s := w.def.script(name, family)
	if s == nil {
		return nil
	}
	v := &values{ban: b, host: w.o.Host, now: time.Now()}
	text, env := s.fill(v)
	ctx, cancel := context.WithTimeout(ctx, w.cfg.Timeout)
	defer cancel()
	out, err := child.Run(ctx, child.Command{Path: "/bin/sh", Args: []string{"-c", text}, Env: env, User: w.cfg.User})
	if err == nil {
		w.ran.Add(1)
		return nil
	}
	w.failed.Add(1)
	if name != cmdCheck {
		w.log.Warn("a command of an action failed", "command", name, "addr", v.text("ip"), "err", err, "output", fmt.Sprintf("%.256q", out))
	}
	return err
}
