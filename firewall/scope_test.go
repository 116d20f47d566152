package firewall

import (
	"math/rand/v2"
	"strings"
	"testing"
)

func TestNewScope(t *testing.T) {
	for _, c := range []struct {
		name  string
		ports []string
		want  Scope
		err   string
	}{
		{"no ports are everything", nil, "", ""},
		{"one port", []string{"22"}, "22", ""},
		{"ports are sorted by number", []string{"443", "22", "8080"}, "22,443,8080", ""},
		{"repetitions make no difference", []string{"22", "22", "22/tcp"}, "22", ""},
		{"two protocols make both", []string{"22/tcp", "22/udp"}, "22", ""},
		{"one protocol stays", []string{"443/tcp", "53/udp"}, "53/udp,443/tcp", ""},
		{"neighbours make a range", []string{"81", "80", "82"}, "80-82", ""},
		{"a range is cut where protocols differ", []string{"80-90", "85/tcp"}, "80-90", ""},
		{"protocols cut a range", []string{"80-90/tcp", "85/udp"}, "80-84/tcp,85,86-90/tcp", ""},
		{"the last port", []string{"65535"}, "65535", ""},
		{"all ports", []string{"1-65535"}, "1-65535", ""},
		{"port 0 is refused", []string{"0"}, "", `port "0": ports are numbers between 1 and 65535`},
		{"too high is refused", []string{"22", "65536"}, "", `port "65536"`},
		{"a sign is refused", []string{"+22"}, "", `port "+22"`},
		{"a name is refused", []string{"ssh"}, "", `port "ssh"`},
		{"another protocol is refused", []string{"22/sctp"}, "", "must be tcp or udp"},
		{"a reversed range is refused", []string{"90-80"}, "", "ends before it begins"},
		{"an open range is refused", []string{"80-"}, "", `port "80-"`},
		{"an empty term is refused", []string{""}, "", `port ""`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := NewScope(c.ports)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Fatalf("error %v, want %q", err, c.err)
				}
				return
			}
			if err != nil || got != c.want {
				t.Fatalf("%q, %v; want %q", got, err, c.want)
			}
		})
	}
}

// FuzzNewScope: what NewScope makes is canonical, and Ports reads it.
func FuzzNewScope(f *testing.F) {
	for _, seed := range []string{"22", "80/tcp,443", "6000-6010/udp,53", "0", "1-65535", "22/", "-", "65535/udp,65535/tcp", " 22", "٢٢"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, terms string) {
		s, err := NewScope(strings.Split(terms, ","))
		if err != nil {
			return
		}
		again, err := NewScope(strings.Split(string(s), ","))
		if err != nil || again != s {
			t.Fatalf("%q makes %q makes %q, %v", terms, s, again, err)
		}
		ranges, err := s.Ports()
		if err != nil || len(ranges) == 0 {
			t.Fatalf("%q: %v, %v", s, ranges, err)
		}
		for i, r := range ranges {
			if r.First == 0 || r.Last < r.First || i > 0 && r.First <= ranges[i-1].Last || !r.TCP && !r.UDP {
				t.Fatalf("%q: %+v", s, ranges)
			}
		}
	})
}

func TestScopesAreEqualWhenTheirPortsAre(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	terms := []string{"22", "23", "22-24", "23/tcp", "23/udp", "24/udp", "24/tcp", "80"}
	seen := make(map[[65536]uint8]Scope)
	for range 300 {
		var pick []string
		var ports [65536]uint8
		for _, term := range terms {
			if random.IntN(2) == 0 {
				pick = append(pick, term)
				r, _ := parseTerm(term)
				for p := r.First; p <= r.Last; p++ {
					ports[p] |= r.protocols()
				}
			}
		}
		if len(pick) == 0 {
			continue
		}
		random.Shuffle(len(pick), func(i, j int) { pick[i], pick[j] = pick[j], pick[i] })
		s, err := NewScope(pick)
		if err != nil {
			t.Fatal(err)
		}
		if was, ok := seen[ports]; ok && was != s {
			t.Fatalf("%v is %q, and was %q", pick, s, was)
		}
		seen[ports] = s
	}
}
