package notify

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// smtpd is a server of a few lines, which keeps what it is told.
type smtpd struct {
	net.Listener
	mu    sync.Mutex
	to    []string // every RCPT
	mails []string
}

func newSMTPD(t *testing.T) *smtpd {
	t.Helper()
	s := &smtpd{}
	s.Listener = listen(t, s.serve)
	return s
}

// listen serves each connection to a port of its own, which it returns, until the test ends.
func listen(t *testing.T, serve func(net.Conn)) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { serve(c) })
		}
	})
	t.Cleanup(func() { l.Close(); serving.Wait() })
	return l
}

func (s *smtpd) serve(c net.Conn) {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	in := bufio.NewReader(c)
	say := func(line string) { fmt.Fprint(c, line+"\r\n") }
	say("220 test")
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		verb, _, _ := strings.Cut(strings.ToUpper(strings.TrimSpace(line)), " ")
		switch verb {
		case "EHLO", "HELO":
			say("250 test")
		case "RCPT":
			s.mu.Lock()
			s.to = append(s.to, strings.TrimSpace(line))
			s.mu.Unlock()
			say("250 ok")
		case "DATA":
			say("354 go")
			var text strings.Builder
			for {
				line, err := in.ReadString('\n')
				if err != nil {
					return
				}
				if line == ".\r\n" {
					break
				}
				text.WriteString(strings.TrimPrefix(line, "."))
			}
			s.mu.Lock()
			s.mails = append(s.mails, text.String())
			s.mu.Unlock()
			say("250 ok")
		case "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}

func (s *smtpd) config() Config {
	return Config{Name: "mail", Type: TypeMail, Server: s.Addr().String(), TLS: "none", From: "stockade@example.net", To: []string{"admin@example.net"}}
}

// read parses a mail and returns its headers and its text.
func read(t *testing.T, text string) (mail.Header, string) {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	body := m.Body
	if m.Header.Get("Content-Transfer-Encoding") == "quoted-printable" {
		body = quotedprintable.NewReader(body)
	}
	raw, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return m.Header, strings.ReplaceAll(string(raw), "\r\n", "\n")
}

func TestHostileValuesAddNoHeader(t *testing.T) {
	s := newSMTPD(t)
	cfg := s.config()
	for i := range hostile {
		if err := (mailer{&cfg}).send(t.Context(), single(i)); err != nil {
			t.Fatal(err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.mails) != len(hostile) || len(s.to) != len(hostile) {
		t.Fatalf("%d mails to %v", len(s.mails), s.to)
	}
	first, _ := read(t, s.mails[0])
	for i, text := range s.mails {
		header, body := read(t, text)
		if len(header) != len(first) || header.Get("Bcc") != "" || header.Get("To") != "<admin@example.net>" {
			t.Errorf("headers %v", header)
		}
		subject, err := new(mime.WordDecoder).DecodeHeader(header.Get("Subject"))
		if want := "stockade on gw: ban " + addressText(ban(i).Prefix) + " (sshd)"; err != nil || subject != want {
			t.Errorf("subject %q %v, want %q", subject, err, want)
		}
		if !strings.Contains(body, "The lines that led to it:") || strings.ContainsAny(body, "\x00\x1b\r\u202e") {
			t.Errorf("body %q", body)
		}
	}
}

var banTally = regexp.MustCompile(`(\d+) × ban`)

func tallies(t *testing.T, mails []string) (events int) {
	t.Helper()
	for _, text := range mails {
		_, body := read(t, text)
		if m := banTally.FindStringSubmatch(body); m != nil {
			n, err := strconv.Atoi(m[1])
			if err != nil {
				t.Fatal(err)
			}
			events += n
		} else if strings.Contains(body, "banned ") {
			events++
		}
	}
	return events
}

func TestMailUnderAThousandBansASecond(t *testing.T) {
	s := newSMTPD(t)
	cfg := s.config()
	cfg.Rate, cfg.Digest = 120, 300*time.Millisecond
	n := start(t, cfg)
	events, most := flood(n)
	var mails []string
	eventually(t, "every event is told", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		mails = s.mails
		return n.Stats()[0].Sent == int64(events)
	})
	if got := tallies(t, mails); got != events || len(mails) > 40 {
		t.Errorf("%d events in %d mails, want %d", got, len(mails), events)
	}
	t.Logf("%d events in %d mails, 99 of 100 Posts within %s", events, len(mails), most)
}

// TestMailToPostfix sends to the server that Postfix brings for tests.
func TestMailToPostfix(t *testing.T) {
	program, err := exec.LookPath("smtp-sink")
	if err != nil {
		program = "/usr/sbin/smtp-sink"
	}
	if _, err := os.Stat(program); err != nil {
		if os.Getenv("STOCKADE_REQUIRE") == "all" {
			t.Fatal("smtp-sink of Postfix is missing")
		}
		t.Skip("smtp-sink of Postfix is missing")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	dir := t.TempDir()
	args := []string{"-d", filepath.Join(dir, "%s."), addr, "16"}
	if os.Geteuid() == 0 {
		args = append([]string{"-u", "root"}, args...)
	}
	cmd := exec.Command(program, args...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	eventually(t, "smtp-sink listens", func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	cfg := Config{Name: "mail", Type: TypeMail, Server: addr, TLS: "none", From: "stockade@example.net", To: []string{"admin@example.net"}, Rate: 120, Digest: 300 * time.Millisecond}
	n := start(t, cfg)
	events, most := flood(n)
	eventually(t, "every event is told", func() bool { return n.Stats()[0].Sent == int64(events) })
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no mail: %v %s", err, said.String())
	}
	var mails []string
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if len(bytes.TrimSpace(text)) > 0 {
			mails = append(mails, strings.TrimLeft(string(text), "\n"))
		}
	}
	if got := tallies(t, mails); got != events || len(mails) > 40 {
		t.Errorf("%d events in %d mails, want %d", got, len(mails), events)
	}
	t.Logf("%d events in %d mails, 99 of 100 Posts within %s", events, len(mails), most)
}

// TestMailHeedsItsTime sends to a server that takes the connection and never says a word: a stop waits
// no longer for it than for others, and nothing stays open.
func TestMailHeedsItsTime(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	closed := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			_, err = io.Copy(io.Discard, c) // until the other end closes
			c.Close()
		}
		closed <- err
	}()
	cfg := Config{Name: "mail", Type: TypeMail, Server: l.Addr().String(), From: "a@example.net", To: []string{"b@example.net"}, Timeout: time.Hour}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	began := time.Now()
	if err := (mailer{&cfg}).send(ctx, single(0)); err == nil {
		t.Error("it was sent")
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("took %s", took)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
}

// TestMailEndsWithItsContext stops while a server keeps silent, at each point of a conversation.
func TestMailEndsWithItsContext(t *testing.T) {
	for name, tt := range map[string]struct{ mode, says string }{
		"before the greeting":       {"starttls", ""},
		"after the greeting":        {"none", "220 test\r\n"},
		"in the handshake":          {"tls", ""},
		"in the handshake, refused": {"tls", "220 test\r\n"},
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		closed := make(chan error, 1)
		go func() {
			c, err := l.Accept()
			if err == nil {
				_, err = io.WriteString(c, tt.says)
				cancel()
				_, _ = io.Copy(io.Discard, c) // until the other end closes
				c.Close()
			}
			closed <- err
		}()
		cfg := Config{Name: "mail", Type: TypeMail, Server: l.Addr().String(), TLS: tt.mode, From: "a@example.net", To: []string{"b@example.net"}, Timeout: time.Hour}
		began := time.Now()
		if err := (mailer{&cfg}).send(ctx, single(0)); err == nil {
			t.Errorf("%s: it was sent", name)
		}
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("%s: took %s", name, took)
		}
		if err := <-closed; err != nil {
			t.Errorf("%s: %v", name, err)
		}
		cancel()
		l.Close()
	}
}
