package nft

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stockade/firewall"
)

// TestFaultsOfNetlink is E7: whatever the kernel answers, what is reported as enforced is there,
// and what is there is not reported as failed for long.
func TestFaultsOfNetlink(t *testing.T) {
	t.Parallel()
	requireKernel(t)
	for _, fault := range []struct {
		name     string
		err      error
		times    int
		enforced bool
	}{
		{"the answer is lost after the commit", errUnknown, 1, true},
		{"the kernel is busy for a moment", unix.EBUSY, 2, true},
		{"the call is interrupted", unix.EINTR, 2, true},
		{"the call is to be started again", unix.ERESTART, 2, true},
		{"try again", unix.EAGAIN, 2, true},
		{"no memory for a moment", unix.ENOMEM, 3, true},
		{"no memory for long", unix.ENOMEM, 1000, false},
	} {
		t.Run(fault.name, func(t *testing.T) {
			e := openIn(t, newNamespace(t))
			left := 0
			e.sent = func(err error) error {
				if left > 0 && err == nil {
					left--
					return fault.err
				}
				return err
			}
			for _, p := range []string{"192.0.2.7/32", "2001:db8:7::/64"} {
				left = fault.times
				results, err := e.Apply(context.Background(), []firewall.Change{banChange(p, "", time.Hour)})
				if err != nil {
					t.Fatal(err)
				}
				if r := results[0]; r.Enforced != fault.enforced || !r.Enforced && !errors.Is(r.Err, fault.err) {
					t.Errorf("%+v", r)
				}
			}
			left = 0
			applyAll(t, e, []firewall.Change{banChange("192.0.2.7/32", "", 2*time.Hour), banChange("2001:db8:7::/64", "", 2*time.Hour)})
			if n := count(t, e); n != 2 {
				t.Errorf("%d elements, want 2", n)
			}
		})
	}
}

// TestLostAnswers shrinks the buffers of the sockets until answers are lost.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	requireKernel(t)
	e := openIn(t, newNamespace(t))
	for _, l := range []*link{e.reader, e.writer} {
		_ = l.raw.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 1) })
		_ = l.raw.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF, 8<<10) })
	}
	var changes []firewall.Change
	for i := range 5000 {
		changes = append(changes, banChange(netip.AddrFrom4([4]byte{100, 64, byte(i >> 8), byte(i)}).String()+"/32", "", time.Hour))
	}
	applyAll(t, e, changes)
	if n := count(t, e); n != len(changes) {
		t.Errorf("%d elements, want %d", n, len(changes))
	}
	for i := range changes {
		changes[i].Remove = true
	}
	applyAll(t, e, changes)
	if n := count(t, e); n != 0 {
		t.Errorf("%d elements are left", n)
	}
}

// TestWithoutCapability is E9: a clear error, at once. It runs itself as a plain user.
func TestWithoutCapability(t *testing.T) {
	const marker = "STOCKADE_TEST_NFT_PLAIN"
	if os.Getenv(marker) != "" {
		for _, err := range []error{Available(), func() error { _, err := Open(Options{Config: firewall.DefaultConfig()}); return err }()} {
			if !errors.Is(err, firewall.ErrCapability) || !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "CAP_NET_ADMIN") {
				t.Errorf("error %v", err)
			}
		}
		fmt.Println("told")
		return
	}
	requireKernel(t, "setpriv")
	start := time.Now()
	cmd := exec.Command("setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin", "/proc/self/fd/3", "-test.run=^TestWithoutCapability$")
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = self.Close() }()
	cmd.ExtraFiles = []*os.File{self}
	cmd.Env = append(os.Environ(), marker+"=1", inUserNamespace+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "told") {
		t.Errorf("%v\n%s", err, out)
	}
	t.Logf("told after %s", time.Since(start))
}

// TestMethodsTakeTurns calls everything at once, for the race detector.
func TestMethodsTakeTurns(t *testing.T) {
	t.Parallel()
	requireKernel(t)
	e := openIn(t, newNamespace(t), func(o *Options) { o.Config.Owner = "off" })
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	watched := make(chan error, 1)
	go func() { watched <- e.Watch(ctx, func(Loss) {}) }()
	for worker := range 3 {
		wg.Go(func() {
			for i := range 30 {
				p := netip.AddrFrom4([4]byte{100, 64, byte(worker), byte(i)}).String() + "/32"
				c := banChange(p, []firewall.Scope{"", "22", "80/tcp"}[i%3], time.Hour)
				if results, err := e.Apply(ctx, []firewall.Change{c, banChange("198.51.100.0/24", "", time.Hour)}); err != nil || !results[0].Enforced {
					t.Errorf("%+v, %v", results, err)
				}
				_ = e.Elements(ctx, func(firewall.Element, firewall.Counters) bool { return true })
				_, _ = e.Usage(ctx, []firewall.Element{c.Element})
				_, _ = e.Witnessed(ctx, []netip.Addr{c.Prefix.Addr()})
				_ = e.Protect(ctx, []netip.Prefix{netip.MustParsePrefix("203.0.113.1/32")})
				_, _ = e.Reconcile(ctx, slices.Values([]firewall.Element{c.Element}), firewall.ForeignIgnore)
				_ = e.tidy(time.Now())
			}
		})
	}
	wg.Wait()
	if n := count(t, e); n != 91 {
		t.Errorf("%d elements, want 91", n)
	}
	cancel()
	if err := <-watched; err != nil {
		t.Errorf("Watch: %v", err)
	}
}
