package daemon

import (
	"context"

	"stockade/cmd/stockade/control"
	"stockade/firewall"
	"stockade/jails/state"
)

// meterPiece is how many bans the kernel is asked about at a time.
const meterPiece = 4096

// stopped adds what the kernel stopped of each ban to the list, which has the order of bans. Bans that
// share an element share its counters. A kernel that does not answer leaves them unknown.
func (d *daemon) stopped(ctx context.Context, bans []*state.Ban, list []control.Ban) {
	meter, ok := d.enforcer.(firewall.Meter)
	if !ok {
		return
	}
	elements := make([]firewall.Element, 0, min(len(bans), meterPiece))
	for len(bans) > 0 {
		n := min(len(bans), meterPiece)
		elements = elements[:0]
		for _, b := range bans[:n] {
			e := firewall.Element{Prefix: b.Prefix, Scope: firewall.Scope(b.Scope)}
			if b.Verdict == firewall.Reject.String() {
				e.Verdict = firewall.Reject
			}
			elements = append(elements, e)
		}
		usage, err := meter.Usage(ctx, elements)
		if err != nil {
			d.log.Warn("the counters of bans cannot be read", "err", err)
			return
		}
		counts := make([][2]int64, n)
		for i, u := range usage {
			if u.Present && !bans[i].Shadow {
				counts[i] = [2]int64{int64(u.Counters.Packets), int64(u.Counters.Bytes)}
				list[i].Packets, list[i].Bytes = &counts[i][0], &counts[i][1]
			}
		}
		bans, list = bans[n:], list[n:]
	}
}
