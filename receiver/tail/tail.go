package tail

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"stockade/receiver"
	"stockade/receiver/decode"
)

// Options are what a Tail is made from. Config, Registry, Open and Log must be set.
type Options struct {
	Config   Config             // as Validate accepts it
	Registry *receiver.Registry // its source is the one whose `tail` is the config's name
	Open     receiver.Opener    // called once
	StateDir string             // where positions are kept; "": nowhere
	Log      *slog.Logger

	// Cut takes the date out of a line without a syslog header: rest is the line without it, at the
	// time that it says, zero when unreadable; ok is false without a date. It is called by one
	// goroutine; rest need be valid only until the following call. nil leaves lines whole.
	Cut func(line []byte, now time.Time) (rest []byte, at time.Time, ok bool)
}

const (
	maxFiles    = 1024
	maxHeld     = 64                   // of files that no path names any more
	pollEvery   = time.Second          // slow look at everything
	scanPause   = 5 * time.Millisecond // between two looks at the names
	judgeEvery  = 5 * time.Second      // look at owners and modes
	heldFor     = 5 * time.Minute      // that a file without a path is kept open after its last line
	settleFor   = 3 * time.Second      // that a new file beside a followed one has to show whether it is a copy
	warnEvery   = time.Minute
	maxWarnings = 1024 // paths whose refusal is remembered for the log
)

// Tail follows the files of one entry of `tails`. Its methods may be called concurrently; Run is
// called once.
type Tail struct {
	o     Options
	log   *slog.Logger
	ready chan struct{}
	poll  time.Duration
	keep  time.Duration // heldFor
	deaf  bool          // without inotify

	refused                                                   receiver.Refusals
	entries, bytes, truncated, malformed, continued, rotation atomic.Int64
	following                                                 atomic.Int64
	view                                                      atomic.Pointer[view]
	forms                                                     [decode.Forms]atomic.Int64

	// All below belongs to the goroutine of Run.
	app      []byte
	notify   *notifier
	sink     receiver.Sink
	sources  *receiver.Sources
	source   *receiver.Source // nil: none binds the tail, nothing is read
	decoder  *decode.Decoder
	entry    receiver.Entry
	batch    batch
	buf      []byte
	joined   []byte
	now      time.Time
	order    []*file          // open, in the order in which they were found
	files    map[fileID]*file // open
	paths    map[string]*file // by path as found; open or closed
	heads    []print          // of contents that were read to their end
	ignored  map[fileID]print // matches that are copies of what was read
	waiting  map[fileID]time.Time
	warned   map[string]time.Time
	since    time.Time // of the last start's end; zero at the first start
	scanned  bool
	again    bool // names changed, or a match could not be judged yet
	changed  bool
	savedAt  time.Time
	lastScan time.Time
	before   time.Time // the scan before the last
}

// New returns a Tail. It opens no file yet; it fails when its state cannot be read.
func New(o Options) (*Tail, error) {
	t := &Tail{
		o: o, log: o.Log.With("component", "receiver", "tail", o.Config.Name), ready: make(chan struct{}),
		poll: pollEvery, keep: heldFor, app: []byte(o.Config.App),
		files: make(map[fileID]*file), paths: make(map[string]*file), ignored: make(map[fileID]print),
		waiting: make(map[fileID]time.Time), warned: make(map[string]time.Time),
	}
	t.view.Store(&view{worth: unjudged})
	if o.StateDir != "" {
		if info, err := os.Stat(o.StateDir); err != nil {
			return nil, fmt.Errorf("tail %q: %w", o.Config.Name, err)
		} else if !info.IsDir() {
			return nil, fmt.Errorf("tail %q: state folder %q is no folder", o.Config.Name, o.StateDir)
		}
	}
	return t, nil
}

// Ready is closed when all files are open that there are, each at its position.
func (t *Tail) Ready() <-chan struct{} { return t.ready }

// String names the tail: "tail web-log".
func (t *Tail) String() string { return "tail " + t.o.Config.Name }

// Name returns the tail's configured name.
func (t *Tail) Name() string { return t.o.Config.Name }

// Stats are the counts of a Tail since it was made.
type Stats struct {
	Name      string
	Files     int64               // open
	Worth     Worth               // of the least trusted of them; without any of them its Why says so
	Idle      time.Time           // since when no path names a file that is read; zero while one does
	Why       string              // why Idle, in words
	Entries   [decode.Forms]int64 // by decode.Form
	Bytes     int64               // of lines
	Truncated int64               // lines longer than MaxLine
	Malformed int64               // lines that break their own format's rules; their text is whole
	Continued int64               // lines that continue one which its carrier cut
	Rotations int64               // that were followed
	Refused   []receiver.Refusal  // files that are not read, and what rotations took away unread
}

// Stats returns a copy of the counts.
func (t *Tail) Stats() Stats {
	s := Stats{
		Name: t.o.Config.Name, Files: t.following.Load(), Bytes: t.bytes.Load(), Truncated: t.truncated.Load(),
		Malformed: t.malformed.Load(), Continued: t.continued.Load(), Rotations: t.rotation.Load(), Refused: t.refused.All(),
	}
	for i := range s.Entries {
		s.Entries[i] = t.forms[i].Load()
	}
	v := t.view.Load()
	s.Worth, s.Idle, s.Why = v.worth, v.idle, v.why
	return s
}

// Run follows the files until ctx is done, keeps its positions and returns nil.
func (t *Tail) Run(ctx context.Context) error {
	m, err := t.remember()
	if err != nil {
		return err
	}
	t.buf = make([]byte, bufferSize)
	t.notify = newNotifier(t.deaf)
	t.sink = t.o.Open(false)
	defer t.shut()
	if m != nil {
		t.resume(m)
	}
	t.scan()
	t.log.Info("following", "files", len(t.order), "paths", t.o.Config.Paths)
	if t.notify.failed != nil {
		t.log.Warn("files are only looked at once a second", "err", t.notify.failed)
	}
	close(t.ready)
	for ctx.Err() == nil {
		t.read(ctx)
		t.expire()
		t.save(false)
		wait := t.poll
		if t.again {
			wait = min(wait, scanPause)
		}
		if t.notify.wait(ctx, t.lastScan.Add(wait)) {
			t.again = true
		}
		passed := time.Since(t.lastScan)
		if passed >= t.poll || t.again && passed >= min(scanPause, t.poll) {
			t.scan()
			for _, f := range t.order {
				f.dirty = f.dirty || passed >= t.poll
			}
		}
	}
	return nil
}

// shut hands on and keeps what was read, and closes all files.
func (t *Tail) shut() {
	if t.source != nil {
		t.settle()
	}
	t.sink.Flush()
	t.save(true)
	for _, f := range t.order {
		t.shutFile(f)
	}
	t.notify.close()
	t.following.Store(0)
	t.log.Info("stopped")
}

func (t *Tail) shutFile(f *file) {
	t.notify.forgetFile(f)
	closeFD(f.fd)
	f.fd = -1
}

// refresh finds the source and its zone in the current configuration.
func (t *Tail) refresh() {
	now := t.o.Registry.Load()
	if now == t.sources {
		return
	}
	t.sources, t.source = now, nil
	for _, s := range now.All() {
		if s.Tail == t.o.Config.Name {
			t.source = s
			t.decoder = decode.New(s.Location())
		}
	}
	if t.source == nil {
		t.log.Warn("no source binds the tail: nothing is read",
			"hint", fmt.Sprintf("sources: [{name: NAME, tail: %s, jails: [\"*\"]}]", t.o.Config.Name))
	}
}

// read hands on all lines there are. Files without a path come first and are read to their end, so
// that lines come in the order in which they were written.
func (t *Tail) read(ctx context.Context) {
	t.refresh()
	if t.source == nil {
		return
	}
	for turn := 0; ctx.Err() == nil; turn++ {
		f := t.next(turn)
		if f == nil {
			break
		}
		t.now = time.Now()
		f.dirty = t.step(f)
		t.settle()
		t.save(false)
	}
	t.sink.Flush()
}

// next returns a file that may have something to read, nil when none has.
func (t *Tail) next(turn int) *file {
	for _, f := range t.order {
		if f.dirty && f.held() {
			return f
		}
	}
	for i := range t.order {
		if f := t.order[(turn+i)%len(t.order)]; f.dirty {
			return f
		}
	}
	return nil
}

// step reads once and hands on the whole lines. It reports whether there may be more.
func (t *Tail) step(f *file) (more bool) {
	k := len(f.before)
	n, err := pread(f.fd, t.buf, f.at-int64(k))
	if err != nil {
		t.refuse(f.path, ReasonOpen, err)
		return false
	}
	if n < k || string(t.buf[:k]) != string(f.before) {
		t.truncate(f)
		return true
	}
	data := t.buf[k:n]
	if f.at == 0 && f.head.N > 0 && (n < f.head.N || printOf(data[:f.head.N]) != f.head) {
		t.truncate(f) // no whole line had come yet
		return true
	}
	if f.at == 0 && len(data) > 0 && !f.finite && !f.checked {
		if t.unseen(f) {
			return true
		}
		f.checked = true
	}
	if end := f.at + int64(len(data)); end != f.size {
		f.size, f.touch, t.changed = end, t.now, true
	}
	if f.at == int64(k) && f.head.N < min(n, headSize) { // the buffer begins where the file does
		f.head = printOf(t.buf[:min(n, headSize)])
	}
	used := t.lines(f, data)
	if used > 0 {
		t.changed = true
		f.at += int64(used)
		f.before = append(f.before[:0], t.buf[max(0, k+used-beforeSize):k+used]...)
	}
	if n == len(t.buf) {
		return true
	}
	if f.finite {
		t.finish(f)
	}
	return false
}
