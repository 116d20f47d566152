package replay

import (
	"bytes"
	"hash/maphash"
	"time"

	"stockade/jails/filter"
	"stockade/jails/filter/dates"
	"stockade/receiver/decode"
)

// decoder takes the lines of blocks apart. It belongs to one goroutine.
type decoder struct {
	sides    []*Policy
	matchers int
	zone     *time.Location
	headers  *decode.Decoder
	dates    *dates.Detector
	message  decode.Message
}

func newDecoder(o *Options, d *dates.Detector) *decoder {
	return &decoder{sides: o.sides(), matchers: o.Workers, zone: o.Zone, headers: decode.New(o.Zone), dates: d.Clone()}
}

// block decodes the lines of a block of the input.
func (d *decoder) block(b *block, in *input) {
	app := []byte(in.app)
	aheadOf := time.Now()
	if in.clock.After(aheadOf) {
		aheadOf = in.clock
	}
	limit := aheadOf.Add(25 * time.Hour).UnixNano() // a later date is none
	var cut continued
	for rest := b.buf; len(rest) > 0; b.count++ {
		text := rest
		if nl := bytes.IndexByte(rest, '\n'); nl >= 0 {
			text, rest = rest[:nl], rest[nl+1:]
		} else {
			rest = nil
		}
		if n := len(text); n > 0 && text[n-1] == '\r' {
			text = text[:n-1]
		}
		if len(text) == 0 || len(text) > maxLine {
			continue
		}
		m := &d.message
		var at time.Time
		var without []byte
		header := d.headers.DecodeLine(text, in.clock, m)
		if header {
			at = m.Stamp
			if len(m.App) == 0 {
				m.App = app
			}
			if cut.continues(m, text) {
				continue
			}
		} else {
			cut = continued{}
			m.App, m.Facility, m.Repeat = app, -1, 1
			if place, t, ok := d.dates.Find(m.Text, in.clock); ok {
				at = t
				if place.End > place.Start {
					from := len(b.extra)
					b.extra = append(append(b.extra, m.Text[:place.Start]...), m.Text[place.End:]...)
					without = b.extra[from:]
				}
			}
		}
		ns := int64(0)
		if !at.IsZero() {
			if ns = at.UnixNano(); ns > limit || at.Year() < 1970 {
				ns = 0
			}
		}
		d.keep(b, m, text, without, ns, header)
	}
}

// keep notes the time of a line, and the line itself when a jail listens to it.
func (d *decoder) keep(b *block, m *decode.Message, raw, without []byte, at int64, header bool) {
	if at != 0 {
		b.latest, b.peak = at, max(b.peak, at)
		if b.earliest == 0 || at < b.earliest {
			b.earliest = at
		}
	} else {
		at = b.latest
		b.undated++
	}
	l := line{n: b.count, at: at, facility: m.Facility, repeat: int32(max(m.Repeat, 1))} //nolint:gosec // at most decode.MaxRepeat
	heard := false
	for i, p := range d.sides {
		r := p.set.Route(m.App)
		if r.Empty() {
			continue
		}
		heard = true
		l.routes[i] = r
		l.shards[i] = uint8(d.shard(b, m, r)) //nolint:gosec // below the number of workers, at most maxWorkers
	}
	if !heard {
		if !header {
			b.skipped++
		}
		return
	}
	l.app, l.host, l.pid, l.text, l.cut, l.raw = m.App, m.Hostname, m.ProcID, m.Text, without, raw
	l.whole = m.Form == decode.File
	b.lines = append(b.lines, l)
}

var shardSeed = maphash.MakeSeed()

// shard says which matcher takes a line: lines that a stateful filter may join go to one, as in
// the pipeline.
func (d *decoder) shard(b *block, m *decode.Message, r filter.Route) int {
	if !r.Stateful() {
		return b.seq % d.matchers
	}
	var h maphash.Hash
	h.SetSeed(shardSeed)
	_, _ = h.Write(m.Hostname)
	_ = h.WriteByte(0)
	_, _ = h.WriteString(r.Family())
	return int(h.Sum64() % uint64(d.matchers)) //nolint:gosec // below the number of workers
}

// continued knows a line that its carrier cut: what follows it begins with text that the sender
// of the first chose, and is never matched.
type continued struct {
	app, pid []byte
	open     bool
}

func (c *continued) continues(m *decode.Message, text []byte) bool {
	same := c.open && bytes.Equal(c.app, m.App) && bytes.Equal(c.pid, m.ProcID)
	*c = continued{}
	for _, limit := range [...]int{8 << 10, 16 << 10, 48 << 10} { // rsyslog, Docker, journald
		if len(text) == limit || len(m.Text) == limit {
			*c = continued{m.App, m.ProcID, true}
		}
	}
	return same
}

// firstTime is the time of the first dated line in text.
func (d *decoder) firstTime(text []byte, in *input) int64 {
	for range 100 {
		nl := bytes.IndexByte(text, '\n')
		if nl < 0 {
			return 0
		}
		if d.headers.DecodeLine(text[:nl], in.clock, &d.message) {
			if !d.message.Stamp.IsZero() {
				return d.message.Stamp.UnixNano()
			}
		} else if _, t, ok := d.dates.Find(text[:nl], in.clock); ok && !t.IsZero() {
			return t.UnixNano()
		}
		text = text[nl+1:]
	}
	return 0
}
