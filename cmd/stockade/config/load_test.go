package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// write makes the files of a configuration in a fresh folder and returns the options of root
// that load them. The key "" is stockade.yaml.
func write(t testing.TB, files map[string]string) Options {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if name == "" {
			name = "stockade.yaml"
		}
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return Options{Root: true, StrictEnv: true, defaultFile: filepath.Join(dir, "stockade.yaml")}
}

// short returns an error's text with the folder of the files cut.
func short(o Options, err error) string {
	if err == nil {
		return ""
	}
	return strings.ReplaceAll(err.Error(), filepath.Dir(o.defaultFile)+"/", "")
}

// mustLoad loads and checks a configuration that has no faults.
func mustLoad(t testing.TB, o Options) *Loaded {
	t.Helper()
	l, _ := Load(o)
	l.Check()
	if err := l.Err(); err != nil {
		t.Fatalf("load: %v", err)
	}
	return l
}

func TestBuiltInDefaultOfRoot(t *testing.T) {
	l := mustLoad(t, write(t, nil))
	c := l.Config
	if c.StateDir != "/var/lib/stockade" || c.Control.Socket != "/run/stockade/control.sock" {
		t.Errorf("paths: %q, %q", c.StateDir, c.Control.Socket)
	}
	if len(c.Listeners) != 1 || c.Listeners[0].Path != "/run/stockade/syslog.sock" || c.Listeners[0].Mode != "0666" ||
		c.Listeners[0].Transport != "unixgram" || c.Listeners[0].Name != "local" {
		t.Errorf("listeners: %+v", c.Listeners)
	}
	if len(c.Sources) != 1 || c.Sources[0].Listener != "local" || !cmp.Equal(c.Sources[0].Jails, []string{"*"}) {
		t.Errorf("sources: %+v", c.Sources)
	}
	if len(c.Jails) != 1 || c.Jails[0].Name != "sshd" || c.Jails[0].Filter.Name != "sshd" || !cmp.Equal(c.Jails[0].Origin.UID, []uint32{0}) {
		t.Errorf("jails: %+v", c.Jails)
	}
	d := c.Defaults
	if d.MaxRetry != 5 || d.FindTime != 10*time.Minute || d.BanTime != time.Hour || !*d.Increment.Enabled ||
		!cmp.Equal(d.Increment.Multipliers, []int{1, 4, 24, 168}) {
		t.Errorf("defaults: %+v", d)
	}
	f := c.Firewall
	if f.Backend != "nftables" || f.Table != "stockade" || f.Verdict != "drop" || f.Owner != "auto" || f.IPv6Prefix != 64 || !c.ProtectLAN {
		t.Errorf("firewall: %+v, protect_lan %v", f, c.ProtectLAN)
	}
	if len(l.Files) != 0 || len(l.Overrides()) != 0 || len(l.Problems()) != 0 {
		t.Errorf("files %v, overrides %v, problems %v", l.Files, l.Overrides(), l.Problems())
	}
}

func TestBuiltInDefaultOfAUser(t *testing.T) {
	o := write(t, nil)
	o.Root, o.UID = false, 1000
	o.Environ = []string{"XDG_RUNTIME_DIR=/run/user/1000", "XDG_STATE_HOME=/home/it's #1/state"}
	l := mustLoad(t, o)
	c := l.Config
	if c.StateDir != "/home/it's #1/state/stockade" || c.Control.Socket != "/run/user/1000/stockade/control.sock" ||
		c.Listeners[0].Path != "/run/user/1000/stockade/syslog.sock" {
		t.Errorf("paths: %q, %q, %q", c.StateDir, c.Control.Socket, c.Listeners[0].Path)
	}
	if !cmp.Equal(c.Jails[0].Origin.UID, []uint32{0, 1000}) {
		t.Errorf("origin of sshd: %v", c.Jails[0].Origin.UID)
	}
	if want := (Folders{Run: "/run/user/1000/stockade", State: "/home/it's #1/state/stockade"}); l.Folders != want {
		t.Errorf("folders %+v, want %+v", l.Folders, want)
	}
}

func TestFileReplacesTheHostDefaultAndKeepsTheRest(t *testing.T) {
	c := mustLoad(t, write(t, map[string]string{"": "log: {level: debug}\ndefaults: {increment: {factor: 2}}\n"})).Config
	if len(c.Listeners)+len(c.Jails)+len(c.Sources) != 0 {
		t.Errorf("a file stands alone, yet %+v %+v %+v", c.Listeners, c.Jails, c.Sources)
	}
	if c.Log != (LogConfig{"debug", "auto", "stderr"}) || c.Firewall.Table != "stockade" || c.Defaults.Increment.Factor != 2 ||
		!cmp.Equal(c.Defaults.Increment.Multipliers, []int{1, 4, 24, 168}) {
		t.Errorf("defaults of scalars: %+v", c)
	}
}

func TestFilesThatAreEmpty(t *testing.T) {
	for _, text := range []string{"", "\n\n", "# nothing\n", "---\n", "---\n# nothing\n...\n", "\ufeff", "{}", "jails:\nlisteners:\ncontrol:\n"} {
		l := mustLoad(t, write(t, map[string]string{"": text}))
		if len(l.Files) != 1 || l.Config.Firewall.Backend != "nftables" {
			t.Errorf("%q: files %v, config %+v", text, l.Files, l.Config)
		}
	}
}

func TestNamedFileMustExist(t *testing.T) {
	o := write(t, map[string]string{"conf.d/a.yaml": "log: {level: debug}\n"})
	o.File = o.defaultFile
	_, err := Load(o)
	if got, want := short(o, err), "stockade.yaml: cannot be read: file does not exist"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	var list *Errors
	if !errors.As(err, &list) || len(list.Problems) != 1 {
		t.Errorf("error %T", err)
	}
}

func TestFilesThatCannotBeRead(t *testing.T) {
	o := write(t, map[string]string{"": "x: 1\n", "conf.d/b.yaml": "y: 1\n", "conf.d/big.yaml": strings.Repeat(" ", maxFileBytes+1)})
	if err := os.Mkdir(filepath.Join(filepath.Dir(o.defaultFile), "conf.d/dir.yaml"), 0o755); err != nil {
		t.Fatal(err)
	}
	l, _ := Load(o)
	l.Check()
	want := `conf.d/b.yaml:1:1: y: unknown key "y"; legal: state_dir,`
	got := short(o, l.Err())
	for _, want := range []string{want, "conf.d/big.yaml: cannot be read: has 524289 bytes; at most 524288 are read",
		"conf.d/dir.yaml: cannot be read: is not a regular file", `stockade.yaml:1:1: x: unknown key "x"`} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in:\n%s", want, got)
		}
	}
}

func TestFilesThatMayNotBeRead(t *testing.T) {
	if os.Geteuid() == 0 {
		// Root reads everything; a file in the place of a folder fails in the same way.
		o := write(t, map[string]string{"": "log: {}", "conf.d": "a file"})
		_, err := Load(o)
		if got, want := short(o, err), "conf.d: cannot be read: "; !strings.HasPrefix(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		return
	}
	o := write(t, map[string]string{"": "log: {}"})
	dir := filepath.Dir(o.defaultFile)
	if err := os.Chmod(dir, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(dir, 0o700) })
	_, err := Load(o)
	if got := short(o, err); !strings.Contains(got, "stockade.yaml: cannot be read: permission denied") {
		t.Errorf("got %q", got)
	}
}

func TestConfDWithoutMainFile(t *testing.T) {
	o := write(t, map[string]string{"conf.d/10-a.yaml": "log: {level: debug}\n", "conf.d/.hidden.yaml": "x: y\n", "conf.d/readme": "x: y\n"})
	l := mustLoad(t, o)
	if len(l.Files) != 1 || l.Config.Log.Level != "debug" || len(l.Config.Jails) != 0 {
		t.Errorf("files %v, log %+v, jails %+v", l.Files, l.Config.Log, l.Config.Jails)
	}
}

func TestTailsAndJournalsGetASource(t *testing.T) {
	l := mustLoad(t, write(t, map[string]string{"": `
tails:
  - {name: web, paths: [/var/log/web.log]}
  - {name: bound, paths: [/var/log/bound.log]}
journals: [{name: journal}]
sources: [{name: mine, tail: bound, jails: [sshd]}]
jails: [{name: sshd, filter: sshd}]
`}))
	var got []string
	for _, s := range l.Config.Sources {
		got = append(got, s.Name+" "+s.Tail+s.Journal+" "+strings.Join(s.Jails, ","))
	}
	if want := []string{"mine bound sshd", "web web *", "journal journal *"}; !cmp.Equal(got, want) {
		t.Errorf("sources %q, want %q", got, want)
	}
	if _, line, _ := l.Origins.At("sources[1].jails[0]"); line != 3 {
		t.Errorf("the implied source is at line %d", line)
	}
}
