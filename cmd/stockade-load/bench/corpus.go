package bench

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"stockade/jails/filter/catalogue"
)

// Addresses is how many addresses the failures of an attack come from.
const Addresses = 5000

// Corpus is a log, made from a seed: the same seed gives the same bytes.
type Corpus struct {
	Name  string
	Lines int
	File  []byte // as a daemon writes it to a file: "Mmm dd hh:mm:ss host app[pid]: text\n"
	Wire  []byte // the same with a priority before each line
}

// begin is the time of a corpus's first line: peers that look for a date find one of today, and
// the bytes of a day are the same.
func begin() time.Time { return time.Now().UTC().Truncate(24 * time.Hour) }

// writer gathers lines.
type writer struct {
	file, wire bytes.Buffer
	lines      int
	rnd        *rand.Rand
}

func newWriter(seed uint64) *writer { return &writer{rnd: rand.New(rand.NewPCG(seed, 0))} }

func (w *writer) line(priority int, app, pid, text string) {
	stamp := begin().Add(time.Duration(w.lines/100) * time.Second % (24 * time.Hour)).Format(time.Stamp)
	if pid != "" {
		app += "[" + pid + "]"
	}
	from := w.file.Len()
	w.file.WriteString(stamp + " web1 " + app + ": " + text + "\n")
	fmt.Fprintf(&w.wire, "<%d>", priority)
	w.wire.Write(w.file.Bytes()[from:])
	w.lines++
}

func (w *writer) corpus(name string) *Corpus {
	return &Corpus{name, w.lines, w.file.Bytes(), w.wire.Bytes()}
}

// failed are five kinds of failures of sshd.
var failed = []string{
	"Failed password for root from %s port %d ssh2",
	"Failed password for invalid user admin from %s port %d ssh2",
	"Invalid user oracle from %s port %d",
	"Connection closed by authenticating user root %s port %d [preauth]",
	"Disconnecting invalid user pi %s port %d: Too many authentication failures [preauth]",
}

// quiet are lines of a host that goes about its work: no filter of the catalogue matches one.
var quiet = []struct {
	priority  int
	app, text string
}{
	{78, "CRON", "(root) CMD (command -v debian-sa1 > /dev/null && debian-sa1 1 1)"},
	{86, "CRON", "pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)"},
	{30, "systemd", "Started Session %d of User alice."},
	{30, "systemd", "logrotate.service: Deactivated successfully."},
	{6, "kernel", "usb 1-1: new high-speed USB device number %d using xhci_hcd"},
	{6, "kernel", "EXT4-fs (sda1): mounted filesystem %d with ordered data mode"},
	{22, "postfix/smtpd", "connect from mail.example.com[192.0.2.25]"},
	{22, "postfix/cleanup", "4ABC%d: message-id=<20260102030405.4ABC12@mail.example.com>"},
	{22, "postfix/qmgr", "4ABC%d: from=<alice@example.com>, size=2345, nrcpt=1 (queue active)"},
}

// accepted are lines of logins.
var accepted = []string{
	"Accepted publickey for alice from 192.0.2.17 port %d ssh2: ED25519 SHA256:hkchl94A66sXs3b2CIIgtclkf",
	"Received disconnect from 192.0.2.17 port %d:11: disconnected by user",
}

// address is the i-th offender, out of 198.18.0.0/15.
func address(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{198, byte(18 + i>>16), byte(i >> 8), byte(i)})
}

func (w *writer) failure(addr netip.Addr) {
	text := fmt.Sprintf(failed[w.rnd.IntN(len(failed))], addr, 1024+w.rnd.IntN(60000))
	w.line(38, "sshd", strconv.Itoa(1000+w.lines), text)
}

func (w *writer) quiet() {
	q := quiet[w.rnd.IntN(len(quiet))]
	pid := ""
	if q.app != "kernel" {
		pid = strconv.Itoa(300 + w.rnd.IntN(30000))
	}
	text := q.text
	if strings.Contains(text, "%d") {
		text = fmt.Sprintf(text, w.lines)
	}
	w.line(q.priority, q.app, pid, text)
}

// Attack is the log of a host under attack: 60 % failures of sshd from addresses in no order, the
// rest cron, systemd, the kernel, mail and logins.
func Attack(seed uint64, lines, addresses int) *Corpus {
	w := newWriter(seed)
	for w.lines < lines {
		switch n := w.rnd.IntN(100); {
		case n < 60:
			w.failure(address(w.rnd.IntN(addresses)))
		case n < 65:
			w.line(38, "sshd", strconv.Itoa(1000+w.lines), fmt.Sprintf(accepted[w.rnd.IntN(len(accepted))], 1024+w.rnd.IntN(60000)))
		default:
			w.quiet()
		}
	}
	return w.corpus("attack")
}

// Quiet is a log of which nothing matches.
func Quiet(seed uint64, lines int) *Corpus {
	w := newWriter(seed)
	for w.lines < lines {
		w.quiet()
	}
	return w.corpus("quiet")
}

// Distinct is one failure of each of so many addresses.
func Distinct(seed uint64, addresses int) *Corpus {
	w := newWriter(seed)
	for i := range addresses {
		w.failure(netip.AddrFrom4([4]byte{byte(11 + i>>24), byte(i >> 16), byte(i >> 8), byte(i)}))
	}
	return w.corpus("distinct")
}

// Mixed is made of the sample lines of the whole catalogue, in no order.
func Mixed(seed uint64, lines int) (*Corpus, error) {
	type sample struct{ app, text string }
	var all []sample
	for _, name := range catalogue.Names() {
		e, err := catalogue.Find(name)
		if err != nil {
			return nil, err
		}
		for _, s := range e.Samples {
			app := s.App
			if app == "" {
				app = strings.ReplaceAll(e.Apps[0], "*", "x")
			}
			for _, text := range append([]string{s.Line, s.None}, s.Lines...) {
				if text = catalogue.Plain(text); text != "" && !strings.Contains(text, "\n") {
					all = append(all, sample{app, text})
				}
			}
		}
	}
	w := newWriter(seed)
	for w.lines < lines {
		s := all[w.rnd.IntN(len(all))]
		w.line(30, s.app, strconv.Itoa(1000+w.lines%60000), s.text)
	}
	return w.corpus("catalogue"), nil
}
