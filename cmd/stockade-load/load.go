package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// options are the flags.
type options struct {
	to, framing, template string
	count, addresses      int
	rate, failures        float64
	quiet                 bool
}

const (
	failure = "<38>{stamp} web1 sshd[{n}]: Failed password for invalid user admin{n} from {addr} port 40022 ssh2"
	silence = "<78>{stamp} web1 CRON[{n}]: (root) CMD (test -x /usr/sbin/anacron)"
)

// maxLine is the longest line that is sent, in bytes.
const maxLine = 8192

// load makes the lines and sends them.
type load struct {
	options
	network, address string
	templates        []string
}

// report is what was sent.
type report struct {
	lines, failures, bytes int
	took                   time.Duration
}

// String is the report in one line.
func (r report) String() string {
	rate := 0.0
	if r.took > 0 {
		rate = float64(r.lines) / r.took.Seconds()
	}
	return fmt.Sprintf("sent %d lines (%d failures, %d bytes) in %s, %.0f lines/s", r.lines, r.failures, r.bytes, r.took.Round(time.Millisecond), rate)
}

func newLoad(o options) (*load, error) {
	l := &load{options: o, templates: []string{failure}}
	var found bool
	if l.network, l.address, found = strings.Cut(o.to, ":"); !found && o.to != "-" {
		return nil, fmt.Errorf("-to %q: want udp:HOST:PORT, tcp:HOST:PORT, unixgram:PATH or -", o.to)
	}
	switch {
	case o.to == "-":
	case l.network != "udp" && l.network != "tcp" && l.network != "unixgram":
		return nil, fmt.Errorf("-to %q: unknown transport %q: one of udp, tcp, unixgram", o.to, l.network)
	}
	switch {
	case o.count < 1:
		return nil, fmt.Errorf("-count %d: must be at least 1", o.count)
	case o.addresses < 1 || o.addresses > 1<<17:
		return nil, fmt.Errorf("-addresses %d: must be between 1 and %d", o.addresses, 1<<17)
	case o.failures < 0 || o.failures > 1:
		return nil, fmt.Errorf("-failures %v: must be between 0 and 1", o.failures)
	case o.rate < 0:
		return nil, fmt.Errorf("-rate %v: must not be negative", o.rate)
	case o.framing != "lf" && o.framing != "octet":
		return nil, fmt.Errorf("-framing %q: one of lf, octet", o.framing)
	}
	if o.template != "" {
		text, err := os.ReadFile(o.template)
		if err != nil {
			return nil, fmt.Errorf("read templates: %w", err)
		}
		l.templates = l.templates[:0]
		for line := range strings.Lines(string(text)) {
			if line = strings.TrimRight(line, "\r\n"); line != "" {
				l.templates = append(l.templates, line)
			}
		}
		if len(l.templates) == 0 {
			return nil, fmt.Errorf("read templates: %s holds no line", o.template)
		}
	}
	return l, nil
}

// run sends all lines, or as many as ctx allows.
func (l *load) run(ctx context.Context, stdout, progress io.Writer) (r report, err error) {
	out, err := l.open(stdout)
	if err != nil {
		return r, err
	}
	start := time.Now()
	defer func() { r.took = time.Since(start) }()
	bar := newProgress(progress, l.count, l.quiet)
	defer bar.done()
	var line []byte
	for n := 1; n <= l.count && ctx.Err() == nil; n++ {
		failed := float64(r.failures) < l.failures*float64(n)
		line = l.line(line[:0], n, r.failures, failed, start)
		if err := out.send(line); err != nil {
			return r, errors.Join(fmt.Errorf("send line %d: %w", n, err), out.Close())
		}
		r.lines++
		r.bytes += len(line)
		if failed {
			r.failures++
		}
		bar.at(n)
		if l.rate > 0 {
			pause(ctx, start.Add(time.Duration(float64(n)/l.rate*float64(time.Second))))
		}
	}
	return r, out.Close()
}

func pause(ctx context.Context, until time.Time) {
	d := time.Until(until)
	if d < time.Millisecond {
		return
	}
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// line appends line n.
func (l *load) line(dst []byte, n, failures int, failed bool, now time.Time) []byte {
	template := silence
	if failed {
		template = l.templates[failures%len(l.templates)]
	}
	for {
		text, rest, found := strings.Cut(template, "{")
		dst = append(dst, text...)
		if !found {
			return dst[:min(len(dst), maxLine)]
		}
		switch {
		case strings.HasPrefix(rest, "n}"):
			dst, rest = strconv.AppendInt(dst, int64(n), 10), rest[len("n}"):]
		case strings.HasPrefix(rest, "addr}"):
			dst, rest = address(failures%l.addresses).AppendTo(dst), rest[len("addr}"):]
		case strings.HasPrefix(rest, "stamp}"):
			dst, rest = now.AppendFormat(dst, time.Stamp), rest[len("stamp}"):]
		default:
			dst = append(dst, '{')
		}
		template = rest
	}
}

// address is the i-th address of 198.18.0.0/15, which RFC 2544 sets aside for load tests.
func address(i int) netip.Addr {
	v := uint32(198)<<24 | uint32(18)<<16 + uint32(i)
	return netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)})
}

// output is where lines go.
type output struct {
	io.Closer
	send func(line []byte) error
}

func (l *load) open(stdout io.Writer) (*output, error) {
	if l.to == "-" {
		w := bufio.NewWriter(stdout)
		return &output{closer(w.Flush), l.stream(w)}, nil
	}
	conn, err := net.Dial(l.network, l.address)
	if err != nil {
		return nil, err
	}
	if l.network == "tcp" {
		w := bufio.NewWriterSize(conn, 64<<10)
		if l.rate > 0 {
			w = bufio.NewWriterSize(conn, 1)
		}
		return &output{closer(func() error { return errors.Join(w.Flush(), conn.Close()) }), l.stream(w)}, nil
	}
	return &output{conn, func(line []byte) error { return datagram(conn, line) }}, nil
}

// datagram sends one line. A full queue of the receiver is waited for: the load must not lose
// what it counts as sent.
func datagram(conn net.Conn, line []byte) error {
	for {
		_, err := conn.Write(line)
		if !errors.Is(err, unix.ENOBUFS) && !errors.Is(err, unix.EAGAIN) {
			return err
		}
		time.Sleep(100 * time.Microsecond)
	}
}

func (l *load) stream(w *bufio.Writer) func([]byte) error {
	if l.framing == "octet" && l.to != "-" {
		var count []byte
		return func(line []byte) error {
			count = append(strconv.AppendInt(count[:0], int64(len(line)), 10), ' ')
			if _, err := w.Write(count); err != nil {
				return err
			}
			_, err := w.Write(line)
			return err
		}
	}
	return func(line []byte) error {
		if _, err := w.Write(line); err != nil {
			return err
		}
		return w.WriteByte('\n')
	}
}

type closer func() error

func (c closer) Close() error { return c() }
