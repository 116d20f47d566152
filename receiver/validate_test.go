package receiver

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// faults runs a validator and returns its reports as "path: message".
func faults(validate func(report func(path, message string))) []string {
	var all []string
	validate(func(path, message string) { all = append(all, path+": "+message) })
	return all
}

// expect compares reports with wanted ones: a path, and pieces of its message.
func expect(t *testing.T, got []string, want ...string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %d faults, want %d:\n%s", len(got), len(want), strings.Join(got, "\n"))
	}
	for i, w := range want {
		path, pieces, _ := strings.Cut(w, ": ")
		if !strings.HasPrefix(got[i], path+": ") {
			t.Errorf("fault %q is not at %s", got[i], path)
		}
		for piece := range strings.SplitSeq(pieces, " … ") {
			if !strings.Contains(got[i], piece) {
				t.Errorf("fault %q lacks %q", got[i], piece)
			}
		}
	}
}

func TestValidateListeners(t *testing.T) {
	good := []ListenerConfig{
		{Name: "local", Transport: "unixgram", Path: "/run/stockade/syslog.sock", Mode: "0666"},
		{Name: "stream", Transport: "unix", Path: "/run/stockade/stream.sock", Framing: "lf", MaxConnections: 10},
		{Name: "lan", Transport: "udp", Address: "192.0.2.1:514", Framing: "auto"},
		{Name: "plain", Transport: "tcp", Address: "[2001:db8::1]:514", Format: "rfc5424", ProxiesFrom: []string{"192.0.2.1"}},
		{Name: "secure", Transport: "tls", Address: ":6514", Cert: "c", Key: "k", ClientCA: "a"},
		{Name: "journal", Transport: "journal-upload", Address: "localhost:19532", Cert: "c", Key: "k", ClientCA: "a"},
	}
	expect(t, faults(func(r func(a, b string)) { ValidateListeners(good, r) }))

	udp := func(c ListenerConfig) ListenerConfig {
		c.Name = "x"
		if c.Transport == "" {
			c.Transport = "udp"
		}
		if c.Address == "" && c.Path == "" {
			c.Address = "127.0.0.1:514"
		}
		return c
	}
	for _, tt := range []struct {
		cfg  ListenerConfig
		want []string
	}{
		{ListenerConfig{Transport: "udp", Address: ":514"}, []string{"listeners[0]: name is missing"}},
		{ListenerConfig{Name: "LAN!", Transport: "udp", Address: ":514"}, []string{`listeners[0].name: "LAN!" … [a-z0-9][a-z0-9-]*`}},
		{ListenerConfig{Name: "x"}, []string{"listeners[0]: transport is missing"}},
		{udp(ListenerConfig{Transport: "upd"}), []string{`listeners[0].transport: "upd" … udp, tcp, tls, unix, unixgram, journal-upload; did you mean "udp"?`}},
		{udp(ListenerConfig{Address: "514"}), []string{`listeners[0].address: "514" must be host:port`}},
		{udp(ListenerConfig{Address: "1.2.3.4:65536"}), []string{`listeners[0].address: "65536" must be between 0 and 65535`}},
		{udp(ListenerConfig{Address: "host.lan:514"}), []string{`listeners[0].address: "host.lan" must be an IP address`}},
		{ListenerConfig{Name: "x", Transport: "tcp"}, []string{"listeners[0]: address is missing"}},
		{udp(ListenerConfig{Path: "/run/x", Address: ":1"}), []string{`listeners[0].path: "/run/x" … use address`}},
		{udp(ListenerConfig{Mode: "0600"}), []string{`listeners[0].mode: "0600" fits unix sockets only`}},
		{ListenerConfig{Name: "x", Transport: "unix"}, []string{"listeners[0]: path is missing"}},
		{ListenerConfig{Name: "x", Transport: "unix", Path: "rel", Mode: "0999"}, []string{`listeners[0].path: "rel" must be absolute`, `listeners[0].mode: "0999" must be octal`}},
		{ListenerConfig{Name: "x", Transport: "unix", Path: "/" + strings.Repeat("x", 107)}, []string{"listeners[0].path: at most 107 bytes"}},
		{ListenerConfig{Name: "x", Transport: "unixgram", Path: "/x", Address: ":5"}, []string{`listeners[0].address: ":5" … use path`}},
		{udp(ListenerConfig{Transport: "tcp", Framing: "octets"}), []string{`listeners[0].framing: "octets" … auto, octet, lf; did you mean "octet"?`}},
		{udp(ListenerConfig{Framing: "lf"}), []string{`listeners[0].framing: "lf" does not fit transport udp`}},
		{udp(ListenerConfig{Format: "rfc5242"}), []string{`listeners[0].format: "rfc5242" … did you mean "rfc5424"?`}},
		{udp(ListenerConfig{MaxConnections: 5}), []string{"listeners[0].max_connections: 5 does not fit transport udp"}},
		{udp(ListenerConfig{Transport: "tcp", MaxConnections: -1}), []string{"listeners[0].max_connections: -1 must be between 1 and 1000000"}},
		{udp(ListenerConfig{ProxiesFrom: []string{"x"}}), []string{"listeners[0].proxies_from: does not fit transport udp", `listeners[0].proxies_from[0]: "x" is not an address or prefix`}},
		{udp(ListenerConfig{Transport: "tls", Cert: "c"}), []string{"listeners[0]: key is missing", "listeners[0]: client_ca is missing"}},
		{udp(ListenerConfig{Transport: "tcp", Key: "k"}), []string{`listeners[0].key: "k" does not fit transport tcp`}},
	} {
		t.Run(tt.want[0], func(t *testing.T) {
			expect(t, faults(func(r func(a, b string)) { ValidateListeners([]ListenerConfig{tt.cfg}, r) }), tt.want...)
		})
	}
}

func TestListenersThatClash(t *testing.T) {
	for _, tt := range []struct {
		a, b  ListenerConfig
		clash bool
	}{
		{ListenerConfig{Transport: "tcp", Address: "127.0.0.1:514"}, ListenerConfig{Transport: "tcp", Address: "127.0.0.1:514"}, true},
		{ListenerConfig{Transport: "tcp", Address: ":514"}, ListenerConfig{Transport: "tls", Address: "127.0.0.1:514"}, true},
		{ListenerConfig{Transport: "tcp", Address: "0.0.0.0:514"}, ListenerConfig{Transport: "tcp", Address: "[::1]:514"}, false},
		{ListenerConfig{Transport: "tcp", Address: ":514"}, ListenerConfig{Transport: "udp", Address: ":514"}, false},
		{ListenerConfig{Transport: "tcp", Address: "127.0.0.1:0"}, ListenerConfig{Transport: "tcp", Address: "127.0.0.1:0"}, false},
		{ListenerConfig{Transport: "tcp", Address: "127.0.0.1:1"}, ListenerConfig{Transport: "tcp", Address: "127.0.0.2:1"}, false},
		{ListenerConfig{Transport: "unix", Path: "/x"}, ListenerConfig{Transport: "unixgram", Path: "/x"}, true},
		{ListenerConfig{Transport: "unix", Path: "/x"}, ListenerConfig{Transport: "unix", Path: "/y"}, false},
	} {
		if clash(&tt.a, &tt.b) != tt.clash || clash(&tt.b, &tt.a) != tt.clash {
			t.Errorf("%s%s and %s%s: clash %v, want %v", tt.a.Address, tt.a.Path, tt.b.Address, tt.b.Path, !tt.clash, tt.clash)
		}
	}
	twice := []ListenerConfig{{Name: "a", Transport: "udp", Address: ":1"}, {Name: "a", Transport: "udp", Address: ":1"}}
	expect(t, faults(func(r func(a, b string)) { ValidateListeners(twice, r) }),
		`listeners[1].name: "a" is already used`, `listeners[1].address: ":1" is already used by listener "a"`)
}

func TestValidateSources(t *testing.T) {
	feeds := Feeds{
		Listeners: []ListenerConfig{{Name: "lan", Transport: "udp"}, {Name: "plain", Transport: "tcp"}, {Name: "secure", Transport: "tls"}, {Name: "local", Transport: "unixgram"}},
		Tails:     []string{"web-log"}, Journals: []string{"system"},
	}
	jails := []string{"sshd", "nginx-auth"}
	all := []string{"*"}
	lan := func(c SourceConfig) SourceConfig {
		if c.Name == "" {
			c.Name = "x"
		}
		if c.Listener == "" && c.Tail == "" && c.Journal == "" {
			c.Listener = "lan"
		}
		if c.Listener == "lan" && c.Addresses == nil {
			c.Addresses = []string{"192.0.2.0/24"}
		}
		if c.Jails == nil {
			c.Jails = all
		}
		return c
	}
	sum := strings.Repeat("ab", 32)
	good := []SourceConfig{
		lan(SourceConfig{Quota: QuotaConfig{Word: "none"}, Timezone: "Europe/Berlin", ExpectEvery: time.Minute}),
		{Name: "iface", Listener: "lan", Interface: "br-lan", Jails: []string{"sshd", "nginx-auth"}},
		{Name: "root", Listener: "local", UID: []uint32{0}, Jails: all},
		{Name: "users", Listener: "local", Jails: all, Apps: []string{"sshd*"}, Hostnames: []string{"web1"}},
		{Name: "web1", Listener: "secure", Certificate: CertificateConfig{SAN: "web1.lan"}, Addresses: []string{"192.0.2.7"}, Jails: all},
		{Name: "web2", Listener: "secure", Certificate: CertificateConfig{SHA256: sum}, Addresses: []string{"192.0.2.7"}, Jails: all},
		{Name: "log", Tail: "web-log", Jails: all, Quota: QuotaConfig{BansPerMinute: 60, Burst: 120, Over: "quarantine"}},
		{Name: "journal", Journal: "system", Jails: all},
	}
	expect(t, faults(func(r func(a, b string)) { ValidateSources(good, feeds, jails, r) }))

	for _, tt := range []struct {
		cfg  SourceConfig
		want []string
	}{
		{lan(SourceConfig{Name: "X"}), []string{`sources[0].name: "X"`}},
		{SourceConfig{Name: "x", Jails: all}, []string{"sources[0]: exactly one of listener, tail and journal"}},
		{SourceConfig{Name: "x", Jails: all, Listener: "lan", Tail: "web-log"}, []string{"sources[0]: exactly one of"}},
		{lan(SourceConfig{Listener: "plan", Addresses: []string{"::/0"}}), []string{`sources[0].listener: unknown listener "plan"; did you mean "lan"?`}},
		{lan(SourceConfig{Tail: "web-logs"}), []string{`sources[0].tail: unknown tail "web-logs"; did you mean "web-log"?`}},
		{lan(SourceConfig{UID: []uint32{7}}), []string{"sources[0].uid: uid 7 cannot be proven by transport udp"}},
		{lan(SourceConfig{Certificate: CertificateConfig{SAN: "a"}}), []string{`sources[0].certificate: "a" cannot be proven by transport udp`}},
		{lan(SourceConfig{Listener: "plain"}), []string{"sources[0]: addresses is missing"}},
		{lan(SourceConfig{Listener: "plain", Addresses: []string{"::1"}, Interface: "lo"}), []string{`sources[0].interface: "lo" cannot be proven by transport tcp`}},
		{lan(SourceConfig{Listener: "secure", Addresses: []string{"::1"}}), []string{"sources[0]: certificate is missing"}},
		{lan(SourceConfig{Listener: "local", Addresses: []string{"::1"}}), []string{`sources[0].addresses: "::1" cannot be proven by transport unixgram`}},
		{lan(SourceConfig{Tail: "web-log", UID: []uint32{0}}), []string{"sources[0].uid: uid 0 cannot be proven by transport tail"}},
		{lan(SourceConfig{Addresses: []string{"192.0.2.1/24", "x", "::ffff:192.0.2.1", "fe80::1%lo"}}), []string{
			`sources[0].addresses[0]: "192.0.2.1/24" … did you mean "192.0.2.0/24"?`, `sources[0].addresses[1]: "x" is not an address`,
			`sources[0].addresses[2]: did you mean "192.0.2.1"?`, `sources[0].addresses[3]: zone`,
		}},
		{lan(SourceConfig{Listener: "secure", Certificate: CertificateConfig{SAN: "*.lan"}}), []string{`sources[0].certificate.san: "*.lan" … exact`}},
		{lan(SourceConfig{Listener: "secure", Certificate: CertificateConfig{SHA256: "ab"}}), []string{`sources[0].certificate.sha256: "ab" must be 64 hexadecimal digits`}},
		{lan(SourceConfig{Listener: "secure", Certificate: CertificateConfig{SAN: "a", SHA256: sum}}), []string{"sources[0].certificate: exactly one of"}},
		{lan(SourceConfig{Jails: []string{"sshd", "ssdh"}}), []string{`sources[0].jails[1]: unknown jail "ssdh"; did you mean "sshd"?`}},
		{SourceConfig{Name: "x", Tail: "web-log"}, []string{"sources[0]: jails is missing"}},
		{lan(SourceConfig{Hostnames: []string{"a b"}, Apps: []string{"[x"}}), []string{`sources[0].hostnames[0]: "a b"`, `sources[0].apps[0]: "[x"`}},
		{lan(SourceConfig{Quota: QuotaConfig{Word: "nine"}}), []string{`sources[0].quota: "nine" must be none or … did you mean "none"?`}},
		{lan(SourceConfig{Quota: QuotaConfig{Word: "none", Burst: 3}}), []string{`sources[0].quota: "none" has no other keys`}},
		{lan(SourceConfig{Quota: QuotaConfig{BansPerMinute: -1, Burst: 2_000_000, Over: "trottle"}}), []string{
			"sources[0].quota.bans_per_minute: -1 must be between 1 and 1000000", "sources[0].quota.burst: 2000000", `sources[0].quota.over: "trottle" … did you mean "throttle"?`,
		}},
		{lan(SourceConfig{ExpectEvery: time.Millisecond}), []string{"sources[0].expect_every: 1ms must be between 1s and 366d"}},
		{lan(SourceConfig{Timezone: "CEST/Berlin"}), []string{`sources[0].timezone: "CEST/Berlin" must be a name`}},
	} {
		t.Run(tt.want[0], func(t *testing.T) {
			expect(t, faults(func(r func(a, b string)) { ValidateSources([]SourceConfig{tt.cfg}, feeds, jails, r) }), tt.want...)
		})
	}
}

func TestSourcesThatClaimOnePeer(t *testing.T) {
	feeds := Feeds{Listeners: []ListenerConfig{{Name: "lan", Transport: "udp"}, {Name: "lan2", Transport: "udp"}, {Name: "local", Transport: "unix"}, {Name: "secure", Transport: "tls"}}, Tails: []string{"log"}}
	for _, tt := range []struct {
		name string
		a, b SourceConfig
		want string
	}{
		{"one prefix", SourceConfig{Listener: "lan", Addresses: []string{"192.0.2.0/24"}}, SourceConfig{Listener: "lan", Addresses: []string{"10.0.0.0/8", "192.0.2.0/24"}}, `sources[1].addresses[1]: "192.0.2.0/24" is also claimed by source "a"`},
		{"a longer prefix is another claim", SourceConfig{Listener: "lan", Addresses: []string{"192.0.2.0/24"}}, SourceConfig{Listener: "lan", Addresses: []string{"192.0.2.0/25"}}, ""},
		{"another listener is another claim", SourceConfig{Listener: "lan", Addresses: []string{"192.0.2.0/24"}}, SourceConfig{Listener: "lan2", Addresses: []string{"192.0.2.0/24"}}, ""},
		{"one user", SourceConfig{Listener: "local", UID: []uint32{7}}, SourceConfig{Listener: "local", UID: []uint32{7}}, `sources[1].uid: "7"`},
		{"all users", SourceConfig{Listener: "local"}, SourceConfig{Listener: "local"}, "sources[1].listener: any user"},
		{"one name", SourceConfig{Listener: "secure", Certificate: CertificateConfig{SAN: "a.lan"}}, SourceConfig{Listener: "secure", Certificate: CertificateConfig{SAN: "A.lan"}}, `sources[1].certificate.san: "a.lan"`},
		{"one tail", SourceConfig{Tail: "log"}, SourceConfig{Tail: "log"}, `sources[1].tail: "log"`},
		{"any address of two interfaces", SourceConfig{Listener: "lan", Interface: "a"}, SourceConfig{Listener: "lan", Addresses: []string{"0.0.0.0/0"}}, `sources[1].addresses[0]: "0.0.0.0/0"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.a.Name, tt.b.Name, tt.a.Jails, tt.b.Jails = "a", "b", []string{"*"}, []string{"*"}
			got := faults(func(r func(a, b string)) { ValidateSources([]SourceConfig{tt.a, tt.b}, feeds, nil, r) })
			_, err := NewSources([]SourceConfig{tt.a, tt.b}, nil)
			if tt.want == "" {
				expect(t, got)
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			expect(t, got, tt.want)
			if err == nil && tt.a.Tail == "" {
				t.Fatal("NewSources takes what ValidateSources refuses")
			}
		})
	}
}

func TestDidYouMean(t *testing.T) {
	for _, tt := range []struct{ word, want string }{
		{"upd", "udp"}, {"unixgrm", "unixgram"}, {"TCP", "tcp"}, {"carrier-pigeon", ""}, {"", ""}, {strings.Repeat("x", 100), ""},
	} {
		want := ""
		if tt.want != "" {
			want = fmt.Sprintf("; did you mean %q?", tt.want)
		}
		if got := didYouMean(tt.word, transports); got != want {
			t.Errorf("%q: %q, want %q", tt.word, got, want)
		}
	}
}
