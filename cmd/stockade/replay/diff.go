package replay

import (
	"net/netip"
	"slices"
)

// Diff finds the bans that one of two policies makes and the other does not. A ban is the same
// when jail, address, start and end are. Its zero value is ready; it belongs to one goroutine.
type Diff struct {
	Same int64 // bans that both make; set by List

	bans [maxSides][]*Ban
}

// Change is a ban that one side alone makes.
type Change struct {
	Side int // 0: Options.Policy, 1: Options.Against
	Ban  *Ban
}

type diffKey struct {
	jail       string
	address    netip.Prefix
	start, end int64
}

func (b *Ban) key() diffKey {
	k := diffKey{jail: b.Jail, address: b.Address, start: b.Start.UnixNano()}
	if !b.End.IsZero() {
		k.end = b.End.UnixNano()
	}
	return k
}

// Add takes a ban; see Options.OnBan.
func (d *Diff) Add(side int, b *Ban) { d.bans[side] = append(d.bans[side], b) }

// List returns the differences in the order of time.
func (d *Diff) List() []Change {
	open := make(map[diffKey]int)
	for _, b := range d.bans[1] {
		open[b.key()]++
	}
	var out []Change
	d.Same = 0
	for _, b := range d.bans[0] {
		if k := b.key(); open[k] > 0 {
			open[k]--
			d.Same++
			continue
		}
		out = append(out, Change{0, b})
	}
	for _, b := range slices.Backward(d.bans[1]) {
		if k := b.key(); open[k] > 0 {
			open[k]--
			out = append(out, Change{1, b})
		}
	}
	slices.SortStableFunc(out, func(x, y Change) int { return x.Ban.Start.Compare(y.Ban.Start) })
	return out
}
