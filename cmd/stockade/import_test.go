package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stockade/cmd/stockade/migrate"
)

// fail2banFolders are fail2ban's own jails: the folder of STOCKADE_FAIL2BAN (default
// ../shared/fail2ban beside the repository) and the installed one.
func fail2banFolders(t *testing.T) []string {
	t.Helper()
	shared := os.Getenv("STOCKADE_FAIL2BAN")
	if shared == "" {
		shared = "../../../shared/fail2ban"
	}
	var found []string
	for _, dir := range []string{shared, migrate.DefaultDir} {
		if _, err := os.Stat(filepath.Join(dir, "jail.conf")); err == nil {
			found = append(found, dir)
		}
	}
	if len(found) == 0 {
		t.Skip("there is no jail.conf in STOCKADE_FAIL2BAN, ../shared/fail2ban or /etc/fail2ban")
	}
	return found
}

// cloneFolder copies a fail2ban folder and adds files.
func cloneFolder(t *testing.T, from string, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "fail2ban")
	if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// everyJail enables all jails, with what a fail2ban without a distribution's paths file lacks.
const everyJail = "[DEFAULT]\nenabled = true\nbanaction = nftables-multiport\nbanaction_allports = nftables-allports\n"

// TestEveryJailImports enables every jail of fail2ban's own jail.conf, all together and each alone,
// with fail2ban's filters and with ours, and lets check judge the file.
func TestEveryJailImports(t *testing.T) {
	every := 3 // jails: one alone is compiled four times, which costs
	switch {
	case os.Getenv("STOCKADE_REQUIRE") == "all":
		every = 1
	case testing.Short():
		every = 12
	}
	for i, from := range fail2banFolders(t) {
		dir := cloneFolder(t, from, map[string]string{"jail.local": everyJail})
		all, err := migrate.Read(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, native := range []bool{false, true} {
			importsAndChecks(t, all, native, "all")
		}
		alone := 0
		for k, j := range all.Jails {
			if i > 0 || k%every != 0 {
				continue // the folders have most jails in common
			}
			one := *all
			one.Jails = []*migrate.Jail{j}
			importsAndChecks(t, &one, k%2 == 1, j.Name)
			alone++
		}
		t.Logf("%s: %d jails together, %d alone", from, len(all.Jails), alone)
	}
}

func importsAndChecks(t *testing.T, s *migrate.Setup, native bool, name string) {
	t.Helper()
	r, err := migrate.Translate(s, migrate.Options{Native: native})
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	if err := checkAlone(r.Text); err != nil {
		t.Errorf("%s: %v\n%s", name, err, r.Text)
	}
	if got := bytes.Count(r.Text, []byte("\n    maxretry:")); got != len(s.Jails) {
		t.Errorf("%s: %d jails in the file, want %d", name, got, len(s.Jails))
	}
}

// TestImportVerb goes through what an operator would do: look, write, write again, change.
func TestImportVerb(t *testing.T) {
	dir := t.TempDir()
	from := filepath.Join(dir, "fail2ban")
	write := func(name, text string) {
		path := filepath.Join(from, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("filter.d/flask.conf", "[Definition]\nfailregex = ^<HOST> - .+(GET|POST).*$\nignoreregex = \\.(?i:jpg|png|css)\n")
	write("jail.conf", "[DEFAULT]\nmaxretry = 3\nfindtime = 1s\nbantime = 1h\nport = http,https\n"+
		"action = nftables-multiport[port=\"%(port)s\"]\n[flask]\nenabled = true\nfilter = flask\nlogpath = /var/log/flask/access.log\n")
	config := filepath.Join(dir, "etc", "stockade.yaml")
	file := filepath.Join(dir, "etc", "conf.d", migrate.FileName)
	verb := func(args ...string) (string, int) {
		var out bytes.Buffer
		code := run(append([]string{"import", "fail2ban", from, "--config", config}, args...), nil, &out, &out)
		return out.String(), code
	}
	if out, code := verb("--dry-run"); code != 0 || !strings.Contains(out, "nothing was written") || !strings.Contains(out, "findtime: 1s") {
		t.Errorf("--dry-run exits with %d: %s", code, out)
	}
	if _, err := os.Stat(filepath.Dir(file)); err == nil {
		t.Error("--dry-run made a folder")
	}
	if out, code := verb(); code != 0 || !strings.Contains(out, "wrote "+file) {
		t.Errorf("import exits with %d: %s", code, out)
	}
	first, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if out, code := verb(); code != 0 || !strings.Contains(out, "nothing was changed") {
		t.Errorf("a second import exits with %d: %s", code, out)
	}
	write("jail.local", "[flask]\nmaxretry = 4\n")
	if out, code := verb(); code != 1 || !strings.Contains(out, "left alone") {
		t.Errorf("an import of something else exits with %d: %s", code, out)
	}
	if now, _ := os.ReadFile(file); !bytes.Equal(now, first) {
		t.Error("import changed a file by itself")
	}
	if out, code := verb("--replace", "--json"); code != 0 || !strings.Contains(out, `"state":"written"`) || !strings.Contains(out, `"left":[]`) {
		t.Errorf("--replace exits with %d: %s", code, out)
	}
	second, _ := os.ReadFile(file)
	if !bytes.Contains(second, []byte("maxretry: 4")) {
		t.Errorf("--replace wrote\n%s", second)
	}

	// What is broken changes nothing, and says where it is.
	for name, broken := range map[string]struct{ file, text, want string }{
		"no section":         {"jail.local", "maxretry = 3\n", "jail.local:1: "},
		"unknown reference":  {"jail.local", "[flask]\nmaxretry = %(nothing)s\n", "jail.local:2: "},
		"a single percent":   {"jail.local", "[flask]\n\n\nbantime = 10%\n", "jail.local:4: "},
		"no such filter":     {"jail.local", "[flask]\nfilter = nowhere\n", "jail.local:2: "},
		"no such action":     {"jail.local", "[flask]\naction = tell[x=1]\n", "jail.local:2: "},
		"a broken filter":    {"filter.d/flask.local", "[Definition]\nfailregex = <HOST> (\n", "flask.local:2: "},
		"an open bracket":    {"jail.local", "[flask]\nfilter = flask[mode=\n", "jail.local:2: "},
		"twice":              {"jail.local", "[flask]\nmaxretry = 1\nmaxretry = 2\n", "jail.local:3: "},
		"no number":          {"jail.local", "[flask]\nmaxretry = many\n", `"many"`},
		"no time":            {"jail.local", "[flask]\nfindtime = soon\n", `"soon"`},
		"a circle":           {"jail.local", "[flask]\nmaxretry = %(findtime)s\nfindtime = %(maxretry)s\n", "refers to itself"},
		"known in two steps": {"jail.local", "[flask]\nlogpath = %(known/logpath)s\n /var/log/x\n", ""},
	} {
		write(broken.file, broken.text)
		out, code := verb("--replace")
		if broken.want != "" && (code != 2 || !strings.Contains(out, broken.want)) {
			t.Errorf("%s: exits with %d, want 2 and %q: %s", name, code, broken.want, out)
		}
		if broken.want == "" && code != 0 {
			t.Errorf("%s: exits with %d: %s", name, code, out)
		}
		if now, _ := os.ReadFile(file); broken.want != "" && !bytes.Equal(now, second) {
			t.Errorf("%s: the file was changed", name)
		}
		if err := os.Remove(filepath.Join(from, broken.file)); err != nil {
			t.Fatal(err)
		}
		if broken.want == "" {
			if err := os.WriteFile(file, second, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if rest, _ := filepath.Glob(filepath.Dir(file) + "/.*"); len(rest) > 0 {
			t.Errorf("%s: left behind: %s", name, fmt.Sprint(rest))
		}
	}
}
