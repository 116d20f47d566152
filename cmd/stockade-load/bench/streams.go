package bench

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"stockade/cmd/stockade/pki"
)

// receiver is a program that takes lines from a stream.
type receiver struct {
	name string
	log  *Corpus
	// open starts it and returns how to connect, how to wait until it is through with so many lines
	// and bytes, and how to stop it.
	open func() (*opened, error)

	rate, cpu *Result
}

type opened struct {
	server *server
	dial   func() (net.Conn, error)
	wait   func(lines, bytes int) error

	failures func() (int, error) // that were counted; nil where nobody counts
}

const streamConfig = `
listeners:
  - {name: plain, transport: tcp, address: "127.0.0.1:%d"}
  - {name: secure, transport: tls, address: "127.0.0.1:%d", cert: %s/server.pem, key: %s/server.key, client_ca: %s/ca.pem}
  - {name: local, transport: unix, path: "%%DIR%%/syslog.sock"}
sources:
  - {name: plain, listener: plain, addresses: [127.0.0.1], jails: ["*"], quota: none}
  - {name: secure, listener: secure, certificate: {san: bench}, jails: ["*"], quota: none}
  - {name: local, listener: local, uid: [%d], jails: ["*"], quota: none}
jails:
  - {name: sshd, filter: sshd%s}
firewall: {backend: observe}
`

// loops is how often a log is sent: short runs drown in the steps of the kernel's accounts.
const streamLoops = 5

// streams compares what a line costs from a socket on.
func (r *run) streams() error {
	certs := filepath.Join(r.Dir, "pki")
	if err := issue(certs); err != nil {
		return err
	}
	kinds := []string{"TCP", "TLS", "unix"}
	var list []*receiver
	for _, log := range []*Corpus{r.calm, r.attack} {
		for _, kind := range kinds {
			list = append(list, &receiver{name: "stockade, " + kind, log: log, open: func() (*opened, error) { return r.openStockade(kind, certs) }})
		}
		list = append(list, &receiver{name: "bare TCP reader", log: log, open: r.openBare})
		rsyslog := &receiver{name: "rsyslogd, TCP", log: log, open: r.openRsyslog}
		if _, err := exec.LookPath("rsyslogd"); err != nil {
			r.skip("streams, "+log.Name, rsyslog.name, errors.New("not installed (Debian package rsyslog)"))
			continue
		}
		list = append(list, rsyslog)
	}
	for _, v := range list {
		v.rate = r.result("streams, "+v.log.Name, v.name, "lines/s")
		v.cpu = r.result("streams, "+v.log.Name, v.name, "ns CPU/line")
	}
	for range r.Repeat {
		for _, v := range list {
			r.step("streams, " + v.log.Name + ": " + v.name)
			if err := v.measure(); err != nil {
				return fmt.Errorf("%s: %w", v.name, err)
			}
			r.took()
		}
	}
	for _, log := range []*Corpus{r.calm, r.attack} {
		compareStreams(list, log, log == r.calm)
	}
	return nil
}

func compareStreams(list []*receiver, log *Corpus, calm bool) {
	by := map[string]*receiver{}
	for _, v := range list {
		if v.log == log {
			by[v.name] = v
		}
	}
	plain, peer := by["stockade, TCP"], by["rsyslogd, TCP"]
	if peer != nil {
		plain.rate.compare(peer.rate)
		plain.cpu.compare(peer.cpu)
		if calm {
			plain.rate.atLeast(2)
			plain.cpu.atMost(0.5)
		} else {
			plain.rate.atLeast(1)
			plain.cpu.atMost(1)
		}
	}
	by["stockade, TLS"].cpu.compare(plain.cpu)
	by["stockade, TLS"].cpu.atMost(1.5)
	by["stockade, unix"].cpu.compare(plain.cpu)
	by["stockade, unix"].cpu.atMost(1)
}

func (v *receiver) measure() error {
	o, err := v.open()
	if err != nil {
		return err
	}
	defer o.server.stop()
	conn, err := o.dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	before, err := o.server.cpu()
	if err != nil {
		return err
	}
	lines, size := 0, 0
	began := time.Now()
	for range streamLoops {
		if err := send(conn, v.log.Wire); err != nil {
			return fmt.Errorf("%w: %s", err, o.server.said())
		}
		lines, size = lines+v.log.Lines, size+len(v.log.Wire)
	}
	conn.Close() // a bare reader counts until here
	if err := o.wait(lines, size); err != nil {
		return err
	}
	took := time.Since(began)
	after, err := o.server.cpu()
	if err != nil {
		return err
	}
	if o.failures != nil && v.log.Name == "attack" {
		n, err := o.failures()
		if err != nil || n < lines/2 {
			return fmt.Errorf("of %d lines %d were counted as failures: %w", lines, n, err)
		}
	}
	v.rate.Samples = append(v.rate.Samples, float64(lines)/took.Seconds())
	v.cpu.Samples = append(v.cpu.Samples, float64(after-before)/float64(lines))
	return nil
}

// send writes in pieces of the size that senders with a queue write.
func send(conn net.Conn, text []byte) error {
	for len(text) > 0 {
		n := min(len(text), 128<<10)
		if _, err := conn.Write(text[:n]); err != nil {
			return err
		}
		text = text[n:]
	}
	return nil
}

// issue makes a CA, a certificate of the listener and one of a sender.
func issue(dir string) error {
	if _, err := pki.Init(dir, pki.Options{SANs: []string{"localhost", "127.0.0.1"}}); err != nil {
		return err
	}
	_, err := pki.Issue(dir, pki.Options{Name: "bench"})
	return err
}

func (r *run) openStockade(kind, certs string) (*opened, error) {
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	uid := os.Getuid()
	origin := ""
	if kind == "unix" { // the writer is this process; over a network nobody knows it
		origin = fmt.Sprintf(", origin: {uid: [%d]}", uid)
	}
	d, err := r.startDaemon(fmt.Sprintf(streamConfig, ports[0], ports[1], certs, certs, certs, uid, origin))
	if err != nil {
		return nil, err
	}
	o := &opened{server: d.server, wait: func(lines, _ int) error { return d.judged(lines) }}
	o.failures = func() (int, error) {
		all, err := d.counters()
		return int(all["stockade_failures_total"]), err
	}
	switch kind {
	case "TCP":
		o.dial = func() (net.Conn, error) { return net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", ports[0])) }
	case "unix":
		o.dial = func() (net.Conn, error) { return net.Dial("unix", filepath.Join(d.dir, "syslog.sock")) }
	default:
		o.dial = func() (net.Conn, error) { return dialTLS(fmt.Sprintf("127.0.0.1:%d", ports[1]), certs) }
	}
	return o, nil
}

func dialTLS(address, certs string) (net.Conn, error) {
	pair, err := tls.LoadX509KeyPair(filepath.Join(certs, "bench.pem"), filepath.Join(certs, "bench.key"))
	if err != nil {
		return nil, err
	}
	ca, err := os.ReadFile(filepath.Join(certs, "ca.pem"))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("%s holds no certificate", filepath.Join(certs, "ca.pem"))
	}
	return tls.Dial("tcp", address, &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool, Certificates: []tls.Certificate{pair}})
}

// freePorts returns ports of the loopback address that were free a moment ago.
func freePorts(n int) (ports []int, err error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// openBare starts the reader that only counts newlines.
func (r *run) openBare() (*opened, error) {
	s, address, numbers, err := r.child("tcp")
	if err != nil {
		return nil, err
	}
	return &opened{
		server: s,
		dial:   func() (net.Conn, error) { return net.Dial("tcp", address) },
		wait: func(lines, _ int) error {
			return expect(numbers, lines)
		},
	}, nil
}

// child starts one of this program's counting children and returns its address.
func (r *run) child(kind string) (s *server, address string, out *os.File, err error) {
	path, args, err := self(kind)
	if err != nil {
		return nil, "", nil, err
	}
	cmd := exec.CommandContext(r.ctx, path, args...)
	out, w, err := os.Pipe()
	if err != nil {
		return nil, "", nil, err
	}
	cmd.Stdout = w
	s, err = serve(cmd, -1, filepath.Join(r.Dir, "child.output"))
	w.Close()
	if err != nil {
		return nil, "", nil, errors.Join(err, out.Close())
	}
	if _, err = fmt.Fscanln(out, &address); err != nil {
		s.stop()
		return nil, "", nil, fmt.Errorf("%w: %s", err, s.said())
	}
	return s, address, out, nil
}

// expect reads a number and compares it.
func expect(from io.Reader, want int) error {
	var n int
	if _, err := fmt.Fscanln(from, &n); err != nil {
		return err
	}
	if n != want {
		return fmt.Errorf("%d lines were counted, want %d", n, want)
	}
	return nil
}

const rsyslogConfig = `
global(workDirectory="%DIR%")
module(load="imtcp")
input(type="imtcp" address="127.0.0.1" port="%PORT%")
template(name="raw" type="string" string="%rawmsg%\n")
action(type="omfile" file="%DIR%/received.log" template="raw")
`

// openRsyslog starts rsyslogd, which writes what it receives to a file.
func (r *run) openRsyslog() (*opened, error) {
	dir, err := os.MkdirTemp(r.Dir, "rsyslogd-")
	if err != nil {
		return nil, err
	}
	ports, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	config := strings.NewReplacer("%DIR%", dir, "%PORT%", fmt.Sprint(ports[0])).Replace(rsyslogConfig)
	file := filepath.Join(dir, "rsyslog.conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, err
	}
	s, err := serve(exec.CommandContext(r.ctx, "rsyslogd", "-n", "-f", file, "-i", filepath.Join(dir, "pid")), -1, filepath.Join(dir, "output"))
	if err != nil {
		return nil, err
	}
	address, received := fmt.Sprintf("127.0.0.1:%d", ports[0]), filepath.Join(dir, "received.log")
	var first net.Conn
	err = s.until(startWait, "it listens", func() bool {
		first, err = net.Dial("tcp", address)
		return err == nil
	})
	if err != nil {
		s.stop()
		return nil, err
	}
	return &opened{
		server: s,
		dial:   func() (net.Conn, error) { return first, nil },
		wait: func(_, size int) error {
			defer func() { _ = os.Remove(received) }()
			return s.until(workWait, "it wrote all lines", func() bool {
				info, err := os.Stat(received)
				return err == nil && info.Size() >= int64(size)
			})
		},
	}, nil
}
