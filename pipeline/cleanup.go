package pipeline

import (
	"context"

	"stockade/firewall"
	"stockade/jails/state"
)

// openAhead opens the notes of what the kernel holds ahead of the disk, and returns what closes them.
func (e *enforcer) openAhead() func() {
	if e.aheadPath == "" {
		return func() {}
	}
	a, err := openAhead(e.aheadPath, e.p.store)
	if err != nil {
		e.log.Info("after a kill, bans that were not on disk yet may stay in the kernel until they end", "err", err,
			"hint", "put control.socket into a folder on a tmpfs, such as /run")
		return func() {}
	}
	e.ahead = a
	return func() {
		if err := a.close(); err != nil {
			e.log.Warn("the notes of bans that were not on disk cannot be closed", "err", err)
		}
	}
}

// removeAhead takes out of the kernel, by key, what this daemon put there before it was killed and no
// ban stands behind: what was noted and is not in the journal, and what the journal lifted. It returns
// how many elements that were.
func (e *enforcer) removeAhead(ctx context.Context, lifted []state.Change) (int, error) {
	noted, err := e.ahead.left()
	if err != nil {
		e.log.Warn("the notes of bans that were not on disk cannot be read", "err", err)
	}
	var remove []firewall.Change
	look := func(c state.Change) {
		if w := e.wanted(c); w.Remove && firewall.CheckElement(w.Element) == nil {
			remove = append(remove, w)
		}
	}
	for c := range noted {
		look(c)
	}
	for _, c := range lifted {
		if _, both := noted[c]; !both {
			look(c)
		}
	}
	removed := 0
	for len(remove) > 0 {
		n := min(len(remove), changeBatch)
		there, err := e.present(ctx, remove[:n])
		if err != nil {
			return removed, err
		}
		remove = remove[n:]
		if len(there) == 0 {
			continue
		}
		results, err := e.fw.Apply(ctx, there)
		if err != nil {
			return removed, err
		}
		for _, r := range results {
			if r.Err == nil {
				removed++
			}
		}
	}
	return removed, nil
}

// present gives those of the elements that the kernel holds; all, where nobody can tell.
func (e *enforcer) present(ctx context.Context, all []firewall.Change) ([]firewall.Change, error) {
	if e.p.leaks.meter == nil {
		return all, nil
	}
	elements := make([]firewall.Element, len(all))
	for i, c := range all {
		elements[i] = c.Element
	}
	usage, err := e.p.leaks.meter.Usage(ctx, elements)
	if err != nil {
		return nil, err
	}
	var there []firewall.Change
	for i, u := range usage {
		if u.Present {
			there = append(there, all[i])
		}
	}
	return there, nil
}

// noteAhead says when elements go to the kernel without being noted, and when they are noted again.
func (e *enforcer) noteAhead() {
	err := e.ahead.trouble()
	if e.unnoted == (err != nil) {
		return
	}
	e.unnoted = err != nil
	if err != nil {
		e.log.Warn("bans go to the kernel without being noted: after a kill they may stay there until they end", "err", err)
	} else {
		e.log.Info("bans are noted again before they go to the kernel")
	}
}
