package state

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// victimDir tells the test binary to be the process that is killed.
const victimDir = "STOCKADE_TEST_STATE_VICTIM"

func TestMain(m *testing.M) {
	if dir := os.Getenv(victimDir); dir != "" {
		if err := beVictim(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// victimEnd is the end of the ban of the n-th address.
func victimEnd(n uint32) time.Time {
	return time.Date(2100, 1, 1, 0, 0, int(n%100000), 0, time.UTC)
}

// beVictim bans addresses from eight goroutines, unbans every fourth, and says on stdout what is
// durable: "+n" a ban, "-n" that it was lifted. Before an unban it says "?n". It runs until it is
// killed.
func beVictim(dir string) error {
	s, err := Open(Options{Dir: dir, SnapshotEvery: 3 * time.Millisecond})
	if err != nil {
		return err
	}
	ctx := context.Background()
	var mu sync.Mutex
	say := func(what string, n uint32) {
		mu.Lock()
		defer mu.Unlock()
		if _, err := fmt.Printf("%s%d\n", what, n); err != nil {
			os.Exit(0)
		}
	}
	start := uint32(time.Now().UnixNano()) &^ 0xff0000ff
	for worker := range uint32(8) {
		go func() {
			for i := uint32(0); ; i++ {
				n := worker<<28 | (start+i)&0x0fffffff
				b, _ := s.Ban(Ban{Jail: "sshd", Prefix: addr4(n), End: victimEnd(n)})
				if s.WaitDurable(ctx, b.Seq) != nil {
					return
				}
				say("+", n)
				if i%4 == 3 {
					say("?", n)
					s.Unban(b.Prefix, "sshd")
					if s.WaitDurable(ctx, s.Logged()) != nil {
						return
					}
					say("-", n)
				}
			}
		}()
	}
	fmt.Println("ready")
	return s.Run(ctx)
}

// D1: kill -9 at random moments loses no ban that was acknowledged, and brings none back that was
// lifted.
func TestKill9(t *testing.T) {
	rounds := size(3, 50, 1000)
	dir := t.TempDir()
	rnd := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	want := map[uint32]string{}
	acked := 0
	for round := range rounds {
		from := "+" // most rounds have something that was acknowledged, however slow the machine is
		if round%4 == 3 {
			from = "ready"
		}
		for n, what := range killVictim(t, dir, from, time.Duration(rnd.IntN(40000))*time.Microsecond) {
			want[n] = what
			if what == "+" {
				acked++
			}
		}
		got := checkKilled(t, dir, round, want)
		for n := range want {
			if _, held := got[n]; !held {
				delete(want, n) // lifted, for good
			}
		}
		for n := range got {
			want[n] = "+"
		}
		if len(want) > 20000 {
			clear(want)
			dir = t.TempDir()
		}
	}
	if acked < rounds/2 {
		t.Errorf("only %d bans were acknowledged in %d rounds", acked, rounds)
	}
	t.Logf("%d kills, %d acknowledged bans, none lost", rounds, acked)
}

// killVictim lets the victim run for a while after its first line that begins so, and returns the last
// word on each address.
func killVictim(t *testing.T, dir, from string, after time.Duration) map[uint32]string {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), victimDir+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := map[uint32]string{}
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		t.Fatalf("the victim says nothing: %v", cmd.Wait())
	}
	kill := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	defer kill.Stop()
	timed := false
	for line := lines.Text(); ; line = lines.Text() {
		if !timed && strings.HasPrefix(line, from) {
			kill.Reset(after)
			timed = true
		}
		var n uint32
		if line != "ready" {
			if _, err := fmt.Sscanf(line[1:], "%d", &n); err != nil {
				break // cut off by the kill
			}
			said[n] = line[:1]
		}
		if !lines.Scan() {
			break
		}
	}
	if err := cmd.Wait(); err == nil {
		t.Fatal("the victim ended by itself")
	}
	return said
}

// checkKilled opens what the victim left and returns the bans there.
func checkKilled(t *testing.T, dir string, round int, want map[uint32]string) map[uint32]time.Time {
	t.Helper()
	s := testStore(t, Options{Dir: copyDir(t, dir)})
	if r := s.Recovery(); r.FellBack || r.Damaged > 0 {
		t.Fatalf("round %d: %+v", round, r)
	}
	got := map[uint32]time.Time{}
	for _, b := range s.Bans("sshd") {
		n := number(b.Prefix)
		got[n] = b.End
		if d := b.End.Sub(victimEnd(n)); d.Abs() > 2*time.Second {
			t.Fatalf("round %d: ban of %s ends %s off", round, b.Prefix, d)
		}
	}
	for n, what := range want {
		_, held := got[n]
		if what == "+" && !held {
			t.Fatalf("round %d: acknowledged ban of %s is lost", round, addr4(n))
		}
		if what == "-" && held {
			t.Fatalf("round %d: lifted ban of %s is back", round, addr4(n))
		}
	}
	return got
}

func number(p netip.Prefix) uint32 {
	a := p.Addr().As4()
	return binary.BigEndian.Uint32(a[:])
}
