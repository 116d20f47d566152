package controltest

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"stockade/cmd/stockade/control"
)

// Bans implements control.BanLister.
func (f *Fake) Bans(_ context.Context, jail string) ([]control.Ban, error) {
	if jail != "" {
		if err := known(jail); err != nil {
			return nil, err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(f.bans), func(b control.Ban) bool { return jail != "" && b.Jail != jail }), nil
}

// Ban implements control.Banner.
func (f *Fake) Ban(_ context.Context, r control.BanRequest) (control.BanResult, error) {
	if r.Jail == "" {
		r.Jail = "manual"
	}
	if err := known(r.Jail); err != nil {
		return control.BanResult{}, err
	}
	p := r.Address.Counted(64)
	if p.Contains(netip.MustParseAddr("203.0.113.7")) {
		return control.BanResult{}, &control.Error{Code: control.CodeProtected,
			Message: fmt.Sprintf("%s must not be banned: never_ban has 203.0.113.7", r.Address)}
	}
	bantime := control.Seconds(3600)
	if r.For != nil {
		bantime = *r.For
	}
	b := control.Ban{Address: p, Jail: r.Jail, Source: "operator", Trust: "kernel", Start: Now,
		Reason: control.Text(r.Reason), Enforced: true, Count: 1}
	if bantime > 0 {
		b.End = control.Moment(Now.Add(bantime.Duration()))
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, old := range f.bans {
		if old.Address == p && old.Jail == r.Jail {
			if old.End == nil || b.End != nil && !b.End.After(*old.End) {
				return control.BanResult{Ban: old}, nil
			}
			f.bans[i] = b
			f.changes++
			return control.BanResult{Ban: b, Changed: true}, nil
		}
	}
	f.bans = append(f.bans, b)
	f.changes++
	return control.BanResult{Ban: b, Changed: true}, nil
}

// Unban implements control.Unbanner.
func (f *Fake) Unban(_ context.Context, r control.UnbanRequest) (control.UnbanResult, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	before := len(f.bans)
	var wider *control.Ban
	f.bans = slices.DeleteFunc(f.bans, func(b control.Ban) bool {
		if r.Jail != "" && b.Jail != r.Jail {
			return false
		}
		switch {
		case r.All:
			return true
		case r.Source != "":
			return string(b.Source) == r.Source && (r.Since == nil || !b.Start.Before(*r.Since))
		}
		p := r.Address.Counted(64)
		if b.Address.Bits() < p.Bits() && b.Address.Contains(p.Addr()) {
			wider = &b
		}
		return b.Address == p
	})
	n := int64(before - len(f.bans))
	if n > 0 {
		f.changes++
		return control.UnbanResult{Unbanned: n}, nil
	}
	if wider != nil {
		return control.UnbanResult{}, &control.Error{Code: control.CodeCovered,
			Message: fmt.Sprintf("%s lies in %s, which jail %s bans", r.Address, wider.Address, wider.Jail)}
	}
	return control.UnbanResult{}, &control.Error{Code: control.CodeNotFound, Message: "nothing to unban"}
}

// Adopt implements control.Adopter: it adopts every ban.
func (f *Fake) Adopt(_ context.Context, r control.AdoptRequest) (control.AdoptResult, error) {
	return control.AdoptResult{Adopted: int64(len(r.Bans))}, nil
}

// Approve implements control.Approver: the source this-host has two bans waiting.
func (f *Fake) Approve(_ context.Context, r control.SourceRequest) (control.ApproveResult, error) {
	if err := knownSource(r.Source); err != nil {
		return control.ApproveResult{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.changes++
	return control.ApproveResult{Approved: 2}, nil
}

// Release implements control.Releaser: this-host is in no quarantine.
func (f *Fake) Release(_ context.Context, r control.SourceRequest) (control.ReleaseResult, error) {
	if err := knownSource(r.Source); err != nil {
		return control.ReleaseResult{}, err
	}
	return control.ReleaseResult{}, &control.Error{Code: control.CodeNotFound, Message: "source this-host is not in quarantine"}
}

func knownSource(name string) error {
	if name == "this-host" {
		return nil
	}
	return &control.Error{Code: control.CodeUsage, Message: fmt.Sprintf("unknown source %q: one of this-host", name)}
}
