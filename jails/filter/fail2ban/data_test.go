package fail2ban

import (
	"bufio"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// The clock and the zone of the recorded samples.
var sampleNow = time.Unix(1124013600, 0)

const sampleZone = "Europe/Zurich"

// record is one sample line, what its author expects, and what fail2ban saw.
type record struct {
	ID, Instance, Filter, Input, Line string
	Options                           map[string]string
	Seq                               int
	JournalTime                       float64 `json:"journal_time"`
	Expect                            struct {
		Match bool
		Time  *float64 `json:"time_epoch"`
		Attrs map[string]any
	}
	Observed *struct {
		Subject string
		Date    *struct {
			Template, Text string
			Cut            []int
		}
		Failures []struct {
			Regex    int
			ID       any
			Time     float64
			Attempts int
		}
	}
}

// dataFolder returns the folder with fail2ban's files, or an empty string after saying why there
// is none. Where a folder was named it must be there.
func dataFolder(t testing.TB) string {
	t.Helper()
	dir, named := os.LookupEnv("STOCKADE_FAIL2BAN")
	if !named || dir == "" {
		dir = filepath.Join("..", "..", "..", "..", "shared", "fail2ban")
	}
	_, err := os.Stat(filepath.Join(dir, "filter.d"))
	switch {
	case err == nil:
		return dir
	case named && os.Getenv("STOCKADE_REQUIRE") == "all":
		t.Fatalf("STOCKADE_FAIL2BAN: %v", err)
	case named:
		t.Skipf("STOCKADE_FAIL2BAN: %v", err)
	default:
		t.Logf("fail2ban's files are not here, nothing is compared: %v", err)
	}
	return ""
}

// records reads every samples*.jsonl of the folder, in the order of each instance.
func records(t testing.TB, dir string) []record {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "samples*.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	var all []record
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		var own []record
		in := bufio.NewScanner(f)
		in.Buffer(nil, 8<<20)
		for in.Scan() {
			if len(in.Bytes()) == 0 {
				continue
			}
			var r record
			if err := json.Unmarshal(in.Bytes(), &r); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			own = append(own, r)
		}
		if err := errors.Join(in.Err(), f.Close()); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		slices.SortStableFunc(own, func(a, b record) int {
			if a.Instance != b.Instance {
				return 0
			}
			return a.Seq - b.Seq
		})
		all = append(all, own...)
	}
	return all
}

// filterFile returns where a filter is: in filter.d, or in the filter.d of a folder below.
func filterFile(dir, name string) string {
	path := filepath.Join(dir, "filter.d", name+".conf")
	if _, err := os.Stat(path); err == nil {
		return path
	}
	for _, deep := range []string{"*", "*/*", "*/*/*"} {
		if list, err := filepath.Glob(filepath.Join(dir, deep, "filter.d", name+".conf")); err == nil && len(list) > 0 {
			return list[0]
		}
	}
	return path
}

// decodeFile reads a JSON file of the folder, and reports whether it is there.
func decodeFile(t testing.TB, dir, name string, into any) bool {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		t.Logf("no %s", name)
		return false
	}
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return true
}

func zone(t testing.TB) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(sampleZone)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}
