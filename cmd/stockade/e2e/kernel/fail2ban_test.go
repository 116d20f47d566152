package kernel

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"stockade/cmd/stockade/e2e/rig"
)

const (
	python     = "/usr/bin/python3" // the one that Debian's fail2ban is for
	sideRetry  = 5
	sideWindow = 10 * time.Minute
)

// event is one line of the log.
type event struct {
	at   time.Time
	addr netip.Addr // whose failure it is; invalid for any other line
}

// bruteForce makes a log of that many lines over six hours: addresses that fail at paces from far
// above the threshold to far below it, among lines of other programs.
func bruteForce(lines int) []event {
	random := rand.New(rand.NewPCG(1, 2))
	start := time.Date(2026, 3, 5, 6, 0, 0, 0, time.UTC)
	var all []event
	for addr := 0; len(all) < lines; addr++ {
		gap := math.Pow(10, 1.3+1.6*random.Float64()) // 20 s to 13 min
		at := start.Add(time.Duration(random.IntN(6*3600)) * time.Second)
		for range 1 + random.IntN(30) {
			all = append(all, event{at, numbered(addr)})
			if random.IntN(2) == 0 {
				all = append(all, event{at: at})
			}
			at = at.Add(time.Duration(gap*random.ExpFloat64()) * time.Second)
		}
	}
	all = all[:lines]
	slices.SortStableFunc(all, func(a, b event) int { return a.at.Compare(b.at) })
	return all
}

func (e event) line(pid int) string {
	now := e.at.Format(time.Stamp)
	if !e.addr.IsValid() {
		return fmt.Sprintf("%s server CRON[%d]: (root) CMD (true)", now, pid)
	}
	return fmt.Sprintf("%s server sshd[%d]: Failed password for root from %s port 4711 ssh2", now, pid, e.addr)
}

// verdict is what fail2ban made of an address.
type verdict struct {
	Banned bool  `json:"banned"`
	Counts []int `json:"counts"`
}

// explain finds the failure at which fail2ban and the exact window first decide differently, and
// says why: its counter had begun longer than one window before, so it was rescaled. why is ""
// when that is not the reason.
func (v verdict) explain(at []time.Time) (why string) {
	begin := 0 // of the failures that the counter is about
	for i := range at {
		exact := 0
		for j := begin; j <= i; j++ {
			if at[i].Sub(at[j]) <= sideWindow {
				exact++
			}
		}
		if (v.Counts[i] >= sideRetry) != (exact >= sideRetry) {
			if at[i].Sub(at[begin]) <= sideWindow {
				return ""
			}
			return fmt.Sprintf("at %s its counter says %d, %d failures lie in the window; rescaled, because it began at %s or later",
				at[i].Format(time.TimeOnly), v.Counts[i], exact, at[begin].Format(time.TimeOnly))
		}
		if v.Counts[i] >= sideRetry {
			begin = i + 1
		}
	}
	return ""
}

// TestBesideFail2ban compares verdicts on one log: where they differ, fail2ban's counter was
// rescaled, and ours is the exact window's.
func TestBesideFail2ban(t *testing.T) {
	rig.RequireRoot(t)
	rig.RequirePrograms(t, python)
	if err := exec.Command(python, "-c", "import fail2ban.server.filter").Run(); err != nil {
		rig.Require(t, false, "needs fail2ban-server (Debian's, with its modules for "+python+")")
	}
	log := bruteForce(rig.Size(4_000, 20_000, 200_000))
	theirs, theirTime := fail2banOn(t, log)
	ours, ourTime := stockadeOn(t, log)

	times := make(map[netip.Addr][]time.Time)
	for _, e := range log {
		if e.addr.IsValid() {
			times[e.addr] = append(times[e.addr], e.at)
		}
	}
	both, differ := 0, 0
	for addr, failures := range times {
		their, our := theirs[addr.String()], ours[addr]
		if exact := reaches(failures); our != exact {
			t.Errorf("%s: stockade says %v, the exact window %v: %v", addr, our, exact, failures)
		}
		if their.Banned == our {
			if our {
				both++
			}
			continue
		}
		differ++
		why := their.explain(failures)
		if why == "" {
			t.Errorf("%s: banned by fail2ban: %v, by stockade: %v, and no rescaled counter explains it: %v at %s", addr, their.Banned, our, their.Counts, clocks(failures))
		} else if differ <= 5 || rig.Long() {
			t.Logf("%s: fail2ban %v, stockade %v: %s", addr, their.Banned, our, why)
		}
	}
	t.Logf("%d lines, %d addresses, %d banned by both, %d differ, each for a rescaled counter; fail2ban took %s, stockade %s",
		len(log), len(times), both, differ, theirTime.Round(time.Millisecond), ourTime.Round(time.Millisecond))
	if both == 0 {
		t.Error("nobody was banned")
	}
}

// reaches reports whether so many failures ever lie in one window.
func reaches(at []time.Time) bool {
	for i := sideRetry - 1; i < len(at); i++ {
		if at[i].Sub(at[i-sideRetry+1]) <= sideWindow {
			return true
		}
	}
	return false
}

func clocks(at []time.Time) string {
	var all []string
	for _, t := range at {
		all = append(all, t.Format(time.TimeOnly))
	}
	return strings.Join(all, " ")
}

func fail2banOn(t *testing.T, log []event) (map[string]verdict, time.Duration) {
	t.Helper()
	var in, out bytes.Buffer
	for i, e := range log {
		fmt.Fprintf(&in, "%d\t%s\n", e.at.Unix(), e.line(10000+i))
	}
	cmd := exec.Command(python, "testdata/beside.py", fmt.Sprint(sideRetry), fmt.Sprint(int(sideWindow.Seconds())))
	cmd.Env = append(os.Environ(), "TZ=UTC")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = &in, &out, os.Stderr
	start := time.Now()
	if err := cmd.Run(); err != nil {
		t.Fatalf("fail2ban: %v", err)
	}
	took := time.Since(start)
	var all map[string]verdict
	if err := json.Unmarshal(out.Bytes(), &all); err != nil {
		t.Fatal(err)
	}
	return all, took
}

func stockadeOn(t *testing.T, log []event) (map[netip.Addr]bool, time.Duration) {
	t.Helper()
	dir := t.TempDir()
	var text strings.Builder
	for i, e := range log {
		text.WriteString(e.line(10000+i) + "\n")
	}
	config := fmt.Sprintf("jails:\n  - {name: sshd, filter: sshd, maxretry: %d, findtime: %s, bantime: 10d, increment: {enabled: false}}\n", sideRetry, sideWindow)
	file, logFile := filepath.Join(dir, "stockade.yaml"), filepath.Join(dir, "auth.log")
	if err := errors.Join(os.WriteFile(file, []byte(config), 0o644), os.WriteFile(logFile, []byte(text.String()), 0o644)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(rig.Program(t, "stockade"), "replay", "--json", "--config", file, "--timezone", "UTC", "--now", "2026-03-06T00:00:00Z", logFile)
	cmd.Stderr = os.Stderr
	start := time.Now()
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("replay: %v", err)
	}
	took := time.Since(start)
	banned := make(map[netip.Addr]bool)
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var b struct {
			Address string `json:"address"`
		}
		if err := dec.Decode(&b); errors.Is(err, io.EOF) {
			return banned, took
		} else if err != nil {
			t.Fatal(err)
		}
		if p, err := netip.ParsePrefix(b.Address); err == nil {
			banned[p.Addr()] = true
		}
	}
}
