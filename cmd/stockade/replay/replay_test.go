package replay_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"stockade/cmd/stockade/config"
	"stockade/cmd/stockade/replay"
)

// run replays logs and returns the bans.
func run(t *testing.T, o replay.Options) ([]replay.Ban, replay.Summary) {
	t.Helper()
	var bans []replay.Ban
	o.Zone = time.UTC
	o.OnBan = func(_ int, b *replay.Ban) { bans = append(bans, *b) }
	sums, err := replay.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return bans, sums[0]
}

// failures are n lines of sshd a minute apart, from a minute of 24 November on.
func failures(addr string, n, minute int) string {
	var b strings.Builder
	for i := range n {
		at := time.Date(2025, 11, 24, 10, minute+i, 0, 0, time.UTC).Format(time.Stamp)
		fmt.Fprintf(&b, "%s host sshd[%d]: Failed password for root from %s port 22 ssh2\n", at, 100+i, addr)
	}
	return b.String()
}

var clock = time.Date(2025, 11, 25, 0, 0, 0, 0, time.UTC)

func TestReplayCountsInTheLinesOwnTime(t *testing.T) {
	p := policyOf(t, policyText)
	t.Run("a ban runs out and the next is longer", func(t *testing.T) {
		text := failures("192.0.2.7", 5, 0) + failures("192.0.2.7", 4, 30) + failures("192.0.2.7", 5, 120)
		bans, sum := run(t, replay.Options{Policy: p, Logs: []string{"-"}, Stdin: strings.NewReader(text), Now: clock})
		if len(bans) != 2 || bans[0].Line != 5 || bans[1].Line != 14 || bans[1].End.Sub(bans[1].Start) != 4*time.Hour {
			t.Errorf("bans %+v: want one at line 5 and one of 4 h at line 14", bans)
		}
		if want := time.Date(2025, 11, 24, 10, 4, 0, 0, time.UTC); !bans[0].Start.Equal(want) {
			t.Errorf("begins %s, want %s", bans[0].Start, want)
		}
		if sum.Lines != 14 || sum.Failures != 14 || sum.Bans != 2 || sum.Addresses != 1 {
			t.Errorf("summary %+v", sum)
		}
	})
	t.Run("failures too far apart ban nobody", func(t *testing.T) {
		text := failures("192.0.2.7", 4, 0) + failures("192.0.2.7", 4, 14)
		if bans, _ := run(t, replay.Options{Policy: p, Logs: []string{"-"}, Stdin: strings.NewReader(text), Now: clock}); len(bans) != 0 {
			t.Errorf("bans %+v, want none", bans)
		}
	})
	t.Run("a protected address is not banned", func(t *testing.T) {
		text := failures("169.254.1.1", 9, 0)
		bans, sum := run(t, replay.Options{Policy: p, Logs: []string{"-"}, Stdin: strings.NewReader(text), Now: clock})
		if len(bans) != 0 || sum.Protected["link-local"] != 9 {
			t.Errorf("bans %+v, protected %v: want 9 failures of link-local", bans, sum.Protected)
		}
	})
}

// TestReplayHonoursListsOfRecidive: as serve does, a recidive jail leaves out what it ignores itself.
func TestReplayHonoursListsOfRecidive(t *testing.T) {
	p := policyOf(t, `
firewall: {backend: observe}
jails:
  - {name: sshd, filter: sshd, bantime: 10m, increment: {enabled: false}}
  - {name: recidive, filter: recidive, maxretry: 2, findtime: 1d, ignoreip: [192.0.2.8, "2001:db8:5::9"]}
`)
	var text string
	for minute := 0; minute < 60; minute += 30 {
		for i, addr := range []string{"192.0.2.7", "192.0.2.8", "2001:db8:5::1"} {
			text += failures(addr, 5, minute+5*i)
		}
	}
	bans, _ := run(t, replay.Options{Policy: p, Logs: []string{"-"}, Stdin: strings.NewReader(text), Now: clock})
	var got []string
	for _, b := range bans {
		if b.Jail == "recidive" {
			got = append(got, b.Address.String())
		}
	}
	if want := []string{"192.0.2.7/32", "2001:db8:5::1/128"}; !reflect.DeepEqual(got, want) {
		t.Errorf("recidive banned %v, want %v", got, want)
	}
}

func TestReplayMergesLogsByTime(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string) string {
		path := filepath.Join(dir, name)
		if strings.HasSuffix(name, ".gz") {
			var b bytes.Buffer
			z := gzip.NewWriter(&b)
			_, _ = z.Write([]byte(text)) // Close tells the error
			if err := z.Close(); err != nil {
				t.Fatal(err)
			}
			text = b.String()
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	older := put("auth.log.2.gz", failures("192.0.2.7", 3, 0))
	newer := put("auth.log", failures("192.0.2.7", 1, 3)+failures("192.0.2.7", 1, 6))
	beside := put("other.log", failures("192.0.2.7", 1, 4)+failures("192.0.2.8", 5, 5))
	p := policyOf(t, policyText)
	want := []string{"192.0.2.7/32 auth.log:2", "192.0.2.8/32 other.log:6"}
	want[0] = "192.0.2.7/32 other.log:1" // three, one, and this
	for _, logs := range [][]string{{older, newer, beside}, {beside, newer, older}, {newer, older, beside}} {
		bans, _ := run(t, replay.Options{Policy: p, Logs: logs, Now: clock})
		var got []string
		for _, b := range bans {
			got = append(got, fmt.Sprintf("%s %s:%d", b.Address, filepath.Base(b.File), b.Line))
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("logs %v: bans %v, want %v", logs, got, want)
		}
	}
}

func TestReplayIsTheSameWithAnyNumberOfWorkers(t *testing.T) {
	var text strings.Builder
	newTraffic().write(30_000, clock.Add(-20*time.Hour), 20*time.Hour, func(l string) { text.WriteString(l + "\n") })
	p := policyOf(t, policyText)
	var first []replay.Ban
	for _, workers := range []int{1, 2, 7} {
		bans, _ := run(t, replay.Options{Policy: p, Logs: []string{"-"}, Stdin: strings.NewReader(text.String()), Now: clock, Workers: workers})
		if first == nil {
			first = bans
		}
		if len(bans) == 0 || !reflect.DeepEqual(bans, first) {
			t.Errorf("%d workers: %d bans that differ from the %d of one worker", workers, len(bans), len(first))
		}
		for i := 1; i < len(bans); i++ {
			if bans[i].Start.Before(bans[i-1].Start) {
				t.Fatalf("ban %d is not in the order of time", i)
			}
		}
	}
}

func TestReplayReadsLinesWithoutAHeader(t *testing.T) {
	var text strings.Builder
	for i := range 4 {
		fmt.Fprintf(&text, "192.0.2.9 - bob [24/Nov/2025:10:00:0%d +0000] \"GET / HTTP/1.1\" 401 17\n", i)
	}
	p := policyOf(t, policyText+"tails: [{name: t, paths: [/var/log/nginx/*.log], app: nginx}]\n")
	bans, sum := run(t, replay.Options{Policy: p, Logs: []string{"-"}, Stdin: strings.NewReader(text.String())})
	if len(bans) != 0 || sum.Unheard != 4 {
		t.Errorf("%d bans, %d lines unheard: without an app name want 0 and 4", len(bans), sum.Unheard)
	}
	bans, _ = run(t, replay.Options{Policy: p, Logs: []string{"-"}, Stdin: strings.NewReader(text.String()), App: "nginx"})
	if len(bans) != 1 || bans[0].Line != 3 || bans[0].Start.Unix() != time.Date(2025, 11, 24, 10, 0, 2, 0, time.UTC).Unix() {
		t.Errorf("bans %+v, want one at line 3", bans)
	}
}

func TestReplayReadsJournalExports(t *testing.T) {
	var text strings.Builder
	for i := range 5 {
		us := time.Date(2025, 11, 24, 10, i, 0, 0, time.UTC).UnixMicro()
		fmt.Fprintf(&text, "__CURSOR=s=1;i=%d\n__REALTIME_TIMESTAMP=%d\n_HOSTNAME=h\nSYSLOG_IDENTIFIER=sshd\n_PID=%d\n"+
			"MESSAGE=Failed password for root from 192.0.2.7 port 22 ssh2\n\n", i, us, i+1)
	}
	bans, sum := run(t, replay.Options{Policy: policyOf(t, policyText), Logs: []string{"-"}, Stdin: strings.NewReader(text.String())})
	if len(bans) != 1 || bans[0].Line != 5 || sum.Lines != 5 || bans[0].Start.UTC().Minute() != 4 {
		t.Errorf("bans %+v of %d records, want one at the fifth", bans, sum.Lines)
	}
}

func TestReplayComparesTwoPolicies(t *testing.T) {
	text := failures("192.0.2.7", 5, 0) + failures("192.0.2.8", 3, 10)
	var d replay.Diff
	sums, err := replay.Run(t.Context(), replay.Options{
		Policy: policyOf(t, policyText), Against: policyOf(t, "jails: [{name: sshd, filter: sshd, maxretry: 3}]\n"),
		Logs: []string{"-"}, Stdin: strings.NewReader(text), Now: clock, Zone: time.UTC, OnBan: d.Add,
	})
	if err != nil || len(sums) != 2 || sums[0].Bans != 1 || sums[1].Bans != 2 {
		t.Fatalf("summaries %+v, %v: want 1 and 2 bans", sums, err)
	}
	var got []string
	for _, c := range d.List() {
		got = append(got, fmt.Sprint(c.Side, " ", c.Ban.Address, " ", c.Ban.Line))
	}
	if want := []string{"1 192.0.2.7/32 3", "0 192.0.2.7/32 5", "1 192.0.2.8/32 8"}; !reflect.DeepEqual(got, want) {
		t.Errorf("differences %v, want %v", got, want)
	}
}

func TestReplaySurvivesOddLines(t *testing.T) {
	text := strings.Repeat("x", 900<<10) + "\n\n\r\n" + failures("192.0.2.7", 5, 0) + strings.Repeat("y", 70<<10) + "\nNov 24 10:00:00"
	bans, sum := run(t, replay.Options{Policy: policyOf(t, policyText), Logs: []string{"-"}, Stdin: strings.NewReader(text), Now: clock})
	if len(bans) != 1 || bans[0].Line != 8 || sum.Lines != 10 {
		t.Errorf("bans %+v of %d lines, want one at line 8 of 10", bans, sum.Lines)
	}
}

func TestReplayRefuses(t *testing.T) {
	p := policyOf(t, policyText)
	for name, c := range map[string]struct {
		logs []string
		want string
	}{
		"a log that does not exist": {[]string{"/nonexistent/x.log"}, "no such file"},
		"a folder":                  {[]string{t.TempDir()}, "is a folder"},
		"standard input twice":      {[]string{"-", "-"}, "read once"},
		"a log that xz packed":      {[]string{write(t, "a.xz", "\xfd7zXZ\x00\x00\x04")}, "xz -dc"},
		"a damaged gzip file":       {[]string{write(t, "a.gz", "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03xx")}, "a.gz"},
		"a damaged export":          {[]string{write(t, "a.export", "__CURSOR=a\nMESSAGE=x\n\x00\x01\n")}, "journal export"},
	} {
		t.Run(name, func(t *testing.T) {
			defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
			_, err := replay.Run(t.Context(), replay.Options{Policy: p, Logs: c.logs, Stdin: strings.NewReader("")})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
	_, err := replay.Load(config.Options{File: write(t, "s.yaml", "jails: [{name: x, filter: nope}, {name: y, filter: {failregex: ['(']}}]\n"), Root: true})
	if err == nil || !strings.Contains(err.Error(), "nope") || !strings.Contains(err.Error(), `"y"`) {
		t.Errorf("error %v: want the faults of both jails", err)
	}
}

func TestReplayStopsWithItsContext(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	ctx, cancel := context.WithCancel(t.Context())
	endless := &repeater{text: []byte(failures("192.0.2.7", 5, 0))}
	_, err := replay.Run(ctx, replay.Options{
		Policy: policyOf(t, policyText), Logs: []string{"-"}, Stdin: endless, Now: clock, OnBan: func(int, *replay.Ban) { cancel() },
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that of the context", err)
	}
}

// repeater is a stream without an end.
type repeater struct {
	text []byte
	at   int
}

func (r *repeater) Read(b []byte) (int, error) {
	n := copy(b, r.text[r.at:])
	r.at = (r.at + n) % len(r.text)
	return n, nil
}

// TestLinesOfNoInterestCostNoMemory holds the way of a line that matches nothing to none of its own.
func TestLinesOfNoInterestCostNoMemory(t *testing.T) {
	line := "Nov 24 10:00:00 host sshd[77]: Server listening on 0.0.0.0 port 22.\nNov 24 10:00:00 host CRON[9]: (root) CMD (true)\n"
	p := policyOf(t, policyText)
	allocs := func(lines int) float64 {
		text := strings.Repeat(line, lines/2)
		return testing.AllocsPerRun(3, func() {
			if _, err := replay.Run(t.Context(), replay.Options{Policy: p, Logs: []string{"-"}, Stdin: strings.NewReader(text), Now: clock}); err != nil {
				t.Fatal(err)
			}
		})
	}
	few, many := allocs(20_000), allocs(100_000)
	if more := (many - few) / 80_000; more > 0.05 {
		t.Errorf("%.2f allocations a line (%.0f for 20,000 lines, %.0f for 100,000): want next to none", more, few, many)
	}
}

func BenchmarkReplay(b *testing.B) {
	var text strings.Builder
	const lines = 200_000
	newTraffic().write(lines, clock.Add(-20*time.Hour), 20*time.Hour, func(l string) { text.WriteString(l + "\n") })
	p := policyOf(b, policyText)
	b.SetBytes(int64(text.Len()))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := replay.Run(b.Context(), replay.Options{Policy: p, Logs: []string{"-"}, Stdin: strings.NewReader(text.String()), Now: clock}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(lines)*float64(b.N)/b.Elapsed().Seconds(), "lines/s")
}
