package bench

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

const datagramConfig = `
listeners:
  - {name: lan, transport: udp, address: "127.0.0.1:%d"}
sources:
  - {name: lan, listener: lan, addresses: [127.0.0.1], accept_spoofable: true, jails: ["*"], quota: none}
jails:
  - {name: sshd, filter: sshd}
firewall: {backend: observe}
`

const datagramLoops = 5

// datagrams compares what a datagram costs with what it costs to count it.
func (r *run) datagrams() error {
	type subject struct {
		name      string
		measure   func(addrOf func(string) (net.Conn, error)) (lost, sent int, cpu time.Duration, took time.Duration, err error)
		cpu, lost *Result
		rate      *Result
	}
	list := []*subject{{name: "stockade", measure: r.datagramsOfStockade}, {name: "bare UDP reader", measure: r.datagramsOfBare}}
	for _, s := range list {
		s.cpu = r.result("udp", s.name, "ns CPU/datagram")
		s.rate = r.result("udp", s.name, "datagrams/s sent")
		s.lost = r.result("udp", s.name, "lost in all")
	}
	for range r.Repeat {
		for _, s := range list {
			r.step("udp: " + s.name)
			lost, sent, cpu, took, err := s.measure(func(address string) (net.Conn, error) { return net.Dial("udp", address) })
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			s.cpu.Samples = append(s.cpu.Samples, float64(cpu)/float64(sent-lost))
			s.rate.Samples = append(s.rate.Samples, float64(sent)/took.Seconds())
			s.lost.Samples = append(s.lost.Samples, float64(lost))
			r.took()
		}
	}
	list[0].cpu.compare(list[1].cpu)
	list[0].cpu.atMost(1.5)
	list[0].lost.settle()
	list[0].lost.atMost(0)
	return nil
}

// blast sends each line as a datagram, as fast as one sender can.
func (r *run) blast(conn net.Conn) (sent int, took time.Duration, err error) {
	began := time.Now()
	for range datagramLoops {
		for rest := r.calm.Wire; len(rest) > 0; {
			i := bytes.IndexByte(rest, '\n')
			if err := datagram(conn, rest[:i]); err != nil {
				return sent, 0, err
			}
			sent++
			rest = rest[i+1:]
		}
	}
	return sent, time.Since(began), nil
}

func datagram(conn net.Conn, text []byte) error {
	for {
		_, err := conn.Write(text)
		if !errors.Is(err, unix.ENOBUFS) {
			return err
		}
		time.Sleep(50 * time.Microsecond)
	}
}

func (r *run) datagramsOfStockade(dial func(string) (net.Conn, error)) (lost, sent int, cpu, took time.Duration, err error) {
	ports, err := freePorts(1)
	if err != nil {
		return 0, 0, 0, 0, err
	}
	d, err := r.startDaemon(fmt.Sprintf(datagramConfig, ports[0]))
	if err != nil {
		return 0, 0, 0, 0, err
	}
	defer d.stop()
	conn, err := dial(fmt.Sprintf("127.0.0.1:%d", ports[0]))
	if err != nil {
		return 0, 0, 0, 0, err
	}
	defer conn.Close()
	before, err := d.cpu()
	if err != nil {
		return 0, 0, 0, 0, err
	}
	if sent, took, err = r.blast(conn); err != nil {
		return 0, 0, 0, 0, err
	}
	// All that arrived has an outcome once the count stands still; what did not is lost.
	arrived, still := -1, 0
	var fault error
	err = d.until(workWait, "all datagrams have an outcome", func() bool {
		time.Sleep(50 * time.Millisecond)
		var all map[string]float64
		if all, fault = d.counters(); fault != nil {
			return true
		}
		n := int(all["stockade_lines_total"])
		if n == arrived && all[`stockade_queue_depth{queue="lines"}`] == 0 {
			still++
		} else {
			still = 0
		}
		arrived = n
		dropped := int(all[`stockade_lines_total{outcome="dropped"}`])
		lost = sent - n + dropped
		return n >= sent || still >= 4
	})
	if err = errors.Join(err, fault); err != nil {
		return 0, 0, 0, 0, err
	}
	after, err := d.cpu()
	return lost, sent, after - before, took, err
}

func (r *run) datagramsOfBare(dial func(string) (net.Conn, error)) (lost, sent int, cpu, took time.Duration, err error) {
	s, address, out, err := r.child("udp")
	if err != nil {
		return 0, 0, 0, 0, err
	}
	defer out.Close()
	defer s.stop()
	conn, err := dial(address)
	if err != nil {
		return 0, 0, 0, 0, err
	}
	defer conn.Close()
	before, err := s.cpu()
	if err != nil {
		return 0, 0, 0, 0, err
	}
	if sent, took, err = r.blast(conn); err != nil {
		return 0, 0, 0, 0, err
	}
	last := before
	still := 0
	err = s.until(workWait, "it stands still", func() bool { // it counts until a datagram of one byte
		time.Sleep(50 * time.Millisecond)
		now, err := s.cpu()
		if err == nil && now == last {
			still++
		}
		last = now
		return still >= 4
	})
	if err != nil {
		return 0, 0, 0, 0, err
	}
	if err := datagram(conn, []byte{0}); err != nil {
		return 0, 0, 0, 0, err
	}
	var n int
	if _, err := fmt.Fscanln(out, &n); err != nil {
		return 0, 0, 0, 0, err
	}
	return sent - n, sent, last - before, took, nil
}
