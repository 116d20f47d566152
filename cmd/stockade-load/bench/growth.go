package bench

import (
	"fmt"
	"net"
	"strings"
	"time"
)

// growthLoops is how often the log is sent for one measurement.
const growthLoops = 5

// layout is a daemon of so many jails and sources, that holds so many bans and gets so many lines.
type layout struct{ jails, lines, sources, bans int }

// growth doubles one number at a time and compares what a line costs.
func (r *run) growth() error {
	base := layout{jails: 30, lines: 1, sources: 100, bans: 2000}
	type step struct {
		name string
		layout
		res *Result
	}
	double := func(name string, change func(*layout)) *step {
		l := base
		change(&l)
		return &step{name: name, layout: l}
	}
	steps := []*step{
		{name: fmt.Sprintf("%d jails, %d sources, %d bans", base.jails, base.sources, base.bans), layout: base},
		double("twice the jails", func(l *layout) { l.jails *= 2 }),
		double("twice the lines", func(l *layout) { l.lines *= 2 }),
		double("twice the sources", func(l *layout) { l.sources *= 2 }),
		double("twice the bans", func(l *layout) { l.bans *= 2 }),
	}
	for _, s := range steps {
		s.res = r.result("growth", s.name, "ns CPU/line")
	}
	for range r.Repeat {
		for _, s := range steps {
			r.step("growth: " + s.name)
			per, err := r.costOf(s.layout)
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			s.res.Samples = append(s.res.Samples, per)
			r.took()
		}
	}
	for _, s := range steps[1:] {
		s.res.compare(steps[0].res)
		s.res.atMost(1.05)
	}
	return nil
}

// config has jails of inline filters that listen to the apps of the log, and sources on addresses
// of their own.
func (l layout) config(port int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "listeners: [{name: plain, transport: tcp, address: \"127.0.0.1:%d\"}]\nsources:\n", port)
	for i := range l.sources {
		fmt.Fprintf(&b, "  - {name: host%d, listener: plain, addresses: [127.0.%d.%d], jails: [\"*\"], quota: none}\n", i, 1+i/250, 1+i%250)
	}
	b.WriteString("jails:\n  - {name: sshd, filter: sshd, maxretry: 1, bantime: 1d}\n")
	for i := range l.jails - 1 {
		fmt.Fprintf(&b, "  - {name: app%d, apps: [app%d], filter: {failregex: ['^login of .* from <HOST> refused by app%d$']}}\n", i, i, i)
	}
	b.WriteString("firewall: {backend: observe}\n")
	return b.String()
}

// costOf is what a line of the attack costs a daemon that has banned its offenders already.
func (r *run) costOf(l layout) (float64, error) {
	ports, err := freePorts(1)
	if err != nil {
		return 0, err
	}
	d, err := r.startDaemon(l.config(ports[0]))
	if err != nil {
		return 0, err
	}
	defer d.stop()
	from := func(i int) (net.Conn, error) {
		i %= l.sources
		local := &net.TCPAddr{IP: net.IPv4(127, 0, byte(1+i/250), byte(1+i%250))}
		return (&net.Dialer{LocalAddr: local}).Dial("tcp", fmt.Sprintf("127.0.0.1:%d", ports[0]))
	}
	first := Attack(r.Seed+1, 8*l.bans, l.bans)
	if err := d.over(from, first.Wire, first.Lines); err != nil {
		return 0, err
	}
	log := Attack(r.Seed, r.Lines, l.bans)
	before, err := d.cpu()
	if err != nil {
		return 0, err
	}
	sent := first.Lines
	for i := range growthLoops * l.lines {
		// Each part of the log comes from another source.
		sent += log.Lines
		if err := d.spread(from, i, log, sent); err != nil {
			return 0, err
		}
	}
	after, err := d.cpu()
	return float64(after-before) / float64(sent-first.Lines), err
}

// parts is over how many sources a log is spread.
const parts = 10

func (d *daemon) spread(from func(int) (net.Conn, error), turn int, log *Corpus, lines int) error {
	for i := range parts {
		conn, err := from(turn*parts + i)
		if err != nil {
			return err
		}
		a, b := cut(log.Wire, i, parts), cut(log.Wire, i+1, parts)
		err = send(conn, log.Wire[a:b])
		conn.Close()
		if err != nil {
			return err
		}
	}
	return d.judged(lines)
}

// cut is where part i of n of a text of lines begins.
func cut(text []byte, i, n int) int {
	at := len(text) * i / n
	for at > 0 && at < len(text) && text[at-1] != '\n' {
		at++
	}
	return at
}

// over sends a text over one connection and waits until all lines have an outcome.
func (d *daemon) over(from func(int) (net.Conn, error), text []byte, lines int) error {
	conn, err := from(0)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := send(conn, text); err != nil {
		return err
	}
	return d.judged(lines)
}

// feed sends a log to a port and waits until all its lines have an outcome.
func (d *daemon) feed(port int, log *Corpus) error {
	return d.over(func(int) (net.Conn, error) {
		return (&net.Dialer{Timeout: 10 * time.Second}).Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	}, log.Wire, log.Lines)
}
