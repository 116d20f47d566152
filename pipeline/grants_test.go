package pipeline

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"stockade/firewall"
	"stockade/jails"
	"stockade/jails/filter"
	"stockade/jails/state"
	"stockade/receiver"
	"stockade/receiver/decode"
)

var long = flag.Bool("long", false, "run the long forms of the tests")

// many is the number of steps of a test: under -short, else, and under -long.
func many(short, normal, most int) int {
	switch {
	case *long:
		return most
	case testing.Short():
		return short
	}
	return normal
}

const (
	matrixSources = 20
	matrixJails   = 20
)

// matrixLevels are what the four transports prove: unixgram, tls, tcp, udp.
var matrixLevels = []receiver.Level{receiver.LevelKernel, receiver.LevelTLS, receiver.LevelAddress, receiver.LevelSpoofable}

// matrix is a random configuration of 20 sources on each of four transports and 20 jails.
type matrix struct {
	jails   []jails.Config
	sources []receiver.SourceConfig // by transport, then by number
}

func newMatrix(rnd *rand.Rand) *matrix {
	m := &matrix{}
	for j := range matrixJails {
		c := jails.Config{
			Name:   fmt.Sprintf("jail%d", j),
			Apps:   []string{fmt.Sprintf("app%d", j)},
			Filter: jails.FilterConfig{FailRegex: []string{fmt.Sprintf(`^refused%d <HOST>$`, j)}},
		}
		if rnd.IntN(3) == 0 {
			c.MinTrust = []string{"spoofable", "address", "tls", "kernel"}[rnd.IntN(4)]
		}
		m.jails = append(m.jails, c)
	}
	some := func(of string, n, outOf int) (list []string) {
		for i := range outOf {
			if rnd.IntN(outOf) < n {
				list = append(list, fmt.Sprintf("%s%d", of, i))
			}
		}
		return list
	}
	for t := range matrixLevels {
		for i := range matrixSources {
			s := receiver.SourceConfig{
				Name: fmt.Sprintf("source%d-%d", t, i), Listener: fmt.Sprintf("listener%d", t),
				Jails: some("jail", 6, matrixJails), Quota: receiver.QuotaConfig{Word: "none"}, AcceptSpoofable: rnd.IntN(2) == 0,
			}
			switch rnd.IntN(4) {
			case 0:
				s.Jails = []string{"*"}
			case 1:
				s.Apps = some("app", 12, matrixJails)
			case 2:
				s.Hostnames = []string{"host1", "host2"}
			}
			switch matrixLevels[t] {
			case receiver.LevelKernel:
				s.UID = []uint32{uint32(1000 + i)} //nolint:gosec // small
			case receiver.LevelTLS:
				s.Certificate.SAN = fmt.Sprintf("host%d.lan", i)
			default:
				s.Addresses = []string{fmt.Sprintf("192.0.2.%d", i)}
			}
			m.sources = append(m.sources, s)
		}
	}
	return m
}

// peer is what source i proves on transport t.
func (m *matrix) peer(t, i int) receiver.Peer {
	p := receiver.Peer{Level: matrixLevels[t], UID: -1, GID: -1, PID: -1}
	switch p.Level {
	case receiver.LevelKernel:
		p.UID = int64(1000 + i)
	case receiver.LevelTLS:
		p.Cert = &receiver.Certificate{Names: []string{fmt.Sprintf("host%d.lan", i)}}
		p.Addr = netip.MustParseAddrPort("203.0.113.1:6514")
	default:
		p.Addr = netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), 514)
	}
	return p
}

// counts is the plain model: whether a line that the jail's pattern matches is to count.
func (m *matrix) counts(t, i, j int, host string, app string) bool {
	s, jail := &m.sources[t*matrixSources+i], &m.jails[j]
	switch {
	case app != jail.Apps[0]:
		return false
	case len(s.Apps) > 0 && !slices.Contains(s.Apps, app):
		return false
	case len(s.Hostnames) > 0 && !slices.Contains(s.Hostnames, host):
		return false
	case s.Jails == nil || s.Jails[0] != "*" && !slices.Contains(s.Jails, jail.Name):
		return false
	}
	least := map[string]int{"spoofable": 3, "": 2, "address": 2, "tls": 1, "kernel": 0}[jail.MinTrust]
	return t <= least || jail.MinTrust == "" && s.AcceptSpoofable
}

// victim is the address that the cell's lines name.
func victim(t, i, j int) netip.Addr {
	return netip.AddrFrom4([4]byte{198, 18, byte(t*matrixSources + i), byte(j)})
}

// newMatrixRig runs a pipeline with the matrix; no jail bans before its last line.
func newMatrixRig(t *testing.T, m *matrix, maxRetry int) *rig {
	t.Helper()
	sources, err := receiver.NewSources(m.sources, nil)
	if err != nil {
		t.Fatal(err)
	}
	var bound []Bound
	for _, c := range m.jails {
		c.MaxRetry = &maxRetry
		j, err := jails.New(jails.Defaults(), c, os.ReadFile)
		if err != nil {
			t.Fatal(err)
		}
		f, err := filter.Compile(filter.Spec{Name: c.Name, FailRegex: c.Filter.FailRegex})
		if err != nil {
			t.Fatal(err)
		}
		bound = append(bound, Bound{Jail: j, Filter: f})
	}
	quotas := NewQuotas()
	quotas.Set(sources.All(), func(*receiver.Source) bool { return false })
	admission := Admission{quotas, NewSuccesses()}
	store, err := state.Open(state.Options{Admit: admission.Admit})
	if err != nil {
		t.Fatal(err)
	}
	fw := &flaky{Observe: firewall.NewObserve()}
	p := New(Options{Plan: NewPlan(bound, sources.All()), Guard: NewGuard(), Store: store, Admission: admission, Enforcer: fw, Log: slog.New(slog.DiscardHandler), Workers: 2})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	<-p.Ready()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	r := &rig{Pipeline: p, fw: fw, sources: make(map[string]*receiver.Source)}
	for _, s := range sources.All() {
		r.sources[s.Name] = s
	}
	return r
}

// resolves checks that each identity is its source's, and that of no source on another transport.
func (m *matrix) resolves(t *testing.T) {
	t.Helper()
	sources, err := receiver.NewSources(m.sources, nil)
	if err != nil {
		t.Fatal(err)
	}
	for level := range matrixLevels {
		for i := range matrixSources {
			peer := m.peer(level, i)
			for other := range matrixLevels {
				s := sources.Resolve(fmt.Sprintf("listener%d", other), &peer)
				is := s != nil && s.Name == fmt.Sprintf("source%d-%d", level, i)
				if is != (other == level) {
					t.Fatalf("peer %d of transport %d is %v on transport %d", i, level, s, other)
				}
			}
		}
	}
}

// judged puts the entries and waits until the workers have dealt with every match.
func (r *rig) judged(t *testing.T, entries ...*receiver.Entry) {
	t.Helper()
	r.send(t, entries...)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := r.Ping(ctx); err != nil {
		t.Fatal(err)
	}
}

func (r *rig) matrixLine(m *matrix, t, i, j int, host, app string) *receiver.Entry {
	text := fmt.Sprintf("refused%d %s", j, victim(t, i, j))
	return &receiver.Entry{
		Message:  decode.Message{Facility: 4, Severity: 5, Hostname: []byte(host), App: []byte(app), Text: []byte(text), Repeat: 1},
		Received: time.Now(), Source: r.sources[fmt.Sprintf("source%d-%d", t, i)], Peer: m.peer(t, i), Raw: []byte(text),
	}
}

// TestGrantMatrix is bar C6: every cell of 20 sources, 20 jails and 4 transports bans just where a
// plain model says so.
func TestGrantMatrix(t *testing.T) {
	const seeds = 2
	for seed := range uint64(seeds) {
		m := newMatrix(rand.New(rand.NewPCG(seed, 5)))
		m.resolves(t)
		r := newMatrixRig(t, m, 3)
		var lines []*receiver.Entry
		want := make(map[string]bool)
		for level := range matrixLevels {
			for i := range matrixSources {
				for j := range matrixJails {
					host := []string{"host1", "host2", "host3", ""}[(i+j)%3]
					app := m.jails[j].Apps[0]
					lines = append(lines, repeat(3, r.matrixLine(m, level, i, j, host, app))...)
					if m.counts(level, i, j, host, app) {
						want[victim(level, i, j).String()+"/32"] = true
					}
				}
			}
		}
		r.judged(t, lines...)
		held := r.enforced(t)
		for p := range held {
			if !want[p] {
				t.Errorf("seed %d: %s is banned outside the grants", seed, p)
			}
		}
		for p := range want {
			if _, ok := held[p]; !ok {
				t.Errorf("seed %d: %s is not banned within the grants", seed, p)
			}
		}
		if len(want) < 300 || len(want) > 1300 {
			t.Errorf("seed %d: %d of 1600 cells are open: the matrix shows little", seed, len(want))
		}
		t.Logf("C6: %d cells, %d of them open: 0 bans outside the grants, 0 missed inside", len(matrixLevels)*matrixSources*matrixJails, len(want))
	}
}

// TestGrantMatrixAtRandom sends random lines, with host and app names at random, and compares the
// failures that each source was counted with.
func TestGrantMatrixAtRandom(t *testing.T) {
	rnd := rand.New(rand.NewPCG(6, 5))
	m := newMatrix(rnd)
	r := newMatrixRig(t, m, 1000)
	total := many(20_000, 100_000, 1_000_000)
	want := make(map[string]int64)
	hosts := []string{"host1", "host2", "host3"}
	var failures int64
	for sent := 0; sent < total; {
		batch := make([]*receiver.Entry, 0, 5000)
		for range min(cap(batch), total-sent) {
			level, i, j := rnd.IntN(len(matrixLevels)), rnd.IntN(matrixSources), rnd.IntN(matrixJails)
			host, app := hosts[rnd.IntN(len(hosts))], m.jails[j].Apps[0]
			if rnd.IntN(8) == 0 {
				app = m.jails[rnd.IntN(matrixJails)].Apps[0]
			}
			e := r.matrixLine(m, level, i, j, host, app)
			batch = append(batch, e)
			if m.counts(level, i, j, host, app) {
				want[e.Source.Name]++
				failures++
			}
		}
		r.judged(t, batch...)
		sent += len(batch)
	}
	for name, s := range r.sources {
		if got := s.Failures.Load(); got != want[name] {
			t.Errorf("source %s: %d failures counted, the model says %d", name, got, want[name])
		}
	}
	t.Logf("C6: %d random lines, %d within the grants, as the model says", total, failures)
}
