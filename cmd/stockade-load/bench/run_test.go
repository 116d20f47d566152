package bench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"stockade/jails/filter/catalogue"
)

func TestCorpusIsTheSameForASeed(t *testing.T) {
	a, b, other := Attack(7, 3000, 50), Attack(7, 3000, 50), Attack(8, 3000, 50)
	if !bytes.Equal(a.File, b.File) || !bytes.Equal(a.Wire, b.Wire) || bytes.Equal(a.File, other.File) {
		t.Error("the bytes of a log do not depend on its seed alone")
	}
}

func TestAttackIsSixtyPercentFailures(t *testing.T) {
	c := Attack(1, 6000, 300)
	offender := regexp.MustCompile(`sshd\[\d+\]: (\S+ \S+).* (198\.18\.\d+\.\d+) port`)
	kinds, seen := map[string]int{}, map[string]bool{}
	for line := range strings.Lines(string(c.File)) {
		if m := offender.FindStringSubmatch(line); m != nil {
			kinds[m[1]]++
			seen[m[2]] = true
		}
	}
	total := 0
	for _, n := range kinds {
		total += n
	}
	if share := float64(total) / float64(c.Lines); math.Abs(share-0.6) > 0.02 || len(seen) != 300 || len(kinds) != 4 {
		t.Errorf("%.3f of the lines are failures, from %d addresses, of kinds %v", share, len(seen), kinds)
	}
	if n := bytes.Count(c.File, []byte("\n")); n != c.Lines || n != bytes.Count(c.Wire, []byte("\n<"))+1 {
		t.Errorf("%d lines in the file and %d on the wire, want %d", n, bytes.Count(c.Wire, []byte("\n<"))+1, c.Lines)
	}
}

// count matches a log with the whole catalogue.
func count(t *testing.T, c *Corpus) matched {
	t.Helper()
	var out bytes.Buffer
	if err := childMatch(catalogue.Names(), bytes.NewReader(c.File), &out); err != nil {
		t.Fatal(err)
	}
	var got matched
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.Lines != c.Lines {
		t.Fatalf("%s: %d lines of %d", c.Name, got.Lines, c.Lines)
	}
	return got
}

func TestWhatMatches(t *testing.T) {
	if got := count(t, Quiet(1, 2000)); got.Matches != 0 {
		t.Errorf("%d lines of the quiet log match", got.Matches)
	}
	if got := count(t, Attack(1, 2000, 50)); got.Failures < 1100 || got.Failures > 1300 {
		t.Errorf("%d of 2000 lines of the attack are failures", got.Failures)
	}
	mixed, err := Mixed(1, 2000)
	if err != nil {
		t.Fatal(err)
	}
	if got := count(t, mixed); got.Matches < 500 {
		t.Errorf("%d of 2000 samples match", got.Matches)
	}
}

func TestDistinctAddresses(t *testing.T) {
	seen := map[netip.Addr]bool{}
	for line := range strings.Lines(string(Distinct(1, 1000).File)) {
		for f := range strings.FieldsSeq(line) {
			if a, err := netip.ParseAddr(f); err == nil {
				seen[a] = true
			}
		}
	}
	if len(seen) != 1000 {
		t.Errorf("%d addresses, want 1000", len(seen))
	}
}

func TestRatioIsOfTheSameRepetition(t *testing.T) {
	a := &Result{Subject: "a", Samples: []float64{2, 20, 200}}
	b := &Result{Subject: "b", Samples: []float64{1, 10, 100}}
	a.settle()
	a.compare(b)
	a.atMost(1.5)
	if a.Median != 20 || a.Ratio != 2 || a.Against != "b" || *a.Met || a.Target != "<= 1.50" {
		t.Errorf("%+v, met %v", a, *a.Met)
	}
	if a.Spread != 2.475 { // the quartiles are 11 and 110
		t.Errorf("spread %v, want 2.475", a.Spread)
	}
	none := &Result{}
	none.settle()
	none.compare(b)
	none.atLeast(0)
	if *none.Met {
		t.Error("what was not measured meets its target")
	}
}

func TestTable(t *testing.T) {
	met := true
	var out strings.Builder
	err := Table(&out, []*Result{
		{Item: "matching", Subject: "stockade", Unit: "ns CPU/line", Samples: []float64{1, 2}, Median: 571.25, Spread: 0.031, Ratio: 0.5, Against: "sshg-parser", Target: "<= 0.5", Met: &met},
		{Item: "matching", Subject: "rsyslogd", Skipped: "not installed"},
	})
	want := `| what     | subject  | median          | ±   | ratio | to          | target |     |
|----------|----------|-----------------|-----|-------|-------------|--------|-----|
| matching | stockade | 571 ns CPU/line | 3 % | 0.5   | sshg-parser | <= 0.5 | met |
| matching | rsyslogd | skipped: not installed |     |       |             |        |     |
`
	if got := out.String(); err != nil || got != want {
		t.Errorf("%v, got\n%s\nwant\n%s", err, got, want)
	}
}

// TestMatchingItem measures in earnest, on few lines, with a parser that is not there.
func TestMatchingItem(t *testing.T) {
	if testing.Short() {
		t.Skip("a measurement")
	}
	t.Setenv("PATH", t.TempDir()) // no peers
	var steps []string
	rep, err := Measure(t.Context(), Options{
		Lines: 2000, Repeat: 2, Seed: 1, Pin: 0, Only: "matching", Dir: t.TempDir(), Stockade: "not used", Parser: "/nonexistent",
		Progress: func(what string, done, all int) { steps = append(steps, fmt.Sprint(what, done, all)) },
	})
	if err == nil || !strings.Contains(err.Error(), "/nonexistent") {
		t.Errorf("error %v, want one that names the parser", err)
	}
	if rep != nil || len(steps) != 4 {
		t.Errorf("%d steps, want 4", len(steps))
	}
}

func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"-h"}, 0, "usage: stockade-load bench"},
		{[]string{"-nosuch"}, 2, "not defined"},
		{[]string{"more"}, 2, `unexpected argument "more"`},
		{[]string{"-lines", "1"}, 2, "-lines 1: must be between 1000 and 10000000"},
		{[]string{"-repeat", "0"}, 2, "-repeat 0: must be between 1 and 1000"},
		{[]string{"-pin", "100000"}, 2, "-pin 100000: must be below"},
		{[]string{"-only", "matching,speed"}, 2, `-only "speed": one or more of matching,streams`},
		{[]string{"-perf", "no such folder"}, 2, `-perf "no such folder": must be a folder`},
	} {
		var stdout, stderr bytes.Buffer
		if code := Main(t.Context(), c.args, &stdout, &stderr, nil); code != c.code || !strings.Contains(stderr.String(), c.says) {
			t.Errorf("%q exits with %d, want %d, and says %q, want %q", c.args, code, c.code, stderr.String(), c.says)
		}
	}
}

// TestReport runs the command on the matcher alone and reads its JSON.
func TestReport(t *testing.T) {
	if testing.Short() {
		t.Skip("a measurement")
	}
	t.Setenv("PATH", t.TempDir()) // no peers
	if _, err := os.Stat(parserPaths[0]); err == nil {
		t.Log("sshg-parser is measured, too")
	}
	file := filepath.Join(t.TempDir(), "report.json")
	var stdout, stderr bytes.Buffer
	args := []string{"-lines", "2000", "-repeat", "1", "-only", "matching", "-stockade", "not used", "-json", file}
	if code := Main(t.Context(), args, &stdout, &stderr, nil); code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var rep Report
	if err := json.Unmarshal(text, &rep); err != nil {
		t.Fatal(err)
	}
	if rep.Lines != 2000 || rep.Repeat != 1 || !strings.Contains(rep.Machine, " cores, ") || len(rep.Results) != 5 {
		t.Errorf("%s", text)
	}
	for _, want := range []string{"stockade, whole catalogue", "skipped: not installed (Debian package fail2ban)", rep.Machine} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("it prints no %q:\n%s", want, stdout.String())
		}
	}
}
