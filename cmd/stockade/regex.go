package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
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
	c.MarkFlagsMutuallyExclusive("filter", "regex")
	return a.reading(c, func(ctx context.Context, args []string) error {
		if err := o.read(args); err != nil {
			return &usageError{err}
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
		return &codedError{err, exitUsage}
	}
	defer func() { _ = in.Close() }()
	trial := newTrial(flt, o.clock, o.location)
	report := newReport(flt, o)
	out := bufio.NewWriter(a.stdout)
	buffered := &app{stdout: out}
	err = eachLine(in, func(line []byte) error {
		v := trial.line(line)
		report.add(&v, line)
		if a.json {
			return errors.Join(buffered.printJSON(v.wire()), ctx.Err())
		}
		return ctx.Err()
	})
	if err != nil {
		return err
	}
	if a.json {
		err = buffered.printJSON(report.summary())
	} else {
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
	if err != nil {
		return io.NopCloser(bytes.NewReader([]byte(log))), nil //nolint:nilerr // what is no file is a line
	}
	if info.IsDir() {
		return nil, fmt.Errorf("log %q: is a folder", log)
	}
	return os.Open(log)
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
