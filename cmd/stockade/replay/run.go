package replay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"stockade/jails/filter/dates"
	"stockade/jails/state"
)

// maxWorkers bounds Options.Workers.
const maxWorkers = 64

// Options say what to replay.
type Options struct {
	Policy  *Policy
	Against *Policy // nil: no second one is compared

	Logs    []string  // files, plain or compressed by gzip or bzip2; "-" is Stdin
	Stdin   io.Reader // for "-"
	App     string    // of lines without a syslog header, where no tail of Policy names one
	Source  string    // that all lines come from; "": each log's own name
	Now     time.Time // chooses the year of dates without one; zero: when a file was last written
	Zone    *time.Location
	Workers int // 0: one per processor

	// OnBan is called with each ban that would have been, in the order of time: side 0 is Policy's,
	// 1 that of Against. Two policies are counted in the same pass.
	OnBan func(side int, b *Ban)
	// Progress is called now and then with the bytes read so far, as they are on disk, and all of
	// them, 0 when that is unknown. It must be quick. nil: nobody asks.
	Progress func(read, total int64)
}

func (o *Options) sides() []*Policy {
	if o.Against == nil {
		return []*Policy{o.Policy}
	}
	return []*Policy{o.Policy, o.Against}
}

// Ban is a ban that would have been.
type Ban struct {
	Jail     string
	Address  netip.Prefix
	Ports    []string // empty: everything
	Start    time.Time
	End      time.Time // zero: permanent
	Reason   string
	Source   string
	User     string // that the deciding line names
	Failures int
	Count    int  // how many bans of the address in this jail, this one included
	Shadow   bool // of a jail that does not enforce
	File     string
	Line     int64  // in File, of the deciding line, from 1; of a journal export: the record
	Raw      string // the deciding line, at most 1,024 bytes
}

func newBan(b *state.Ban, f state.Failure, l *origin) *Ban {
	out := &Ban{
		Jail: b.Jail, Address: b.Prefix, Start: b.Start, End: b.End, Reason: b.Reason, Source: b.Source, User: f.Evidence.User,
		Failures: b.Failures, Count: b.Count, Shadow: b.Shadow, File: l.file, Line: l.number, Raw: l.raw,
	}
	if b.Scope != "" {
		out.Ports = strings.Split(b.Scope, ",")
	}
	return out
}

// Summary is what a policy made of all lines.
type Summary struct {
	Lines     int64
	Undated   int64     // lines without a date of their own: the time of the line before counts
	Unheard   int64     // lines without a syslog header that no jail listens to, for want of an app name
	First     time.Time // of all dated lines; zero without one
	Last      time.Time
	Matched   int64
	Failures  int64
	Successes int64
	Unproven  int64            // failures that one spoofed packet can cause: serve asks the kernel for a witness
	Protected map[string]int64 // failures of addresses that are never banned, by reason
	Bans      int64
	Shadow    int64    // bans of jails that do not enforce
	Addresses int64    // distinct ones with a ban of any kind
	Lost      int64    // windows given up for want of room that were near a ban
	Widening  []string // jails that also ban networks (widen), which is not replayed
	Names     []string // DNS names of lists, each with its list in brackets, which are not looked up
	Took      time.Duration
}

// Run replays the logs and returns a summary of each side. It returns when everything is read, when
// ctx is done, or with the first error of a log.
func Run(ctx context.Context, o Options) ([]Summary, error) {
	began := time.Now()
	o.setDefaults()
	var read atomic.Int64
	inputs, err := openAll(&o, &read)
	defer func() {
		for _, in := range inputs {
			in.close()
		}
	}()
	if err != nil {
		return nil, err
	}
	stop := o.report(inputs, &read)
	defer stop()
	var counters []*counter
	for side, p := range o.sides() {
		counters = append(counters, newCounter(p, func(b *Ban) { o.OnBan(side, b) }))
	}
	var sum counts
	m := &merger{o: &o, dates: dates.Default(dates.Options{Location: o.Zone}), sum: &sum}
	var failed error
	err = m.run(ctx, inputs, func(in *input, b *block, h *hit) {
		failed = errors.Join(failed, counters[h.side].take(in, b, h))
	})
	if err = errors.Join(err, failed); err != nil {
		return nil, err
	}
	out := make([]Summary, len(counters))
	for i, c := range counters {
		s := c.summary()
		s.Lines, s.Undated, s.Unheard = sum.lines, sum.undated, sum.unheard
		if sum.last != 0 {
			s.First, s.Last = unix(sum.first), unix(sum.last)
		}
		for _, j := range o.sides()[i].jails {
			if j.Widen != nil {
				s.Widening = append(s.Widening, j.Name)
			}
		}
		s.Names = slices.Clone(o.sides()[i].names)
		s.Took = time.Since(began)
		out[i] = s
	}
	return out, nil
}

func (o *Options) setDefaults() {
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	o.Workers = min(o.Workers, maxWorkers)
	if o.Zone == nil {
		o.Zone = time.Local
	}
	if o.OnBan == nil {
		o.OnBan = func(int, *Ban) {}
	}
}

func openAll(o *Options, read *atomic.Int64) ([]*input, error) {
	var all []*input
	stdin := false
	for _, name := range o.Logs {
		if name == "-" {
			if stdin {
				return all, fmt.Errorf("log %q: standard input is read once", name)
			}
			stdin = true
		}
		in, err := open(name, o.Stdin, read)
		if err != nil {
			return all, err
		}
		all = append(all, in)
		if o.Source != "" {
			in.source = o.Source
		}
		if !o.Now.IsZero() {
			in.clock = o.Now
		}
		if in.app = o.App; in.app == "" {
			in.app = o.Policy.app(name)
		}
	}
	return all, nil
}

// report calls Progress several times a second until stop is called, and then once more.
func (o *Options) report(inputs []*input, read *atomic.Int64) (stop func()) {
	if o.Progress == nil {
		return func() {}
	}
	total := int64(0)
	for _, in := range inputs {
		if in.size == 0 {
			total = 0
			break
		}
		total += in.size
	}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				o.Progress(read.Load(), total)
			case <-done:
				o.Progress(read.Load(), total)
				return
			}
		}
	}()
	return func() {
		close(done)
		<-ended
	}
}
