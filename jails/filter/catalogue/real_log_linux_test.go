package catalogue

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"stockade/jails/filter"
)

// syslog reads the lab's /dev/log.
func (l *lab) syslog() {
	l.t.Helper()
	path := l.inLab("log.sock")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	l.must("listen", err)
	l.must("listen", os.Chmod(path, 0o666)) //nolint:gosec // every daemon writes to it
	l.readDatagrams(conn)
}

func (l *lab) readDatagrams(conn net.Conn) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 64<<10)
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			app, pid, text := header(string(bytes.TrimRight(buf[:n], "\n\x00")))
			l.line(app, pid, text)
		}
	}()
	l.t.Cleanup(func() { _ = conn.Close(); <-done })
}

// header takes "<PRI>Mmm dd hh:mm:ss tag[pid]: text" apart.
func header(s string) (app, pid, text string) {
	if _, rest, ok := strings.Cut(s, ">"); ok {
		s = rest
	}
	const stamp = len("Jan  2 15:04:05 ")
	if len(s) > stamp && s[stamp-1] == ' ' && s[stamp-4] == ':' {
		s = s[stamp:]
	}
	tag, text, ok := strings.Cut(s, ": ")
	if !ok {
		return "", "", s
	}
	// A sender on the network puts its host's name before the tag.
	if _, after, ok := strings.Cut(tag, " "); ok {
		tag = after
	}
	app, pid, _ = strings.Cut(strings.TrimSuffix(tag, "]"), "[")
	return app, pid, text
}

// follow reads what a daemon appends to a file, as lines of app.
func (l *lab) follow(app, path string) {
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		var seen int
		for {
			data, _ := os.ReadFile(path)
			for {
				i := bytes.IndexByte(data[min(seen, len(data)):], '\n')
				if i < 0 {
					break
				}
				l.line(app, "", string(data[seen:seen+i]))
				seen += i + 1
			}
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	l.t.Cleanup(func() { close(stop); <-done })
}

func (l *lab) note(s string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.log = append(l.log, s)
}

// line matches one line against the catalogue.
func (l *lab) line(app, pid, text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.log = append(l.log, fmt.Sprintf("%s[%s]: %q", app, pid, text))
	line := filter.Line{
		App: []byte(app), PID: []byte(pid), Text: []byte(text), Host: []byte("h"),
		Time: time.Now(), Facility: -1, Source: "lab",
	}
	for _, m := range l.matcher.Match(&line, l.set.Route(line.App)) {
		l.got = append(l.got, found{l.set.Filter(m.Filter).Name(), m})
		l.log = append(l.log, fmt.Sprintf("  -> %s: kind %d, %s, user %q, %d attempts", l.set.Filter(m.Filter).Name(), m.Kind, m.Addr, m.User, m.Attempts))
	}
}

// logged waits until a line holds the text.
func (l *lab) logged(text string) {
	l.t.Helper()
	l.until("a line with "+strconv.Quote(text), func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return slices.ContainsFunc(l.log, func(s string) bool { return strings.Contains(s, text) })
	})
}

// until waits for a condition.
func (l *lab) until(what string, ok func() bool) {
	l.t.Helper()
	for end := time.Now().Add(patience); !ok(); {
		if time.Now().After(end) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.t.Fatalf("no %s; log:\n%s", what, strings.Join(l.log, "\n"))
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// listens waits until something accepts connections.
func (l *lab) listens(addr string) {
	l.t.Helper()
	l.until("listener on "+addr, func() bool {
		conn, err := net.DialTimeout("tcp", addr, time.Second)
		if err != nil {
			return false
		}
		_ = conn.Close()
		return true
	})
}

// attempt is what a test expects a filter to say.
type attempt struct {
	addr, user string
	n          int
	success    bool
}

// expect waits until the filter has counted as many attempts as wanted, and compares all that it
// said, and that no other filter said anything.
func (l *lab) expect(name string, want ...attempt) {
	l.t.Helper()
	total := 0
	for _, a := range want {
		total += a.n
	}
	l.until(fmt.Sprintf("%d attempts by %s", total, name), func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		n := 0
		for _, m := range l.got {
			if m.filter == name {
				n += m.Attempts
			}
		}
		return n >= total
	})
	l.quiet()
	l.mu.Lock()
	defer l.mu.Unlock()
	var got []attempt
	for _, m := range l.got {
		a := attempt{m.Addr.String(), m.User, m.Attempts, m.Kind == filter.Success}
		if m.filter == "pam" && name != "pam" || m.filter == "dovecot" && name == "postfix" {
			continue // it tells of the same failure, in a jail of its own
		}
		if m.filter != name {
			l.t.Errorf("filter %s says %+v", m.filter, a)
			continue
		}
		if n := len(got); n > 0 && got[n-1].addr == a.addr && got[n-1].user == a.user && got[n-1].success == a.success {
			got[n-1].n += a.n
			continue
		}
		got = append(got, a)
	}
	if !slices.Equal(got, want) {
		l.t.Errorf("filter %s:\n got %+v\nwant %+v\nlog:\n%s", name, got, want, strings.Join(l.log, "\n"))
	}
	l.got = nil
}

// quiet waits until nothing was logged for a while.
func (l *lab) quiet() {
	n := func() int { l.mu.Lock(); defer l.mu.Unlock(); return len(l.log) }
	for before := -1; before != n(); {
		before = n()
		time.Sleep(60 * time.Millisecond)
	}
}
