package nft

import (
	"context"
	"fmt"
	"maps"
	"net/netip"

	"stockade/firewall"
)

// Usage asks for elements by prefix and scope; the result has their order. Of a prefix that is kept
// in intervals the counters are those of the whole intervals it has a part in. It reads on a socket of
// its own and waits for no change that is under way.
func (e *Enforcer) Usage(ctx context.Context, elements []firewall.Element) ([]firewall.Usage, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	l, err := e.borrow()
	if err != nil {
		return nil, err
	}
	defer e.giveBack(l)
	e.mu.Lock()
	sets := maps.Clone(e.sets)
	e.mu.Unlock()
	out := make([]firewall.Usage, len(elements))
	var ask asked
	var which []int
	nets := make(map[setID][]segment)
	for i, el := range elements {
		k := kindOf(el.Prefix, e.config.IPv6Prefix)
		for _, v := range verdicts {
			id := setID{k, el.Scope, v}
			switch {
			case !sets[id]:
			case !k.interval():
				ask.add(op{set: id, key: el.Prefix.Addr(), remove: v != el.Verdict}) // of another verdict it is hardly there
				which = append(which, i)
			default:
				have, ok := nets[id]
				if !ok {
					if have, err = readSegments(l, e.config.Table, id.name(), e.now); err != nil {
						return nil, fmt.Errorf("list set %s: %w", id.name(), err)
					}
					nets[id] = have
				}
				for _, s := range have {
					if !s.last.Less(el.Prefix.Addr()) && !lastOf(el.Prefix).Less(s.first) {
						out[i].Present = true
						out[i].Counters.Packets += s.count.Packets
						out[i].Counters.Bytes += s.count.Bytes
					}
				}
			}
		}
	}
	if err := get(l, e.config.Table, ask.queries); err != nil {
		return nil, err
	}
	for j, q := range ask.queries {
		if q.err != nil {
			return nil, fmt.Errorf("read set %s: %w", q.set, q.err)
		}
		if u := &out[which[j]]; q.found {
			u.Present = true
			u.Counters = q.entry.count
		}
	}
	return out, nil
}

// Witnessed says for each address whether the kernel saw it complete a TCP handshake, with this
// host or through it, within the last hour. For IPv6 any address of the same Config.IPv6Prefix
// bits is a witness. A spoofed SYN or ACK makes no witness.
func (e *Enforcer) Witnessed(ctx context.Context, addrs []netip.Addr) ([]bool, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, errClosed
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	queries := make([]query, len(addrs))
	for i, a := range addrs {
		a = a.Unmap().WithZone("")
		queries[i] = query{set: seen4, key: a}
		if a.Is6() {
			queries[i] = query{set: seen6, key: netip.PrefixFrom(a, e.config.IPv6Prefix).Masked().Addr()}
		}
	}
	if err := get(e.reader, e.config.Table, queries); err != nil {
		return nil, err
	}
	out := make([]bool, len(addrs))
	for i, q := range queries {
		if q.err != nil {
			return nil, fmt.Errorf("read set %s: %w", q.set, q.err)
		}
		out[i] = q.found
	}
	return out, nil
}
