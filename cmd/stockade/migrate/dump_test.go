package migrate

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"stockade/pipeline/action"
)

const (
	installed = "/etc/fail2ban"
	python    = "/usr/bin/python3" // the one that Debian's fail2ban is for
)

// lack skips a test that cannot run here; under STOCKADE_REQUIRE=all it fails.
func lack(t *testing.T, reason string) {
	t.Helper()
	if os.Getenv("STOCKADE_REQUIRE") == "all" {
		t.Fatal(reason)
	}
	t.Skip(reason)
}

// needFail2ban skips where Debian's fail2ban is not installed.
func needFail2ban(t *testing.T) {
	t.Helper()
	if err := exec.Command(python, "-c", "import fail2ban.client.configurator").Run(); err != nil {
		lack(t, "needs fail2ban (Debian's, with its modules for "+python+")")
	}
	if _, err := os.Stat(installed + "/jail.conf"); err != nil {
		lack(t, "needs "+installed)
	}
}

// copyFolder copies a fail2ban folder and adds files to it.
func copyFolder(t *testing.T, from string, files map[string]string) string {
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
		_ = os.Chmod(path, 0o644)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// dump is what fail2ban-client -d says of a jail.
type dump struct {
	options map[string]string
	lists   map[string][]string
	logs    []string
	ignore  []string
	actions map[string]map[string]string
}

// dumpOf runs the installed fail2ban-client.
func dumpOf(t *testing.T, dir string) map[string]*dump {
	t.Helper()
	cmd := exec.Command("fail2ban-client", "-c", dir, "-d")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("fail2ban-client -d: %v\n%s", err, errs.String())
	}
	read := exec.Command(python, "-c", "import sys,ast,json\nfor l in sys.stdin:\n if l[:1]=='[': print(json.dumps(ast.literal_eval(l)))")
	read.Stdin = bytes.NewReader(out)
	text, err := read.Output()
	if err != nil {
		t.Fatal(err)
	}
	jails := map[string]*dump{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var c []any
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			t.Fatal(err)
		}
		addCommand(jails, c)
	}
	return jails
}

func addCommand(jails map[string]*dump, c []any) {
	word := func(i int) string { return text(c[i]) }
	verb := word(0)
	if verb == "add" {
		jails[word(1)] = &dump{options: map[string]string{"backend": word(2)}, lists: map[string][]string{}, actions: map[string]map[string]string{}}
		return
	}
	d := jails[word(1)]
	if d == nil || verb != "set" && verb != "multi-set" {
		return
	}
	switch option := word(2); option {
	case "addfailregex", "addignoreregex":
		for i := 3; i < len(c); i++ {
			if list, ok := c[i].([]any); ok {
				for _, r := range list {
					d.lists[option[3:]] = append(d.lists[option[3:]], r.(string))
				}
				continue
			}
			d.lists[option[3:]] = append(d.lists[option[3:]], word(i))
		}
	case "addjournalmatch":
		for i := 3; i < len(c); i++ {
			d.lists["journalmatch"] = append(d.lists["journalmatch"], word(i))
		}
	case "addlogpath":
		d.logs = append(d.logs, word(3))
	case "addignoreip":
		for i := 3; i < len(c); i++ {
			d.ignore = append(d.ignore, word(i))
		}
	case "addaction":
		d.actions[word(3)] = map[string]string{}
	case "action":
		list, ok := c[4].([]any)
		if !ok {
			d.actions[word(3)][word(4)] = word(5)
			return
		}
		for _, pair := range list {
			kv := pair.([]any)
			d.actions[word(3)][kv[0].(string)] = text(kv[1])
		}
	default:
		if len(c) > 3 {
			d.options[option] = word(3)
		}
	}
}

// text writes a value of the dump as a string.
func text(v any) string {
	switch v := v.(type) {
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case bool:
		return strconv.FormatBool(v)
	}
	return fmt.Sprint(v)
}

// TestOptionsEqualTheDump enables every jail of the installed fail2ban and compares each option, each
// pattern and each parameter of each action with what fail2ban-client -d says.
func TestOptionsEqualTheDump(t *testing.T) {
	needFail2ban(t)
	dir := copyFolder(t, installed, map[string]string{"jail.local": "[DEFAULT]\nenabled = true\n"})
	want := dumpOf(t, dir)
	s, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Jails) != len(want) {
		t.Errorf("%d jails, fail2ban has %d", len(s.Jails), len(want))
	}
	values := 0
	for _, j := range s.Jails {
		d := want[j.Name]
		if d == nil {
			t.Errorf("%s: fail2ban does not know it", j.Name)
			continue
		}
		values += compareJail(t, j, d)
	}
	t.Logf("%d jails, %d values equal", len(s.Jails), values)
}

func compareJail(t *testing.T, j *Jail, d *dump) (values int) {
	t.Helper()
	same := func(what, got, want string) {
		t.Helper()
		values++
		if got != want {
			t.Errorf("%s: %s is\n%q, fail2ban says\n%q", j.Name, what, got, want)
		}
	}
	e := j.Filter.Expanded
	for option, want := range d.options {
		switch option {
		case "prefregex":
			same(option, e.PrefRegex, want)
		case "datepattern":
			same(option, e.DatePattern, want)
		case "maxlines":
			same(option, strconv.Itoa(e.MaxLines), want)
		case "usedns":
			same(option, j.Options[option], want)
		case "bantime.increment", "bantime.overalljails", "ignoreself":
			same(option, strconv.FormatBool(truth(j.Options[option])), want)
		default:
			same(option, j.Options[option], want)
		}
	}
	same("failregex", strings.Join(e.FailRegex, "\n"), strings.Join(d.lists["failregex"], "\n"))
	same("ignoreregex", strings.Join(e.IgnoreRegex, "\n"), strings.Join(d.lists["ignoreregex"], "\n"))
	var words []string
	for _, m := range e.JournalMatch {
		words = append(words, m...)
	}
	same("journalmatch", strings.Join(words, " "), strings.Join(d.lists["journalmatch"], " "))
	same("ignoreip", strings.Join(splitWords(j.Options["ignoreip"]), " "), strings.Join(d.ignore, " "))
	var logs []string
	if !strings.HasPrefix(j.Options["backend"], "systemd") {
		for _, l := range j.logs() {
			found, _ := filepath.Glob(l.pattern)
			logs = append(logs, found...)
		}
	}
	slices.Sort(logs)
	slices.Sort(d.logs)
	same("logpath", strings.Join(logs, " "), strings.Join(d.logs, " "))
	if len(j.Actions) != len(d.actions) {
		t.Errorf("%s: %d actions, fail2ban says %d", j.Name, len(j.Actions), len(d.actions))
	}
	for _, a := range j.Actions {
		name := a.Options["actname"]
		for option, want := range d.actions[name] {
			got := a.Options[option]
			if !slices.Contains(action.Own, option) && want != a.Given[option] {
				want = expandTags(want, d.actions[name]) // fail2ban leaves the tags of parameters for later
			} else if want == a.Given[option] {
				got = want
			}
			if got == "" && want == "false" || got == "true" && want == "true" {
				got = want
			}
			same("action "+name+" "+option, got, want)
		}
	}
	return values
}

// expandTags replaces the tags of a parameter by other parameters, as fail2ban does when it runs.
func expandTags(text string, params map[string]string) string {
	for name, value := range params {
		if !strings.Contains(name, "?") {
			text = strings.ReplaceAll(text, "<"+name+">", value)
		}
	}
	return text
}
