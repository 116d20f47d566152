package bench

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"stockade/jails/filter"
	"stockade/jails/filter/catalogue"
	"stockade/receiver/decode"
	"stockade/receiver/frame"
)

// ChildArg is the first argument of a process that the benchmark starts of its own program.
const ChildArg = "bench-child"

// Child does the work of such a process and returns its exit code. args follow ChildArg: match
// FILTER[,FILTER…], which matches standard input; or tcp and udp, which count what a socket
// receives, until they are told to stop.
func Child(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	err := errors.New("want match FILTERS, tcp or udp")
	switch {
	case len(args) == 2 && args[0] == "match":
		err = childMatch(strings.Split(args[1], ","), stdin, stdout)
	case len(args) == 1 && args[0] == "tcp":
		err = childTCP(stdout)
	case len(args) == 1 && args[0] == "udp":
		err = childUDP(stdout)
	}
	if err != nil {
		fmt.Fprintf(stderr, "stockade-load %s: %v\n", ChildArg, err)
		return 1
	}
	return 0
}

// matched is what a matching child reports.
type matched struct {
	Lines, Matches, Failures int
}

// newSet compiles filters of the catalogue.
func newSet(names []string) (*filter.Set, error) {
	filters := make([]*filter.Filter, len(names))
	for i, name := range names {
		spec, err := catalogue.Get(name, nil)
		if err != nil {
			return nil, err
		}
		if filters[i], err = filter.Compile(spec); err != nil {
			return nil, err
		}
	}
	return filter.NewSet(filters, nil), nil
}

// childMatch takes a log's lines the way that serve takes a file's: frame, decode, route, match.
func childMatch(names []string, stdin io.Reader, stdout io.Writer) error {
	set, err := newSet(names)
	if err != nil {
		return err
	}
	m := newMatching(set)
	lines := frame.NewReader(stdin, frame.Options{Mode: frame.LF})
	for {
		f, err := lines.Next()
		if errors.Is(err, io.EOF) {
			return json.NewEncoder(stdout).Encode(m.matched)
		}
		if err != nil {
			return err
		}
		m.take(f.Bytes)
	}
}

// matching decodes and matches lines.
type matching struct {
	set     *filter.Set
	matcher *filter.Matcher
	decoder *decode.Decoder
	message decode.Message
	line    filter.Line
	now     time.Time
	matched matched
}

func newMatching(set *filter.Set) *matching {
	return &matching{set: set, matcher: set.NewMatcher(), decoder: decode.New(time.UTC), now: time.Now()}
}

func (m *matching) take(text []byte) {
	m.decoder.DecodeLine(text, m.now, &m.message)
	m.matched.Lines++
	route := m.set.Route(m.message.App)
	if route.Empty() {
		return
	}
	line, said := &m.line, &m.message
	line.App, line.Host, line.PID, line.Text, line.Whole = said.App, said.Hostname, said.ProcID, said.Text, text
	line.Time, line.Facility, line.Source = said.Stamp, said.Facility, "log"
	hits := m.matcher.Match(&m.line, route)
	m.matched.Matches += len(hits)
	for i := range hits {
		if hits[i].Kind == filter.Failure {
			m.matched.Failures++
		}
	}
}

// childTCP counts the newlines of one connection. It writes its address first, the number when the
// connection ends, and ends when it is told to.
func childTCP(stdout io.Writer) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer l.Close()
	fmt.Fprintln(stdout, l.Addr())
	conn, err := l.Accept()
	if err != nil {
		return err
	}
	defer conn.Close()
	buf, lines := make([]byte, 256<<10), 0
	for {
		n, err := conn.Read(buf)
		for _, c := range buf[:n] {
			if c == '\n' {
				lines++
			}
		}
		if errors.Is(err, io.EOF) {
			fmt.Fprintln(stdout, lines)
			stopped := make(chan os.Signal, 1)
			signal.Notify(stopped, unix.SIGTERM)
			<-stopped // until then it can be asked what it cost
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// bareRoom is the receive buffer that the bare reader asks for, in bytes: what Stockade asks for.
const bareRoom = 8 << 20

// childUDP counts datagrams, one system call each, until one holds a single byte. It writes its
// address first, and the number in the end.
func childUDP(stdout io.Writer) error {
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	err = raw.Control(func(fd uintptr) {
		if unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, bareRoom) != nil {
			_ = conn.SetReadBuffer(bareRoom)
		}
	})
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout, conn.LocalAddr())
	buf := make([]byte, 64<<10)
	for n := 0; ; n++ {
		size, _, err := conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			return err
		}
		if size == 1 {
			fmt.Fprintln(stdout, n)
			return nil
		}
	}
}

// self is a command of this program's child.
func self(args ...string) (path string, all []string, err error) {
	path, err = os.Executable()
	return path, append([]string{ChildArg}, args...), err
}
