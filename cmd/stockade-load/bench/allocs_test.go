package bench

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"stockade/jails"
	"stockade/jails/filter/catalogue"
	"stockade/jails/state"
)

var update = flag.Bool("update", false, "write what is measured to testdata/allocations.json")

const (
	allocationFile = "testdata/allocations.json"
	regression     = 1.10 // of what is recorded
	trifle         = 0.01 // allocations a line that are none: a table that grows once
)

// allocation is what a line costs in memory, and in patterns that are tried.
type allocation struct {
	Allocs   float64 `json:"allocs"`             // a line
	Bytes    float64 `json:"bytes"`              // a line
	Searches float64 `json:"searches,omitempty"` // a line, after what its beginning and its literals leave
}

// TestAllocations compares what a line allocates, and how many patterns are tried on it, with what is
// recorded. Unlike time these are the same on every machine, so that a tenth more is a fault of the
// change. After a change that is worth it:
// go test ./cmd/stockade-load/bench -run Allocations -update.
func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	all := catalogue.Names()
	got := map[string]allocation{
		"match, sshd, attack":        matchAllocations(t, []string{"sshd"}, Attack(1, 5000, 500)),
		"match, catalogue, attack":   matchAllocations(t, all, Attack(1, 5000, 500)),
		"match, catalogue, quiet":    matchAllocations(t, all, Quiet(1, 5000)),
		"count, a first failure":     firstFailures(t),
		"count, of a banned address": bannedFailures(t),
	}
	if *update {
		text, err := json.MarshalIndent(got, "", "  ")
		if err == nil {
			err = os.WriteFile(allocationFile, append(text, '\n'), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(allocationFile)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]allocation{}
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want) {
		t.Errorf("%d measurements, %d are recorded", len(got), len(want))
	}
	for name, a := range got {
		t.Logf("%s: %.3f allocations, %.1f bytes and %.3f searches a line", name, a.Allocs, a.Bytes, a.Searches)
		w, recorded := want[name]
		if !recorded || a.Allocs > regression*w.Allocs+trifle || a.Bytes > regression*w.Bytes+1 {
			t.Errorf("%s: %.3f allocations and %.1f bytes a line, recorded are %.3f and %.1f", name, a.Allocs, a.Bytes, w.Allocs, w.Bytes)
		}
		if a.Searches > regression*w.Searches {
			t.Errorf("%s: %.3f searches a line, recorded are %.3f", name, a.Searches, w.Searches)
		}
	}
}

// allocated is what n turns of work allocate, each.
func allocated(n int, work func(i int)) allocation {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range n {
		work(i)
	}
	runtime.ReadMemStats(&after)
	return allocation{
		Allocs: float64(after.Mallocs-before.Mallocs) / float64(n),
		Bytes:  float64(after.TotalAlloc-before.TotalAlloc) / float64(n),
	}
}

func matchAllocations(t *testing.T, filters []string, log *Corpus) allocation {
	t.Helper()
	set, err := newSet(filters)
	if err != nil {
		t.Fatal(err)
	}
	m := newMatching(set)
	lines := bytes.Split(bytes.TrimSuffix(log.File, []byte("\n")), []byte("\n"))
	for range 2 { // what is made once is no cost of a line
		for _, line := range lines {
			m.take(line)
		}
	}
	before := m.matcher.Stats().Searches
	a := allocated(len(lines), func(i int) { m.take(lines[i]) })
	a.Searches = float64(m.matcher.Stats().Searches-before) / float64(len(lines))
	return a
}

const counted = 20_000

func counting(t *testing.T) (*state.Store, *jails.Jail) {
	t.Helper()
	s, err := state.Open(state.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	j, err := jails.New(jails.Defaults(), jails.Config{Name: "sshd", Filter: jails.FilterConfig{Name: "sshd"}},
		func(string) ([]byte, error) { return nil, nil })
	if err != nil {
		t.Fatal(err)
	}
	return s, j
}

func offender(i int) netip.Prefix { return netip.PrefixFrom(address(i), 32) }

func firstFailures(t *testing.T) allocation {
	s, j := counting(t)
	now := time.Now()
	return allocated(counted, func(i int) {
		s.Fail(j, state.Failure{Jail: j.Name, Prefix: offender(i), Addr: address(i), Time: now, Received: now, Attempts: 1,
			Evidence: state.Evidence{Time: now, Received: now, Source: "web1", Trust: "address", User: "root", Raw: "Failed password for root from 198.18.0.1 port 4000 ssh2"}})
	})
}

func bannedFailures(t *testing.T) allocation {
	s, j := counting(t)
	for i := range Addresses {
		s.Ban(state.Ban{Jail: j.Name, Prefix: offender(i)})
	}
	r := s.NewRecent()
	r.FailBanned(j, offender(0), 1)
	return allocated(counted, func(i int) {
		if !r.FailBanned(j, offender(i%Addresses), 1) {
			t.Fatal("it is banned")
		}
	})
}
