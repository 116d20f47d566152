package config

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestNoiseCostsBoundedTimeAndMemory feeds what makes YAML parsers slow. The limits are far above
// what is measured (0.2 s, 150 MiB for the worst) and far below what a parser without
// bounds takes (minutes).
func TestNoiseCostsBoundedTimeAndMemory(t *testing.T) {
	units := []string{"[", "{", "]", "- ", "-\n", "? ", "a: ", "a:\n", "a: b\n", "# c\n", "'", "\"", "|\n a\n", "&a ", "*a ", "!t ",
		"---\n", ",", "a", "a: {b: c}\n", "- a\n", "a: |\n x\n", "a: \"\\u0041\"\n", "- [1,2,3]\n", "? a\n", " ", "\t", "\r", "{a: b},\n"}
	for i, unit := range units {
		sizes := []int{maxTokens / 2}
		switch {
		case testing.Short():
			sizes = []int{maxTokens / 10}
		case i < 3:
			sizes = []int{maxTokens, maxFileBytes}
		}
		for _, size := range sizes {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			var p problems
			parse("noise", []byte(strings.Repeat(unit, size/len(unit))), &p)
			took := time.Since(start)
			runtime.ReadMemStats(&after)
			if allocated := (after.TotalAlloc - before.TotalAlloc) >> 20; took > 10*time.Second || allocated > 1000 {
				t.Errorf("%d bytes of %q took %v and %d MiB", size, unit, took, allocated)
			}
		}
	}
}

func TestLargeConfigurationIsWithinTheBounds(t *testing.T) {
	var b strings.Builder
	b.WriteString("jails:\n")
	for i := range 1000 {
		fmt.Fprintf(&b, "  - name: jail-%d\n    filter: {failregex: ['^<HOST> x$']}\n    ports: [22, 443/tcp]\n    maxretry: 3\n    findtime: 10m\n", i)
	}
	l := mustLoad(t, write(t, map[string]string{"": b.String()}))
	if len(l.Config.Jails) != 1000 {
		t.Errorf("%d jails of %d bytes", len(l.Config.Jails), b.Len())
	}
}
