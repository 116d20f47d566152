package nft

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"stockade/firewall"
)

// generation is the number of the ruleset: every transaction of anybody raises it by one.
func generation(l *link) (uint32, error) {
	var id uint32
	l.enc.b = l.enc.b[:0]
	l.enc.end(l.enc.begin(unix.NFT_MSG_GETGEN, 0))
	err := l.ask(unix.NFT_MSG_NEWGEN, func(b []byte) bool {
		id = be32(attr(b, unix.NFTA_GEN_ID))
		return true
	})
	if err != nil {
		return 0, fmt.Errorf("ask nftables for its generation: %w", err)
	}
	return id, nil
}

// query asks for one key in one set. get answers found, what was found, and err when there was no
// answer.
type query struct {
	set     string
	key     netip.Addr
	present bool // expected to be there
	found   bool
	entry   entry
	at      time.Time     // of the answer
	loose   time.Duration // how long the asking took
	err     error
}

// errNoAnswer is the error of a query without an answer.
var errNoAnswer = errors.New("the kernel did not answer")

// get answers the queries. A set that does not exist holds nothing.
func get(l *link, table string, queries []query) error {
	for len(queries) > 0 {
		n := min(len(queries), maxGet)
		answered, err := getTogether(l, table, queries[:n])
		if err != nil {
			return err
		}
		queries, n = queries[answered:], n-answered
		if err := getSome(l, table, queries[:n]); err != nil {
			return err
		}
		for i := range queries[:n] {
			// Answers were lost: ask again, alone.
			if q := queries[i : i+1]; q[0].err != nil {
				if err := getSome(l, table, q); err != nil {
					return err
				}
			}
		}
		queries = queries[n:]
	}
	return nil
}

// getTogether asks for the keys of one set that the queries begin with in one message, which is
// quicker: the kernel answers in order until the first that is absent. It says how many it answered.
func getTogether(l *link, table string, queries []query) (int, error) {
	n := 0
	for n < len(queries) && queries[n].set == queries[0].set && queries[n].present {
		n++
	}
	if n < 2 {
		return 0, nil
	}
	l.enc.b = l.enc.b[:0]
	elementList(&l.enc, unix.NFT_MSG_GETSETELEM, 0, table, queries[0].set, n, func(e *encoder, i int) {
		appendEntry(e, queries[i].key, false, 0, "")
	})
	answered, start := 0, time.Now()
	err := l.request(func(m message) bool {
		if m.is(unix.NFT_MSG_NEWSETELEM) {
			decodeEntries(m.data, func(got entry) {
				if answered < n && got.key == queries[answered].key && !got.end {
					queries[answered].found, queries[answered].entry = true, got
					answered++
				}
			})
		}
		return true
	})
	for i, now := 0, time.Now(); i < answered; i++ {
		queries[i].at, queries[i].loose = now, now.Sub(start)
	}
	return answered, ignore(err, errUnknown)
}

// getSome asks for each key in a message of its own, many to a system call.
func getSome(l *link, table string, queries []query) error {
	if len(queries) == 0 {
		return nil
	}
	l.enc.b = l.enc.b[:0]
	first, start := l.enc.seq+1, time.Now()
	for i := range queries {
		queries[i].err = errNoAnswer
		appendGet(&l.enc, table, queries[i].set, queries[i].key)
	}
	err := l.request(func(m message) bool {
		i := int(m.seq - first)
		if i < 0 || i >= len(queries) {
			return true
		}
		q := &queries[i]
		if m.typ == unix.NLMSG_ERROR {
			if q.err = permission(m.errno()); errors.Is(q.err, unix.ENOENT) {
				q.err = nil
			}
		} else if m.is(unix.NFT_MSG_NEWSETELEM) {
			decodeEntries(m.data, func(n entry) {
				// In a set of intervals the kernel answers with the nearest one before the key.
				if n.key == q.key && !n.end {
					q.found, q.entry, q.err = true, n, nil
				}
			})
			q.err = nil
		}
		return true
	})
	for i, now := 0, time.Now(); i < len(queries); i++ {
		queries[i].at, queries[i].loose = now, now.Sub(start)
	}
	return ignore(err, errUnknown)
}

// dump calls each for every element of a set until it returns false. EINTR says that the set was
// changed meanwhile.
func dump(l *link, table, set string, each func(entry) bool) error {
	l.enc.b = l.enc.b[:0]
	m := l.enc.begin(unix.NFT_MSG_GETSETELEM, unix.NLM_F_DUMP)
	l.enc.text(unix.NFTA_SET_ELEM_LIST_TABLE, table)
	l.enc.text(unix.NFTA_SET_ELEM_LIST_SET, set)
	l.enc.end(m)
	more := true
	return l.ask(unix.NFT_MSG_NEWSETELEM, func(b []byte) bool {
		decodeEntries(b, func(n entry) { more = more && each(n) })
		return more
	})
}

// Elements yields what the kernel holds, with counters. It reads on a socket of its own and waits
// for nobody: an element that is set or removed meanwhile may be missing or be given twice. It
// costs the kernel 0.6 s at 100,000 elements and, because a dump is quadratic, 95 s at 1,000,000.
func (e *Enforcer) Elements(ctx context.Context, yield func(firewall.Element, firewall.Counters) bool) error {
	return e.elements(ctx, nil, yield)
}

// elements is Elements without the given sets.
func (e *Enforcer) elements(ctx context.Context, without map[setID]bool, yield func(firewall.Element, firewall.Counters) bool) error {
	sets, nets, err := e.view()
	if err != nil {
		return err
	}
	l, err := dial(e.netns)
	if err != nil {
		return permission(err)
	}
	defer func() { _ = l.close() }()
	more := true
	for _, id := range sets {
		if without[id] {
			continue
		}
		if id.interval() {
			more, err = e.yieldNets(l, id, nets[id], yield)
		} else {
			err = dump(l, e.config.Table, id.name(), func(n entry) bool {
				more = ctx.Err() == nil && yield(e.element(id, n), n.count)
				return more
			})
		}
		if err = errors.Join(ctx.Err(), ignore(err, unix.EINTR, unix.ENOENT)); err != nil {
			return fmt.Errorf("list set %s: %w", id.name(), err)
		}
		if !more {
			return nil
		}
	}
	return nil
}

// element is what an entry of a set of single keys stands for.
func (e *Enforcer) element(id setID, n entry) firewall.Element {
	bits := n.key.BitLen()
	if id.kind == ban6 {
		bits = e.config.IPv6Prefix
	}
	out := firewall.Element{
		Prefix: netip.PrefixFrom(n.key, bits), Scope: id.scope, Comment: n.comment, Verdict: id.verdict,
	}
	if n.remaining != 0 {
		out.End = e.now().Add(n.remaining)
	}
	return out
}

// ends says whether the entry found ends when it should; the zero time is never.
func (q *query) ends(end time.Time) bool {
	if end.IsZero() || q.entry.remaining == 0 {
		return end.IsZero() && q.entry.remaining == 0
	}
	return (q.entry.remaining - end.Sub(q.at)).Abs() <= slack+q.loose
}

// slack is how far the kernel's end of an element may be from the asked one.
const slack = 2 * time.Second

func ignore(err error, which ...error) error {
	for _, w := range which {
		if errors.Is(err, w) {
			return nil
		}
	}
	return err
}
