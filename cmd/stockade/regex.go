package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"stockade/jails/filter"
)

// maxRegexLine is how much of a line is looked at, in bytes; the rest of a longer one is skipped.
const maxRegexLine = 64 << 10

// regexOptions are the flags of `regex`.
type regexOptions struct {
	filter, regex  bool // what the second argument is, whatever it looks like
	now            string
	timezone       string
	allMatched     bool
	allMissed      bool
	noMissed       bool
	allIgnored     bool
	noIgnored      bool
	verbose        bool
	out            string // print this of each failure, and no report
	datePattern    string
	clock          time.Time
	location       *time.Location
	log, pattern   string
	ignore         string
	patternIsRegex bool
}

func (a *app) regex() *cobra.Command {
	var o regexOptions
	c := &cobra.Command{
		Use:   "regex LOG|LINE|- FILTER|REGEX [IGNOREREGEX]",
		Short: "Try a filter or a regular expression on log lines",
		Long: `Try a filter or a regular expression on log lines, without a daemon.

The first argument is - for standard input, an existing file, or else a line. The second is a
regular expression if it has a < or a space, a fail2ban filter file with [options] if it has a /
or begins with fail2ban:, and otherwise the name of a native filter, such as sshd[mode=aggressive].`,
		Args: cobra.RangeArgs(2, 3),
	}
	f := c.Flags()
	f.BoolVar(&o.filter, "filter", false, "the second argument names a filter")
	f.BoolVar(&o.regex, "regex", false, "the second argument is a regular expression")
	f.StringVar(&o.now, "now", "", "the `time` it is (RFC 3339), which chooses the year of dates without one")
	f.StringVar(&o.timezone, "timezone", "", "the `zone` of dates without one, such as Europe/Berlin (default the local one)")
	f.BoolVar(&o.allMatched, "print-all-matched", false, "print all lines that matched")
	f.BoolVar(&o.allMissed, "print-all-missed", false, "print all lines that did not match")
	f.BoolVar(&o.noMissed, "print-no-missed", false, "print no line that did not match")
	f.BoolVar(&o.allIgnored, "print-all-ignored", false, "print all lines that an ignoreregex took back")
	f.BoolVar(&o.noIgnored, "print-no-ignored", false, "print no line that an ignoreregex took back")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "list every pattern, and who failed and when below each")
	f.StringVarP(&o.out, "out", "o", "", "print only this of each failure: `token` is "+outTokens)
	f.StringVarP(&o.datePattern, "datepattern", "d", "", "the `pattern` of dates in lines without a syslog header, in fail2ban's syntax")
	c.MarkFlagsMutuallyExclusive("filter", "regex")
	c.MarkFlagsMutuallyExclusive("print-all-missed", "print-no-missed")
	c.MarkFlagsMutuallyExclusive("print-all-ignored", "print-no-ignored")
	return a.reading(c, func(ctx context.Context, args []string) error {
		if err := o.read(args); err != nil {
			return &usageError{err}
		}
		if o.out != "" && a.json {
			return usagef("-o prints a text of one's own: it does not go with --json")
		}
		return a.runRegex(ctx, &o)
	})
}

func (a *app) runRegex(ctx context.Context, o *regexOptions) error {
	flt, err := o.compile()
	if err != nil {
		return &codedError{err, exitUsage}
	}
	in, err := a.open(o.log)
	if err != nil {
		return logError(err)
	}
	defer func() { _ = in.Close() }()
	trial, err := newTrial(flt, o)
	if err != nil {
		return &codedError{err, exitUsage}
	}
	report := newReport(flt, o)
	out := bufio.NewWriter(a.stdout)
	buffered := &app{stdout: out}
	progress := newProgress(in, newBar(a.stderr))
	err = eachLine(progress, func(line []byte) error {
		v := trial.line(line)
		report.add(&v, line)
		switch {
		case a.json:
			return errors.Join(buffered.printJSON(v.wire()), ctx.Err())
		case o.out != "" && v.matched:
			_, err := fmt.Fprintln(out, v.out(o.out, line))
			return errors.Join(err, ctx.Err())
		}
		return ctx.Err()
	})
	progress.bar.clear()
	if err != nil {
		return errors.Join(err, out.Flush())
	}
	switch {
	case a.json:
		err = buffered.printJSON(report.summary())
	case o.out == "":
		report.print(out)
	}
	if err = errors.Join(err, out.Flush()); err != nil {
		return err
	}
	if report.matched == 0 {
		return errNegative
	}
	return nil
}

// open returns the log: - is standard input, an existing file is read, the rest is one line.
func (a *app) open(log string) (io.ReadCloser, error) {
	if log == "-" {
		return io.NopCloser(a.stdin), nil
	}
	info, err := os.Stat(log)
	if errors.Is(err, fs.ErrPermission) && !strings.Contains(log, " ") {
		return nil, err // a path to where the caller may not look
	}
	if err != nil {
		return io.NopCloser(bytes.NewReader([]byte(log))), nil //nolint:nilerr // what is no file is a line
	}
	if info.IsDir() {
		return nil, fmt.Errorf("log %q: is a folder", log)
	}
	return os.Open(log)
}

// Progress is shown for logs of at least bigLog bytes, each progressStep of them.
const (
	bigLog       = 16 << 20
	progressStep = 1 << 20
)

// progress reads a log and draws how far it is.
type progress struct {
	r           io.Reader
	bar         *bar
	done, total int64
	shown       int64
}

func newProgress(in io.Reader, b *bar) *progress {
	p := &progress{r: in, bar: b}
	if f, ok := in.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			p.total = info.Size()
		}
	}
	return p
}

// Read reads from the log.
func (p *progress) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	if p.done += int64(n); p.total >= bigLog && p.done-p.shown >= progressStep {
		p.shown = p.done
		p.bar.show(p.done, p.total)
	}
	return n, err
}

// eachLine calls f with each line of r without its line end; the line is valid during the call.
func eachLine(r io.Reader, f func(line []byte) error) error {
	in := bufio.NewReaderSize(r, maxRegexLine)
	for {
		line, end := in.ReadSlice('\n')
		if errors.Is(end, bufio.ErrBufferFull) { // too long: its first part is the line
			line = bytes.Clone(line)
			for errors.Is(end, bufio.ErrBufferFull) {
				_, end = in.ReadSlice('\n')
			}
		}
		if len(line) > 0 {
			line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte{'\n'}), []byte{'\r'})
			if err := f(line); err != nil {
				return err
			}
		}
		if errors.Is(end, io.EOF) {
			return nil
		}
		if end != nil {
			return fmt.Errorf("read the log: %w", end)
		}
	}
}

// compile builds the filter that the arguments name or hold.
func (o *regexOptions) compile() (*filter.Filter, error) {
	spec, err := o.spec()
	if err != nil {
		return nil, err
	}
	return filter.Compile(spec)
}
