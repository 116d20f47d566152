package nft

import (
	"context"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"stockade/firewall"
)

// Protect replaces the prefixes that rules return from before anything is dropped, changing what
// differs, and reads them back. Elements inside them stay, without effect. Some thousand prefixes are
// replaced in one transaction; with more, those that leave go before the last ones come.
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

// writeNever makes the two sets those prefixes, and reads them back.
func (e *Enforcer) writeNever() error {
	want := map[string][]segment{never4: nil, never6: nil}
	for _, p := range e.never {
		set := never6
		if p.Addr().Is4() {
			set = never4
		}
		want[set] = append(want[set], segment{first: p.Addr(), last: lastOf(p)})
	}
	for set, w := range want {
		for try := range retries {
			have, err := readSegments(e.reader, e.config.Table, set, e.now)
			if err = ignore(err, unix.EINTR); err != nil {
				return fmt.Errorf("list set %s: %w", set, err)
			}
			if changed, err := e.writeSegments(set, have, w, e.now()); err != nil {
				return err
			} else if !changed {
				break
			}
			if try == retries-1 {
				return fmt.Errorf("set %s: %w", set, errReadBack)
			}
		}
	}
	return nil
}
