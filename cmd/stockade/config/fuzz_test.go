package config

import (
	"bytes"
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
		if len(text) > 16<<10 {
			return // FuzzLoad looks for shapes; TestNoiseCostsBoundedTimeAndMemory for sizes
		}
		o := write(t, map[string]string{"": string(text), "conf.d/a.yaml": string(text)})
		l, err := Load(o)
		if !bytes.Contains(text, []byte("file:")) { // which would read any file
			l.Check()
		}
		lines := 1 + strings.Count(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(text)), "\n")
		for _, p := range l.Problems() {
			if p.Line < 0 || p.Line > lines || (p.Line > 0) != (p.Column > 0) || p.Message == "" || !strings.HasPrefix(p.File, filepath.Dir(o.defaultFile)) {
				t.Errorf("%+v in %d lines", p, lines)
			}
		}
		if err != nil {
			return
		}
		shownText, back := shown(t, l)
		if d := cmp.Diff(l.Config, back.Config); d != "" {
			t.Errorf("what Show wrote reads differently:\n%s\n%s", d, shownText)
		}
	})
}
