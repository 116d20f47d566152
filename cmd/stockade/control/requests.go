package control

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode"
)

const (
	minBits4 = 16 // the widest manual ban without force
	minBits6 = 32
	// maxFor is 50 years in seconds: the longest ban that is not permanent.
	maxFor      Seconds = 50 * 31557600
	maxReason           = 256 // bytes
	maxName             = 64  // bytes of a jail's or source's name
	loginPrefix         = 64  // a bare IPv6 address is taken as its /64 when compared with the caller's login
)

func (h *handler) status(ctx context.Context, _ url.Values) (Status, error) {
	st, err := h.s.Status.Status(ctx)
	st.State = StateOK
	if len(st.Degraded) > 0 {
		st.State = StateDegraded
	}
	st.Version = BuildVersion().Version
	return st, err
}

func (h *handler) explain(ctx context.Context, q url.Values) (Explain, error) {
	t, err := ParseTarget(q.Get("address"))
	if err != nil {
		return Explain{}, usage("%v", err)
	}
	e, err := h.s.Explain.Explain(ctx, t)
	e.Verdict = e.verdict()
	return e, err
}

func (h *handler) ban(ctx context.Context, r BanRequest) (BanResult, error) {
	if err := r.check(); err != nil {
		return BanResult{}, err
	}
	return h.s.Ban.Ban(ctx, r)
}

func (h *handler) unban(ctx context.Context, r UnbanRequest) (UnbanResult, error) {
	if err := r.check(); err != nil {
		return UnbanResult{}, err
	}
	return h.s.Unban.Unban(ctx, r)
}

func (h *handler) approve(ctx context.Context, r SourceRequest) (ApproveResult, error) {
	if err := r.check(); err != nil {
		return ApproveResult{}, err
	}
	return h.s.Approve.Approve(ctx, r)
}

func (h *handler) release(ctx context.Context, r SourceRequest) (ReleaseResult, error) {
	if err := r.check(); err != nil {
		return ReleaseResult{}, err
	}
	return h.s.Release.Release(ctx, r)
}

func (h *handler) notifyTest(ctx context.Context, r NotifyRequest) (NotifyResult, error) {
	if r.Name == "" {
		return NotifyResult{}, usage("no channel named")
	}
	if err := checkName("channel", r.Name); err != nil {
		return NotifyResult{}, err
	}
	return h.s.NotifyTest.NotifyTest(ctx, r)
}

func (h *handler) reload(ctx context.Context, r ReloadRequest) (ReloadResult, error) {
	if err := r.check(); err != nil {
		return ReloadResult{}, err
	}
	return h.s.Reload.Reload(ctx, r)
}

// The bounds of the time for a confirmation.
const (
	minConfirm Seconds = 10
	maxConfirm Seconds = 86400
)

func (r *ReloadRequest) check() error {
	switch {
	case r.Keep && r.Confirm != 0:
		return usage("reload: confirm and keep exclude each other")
	case r.Confirm != 0 && (r.Confirm < minConfirm || r.Confirm > maxConfirm):
		return usage("reload: a time of %d s for the confirmation must be between %d and %d", r.Confirm, minConfirm, maxConfirm)
	}
	return nil
}

func (h *handler) canary(ctx context.Context, r CanaryRequest) (CanaryKey, error) {
	if err := r.check(); err != nil {
		return CanaryKey{}, err
	}
	return h.s.CanaryKey.CanaryKey(ctx, r)
}

func (r *CanaryRequest) check() error {
	if r.Source == "" {
		return usage("canary: no source named")
	}
	if err := checkName("source", r.Source); err != nil {
		return err
	}
	return checkName("jail", r.Jail)
}

func (h *handler) setLog(ctx context.Context, r LogRequest) (LogState, error) {
	if err := r.check(); err != nil {
		return LogState{}, err
	}
	return h.s.SetLog.SetLog(ctx, r)
}

// maxTarget is the longest path of a file on Linux, in bytes.
const maxTarget = 4095

func (r *LogRequest) check() error {
	if !slices.Contains([]string{"", "debug", "info", "warn", "error"}, r.Level) {
		return usage("log: the level %q is not one of debug, info, warn, error", cut(r.Level))
	}
	if len(r.Target) > maxTarget || strings.ContainsFunc(r.Target, unicode.IsControl) {
		return usage("log: a target has at most %d bytes and no control characters", maxTarget)
	}
	return nil
}

func (r *SourceRequest) check() error {
	if r.Source == "" {
		return usage("no source named")
	}
	return checkName("source", r.Source)
}

func usage(format string, args ...any) error {
	return &Error{Code: CodeUsage, Message: fmt.Sprintf(format, args...)}
}

// check finds what is wrong with a ban whatever the daemon's state.
func (r *BanRequest) check() error {
	if r.Address.IsZero() {
		return usage("ban: no address")
	}
	if r.For != nil && *r.For != -1 && (*r.For < 1 || *r.For > maxFor) {
		return usage("ban: a time of %d s must be -1 (permanent) or between 1 and %d", *r.For, maxFor)
	}
	if len(r.Reason) > maxReason || strings.ContainsFunc(r.Reason, unicode.IsControl) {
		return usage("ban: a reason has at most %d bytes and no control characters", maxReason)
	}
	if err := checkName("jail", r.Jail); err != nil {
		return err
	}
	p := r.Address.Prefix
	if bits := p.Bits(); !r.Force && (p.Addr().Is4() && bits < minBits4 || p.Addr().Is6() && bits < minBits6) {
		return &Error{Code: CodeWidth, Message: fmt.Sprintf(
			"prefix %s is too wide: at least /%d for IPv4 and /%d for IPv6 without --force", p, minBits4, minBits6)}
	}
	if s := r.Session.Unmap().WithZone(""); s.IsValid() && r.Address.Counted(loginPrefix).Contains(s) {
		return &Error{Code: CodeLockOut, Message: fmt.Sprintf(
			"banning %s would lock you out: your own login comes from %s", r.Address, s)}
	}
	return nil
}

func (r *UnbanRequest) check() error {
	given := 0
	for _, set := range []bool{!r.Address.IsZero(), r.All, r.Source != ""} {
		if set {
			given++
		}
	}
	if given != 1 {
		return usage("unban: exactly one of an address, all and a source")
	}
	if r.Since != nil && r.Source == "" {
		return usage("unban: since goes with a source")
	}
	if err := checkName("source", r.Source); err != nil {
		return err
	}
	return checkName("jail", r.Jail)
}

func checkName(what, name string) error {
	if len(name) > maxName || strings.ContainsFunc(name, unicode.IsControl) {
		return usage("%s: a name has at most %d bytes and no control characters", what, maxName)
	}
	return nil
}
