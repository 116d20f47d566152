package notify

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// whoisd is a whois server on the loopback. It answers every query with what answer returns; "" keeps
// silent until the other end closes.
type whoisd struct {
	net.Listener
	mu      sync.Mutex
	queries []string
}

func newWhoisd(t *testing.T, answer func(query string) string) *whoisd {
	t.Helper()
	d := &whoisd{}
	d.Listener = listen(t, func(c net.Conn) {
		defer c.Close()
		query, err := bufio.NewReader(c).ReadString('\n')
		if err != nil {
			return
		}
		d.mu.Lock()
		d.queries = append(d.queries, query)
		d.mu.Unlock()
		if text := answer(query); text != "" {
			_, _ = io.WriteString(c, text)
		} else {
			_, _ = io.Copy(io.Discard, c)
		}
	})
	return d
}

func (d *whoisd) asked() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.queries)
}

// about is a message of the ban of a prefix.
func about(prefix string) *message {
	m := single(0)
	m.events[0].Prefix = netip.MustParsePrefix(prefix)
	return m
}

// TestWhoisFollowsReferrals asks servers that name others: at most two, none twice, and only by what is
// the name of a host and the port of whois.
func TestWhoisFollowsReferrals(t *testing.T) {
	answers := map[string]string{
		"iana.example.net:43":   "% IANA\n\nrefer:        arin.example.net\n\nwhois: other.example.net\n",
		"arin.example.net:43":   "# remark\nOrgName: A\nReferralServer:  whois://RIPE.example.net:43\r\n",
		"ripe.example.net:43":   "netname: TEST\r\ncountry: EU\r\nrefer: fourth.example.net\n",
		"loop.example.net:43":   "owner: loop\nrefer: loop.example.net\n",
		"odd.example.net:43":    "owner: odd\nReferralServer: rwhois://r.example.net:4321\nrefer: 127.0.0.1\nrefer: localhost\nrefer: [::1]:43\nrefer: a.example.net:22\nrefer: -x.example\nrefer: a b.example.net\n",
		"broken.example.net:43": "owner: broken\nrefer: nowhere.example.net\n",
	}
	var dialled []string
	r := &registry{limit: 20 * time.Second, dial: func(_ context.Context, address string, referred bool) (net.Conn, error) {
		if referred != (len(dialled) > 0) {
			t.Errorf("%s: referred is %t", address, referred)
		}
		dialled = append(dialled, address)
		text, ok := answers[address]
		if !ok {
			return nil, errors.New("no such host")
		}
		ours, theirs := net.Pipe()
		go func() {
			defer theirs.Close()
			if q, err := bufio.NewReader(theirs).ReadString('\n'); err != nil || q != "198.51.100.7\r\n" {
				t.Errorf("query %q, %v", q, err)
			}
			_, _ = io.WriteString(theirs, text)
		}()
		return ours, nil
	}}
	for server, want := range map[string]struct {
		hosts, text string
	}{
		"iana":    {"iana arin ripe", "ripe.example.net:43 says:\nnetname: TEST\ncountry: EU\nrefer: fourth.example.net\n"},
		"loop":    {"loop", "loop.example.net:43 says:\nowner: loop\nrefer: loop.example.net\n"},
		"odd":     {"odd", "odd.example.net:43 says:\n" + facts(answers["odd.example.net:43"])},
		"broken":  {"broken nowhere", "broken.example.net:43 says:\nowner: broken\nrefer: nowhere.example.net\n"},
		"missing": {"missing", "missing.example.net:43 says nothing: no such host\n"},
	} {
		dialled, r.server = nil, server+".example.net:43"
		got := r.describe(t.Context(), about("198.51.100.7/32"))
		hosts := strings.ReplaceAll(strings.Join(dialled, " "), ".example.net:43", "")
		if got != want.text || hosts != want.hosts {
			t.Errorf("%s: asked %q and told %q, want %q and %q", server, hosts, got, want.hosts, want.text)
		}
	}
}

// TestWhoisAsksOfWhatARegistryKnows asks of no address of a private network, and of one ban at a time.
func TestWhoisAsksOfWhatARegistryKnows(t *testing.T) {
	d := newWhoisd(t, func(string) string { return "owner: x\n" })
	r, err := newRegistry(&Whois{Enabled: true, Server: d.Addr().String(), Timeout: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	for _, prefix := range []string{"10.1.2.3/32", "192.168.0.0/24", "100.64.1.1/32", "127.0.0.1/32", "fe80::/64", "fd00::1/128", "::ffff:10.0.0.1/128", "ff02::1/128"} {
		if got := r.describe(t.Context(), about(prefix)); got != "" {
			t.Errorf("%s: %q", prefix, got)
		}
	}
	lifted, none := about("198.51.100.7/32"), about("198.51.100.7/32")
	lifted.events[0].Kind = KindUnban
	none.events[0].Prefix = netip.Prefix{}
	digest := &message{host: "gw", events: []Event{ban(0), ban(1)}, counts: map[Kind]int{KindBan: 2}, total: 2}
	for i, m := range []*message{lifted, none, digest} {
		if got := r.describe(t.Context(), m); got != "" {
			t.Errorf("message %d: %q", i, got)
		}
	}
	if got := d.asked(); len(got) > 0 {
		t.Fatalf("asked %q", got)
	}
	for _, prefix := range []string{"198.51.100.7/32", "2001:db8:1:2::/64", "::ffff:198.51.100.7/128"} {
		if got := r.describe(t.Context(), about(prefix)); !strings.HasSuffix(got, " says:\nowner: x\n") {
			t.Errorf("%s: %q", prefix, got)
		}
	}
	if got := d.asked(); !slices.Equal(got, []string{"198.51.100.7\r\n", "2001:db8:1:2::\r\n", "198.51.100.7\r\n"}) {
		t.Errorf("asked %q", got)
	}
	if r, err := newRegistry(&Whois{Server: "whois.example.net"}); r != nil || err != nil {
		t.Errorf("it is not off by default: %v %v", r, err)
	}
}

// TestWhoisStaysOutOfOwnNetworks refuses to follow a server into the networks of this host.
func TestWhoisStaysOutOfOwnNetworks(t *testing.T) {
	d := newWhoisd(t, func(string) string { return "owner: x\n" })
	if conn, err := dialWhois(t.Context(), d.Addr().String(), true); err == nil {
		conn.Close()
		t.Error("a referral leads to the loopback")
	} else if !strings.Contains(err.Error(), "no address of the internet") {
		t.Error(err)
	}
	conn, err := dialWhois(t.Context(), d.Addr().String(), false)
	if err != nil {
		t.Fatal("the server of the configuration: ", err)
	}
	conn.Close()
}

// TestWhoisIsBounded asks servers that are silent, dead or never end.
func TestWhoisIsBounded(t *testing.T) {
	endless, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan int, 1)
	go func() {
		c, err := endless.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		sent := 0
		for {
			n, err := c.Write([]byte(strings.Repeat("netname: "+strings.Repeat("A", 100)+"\n", 100)))
			sent += n
			if err != nil {
				served <- sent
				return
			}
		}
	}()
	defer endless.Close()
	r := &registry{server: endless.Addr().String(), limit: 20 * time.Second, dial: dialWhois}
	got := r.describe(t.Context(), about("198.51.100.7/32"))
	if len(got) < maxRegistry/2 || len(got) > maxRegistry+maxLine {
		t.Errorf("an endless answer makes %d bytes", len(got))
	}
	select {
	case <-served: // the connection was closed from here
	case <-time.After(20 * time.Second):
		t.Error("the endless server is still read")
	}

	silent := newWhoisd(t, func(string) string { return "" })
	r = &registry{server: silent.Addr().String(), limit: 50 * time.Millisecond, dial: dialWhois}
	began := time.Now()
	if got := r.describe(t.Context(), about("198.51.100.7/32")); got != r.server+" says nothing: no answer within 50ms\n" {
		t.Errorf("a silent server: %q", got)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("a silent server took %s", took)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r.limit = time.Hour
	if got := r.describe(ctx, about("198.51.100.7/32")); got != "" {
		t.Errorf("a stop: %q", got)
	}
	r.server = free(t)
	if got := r.describe(t.Context(), about("198.51.100.7/32")); !strings.Contains(got, "connection refused") {
		t.Errorf("a dead server: %q", got)
	}
}

// TestMailWithWhois sends what hostile registries say. Nothing of it becomes a header, and a digest
// asks nobody.
func TestMailWithWhois(t *testing.T) {
	d := newWhoisd(t, func(string) string {
		return "% remark\nnetname: x\x1b[2J\u202e\xff\x00\r\n.\r\nBcc: victim@example.org\r\n\r\nbody\rX: y\nrefer: 127.0.0.1\n"
	})
	s := newSMTPD(t)
	cfg := s.config()
	cfg.Rate, cfg.Digest = maxRate, 50*time.Millisecond
	cfg.Whois = Whois{Enabled: true, Server: d.Addr().String(), Timeout: 20 * time.Second}
	n := start(t, cfg)
	n.Post(ban(0))
	eventually(t, "the mail is sent", func() bool { return n.Stats()[0].Sent == 1 })
	s.mu.Lock()
	mails := slices.Clone(s.mails)
	s.mu.Unlock()
	header, body := read(t, mails[0])
	want := "\n" + d.Addr().String() + " says:\nnetname: x [2J\n.\nBcc: victim@example.org\nbody X: y\nrefer: 127.0.0.1\n"
	if header.Get("Bcc") != "" || !strings.HasSuffix(strings.ReplaceAll(body, "  ", ""), strings.ReplaceAll(want, "  ", "")) {
		t.Errorf("headers %v, body %q, want %q", header, body, want)
	}
	if strings.ContainsAny(body, "\x00\x1b\r\u202e") {
		t.Errorf("body %q", body)
	}
	if got := d.asked(); !slices.Equal(got, []string{"198.51.0.0\r\n"}) {
		t.Errorf("asked %q", got)
	}
}

// TestWhoisDelaysNobody floods a channel whose registry keeps silent: posting waits for nothing, another
// channel is told at once, and what waits at a stop is still sent.
func TestWhoisDelaysNobody(t *testing.T) {
	d := newWhoisd(t, func(string) string { return "" })
	s := newSMTPD(t)
	cfg := s.config()
	cfg.Digest = time.Second
	slow := cfg
	slow.Name, slow.Whois = "slow", Whois{Enabled: true, Server: d.Addr().String(), Timeout: time.Hour}
	cfg.Rate = maxRate
	n := start(t, slow)
	n.Post(ban(2000))
	eventually(t, "the registry is asked", func() bool { return len(d.asked()) == 1 })
	if err := n.Swap([]Config{slow, cfg}); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for i := range 1000 {
		n.Post(ban(i))
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("a thousand posts took %s", took)
	}
	eventually(t, "the other channel tells of all", func() bool { return n.Stats()[1].Sent == 1000 })
	if got := n.Stats()[0]; got.Sent != 0 || got.Waiting != 1000 {
		t.Errorf("the slow one: %+v", got)
	}
	if err := n.Swap([]Config{cfg}); err != nil { // ends the slow one
		t.Fatal(err)
	}
	told := func(text string) bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return slices.ContainsFunc(s.mails, func(m string) bool { return strings.Contains(m, text) })
	}
	eventually(t, "what waited is sent", func() bool { return told(addressText(ban(2000).Prefix) + " (sshd)") })
}

func TestWhoisAddress(t *testing.T) {
	for text, want := range map[string]string{
		"whois.example.net": "whois.example.net:43", "whois.example.net:4343": "whois.example.net:4343",
		"192.0.2.1": "192.0.2.1:43", "2001:db8::1": "[2001:db8::1]:43", "[2001:db8::1]:44": "[2001:db8::1]:44",
		"a:b:c": "", "host:0": "", ":43": "", "a b": "", "a\r\nb:43": "", "host:": "",
	} {
		got, err := whoisAddress(text)
		if want == "" && err == nil || want != "" && got != want {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}

// FuzzWhoisAnswer reads answers: what is told is printable and bounded, and a referral is a name.
func FuzzWhoisAnswer(f *testing.F) {
	for _, h := range hostile {
		f.Add("refer: " + h + "\nReferralServer: whois://" + h + ":43\n" + h)
	}
	f.Add("refer: whois.ripe.net\n")
	f.Fuzz(func(t *testing.T, answer string) {
		told := facts(answer)
		if len(told) > maxRegistry+2*maxLine {
			t.Errorf("%d bytes", len(told))
		}
		for line := range strings.Lines(told) {
			if clean(strings.TrimSuffix(line, "\n"), 2*maxLine) != strings.TrimSuffix(line, "\n") {
				t.Errorf("line %q", line)
			}
		}
		if to := referral(answer); to != "" {
			host, port, err := net.SplitHostPort(to)
			if _, bad := netip.ParseAddr(host); err != nil || port != whoisPort || bad == nil || !strings.Contains(host, ".") {
				t.Errorf("referral %q: %v", to, err)
			}
			if strings.ContainsAny(host, "/@:[] \r\n\x00") {
				t.Errorf("referral %q", fmt.Sprint(to))
			}
		}
	})
}
