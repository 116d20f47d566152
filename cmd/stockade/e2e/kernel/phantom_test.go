package kernel

import (
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stockade/cmd/stockade/e2e/rig"
)

// TestKillAboveTheSearchLimit is TestKillTheDaemon for a daemon with more bans than it looks through
// the kernel's sets for: a build takes ten for many. As after a kill in the worst moment, the
// journal lacks its last records. What the kernel then holds and no ban stands behind is found by the
// notes in memory alone, and goes.
func TestKillAboveTheSearchLimit(t *testing.T) {
	d := newDaemon(t, killConfig)
	program := rig.Program(t, "stockade")
	if !testing.Short() { // another build takes longer than the rest; the sets are searched then
		program = filepath.Join(rig.OpenDir(t), "stockade")
		if out, err := exec.Command("go", "build", "-tags", "stockade_faults", "-o", program, "stockade/cmd/stockade").CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	d.moveSocket()
	few := func(cmd *exec.Cmd) {
		i := slices.Index(cmd.Args, rig.Program(t, "stockade"))
		cmd.Args[i] = program
	}
	random := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
	d.Start(few)
	sent, phantoms, rounds := 0, 0, rig.Size(1, 2, 100)
	for round := range rounds {
		sent = d.loadAndKill(sent, time.Duration(random.IntN(200))*time.Millisecond, make(map[netip.Addr]time.Time))
		before := d.set("ban4")
		d.cutJournal(1000 + random.Int64N(1000)) // four records at least
		d.Start(few)
		bans := make(map[netip.Addr]bool)
		for _, b := range d.bans() {
			bans[b.Address.Addr()] = true
		}
		after := d.setOf("ban4", len(bans))
		for a := range bans {
			if _, ok := after[a]; !ok {
				t.Fatalf("round %d: the ban of %s is not in the kernel", round, a)
			}
		}
		if len(after) != len(bans) {
			t.Fatalf("round %d: %d elements in the kernel, %d bans", round, len(after), len(bans))
		}
		for a := range before {
			if !bans[a] {
				phantoms++
			}
		}
	}
	if phantoms < rounds {
		t.Errorf("only %d elements had no ban behind them in %d rounds", phantoms, rounds)
	}
	t.Logf("%d kills: %d addresses sent; %d elements that no ban stood behind, all gone", rounds, sent, phantoms)
}

// moveSocket puts the control socket into memory, as /run has it.
func (d *daemon) moveSocket() {
	d.T.Helper()
	dir := filepath.Join(d.Dir, "run")
	err := os.Mkdir(dir, 0o700)
	if err == nil {
		err = unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64m")
	}
	if err != nil {
		d.T.Fatal(err)
	}
	d.T.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			d.T.Error(err)
		}
	})
	d.Socket = filepath.Join(dir, "control.sock")
	d.Rewrite(common + killConfig)
}

// cutJournal takes so many bytes from the end of the newest journal.
func (d *daemon) cutJournal(n int64) {
	d.T.Helper()
	files, err := filepath.Glob(filepath.Join(d.Dir, "state", "journal-*"))
	if err != nil || len(files) == 0 {
		d.T.Fatalf("no journal: %v", err)
	}
	var newest os.FileInfo
	path := ""
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			d.T.Fatal(err)
		}
		if newest == nil || info.ModTime().After(newest.ModTime()) {
			newest, path = info, f
		}
	}
	if err := os.Truncate(path, max(newest.Size()-n, 20)); err != nil {
		d.T.Fatal(err)
	}
}
