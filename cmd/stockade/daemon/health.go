package daemon

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"

	"stockade/cmd/stockade/control"
	"stockade/firewall/nft"
	"stockade/jails/state"
)

const (
	healthEvery = time.Second
	// kernelSilence is how long the kernel may leave a question unanswered: more is a fault.
	kernelSilence = 10 * time.Second
	// pingLimit is how long one ping waits. What is silent longer than the unit's WatchdogSec is killed anyway.
	pingLimit = 10 * time.Second
	// certNotice is how long before its end a certificate is reported, at most a third of its life.
	certNotice = 14 * 24 * time.Hour
)

// health looks for what makes "you are protected" untrue and is seen by no other part: a kernel that
// does not answer, silent sources, certificates near their end, a full disk. It also tells systemd
// how the daemon is, and that it lives, and the channels what began and ended.
type health struct {
	d     *daemon
	ready chan struct{}

	mu    sync.Mutex
	on    []condition
	asked time.Time // when the kernel was asked and has not answered yet; zero: it has
	fault error     // its last answer
	lost  string    // why our table could not be repaired; "": it is whole

	disk disk // belongs to the goroutine of Run
}

// condition is one reason to be degraded. Name and subject together are its identity.
type condition struct {
	control.Degraded
	subject string
}

func newHealth(d *daemon) *health { return &health{d: d, ready: make(chan struct{})} }

// String names the task.
func (h *health) String() string { return "health" }

// Ready is closed after the first look.
func (h *health) Ready() <-chan struct{} { return h.ready }

// Run looks every second until ctx is done.
func (h *health) Run(ctx context.Context) error {
	var asking sync.WaitGroup
	defer asking.Wait()
	if fw, ok := h.d.enforcer.(*nft.Enforcer); ok {
		asking.Go(func() { h.askKernel(ctx, fw) })
	}
	asking.Go(func() { h.beat(ctx) })
	tick := time.NewTimer(state.UntilNext(healthEvery))
	defer tick.Stop()
	said := ""
	var told notices
	h.look(time.Now())
	close(h.ready)
	for {
		if status := h.summary(); status != said {
			said = status
			notifySystemd("STATUS=" + status)
		}
		told.update(h.d.named(), h.d.notifier.Post)
		h.d.sayLeftOut()
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			tick.Reset(state.UntilNext(healthEvery))
			h.look(time.Now())
		}
	}
}

// beat tells systemd that the daemon lives for as long as every worker and the firewall's goroutine
// answer, and no lock that status takes is held for good.
func (h *health) beat(ctx context.Context) {
	tick := time.NewTimer(state.UntilNext(healthEvery))
	defer tick.Stop()
	stuck := false
	for {
		h.summary()
		err := h.ping(ctx)
		if err == nil {
			notifySystemd(sd.SdNotifyWatchdog)
		}
		if ctx.Err() == nil && stuck != (err != nil) {
			if stuck = err != nil; stuck {
				h.d.log.Warn("not alive: systemd is told no more, and restarts stockade when it stays so", "err", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			tick.Reset(state.UntilNext(healthEvery))
		}
	}
}

func (h *health) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pingLimit)
	defer cancel()
	return h.d.pipeline.Ping(ctx)
}

// notifySystemd tells systemd about a state, where the process was started by it.
func notifySystemd(state string) { _, _ = sd.SdNotify(false, state) }

// summary is how the daemon is, in one line.
func (h *health) summary() string {
	list := h.d.conditions()
	if len(list) == 0 {
		return "protecting"
	}
	first := strings.ReplaceAll(control.Escape(list[0].Name+": "+list[0].Cause), "\n", " ")
	if len(list) == 1 {
		return "DEGRADED " + first
	}
	return fmt.Sprintf("DEGRADED %s (and %d more)", first, len(list)-1)
}

// lose notes that our table is not as it must be and could not be repaired.
func (h *health) lose(why string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lost = why
}

// askKernel asks for one element, again and again, and looks at a table that was lost until it is
// whole.
func (h *health) askKernel(ctx context.Context, fw *nft.Enforcer) {
	tick := time.NewTimer(state.UntilNext(healthEvery))
	defer tick.Stop()
	nobody := []netip.Addr{netip.AddrFrom4([4]byte{})}
	for {
		h.mu.Lock()
		h.asked = time.Now()
		lost := h.lost
		h.mu.Unlock()
		_, err := fw.Witnessed(ctx, nobody)
		if err == nil && lost != "" {
			var flaws []string
			flaws, err = nft.Verify(nft.Options{Config: h.d.current.get().loaded.Config.Firewall})
			if err == nil && len(flaws) == 0 {
				lost = ""
			}
		}
		h.mu.Lock()
		if ctx.Err() == nil {
			h.fault = err
		}
		if lost == "" {
			h.lost = ""
		}
		h.asked = time.Time{}
		h.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			tick.Reset(state.UntilNext(healthEvery))
		}
	}
}

// look takes all conditions anew. One that holds on keeps its beginning.
func (h *health) look(now time.Time) {
	var next []condition
	add := func(name, subject, format string, args ...any) {
		next = append(next, condition{control.Degraded{Name: name, Cause: fmt.Sprintf(format, args...), Since: now}, subject})
	}
	h.lookAtKernel(now, add)
	h.lookAtSources(now, add)
	h.lookAtFeeds(now, add)
	h.lookAtCertificates(now, add)
	h.disk.look(now, h.d.current.get().loaded.Config.StateDir, add)
	h.lookAtCanaries(add)
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range next {
		for _, old := range h.on {
			if old.Name == next[i].Name && old.subject == next[i].subject {
				next[i].Since = old.Since
			}
		}
	}
	h.on = next
}

// all are the conditions of the last look.
func (h *health) all() []control.Degraded {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := make([]control.Degraded, len(h.on))
	for i, c := range h.on {
		list[i] = c.Degraded
	}
	return list
}

// adder takes a condition: its name, what it is about, and the cause.
type adder func(name, subject, format string, args ...any)

func (h *health) lookAtKernel(now time.Time, add adder) {
	h.mu.Lock()
	fault, asked, lost := h.fault, h.asked, h.lost
	h.mu.Unlock()
	switch {
	case !asked.IsZero() && now.Sub(asked) > kernelSilence:
		add("firewall", "", "the kernel has not answered for %s: bans may not be enforced", now.Sub(asked).Round(time.Second))
	case lost != "":
		add("firewall", "", "our table in the kernel is not whole, bans may not be enforced: %s", lost)
	case fault != nil:
		add("firewall", "", "our table in the kernel cannot be read, bans may not be enforced: %v", fault)
	}
}

func (h *health) lookAtSources(now time.Time, add adder) {
	for _, s := range h.d.registry.Load().All() {
		if s.ExpectEvery <= 0 {
			continue
		}
		last, what := h.d.started, "since the start"
		if seen := s.LastSeen.Load(); seen != 0 {
			last, what = time.Unix(0, seen), "since "+time.Unix(0, seen).Format(time.RFC3339)
		}
		if now.Sub(last) > s.ExpectEvery {
			add("silent", s.Name, "source %s sent nothing %s, and a line every %s is expected (expect_every)", s.Name, what, s.ExpectEvery)
		}
	}
}

func (h *health) lookAtCertificates(now time.Time, add adder) {
	check := func(where, file string, end time.Time) {
		if end.IsZero() || end.Sub(now) > certNotice {
			return
		}
		left := end.Sub(now)
		switch {
		case left <= 0:
			add("certificate", where, "the certificate of %s ended %s: senders refuse it; renew %s", where, end.Format(time.RFC3339), file)
		case left <= lifetime(file)/3:
			add("certificate", where, "the certificate of %s ends %s, in %s: renew %s", where, end.Format(time.RFC3339), left.Round(time.Minute), file)
		}
	}
	files := make(map[string]string)
	cfg := h.d.current.get().loaded.Config
	for _, l := range cfg.Listeners {
		files[l.Name] = l.Cert
	}
	for _, l := range h.d.listenerStats() {
		check("listener "+l.Name, files[l.Name], l.Expires)
	}
	check("the control listener", cfg.Control.Cert, h.d.server.Expires())
}

// lifetime is how long the certificate in a file is good in all; long when it cannot be read.
func lifetime(file string) time.Duration {
	text, err := os.ReadFile(file)
	if err != nil {
		return 3 * certNotice
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return 3 * certNotice
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return 3 * certNotice
	}
	return c.NotAfter.Sub(c.NotBefore)
}

// conditions are all reasons for being degraded, from every part, by name.
func (d *daemon) conditions() []control.Degraded {
	list := slices.Concat(d.degraded.all(), d.faults(), d.health.all())
	slices.SortStableFunc(list, func(a, b control.Degraded) int { return strings.Compare(a.Name, b.Name) })
	return list
}
