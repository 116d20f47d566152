package engine

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
)

const failedPassword = `^Failed (?:password|publickey) for (?:invalid user )?(?P<user>.*) from ` +
	`(?P<ip4>(?:\d{1,3}\.){3}\d{1,3}) port \d+(?: ssh2)?$`

func compile(t testing.TB, pattern string, o Options) *Regexp {
	t.Helper()
	re, err := Compile(pattern, o)
	if err != nil {
		t.Fatal(err)
	}
	return re
}

func TestSearchAllocatesNothing(t *testing.T) {
	m := NewMachine()
	for _, c := range []struct{ name, pattern, subject string }{
		{"a match", failedPassword, "Failed password for invalid user bob from 192.0.2.1 port 4022 ssh2"},
		{"no match at the first byte", failedPassword, "Accepted password for bob from 192.0.2.1 port 4022 ssh2"},
		{"no match at the last", failedPassword, "Failed password for bob from 192.0.2.1 port 4022 ssh2 "},
		{"a lookahead", `user (?:(?! from ).)* from (\S+)`, "the user bob from 192.0.2.1"},
		{"a loop that may be empty", `(?:(a*)|b)*c`, "aabac"},
		{"a backreference", `\[(\d+)\].*\[\1\]`, "[12] a [1] b [12]"},
		{"a backreference without a match", `\[(\d+)\].*\[\1\]x`, "[12] a [1] b [12]"},
		{"other letters", `^é+ (?P<x>[^ ]*)`, "éé \xff日本"},
	} {
		re := compile(t, c.pattern, Options{})
		caps := make([]int, 2*(re.Groups()+1))
		subject := []byte(c.subject)
		if n := testing.AllocsPerRun(100, func() {
			if _, err := m.Search(re, subject, caps); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s allocates %g times", c.name, n)
		}
	}
}

func TestBudget(t *testing.T) {
	m := NewMachine()
	re := compile(t, `^(a*)(a*)(a*)(a*)(a*)\1\2\3\4\5b\1c`, Options{})
	line := []byte(strings.Repeat("a", 4000) + "bc" + strings.Repeat("a", 4000) + "bac")
	if _, err := m.Search(re, line, nil); !errors.Is(err, ErrBudget) {
		t.Errorf("a hopeless backreference ends in %v", err)
	}
	if ok, err := m.Search(re, []byte("aabaac"), make([]int, 12)); ok || err != nil {
		t.Errorf("the search after it: %t, %v", ok, err)
	}
	if ok, err := m.Search(re, []byte("aabc"), make([]int, 12)); !ok || err != nil {
		t.Errorf("and the next: %t, %v", ok, err)
	}
}

// TestTooVariedForTheCache has a line whose positions are nearly all different states, so that the
// cache fills, is thrown away, and is given up.
func TestTooVariedForTheCache(t *testing.T) {
	re := compile(t, `^[ab]*?(a[ab]{16})c?([ab]*)$`, Options{NoNewline: true})
	want := regexp.MustCompile(`^[ab]*?(a[ab]{16})c?([ab]*)$`)
	line := make([]byte, 40_000)
	x := uint32(1)
	for i := range line {
		x = x*1664525 + 1013904223
		line[i] = "ab"[x>>31]
	}
	m := NewMachine()
	caps := make([]int, 6)
	for _, n := range []int{100, 2000, len(line), 30} {
		ok, err := m.Search(re, line[:n], caps)
		if err != nil {
			t.Fatal(err)
		}
		if spans := want.FindSubmatchIndex(line[:n]); !ok || fmt.Sprint(caps) != fmt.Sprint(spans) {
			t.Errorf("%d bytes: got %t %v, want %v", n, ok, caps, spans)
		}
	}
	if words := m.caches[re].size(); words > 2*maxSlab {
		t.Errorf("the cache holds %d words", words)
	}
}

func TestRepeatsOfThousandsAreGivenUp(t *testing.T) {
	re := compile(t, `^[ab]*?(a[ab]{9000})[ab]*$`, Options{})
	line := make([]byte, 64<<10)
	x := uint32(5)
	for i := range line {
		x = x*1664525 + 1013904223
		line[i] = "ab"[x>>31]
	}
	m := NewMachine()
	_, err := m.Search(re, line, nil)
	if !errors.Is(err, ErrBudget) || m.spent > maxWork+len(re.prog.insts) {
		t.Errorf("got %v after %d instructions", err, m.spent)
	}
	if ok, err := m.Search(compile(t, "b", Options{}), line, nil); !ok || err != nil {
		t.Errorf("the machine is of no use afterwards: %t, %v", ok, err)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	m := NewMachine()
	line := []byte(strings.Repeat("abcdefgh 192.0.2.1 [x] ", 8))
	for i := range 300 {
		re := compile(t, fmt.Sprintf(`(?:[a-h ]{1,%d}\d|\[)+ x%d`, 40+i%9, i), Options{})
		if _, err := m.Search(re, line, nil); err != nil {
			t.Fatal(err)
		}
		if m.held > maxMachine+2*maxSlab {
			t.Fatalf("after %d patterns the machine holds %d words", i, m.held)
		}
	}
	m.held = maxMachine + 1
	re := compile(t, "a+b", Options{})
	if ok, _ := m.Search(re, []byte("aab"), nil); !ok || m.held > maxSlab {
		t.Errorf("a full machine: %t, holds %d words afterwards", ok, m.held)
	}
}

func TestSubjectsBeyondTheLimitAreNotJudged(t *testing.T) {
	if _, err := NewMachine().Search(compile(t, "a", Options{}), make([]byte, maxSubject), nil); !errors.Is(err, ErrBudget) {
		t.Errorf("got %v", err)
	}
}

func TestRegexpsAreShared(t *testing.T) {
	re := compile(t, failedPassword, Options{})
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			m := NewMachine()
			caps := make([]int, 2*(re.Groups()+1))
			for i := range 200 {
				line := fmt.Sprintf("Failed password for u%d from 192.0.2.1 port %d ssh2", i, i)
				if ok, _ := m.Search(re, []byte(line), caps); !ok || line[caps[2]:caps[3]] != fmt.Sprintf("u%d", i) {
					t.Errorf("%q: %t %v", line, ok, caps)
				}
			}
		})
	}
	group.Wait()
}

func BenchmarkSearch(b *testing.B) {
	for _, c := range []struct{ name, subject string }{
		{"match", "Failed password for invalid user admin from 192.0.2.17 port 53211 ssh2"},
		{"other prefix", "Accepted password for admin from 192.0.2.17 port 53211 ssh2"},
		{"other method", "Failed none for invalid user admin from 192.0.2.17 port 53211 ssh2"},
		{"other end", "Failed password for invalid user admin from 192.0.2.17 port 53211 ssh2 [preauth]"},
	} {
		re := compile(b, failedPassword, Options{})
		subject := []byte(c.subject)
		b.Run(c.name+"/engine", func(b *testing.B) {
			m, caps := NewMachine(), make([]int, 2*(re.Groups()+1))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := m.Search(re, subject, caps); err != nil {
					b.Fatal(err)
				}
			}
		})
		std := regexp.MustCompile(failedPassword)
		b.Run(c.name+"/regexp", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				std.FindSubmatchIndex(subject)
			}
		})
	}
}
