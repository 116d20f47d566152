package nft

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"stockade/firewall"
)

// Protect replaces the two sets of prefixes that rules return from before anything is dropped, in
// one transaction, and reads them back. Elements inside them stay, without effect.
func (e *Enforcer) Protect(ctx context.Context, never []netip.Prefix) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return errClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	e.never = firewall.MergePrefixes(append(firewall.AlwaysProtected(), never...))
	return e.withRepair(e.writeNever)
}

// adoptNever starts from what the kernel protects.
func (e *Enforcer) adoptNever() error {
	var have []netip.Prefix
	for _, set := range []string{never4, never6} {
		found, err := readSegments(e.reader, e.config.Table, set, e.now)
		if err = ignore(err, unix.EINTR); err != nil {
			return fmt.Errorf("list set %s: %w", set, err)
		}
		for _, s := range found {
			have = append(have, s.prefixes()...)
		}
	}
	e.never = firewall.MergePrefixes(append(firewall.AlwaysProtected(), have...))
	return e.writeNever()
}

func (e *Enforcer) writeNever() error {
	l := e.writer
	l.batch()
	want := map[string][]segment{never4: nil, never6: nil}
	for _, p := range e.never {
		set := never6
		if p.Addr().Is4() {
			set = never4
		}
		want[set] = append(want[set], segment{first: p.Addr(), last: lastOf(p)})
	}
	for _, set := range []string{never4, never6} {
		m := l.enc.begin(unix.NFT_MSG_DELSETELEM, unix.NLM_F_ACK)
		l.enc.text(unix.NFTA_SET_ELEM_LIST_TABLE, e.config.Table)
		l.enc.text(unix.NFTA_SET_ELEM_LIST_SET, set)
		l.enc.end(m)
		elementList(&l.enc, unix.NFT_MSG_NEWSETELEM, unix.NLM_F_CREATE|unix.NLM_F_ACK, e.config.Table, set, len(want[set]),
			func(enc *encoder, i int) { appendSegment(enc, want[set][i], 0) })
	}
	if err := e.counted(e.sent(l.commit())); err != nil && !errors.Is(err, errUnknown) {
		return fmt.Errorf("write the protected prefixes: %w", err)
	}
	for set, w := range want {
		have, err := readSegments(e.reader, e.config.Table, set, e.now)
		if err = ignore(err, unix.EINTR); err != nil {
			return fmt.Errorf("list set %s: %w", set, err)
		}
		if !slices.EqualFunc(w, have, segment.same) {
			return fmt.Errorf("set %s: %w", set, errReadBack)
		}
	}
	return nil
}
