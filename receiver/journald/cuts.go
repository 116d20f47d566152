package journald

const maxCuts = 4096

// cuts remembers the streams whose last record was cut by its carrier, so that the next one is
// known to continue it. It holds at most maxCuts of them; any one of them makes room. It belongs
// to one goroutine.
type cuts struct {
	open map[string]struct{}
	key  []byte
}

// continued reports whether a record continues one that was cut, and notes whether it is cut
// itself. journald cuts the lines of a stream (LineMax, 48 KiB by default), container engines those
// of a container (16 KiB).
func (c *cuts) continued(rec *Record) bool {
	if id := rec.Get(StreamID); len(id) > 0 {
		c.key = append(c.key[:0], id...)
		return c.turn(string(rec.Get(LineBreak)) == "line-max")
	}
	if id := rec.Get(ContainerID); len(id) > 0 {
		// The container's name is the writer's word: only the same process continues its own.
		c.key = append(append(append(c.key[:0], rec.Get(PID)...), 0), id...)
		partial := string(rec.Get(PartialMessage)) == "true" && string(rec.Get(PartialLast)) != "true"
		ordinal, _ := number(rec.Get(PartialOrdinal))
		return c.turn(partial) || ordinal > 1
	}
	return false
}

func (c *cuts) turn(cut bool) (was bool) {
	_, was = c.open[string(c.key)]
	switch {
	case cut && !was:
		if len(c.open) >= maxCuts {
			for k := range c.open {
				delete(c.open, k)
				break
			}
		}
		c.open[string(c.key)] = struct{}{}
	case was && !cut:
		delete(c.open, string(c.key))
	}
	return was
}
