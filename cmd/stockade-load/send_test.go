package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

const sent = 500

// receiveStream takes one connection and returns all of its bytes.
func receiveStream(t *testing.T) (address string, all func() string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	text := make(chan string, 1)
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			text <- err.Error()
			return
		}
		defer conn.Close()
		b, err := io.ReadAll(conn)
		if err != nil {
			b = []byte(err.Error())
		}
		text <- string(b)
	}()
	return ln.Addr().String(), func() string { return <-text }
}

// send runs the command and expects its report.
func send(t *testing.T, args ...string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if code := run(append(args, "-count", strconv.Itoa(sent)), &stdout, &stderr); code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	if !strings.HasPrefix(stdout.String(), fmt.Sprintf("sent %d lines (%d failures, ", sent, sent)) || stderr.Len() != 0 {
		t.Fatalf("it prints %q and %q", stdout.String(), stderr.String())
	}
}

func TestTCPByLine(t *testing.T) {
	for _, rate := range []string{"0", "100000"} {
		address, all := receiveStream(t)
		send(t, "-to", "tcp:"+address, "-rate", rate)
		text := all()
		for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
			if !strings.Contains(line, fmt.Sprintf("[%d]: ", i+1)) {
				t.Fatalf("line %d is %q", i+1, line)
			}
		}
		if n := strings.Count(text, "\n"); n != sent {
			t.Errorf("-rate %s: %d lines, want %d", rate, n, sent)
		}
	}
}

func TestTCPByCount(t *testing.T) {
	address, all := receiveStream(t)
	send(t, "-to", "tcp:"+address, "-framing", "octet")
	rest, n := all(), 0
	for rest != "" {
		count, text, found := strings.Cut(rest, " ")
		size, err := strconv.Atoi(count)
		if !found || err != nil || size > len(text) {
			t.Fatalf("no frame at %.40q", rest)
		}
		n++
		if !strings.Contains(text[:size], fmt.Sprintf("[%d]: ", n)) {
			t.Fatalf("frame %d is %q", n, text[:size])
		}
		rest = text[size:]
	}
	if n != sent {
		t.Errorf("%d frames, want %d", n, sent)
	}
}

func TestDatagrams(t *testing.T) {
	for _, network := range []string{"udp", "unixgram"} {
		address := "127.0.0.1:0"
		if network == "unixgram" {
			address = filepath.Join(t.TempDir(), "s")
		}
		conn, err := net.ListenPacket(network, address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if udp, ok := conn.(*net.UDPConn); ok {
			_ = udp.SetReadBuffer(1 << 20) // the kernel's own room is enough for these few
		}
		done := make(chan error, 1)
		go func() {
			buf := make([]byte, maxLine)
			for i := 1; i <= sent; i++ {
				_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
				n, _, err := conn.ReadFrom(buf)
				if err == nil && !bytes.Contains(buf[:n], fmt.Appendf(nil, "[%d]: ", i)) {
					err = fmt.Errorf("datagram %d is %q", i, buf[:n])
				}
				if err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
		rate := "0" // a unix socket makes its sender wait
		if network == "udp" {
			rate = "20000"
		}
		send(t, "-to", network+":"+conn.LocalAddr().String(), "-rate", rate)
		if err := <-done; err != nil {
			t.Errorf("%s: %v", network, err)
		}
	}
}

func TestReceiverGoesAway(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		if conn, err := ln.Accept(); err == nil {
			conn.Close()
		}
	}()
	var stdout, stderr bytes.Buffer
	if code := run([]string{"-to", "tcp:" + ln.Addr().String(), "-count", "10000000"}, &stdout, &stderr); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	if !strings.Contains(stderr.String(), "send line ") || !strings.HasPrefix(stdout.String(), "sent ") {
		t.Errorf("it prints %q and %q", stdout.String(), stderr.String())
	}
}

func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"-h"}, 0, "-framing"},
		{[]string{"-nosuch"}, 2, "not defined"},
		{[]string{"-to", "-", "more"}, 2, `unexpected argument "more"`},
		{[]string{"-count", "1"}, 2, "want udp:HOST:PORT"},
		{[]string{"-to", "tcp:127.0.0.1:1", "-count", "1"}, 1, "refused"},
		{[]string{"-to", "-", "-count", "3"}, 0, "sent 3 lines"},
	} {
		var stdout, stderr bytes.Buffer
		if code := run(c.args, &stdout, &stderr); code != c.code || !strings.Contains(stderr.String(), c.says) {
			t.Errorf("%q exits with %d, want %d, and says %q, want %q", c.args, code, c.code, stderr.String(), c.says)
		}
	}
}
