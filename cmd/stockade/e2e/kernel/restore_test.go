package kernel

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"stockade/cmd/stockade/e2e/rig"
	"stockade/jails/state"
)

// TestRestoreAtStart: a state with many bans, from the start of the process until every ban is in
// the kernel and the daemon answers: into an empty kernel, onto what a stopped daemon left there,
// and onto what a killed one did.
func TestRestoreAtStart(t *testing.T) {
	bans := rig.Size(5_000, 100_000, 1_000_000)
	// The start of a daemon without bans, of which the disk may need a part, and 100,000 bans within 1 s on
	// two processors.
	bar := 200*time.Millisecond + time.Duration(bans)*10*time.Microsecond
	d := newDaemon(t, killConfig)
	end := fillState(t, filepath.Join(d.Dir, "state"), bans)
	for _, how := range []string{"into an empty kernel", "onto a persisted table", "after kill -9"} {
		d.start()
		took := d.Took // without the build of the program
		ran, waited := d.times()
		t.Logf("%d bans %s: %s until the kernel is complete; processor time %s, waited %s for a processor; peak memory %d MiB",
			bans, how, took.Round(time.Millisecond), ran.Round(time.Millisecond), waited.Round(time.Millisecond), d.Memory("VmHWM")>>20)
		if ran > 2*5*bar {
			t.Errorf("%s: processor time %s; two processors have %s", how, ran, 2*bar)
		}
		if waited < ran/10 && took > 5*bar {
			t.Errorf("%s: took %s, bar %s", how, took, bar)
		}
		d.checkRestored(bans, end, bans <= 5_000 || bans <= 100_000 && how == "into an empty kernel")
		sig := syscall.SIGTERM
		if how == "onto a persisted table" {
			sig = syscall.SIGKILL
		}
		d.signal(sig)
	}
}

// fillState makes a state folder with so many bans and returns their end.
func fillState(t *testing.T, dir string, bans int) time.Time {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s, err := state.Open(state.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	end := time.Now().Add(24 * time.Hour)
	for i := range bans {
		s.Ban(state.Ban{Jail: "sshd", Prefix: netip.PrefixFrom(numbered(i), 32), End: end, Reason: "5 failures within 10m0s", Source: "server", Trust: "address",
			Evidence: []state.Evidence{{Source: "server", Trust: "address", Raw: "Failed password for root from 192.0.2.7 port 4711 ssh2"}}})
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return end
}

// nftLimit is how many elements a set may have for the program nft to be asked about it: whatever it is asked,
// it lists the set first, which costs it two minutes at 1,000,000.
const nftLimit = 200_000

// checkRestored asks nft for every ban, or for 500 of them where listing a set takes the kernel long.
// The daemon has read every element back by its key.
func (d *daemon) checkRestored(bans int, end time.Time, whole bool) {
	d.T.Helper()
	if whole {
		all := d.set("ban4")
		wrong := 0
		for _, got := range all {
			if off := got.Sub(end).Abs(); off > 3*time.Second+d.listing { // nft tells whole seconds
				wrong++
			}
		}
		if len(all) != bans || wrong > 0 {
			d.T.Errorf("nft lists %d elements, want %d; %d with another end", len(all), bans, wrong)
		}
	} else if bans <= nftLimit {
		var keys []string
		for i := 0; i < bans; i += bans / 500 {
			keys = append(keys, numbered(i).String())
		}
		d.checkHeld(keys)
		if err := d.nft("get element inet stockade ban4 { " + numbered(bans).String() + " }"); err == nil {
			d.T.Error("an address that is not banned is in the set")
		}
	}
	n := 0
	for _, b := range d.bans() {
		if b.Enforced {
			n++
		}
	}
	if n != bans {
		d.T.Errorf("%d bans are shown as enforced, want %d", n, bans)
	}
}

// checkHeld asks nft for each of the addresses.
func (d *daemon) checkHeld(addrs []string) {
	d.T.Helper()
	for some := range slices.Chunk(addrs, 50) { // nft 1.0.6 dies of 500
		if err := d.nft("get element inet stockade ban4 { " + strings.Join(some, ", ") + " }"); err != nil {
			d.T.Error(err)
		}
	}
}
