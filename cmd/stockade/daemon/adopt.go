package daemon

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"stockade/cmd/stockade/control"
	"stockade/jails"
	"stockade/jails/state"
)

// Adopt takes over bans of another program.
func (d *daemon) Adopt(ctx context.Context, r control.AdoptRequest) (control.AdoptResult, error) {
	var res control.AdoptResult
	var bans []state.Ban
	taken := map[banKey]int{} // where in bans: two IPv6 addresses may share a prefix
	now := time.Now()
	for i := range r.Bans {
		b := &r.Bans[i]
		j := d.jail(b.Jail)
		if j == nil {
			res.Left = append(res.Left, control.AdoptLeft{Jail: b.Jail, Address: b.Address, Why: "no jail has this name"})
			continue
		}
		prefix, why := d.adoptable(b.Address)
		if why != "" {
			res.Left = append(res.Left, control.AdoptLeft{Jail: b.Jail, Address: b.Address, Why: why})
			continue
		}
		live := b.End == nil || b.End.After(now)
		earlier := b.Count
		if live {
			earlier-- // the ban itself counts one
		}
		if d.store.Remember(j.Name, prefix, int(earlier), b.Start) {
			res.Remembered++
		}
		if !live {
			continue
		}
		if d.outlasts(prefix, j.Name, b.End) {
			res.Kept++
			continue
		}
		next := adopted(b, j, prefix, r.From)
		if at, ok := taken[banKey{prefix, j.Name}]; ok {
			if had := bans[at].End; !had.IsZero() && (next.End.IsZero() || next.End.After(had)) {
				bans[at].End = next.End
			}
			res.Kept++
			continue
		}
		taken[banKey{prefix, j.Name}] = len(bans)
		bans = append(bans, next)
	}
	res.Adopted = int64(len(bans))
	if err := d.pipeline.Adopt(ctx, bans); err != nil {
		return control.AdoptResult{}, err
	}
	for i := range bans {
		d.actOnce(&bans[i])
	}
	return res, d.store.Save()
}

type banKey struct {
	prefix netip.Prefix
	jail   string
}

// adoptable is what is banned for an address or prefix, or why it is never banned.
func (d *daemon) adoptable(address netip.Prefix) (prefix netip.Prefix, why string) {
	prefix = address
	if address.IsSingleIP() {
		prefix = jails.CountKey(address.Addr(), d.v6bits())
	}
	if _, protected := d.guard.Protects(prefix); protected {
		prefix = address
	}
	if why, protected := d.guard.Protects(prefix); protected {
		return prefix, fmt.Sprintf("it is never banned: %s", why)
	}
	return prefix, ""
}

// outlasts reports whether the jail's ban of a prefix ends no earlier than end; nil is never.
func (d *daemon) outlasts(prefix netip.Prefix, jail string, end *time.Time) bool {
	for _, b := range d.store.BansOf(prefix.Addr()) {
		if b.Prefix == prefix && b.Jail == jail {
			return b.Permanent() || end != nil && !b.End.Before(*end)
		}
	}
	return false
}

// adopted is the ban that the store is to hold.
func adopted(b *control.AdoptBan, j *jails.Jail, prefix netip.Prefix, from string) state.Ban {
	out := state.Ban{
		Jail: j.Name, Prefix: prefix, Scope: j.Scope, Start: b.Start, Source: from, Trust: jails.TrustKernel.String(),
		Reason: "adopted from " + from, Shadow: !j.Enforce, Verdict: j.Verdict,
	}
	if b.End != nil {
		out.End = *b.End
	}
	return out
}
