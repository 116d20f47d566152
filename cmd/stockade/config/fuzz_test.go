package config

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzLoad loads noise as a file and as a part of conf.d. Whatever it holds, nothing panics, each
// fault has a place inside the file, and what loads without a fault is the same after Show.
func FuzzLoad(f *testing.F) {
	for _, file := range examples(f) {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	for _, seed := range []string{
		"", "jails: &a [*a]", "log: {level: [}", "a: b\n a: c", "- - - a", "? [a]: b", "<<: {a: b}", "state_dir: |\n  /a\n  b\n",
		"never_ban: ['\\x00', \"\\u0085\\n\\t\\\"\", 1.5, ~, null]", "%YAML 1.2\n---\n", "--- a\n--- b\n", "log: !!map {level: info}",
		"defaults: {bantime: -1, findtime: 1d 12h}", "jails: [{name: a, filter: b}, {name: a}]", "\ufefflog:\r\n  level: info\r\n",
		"tails: [{name: a}]\njournals: [{name: b}]\nsources:", "? log\n: level: x", "log: >-\n a\n\n b\n", "\"log\": {'level': \"info\"}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) <= 16<<10 { // sizes are for TestNoiseCostsBoundedTimeAndMemory
			checkNoise(t, text)
		}
	})
}

// TestNoise spoils bytes of a good configuration at random, the same way each time.
func TestNoise(t *testing.T) {
	good, err := os.ReadFile("../../../examples/gateway.yaml")
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	const signs = "[]{},:-#&*!|>'\"%@?~ \n\t\r\\0a\xff\x00"
	rounds := 600
	if testing.Short() {
		rounds = 60
	}
	for range rounds {
		text := bytes.Clone(good)
		for range 1 + random.IntN(4) {
			i := random.IntN(len(text))
			switch random.IntN(3) {
			case 0:
				text[i] = signs[random.IntN(len(signs))]
			case 1:
				text = append(text[:i:i], text[i+1+random.IntN(min(20, len(text)-i)):]...)
			default:
				text = append(text[:i:i], append([]byte{signs[random.IntN(len(signs))]}, text[i:]...)...)
			}
		}
		checkNoise(t, text)
	}
}

// checkNoise holds a load of any text to what FuzzLoad promises.
func checkNoise(t *testing.T, text []byte) {
	t.Helper()
	o := write(t, map[string]string{"": string(text), "conf.d/a.yaml": string(text)})
	l, err := Load(o)
	if !bytes.Contains(text, []byte("file:")) { // which would read any file
		l.Check()
	}
	lines := 1 + strings.Count(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(text)), "\n")
	for _, p := range l.Problems() {
		if p.Line < 0 || p.Line > lines || (p.Line > 0) != (p.Column > 0) || p.Message == "" ||
			!strings.HasPrefix(p.File, filepath.Dir(o.defaultFile)) {
			t.Errorf("%+v in %d lines of %q", p, lines, text)
		}
	}
	if err != nil {
		return
	}
	written, back := shown(t, l)
	if d := cmp.Diff(l.Config, back.Config); d != "" {
		t.Errorf("what Show wrote of %q reads differently:\n%s\n%s", text, d, written)
	}
}
