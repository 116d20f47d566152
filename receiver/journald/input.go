package journald

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"stockade/receiver"
	"stockade/receiver/statefile"
)

// Options are what an Input is made from. Config, Registry, Open and Log must be set.
type Options struct {
	Config   Config             // as Validate accepts it
	Registry *receiver.Registry // its source is the one whose `journal` is the config's name
	Open     receiver.Opener    // called once for every run of journalctl
	StateDir string             // where the cursor is kept; "": nowhere, every start begins at the end
	Log      *slog.Logger
	Program  string   // of journalctl; "": found by PATH
	Args     []string // in front of the others, such as --directory=PATH
}

const (
	cursorKind   = "journal cursor"
	saveEvery    = 2 * time.Second
	firstBackoff = time.Second
	mostBackoff  = time.Minute
	worksAfter   = 5 * time.Second // that a journalctl without a record must run to be held for sound
	maxStderr    = 512             // bytes of journalctl's words that are logged
)

// Input reads the local journal through journalctl, begins at its end the first time and behind the
// last record it handed on ever after. Records are LevelKernel: journald took the writer's
// identity from the kernel. Its methods may be called concurrently; Run is called once.
type Input struct {
	o       Options
	log     *slog.Logger
	program string
	path    string // of the cursor; "" for none
	ready   chan struct{}
	once    sync.Once
	refused receiver.Refusals

	lines, bytes, restarts, truncated, continued, lost atomic.Int64
	running                                            atomic.Bool

	mu     sync.Mutex
	faulty time.Time // since when it does not work; zero while it does
	fault  error

	cursor  []byte // of the last record handed on; empty before the first
	saved   string
	savedAt time.Time
	last    positions
	began   time.Time     // of Run
	backoff time.Duration // the first one
	sound   time.Duration // worksAfter
}

// New returns an Input. It fails when there is no journalctl or its cursor cannot be read.
func New(o Options) (*Input, error) {
	in := &Input{
		o: o, program: o.Program, ready: make(chan struct{}), backoff: firstBackoff, sound: worksAfter,
		log: o.Log.With("component", "receiver", "journal", o.Config.Name),
	}
	if in.program == "" {
		p, err := exec.LookPath("journalctl")
		if err != nil {
			return nil, fmt.Errorf("journal %q: %w (hint: journals are read by journalctl of systemd)", o.Config.Name, err)
		}
		in.program = p
	}
	if o.StateDir == "" {
		return in, nil
	}
	in.path = filepath.Join(o.StateDir, "cursor-"+o.Config.Name+".state")
	switch _, err := statefile.Load(in.path, cursorKind, &in.saved); {
	case errors.Is(err, statefile.ErrCorrupt):
		in.log.Warn("the kept position is damaged, reading begins at the end", "err", err)
		in.saved = ""
	case err != nil:
		return nil, fmt.Errorf("journal %q: %w", o.Config.Name, err)
	}
	in.cursor = []byte(in.saved)
	if id, n, at, ok := parseCursor(in.cursor); ok {
		in.last.advance(id, n, at)
	}
	return in, nil
}

// Ready is closed when a record that is written from now on will be read.
func (in *Input) Ready() <-chan struct{} { return in.ready }

// String names the input: "journal local".
func (in *Input) String() string { return "journal " + in.o.Config.Name }

// Name returns the input's configured name.
func (in *Input) Name() string { return in.o.Config.Name }

// Stats are the counts of an Input since it was made.
type Stats struct {
	Name      string
	Running   bool      // journalctl runs
	Idle      time.Time // since when nothing is read, because journalctl ends; zero while it works
	Why       string    // why Idle, in words
	Entries   int64
	Bytes     int64 // of MESSAGE
	Truncated int64
	Continued int64 // records that continue one which their carrier cut
	Lost      int64 // messages that journald suppressed, and records gone before they were read
	Restarts  int64 // of journalctl
	Refused   []receiver.Refusal
}

// Stats returns a copy of the counts.
func (in *Input) Stats() Stats {
	in.mu.Lock()
	idle, why := in.faulty, ""
	if in.fault != nil {
		why = in.fault.Error()
	}
	in.mu.Unlock()
	return Stats{
		Idle: idle, Why: why,
		Name: in.o.Config.Name, Running: in.running.Load(), Entries: in.lines.Load(), Bytes: in.bytes.Load(),
		Truncated: in.truncated.Load(), Continued: in.continued.Load(), Lost: in.lost.Load(),
		Restarts: in.restarts.Load(), Refused: in.refused.All(),
	}
}

// Run reads until ctx is done and then returns nil. A journalctl that ends is started again, after
// one second at first and a minute at most.
func (in *Input) Run(ctx context.Context) error {
	defer in.save(true)
	in.began = time.Now()
	wait := in.backoff
	for {
		began := time.Now()
		err := in.follow(ctx)
		in.running.Store(false)
		if ctx.Err() != nil {
			return nil
		}
		if time.Since(began) > mostBackoff {
			wait = in.backoff
		}
		in.fail(err)
		in.log.Warn("journalctl ended, it is started again", "err", err, "after", wait)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		wait = min(2*wait, mostBackoff)
		in.restarts.Add(1)
	}
}

// fail notes that journalctl has ended. It is held for sound again when it has run for a while.
func (in *Input) fail(err error) {
	if err == nil {
		err = errors.New("journalctl ended")
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.fault = err; in.faulty.IsZero() {
		in.faulty = time.Now()
	}
}

func (in *Input) work() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.fault, in.faulty = nil, time.Time{}
}

// args are journalctl's. Without a cursor it begins with what was written since the first start:
// so nothing depends on when journalctl has found the end.
func (in *Input) args() []string {
	args := append(append([]string(nil), in.o.Args...), "--output=export", "--follow", "--quiet", "--no-tail")
	if len(in.cursor) > 0 {
		args = append(args, "--after-cursor="+string(in.cursor))
	} else {
		args = append(args, fmt.Sprintf("--since=@%d.%06d", in.began.Unix(), in.began.Nanosecond()/1000))
	}
	return append(args, in.o.Config.Matches...)
}

// follow runs journalctl once.
func (in *Input) follow(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := exec.CommandContext(ctx, in.program, in.args()...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 2 * time.Second
	words := &cutBuffer{}
	cmd.Stderr = words
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	in.running.Store(true)
	in.once.Do(func() { close(in.ready) })
	in.log.Info("reading the journal", "pid", cmd.Process.Pid)
	works := time.AfterFunc(in.sound, in.work)
	err = in.read(out)
	works.Stop()
	cancel() // after an error of the format it still runs
	if waitErr := cmd.Wait(); err == nil || errors.Is(err, io.EOF) {
		err = waitErr
	}
	if text := words.String(); text != "" {
		err = errors.Join(err, fmt.Errorf("journalctl said %q", text))
	}
	return err
}

// pipe flushes the sink and keeps the cursor before it waits for more.
type pipe struct {
	in   *Input
	sink receiver.Sink
	r    io.Reader
}

func (p *pipe) Read(b []byte) (int, error) {
	p.sink.Flush()
	p.in.save(false)
	return p.r.Read(b)
}

// read hands on the records of one run of journalctl.
func (in *Input) read(out io.Reader) error {
	p := &pipe{in: in, sink: in.o.Open(false), r: out}
	defer p.sink.Flush()
	r, m := NewReader(p), newMapper(in.o.Config.Name)
	for {
		rec, err := r.Next()
		if err != nil {
			return err
		}
		in.cursor = append(in.cursor[:0], rec.Get(Cursor)...)
		if id, n, at, ok := positionOf(rec); ok {
			in.sequence(id, n, at)
		}
		in.put(p.sink, &m, rec)
	}
}

// sequence counts the records that are missing. Where matches choose among records, or not all of
// them may be read, numbers are missing by right.
func (in *Input) sequence(id []byte, n uint64, at int64) {
	_, gap := in.last.advance(id, n, at)
	if gap == 0 || len(in.o.Config.Matches) > 0 || syscall.Geteuid() != 0 {
		return
	}
	lost := int64(min(gap, maxLoss)) //nolint:gosec // at most maxLoss
	in.lose(in.source(), lost, ReasonGap, nil)
}

func (in *Input) lose(s *receiver.Source, n int64, reason string, sample []byte) {
	if n == 0 {
		return
	}
	in.lost.Add(n)
	now := time.Now()
	in.refused.AddN(reason, now, sample, n)
	if s != nil {
		s.Refused.AddN(reason, now, sample, n)
	}
}

// source returns the source that the input feeds, nil when the configuration has none.
func (in *Input) source() *receiver.Source {
	for _, s := range in.o.Registry.Load().All() {
		if s.Journal == in.o.Config.Name {
			return s
		}
	}
	return nil
}

func (in *Input) put(sink receiver.Sink, m *mapper, rec *Record) {
	now := time.Now()
	s := in.source()
	switch {
	case s == nil:
		in.refused.Add(receiver.ReasonUnknownPeer, now, rec.Get(Message))
		return
	case rec.Oversize:
		in.refused.Add(ReasonOversize, now, rec.Get(Message))
		s.Refused.Add(ReasonOversize, now, rec.Get(Message))
		return
	}
	in.lose(s, loss(rec), ReasonSuppressed, rec.Get(Message))
	if len(rec.Get(Message)) == 0 {
		return
	}
	e := m.fill(rec, s, writerOf(rec), true, now)
	in.lines.Add(1)
	in.bytes.Add(int64(len(e.Text)))
	if e.Truncated {
		in.truncated.Add(1)
	}
	if e.Continued {
		in.continued.Add(1)
	}
	s.Seen(now)
	sink.Put(e)
}

// writerOf is the peer of a record of the local journal: the process that wrote it.
func writerOf(rec *Record) receiver.Peer {
	p := receiver.Peer{Level: receiver.LevelKernel, UID: -1, GID: -1, PID: -1}
	if uid, ok := number(rec.Get(UID)); ok && !rec.Conflict {
		p.UID = uid
	}
	if pid, ok := number(rec.Get(PID)); ok && !rec.Conflict {
		p.PID = pid
	}
	return p
}

// save keeps the cursor, at most every two seconds unless now.
func (in *Input) save(now bool) {
	if in.path == "" || string(in.cursor) == in.saved || !now && time.Since(in.savedAt) < saveEvery {
		return
	}
	in.savedAt = time.Now()
	cursor := string(in.cursor)
	if err := statefile.Save(in.path, cursorKind, cursor); err != nil {
		in.log.Warn("cannot keep the position in the journal", "err", err)
		return
	}
	in.saved = cursor
}

// cutBuffer keeps the first bytes of what a program says.
type cutBuffer struct{ b bytes.Buffer }

func (c *cutBuffer) Write(p []byte) (int, error) {
	c.b.Write(p[:min(len(p), max(0, maxStderr-c.b.Len()))])
	return len(p), nil
}

func (c *cutBuffer) String() string { return string(bytes.TrimSpace(c.b.Bytes())) }
