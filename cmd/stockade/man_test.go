package main

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// pages writes all manual pages and returns their texts by name.
func pages(t *testing.T) map[string]string {
	t.Helper()
	dir := t.TempDir()
	args := []string{"man", dir, "--date", "2026-11-24", "--reference", "../../examples/stockade.yaml"}
	var said bytes.Buffer
	if code := run(args, strings.NewReader(""), &said, &said); code != 0 {
		t.Fatalf("exit %d: %s", code, said.String())
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]string)
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all[filepath.Base(f)] = string(text)
	}
	return all
}

func TestManualPages(t *testing.T) {
	all := pages(t)
	if !maps.Equal(all, pages(t)) {
		t.Error("the pages differ from one run to the next")
	}
	want := []string{"stockade.yaml.5"}
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		want = append(want, strings.ReplaceAll(c.CommandPath(), " ", "-")+".8")
		for _, below := range c.Commands() {
			if below.IsAvailableCommand() && !below.IsAdditionalHelpTopicCommand() {
				walk(below)
			}
		}
	}
	root := new(app).root()
	root.InitDefaultCompletionCmd()
	walk(root)
	slices.Sort(want)
	if got := slices.Sorted(maps.Keys(all)); !slices.Equal(got, want) {
		t.Errorf("pages %v, want %v", got, want)
	}
	for name, text := range all {
		for _, section := range []string{".TH ", ".SH NAME", ".SH DESCRIPTION", ".SH SEE ALSO"} {
			if strings.Count(text, section) != 1 {
				t.Errorf("%s has no %s, or more than one", name, section)
			}
		}
		if strings.ContainsFunc(text, func(r rune) bool { return r > '~' }) {
			t.Errorf("%s: not ASCII", name)
		}
		if strings.Contains(text, "stockade-man") {
			t.Errorf("%s names the hidden command", name)
		}
	}
	if !strings.Contains(all["stockade.yaml.5"], `'\e.(?i:jpg|png|css)'`) {
		t.Error("backslashes of the reference are not kept")
	}
}

func TestManualPagesNeedADay(t *testing.T) {
	var said bytes.Buffer
	if code := run([]string{"man", t.TempDir(), "--date", "yesterday"}, strings.NewReader(""), &said, &said); code != exitUsage {
		t.Errorf("exit %d: %s", code, said.String())
	}
}
