package bench

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Options say what to measure.
type Options struct {
	Lines  int    // of a log
	Repeat int    // repetitions of each measurement
	Seed   uint64 // of the logs
	Pin    int    // the processor on which matching runs; negative: any
	Only   string // items to measure, by comma; empty: all

	Stockade string // path of the binary; empty: it is built
	Parser   string // path of sshg-parser; empty: where Debian has it
	Dir      string // for files of the run; must exist
	Profiles string // folder for perf's records of each stockade serve; empty: none. It must exist.

	// Progress is called before each measurement, with what is done and how much there is.
	Progress func(what string, done, all int)
}

// Report is a whole run.
type Report struct {
	Machine string    `json:"machine"`
	Go      string    `json:"go"`
	Time    time.Time `json:"time"`
	Lines   int       `json:"lines"`
	Repeat  int       `json:"repeat"`
	Seed    uint64    `json:"seed"`
	Results []*Result `json:"results"`
}

// run is what the items share.
type run struct {
	Options
	ctx          context.Context
	attack, calm *Corpus
	results      []*Result
	done, all    int

	what      string      // is measured
	recorders []*exec.Cmd // of profiles
}

// item is one group of measurements.
type item struct {
	name, help string
	turns      int // measurements a repetition, for the progress
	measure    func(*run) error
}

var items = []item{
	{"matching", "CPU a line: sshd's filter, the whole catalogue, fail2ban-regex, sshg-parser", 5, (*run).matching},
	{"streams", "lines a second and CPU a line over TCP, TLS and a unix socket, and rsyslogd", 10, (*run).streams},
	{"udp", "CPU a datagram, and what is lost", 2, (*run).datagrams},
	{"idle", "memory, time to ready, CPU without lines", 1, (*run).idle},
	{"growth", "CPU a line with twice as many jails, lines, sources, bans", 10, (*run).growth},
	{"memory", "memory with a million addresses", 1, (*run).addresses},
}

// Measure runs the items and returns what they found. A peer that is not installed is a result
// that says so.
func Measure(ctx context.Context, o Options) (*Report, error) {
	r := &run{Options: o, ctx: ctx, attack: Attack(o.Seed, o.Lines, Addresses), calm: Quiet(o.Seed, o.Lines)}
	var chosen []item
	for _, it := range items {
		if o.Only == "" || slices.Contains(strings.Split(o.Only, ","), it.name) {
			chosen = append(chosen, it)
			r.all += it.turns * o.Repeat
		}
	}
	if r.Stockade == "" {
		r.step("build stockade")
		r.Stockade = filepath.Join(o.Dir, "stockade")
		build := exec.CommandContext(ctx, "go", "build", "-o", r.Stockade, "stockade/cmd/stockade")
		build.Env = append(os.Environ(), "CGO_ENABLED=0") // as it is released
		if out, err := build.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("build stockade: %w: %s", err, last(string(out)))
		}
	}
	for _, it := range chosen {
		if err := it.measure(r); err != nil {
			return nil, fmt.Errorf("%s: %w", it.name, err)
		}
	}
	if err := r.recorded(); err != nil {
		return nil, err
	}
	for _, res := range r.results {
		res.settle()
	}
	return &Report{machine(), runtime.Version(), time.Now().Truncate(time.Second), o.Lines, o.Repeat, o.Seed, r.results}, nil
}

func (r *run) step(what string) {
	r.what = what
	if r.Progress != nil {
		r.Progress(what, min(r.done, r.all), r.all)
	}
}

// took says that one of the measurements is made.
func (r *run) took() { r.done++ }

// result adds a result to the report.
func (r *run) result(item, subject, unit string) *Result {
	res := &Result{Item: item, Subject: subject, Unit: unit}
	r.results = append(r.results, res)
	return res
}

// skip adds a result that says why there is none.
func (r *run) skip(item, subject string, why error) {
	r.result(item, subject, "").Skipped = why.Error()
}

// machine names the processors, and no host.
func machine() string {
	model := "unknown processor"
	text, err := os.ReadFile("/proc/cpuinfo")
	if err == nil {
		for line := range strings.Lines(string(text)) {
			if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	return fmt.Sprintf("%d cores, %s", runtime.NumCPU(), model)
}

// Main is the command: stockade-load bench. It returns an exit code: 0 measured, 1 failed, 2
// usage.
func Main(ctx context.Context, args []string, stdout, stderr io.Writer, progress func(what string, done, all int)) int {
	fs := flag.NewFlagSet("stockade-load bench", flag.ContinueOnError)
	fs.SetOutput(stderr)
	o := Options{Progress: progress}
	var file string
	var quiet bool
	fs.IntVar(&o.Lines, "lines", 100_000, "lines of a log")
	fs.IntVar(&o.Repeat, "repeat", 5, "repetitions")
	fs.Uint64Var(&o.Seed, "seed", 1, "seed of the logs")
	fs.IntVar(&o.Pin, "pin", -1, "processor on which matching runs; -1 is any")
	fs.StringVar(&o.Only, "only", "", "items to measure, by comma; default all: "+names())
	fs.StringVar(&o.Stockade, "stockade", "", "the stockade binary; default: it is built")
	fs.StringVar(&o.Parser, "sshg-parser", "", "path of sshg-parser; default: where packages put it")
	fs.StringVar(&o.Profiles, "perf", "", "also let perf record each stockade serve, a file each, into this folder")
	fs.StringVar(&file, "json", "", "also write the results to this file, - for standard output instead of the table")
	fs.BoolVar(&quiet, "quiet", false, "no progress on a terminal")
	fs.Usage = func() {
		fmt.Fprintln(stderr, "usage: stockade-load bench [flags]")
		fs.PrintDefaults()
		for _, it := range items {
			fmt.Fprintf(stderr, "  %-10s %s\n", it.name, it.help)
		}
	}
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	if err := o.check(fs.Args()); err != nil {
		fmt.Fprintf(stderr, "stockade-load bench: %v\n", err)
		return 2
	}
	if quiet {
		o.Progress = nil
	}
	if err := o.report(ctx, stdout, file); err != nil {
		fmt.Fprintf(stderr, "stockade-load bench: %v\n", err)
		return 1
	}
	return 0
}

func names() string {
	var list []string
	for _, it := range items {
		list = append(list, it.name)
	}
	return strings.Join(list, ",")
}

func (o *Options) check(rest []string) error {
	switch {
	case len(rest) > 0:
		return fmt.Errorf("unexpected argument %q", rest[0])
	case o.Lines < 1000 || o.Lines > 10_000_000:
		return fmt.Errorf("-lines %d: must be between 1000 and 10000000", o.Lines)
	case o.Repeat < 1 || o.Repeat > 1000:
		return fmt.Errorf("-repeat %d: must be between 1 and 1000", o.Repeat)
	case o.Pin >= runtime.NumCPU():
		return fmt.Errorf("-pin %d: must be below %d, the number of processors", o.Pin, runtime.NumCPU())
	}
	if o.Profiles != "" {
		if info, err := os.Stat(o.Profiles); err != nil || !info.IsDir() {
			return fmt.Errorf("-perf %q: must be a folder", o.Profiles)
		}
		if _, err := exec.LookPath("perf"); err != nil {
			return fmt.Errorf("-perf: %w (Debian package linux-perf)", err)
		}
	}
	if o.Only != "" {
		for _, name := range strings.Split(o.Only, ",") {
			if !slices.ContainsFunc(items, func(it item) bool { return it.name == name }) {
				return fmt.Errorf("-only %q: one or more of %s", name, names())
			}
		}
	}
	return nil
}

// report measures and prints.
func (o Options) report(ctx context.Context, stdout io.Writer, file string) error {
	dir, err := os.MkdirTemp("", "stockade-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	o.Dir = dir
	rep, err := Measure(ctx, o)
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(rep, "", "  ")
	if err != nil {
		return err
	}
	text = append(text, '\n')
	if file == "-" {
		_, err = stdout.Write(text)
		return err
	}
	fmt.Fprintf(stdout, "%s, %s, %d lines, %d repetitions, seed %d\n\n", rep.Machine, rep.Go, rep.Lines, rep.Repeat, rep.Seed)
	if err := Table(stdout, rep.Results); err != nil || file == "" {
		return err
	}
	return os.WriteFile(file, text, 0o644)
}
