package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// offline are the verbs that ask no daemon, so that none can be missing. Those of a group go by its
// name.
var offline = []string{"serve", "check", "regex", "firewall", "filters", "pki", "replay", "config", "import", "compare", "man", "completion", "help", "version"}

// elsewhere are verbs whose texts are compared in tests of their own.
var elsewhere = []string{"import", "compare", "man", "completion", "help"}

var scriptLine = regexp.MustCompile(`(?m)^\s*(?:code (\d) |! exec |exec )?stockade (.*)$`)

// TestScriptsWalkEveryVerb holds the scripts to the verbs: each is run as text and, where it can, as
// JSON, and each that asks a daemon is run without one.
func TestScriptsWalkEveryVerb(t *testing.T) {
	files, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil || len(files) < 20 {
		t.Fatalf("scripts: %v, %v", files, err)
	}
	type line struct{ code, args string }
	var lines []line
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range scriptLine.FindAllStringSubmatch(string(text), -1) {
			lines = append(lines, line{m[1], " " + m[2] + " "})
		}
	}
	root := (&app{}).root()
	verbs := 0
	var walk func(c *cobra.Command, path string)
	walk = func(c *cobra.Command, path string) {
		for _, sub := range c.Commands() {
			at := strings.TrimSpace(path + " " + sub.Name())
			group, _, _ := strings.Cut(at, " ")
			if slices.Contains(elsewhere, group) {
				continue
			}
			walk(sub, at)
			if sub.HasSubCommands() && sub.Name() != "sources" {
				continue // alone it is a wrong usage
			}
			verbs++
			var text, asJSON, dead bool
			for _, l := range lines {
				if !strings.Contains(l.args, " "+at+" ") && !strings.Contains(l.args, " "+at+"\t") {
					continue
				}
				wants := strings.Contains(l.args, " --json ")
				text, asJSON = text || !wants, asJSON || wants
				dead = dead || l.code == "3"
			}
			if !text {
				t.Errorf("no script runs %q", at)
			}
			if sub.Flags().Lookup("json") != nil && !asJSON {
				t.Errorf("no script runs %q with --json", at)
			}
			if !slices.Contains(offline, group) && at != "top" && !dead { // top wants a terminal first
				t.Errorf("no script runs %q without a daemon", at)
			}
		}
	}
	walk(root, "")
	if verbs < 30 {
		t.Errorf("%d verbs", verbs)
	}
}
