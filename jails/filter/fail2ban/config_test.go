package fail2ban

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestLayersInOrder(t *testing.T) {
	f := files{
		"d/x.conf":           "[INCLUDES]\nbefore = before.conf\n  ../b2.conf\nafter = after.local\n[S]\nv = %(known/v)s conf\n",
		"d/before.conf":      "[S]\nv = before\n",
		"d/before.local":     "[S]\nv = %(known/v)s before.local\n",
		"b2.conf":            "[S]\nw = b2\n",
		"d/after.local":      "[S]\nw = after\n",
		"d/x.d/10.conf":      "[T]\nv = ten\n",
		"d/x.d/05.conf":      "[T]\nv = five\n",
		"d/x.local":          "[T]\nw = local\n",
		"d/x.d/10.local":     "[T]\nw = ten\n",
		"d/x.d/notes.txt":    "never read",
		"d/unrelated.conf":   "never read",
		"d/x.d/deeper/.conf": "never read",
	}
	for _, path := range []string{"d/x", "d/x.conf", "d/x.local"} {
		c := f.config(t, path)
		want := "[d/before.conf d/before.local b2.conf d/x.conf d/after.local d/x.d/05.conf d/x.d/10.conf d/x.local d/x.d/10.local]"
		if got := fmt.Sprint(c.Files()); got != want {
			t.Errorf("%s: files\n%s, want\n%s", path, got, want)
		}
		for ref, want := range map[string]string{"S/w": "after", "T/v": "ten", "T/w": "ten"} {
			section, option, _ := strings.Cut(ref, "/")
			if got, _, err := c.Get(section, option, nil); got != want || err != nil {
				t.Errorf("%s is %q %v, want %q", ref, got, err, want)
			}
		}
		if got := fmt.Sprint(c.Sections()); got != "[S INCLUDES T]" {
			t.Errorf("sections %s", got)
		}
	}
}

func TestKnownIsOneLayerBelow(t *testing.T) {
	f := files{"x.conf": "[S]\nv = one\n", "x.local": "[S]\nv = %(known/v)s two\n"}
	if got, _, err := f.config(t, "x").Get("S", "v", nil); got != "one two" || err != nil {
		t.Errorf("%q %v", got, err)
	}
	f["x.d/a.local"] = "[S]\nv = %(known/v)s three\n"
	if _, _, err := f.config(t, "x").Get("S", "v", nil); err == nil || !strings.Contains(err.Error(), "refers to itself") {
		t.Errorf("two layers in a row: %v", err)
	}
}

func TestIncludesThatAreSkipped(t *testing.T) {
	f := files{
		"x.conf": "[INCLUDES]\nbefore = y.conf\n\tmissing.conf\n[S]\nv = x\n",
		"y.conf": "[INCLUDES]\nbefore = x.conf\n[S]\nw = y\n",
	}
	if got := fmt.Sprint(f.config(t, "x").Files()); got != "[y.conf x.conf]" {
		t.Errorf("files %s", got)
	}
	if _, err := ReadConfig("nowhere/x", f.reader()); err == nil || err.Error() != "nowhere/x.conf: no such file" {
		t.Errorf("error %v", err)
	}
}

func TestConditionalSections(t *testing.T) {
	c := files{"x.conf": "[Init]\na = 1\n[Init?family=inet6]\na = 6\n"}.config(t, "x")
	if got := c.Options("Init"); !slices.Equal(got, []string{"a", "a?family=inet6"}) {
		t.Errorf("options %q", got)
	}
	if got, _, _ := c.Get("Init", "a", nil); got != "1" {
		t.Errorf("a is %q", got)
	}
}

func TestInterpolation(t *testing.T) {
	c := files{"x.conf": text(`
		[DEFAULT]
		d = default
		both = from default
		[Other]
		o = <%(d)s %(name)s>
		[S]
		name = s
		both = own
		a = %(d)s %(both)s %(NAME)s 100%%
		b = %(Other/o)s %(default/both)s %(__name__)s
		var = %(given)s %(d)s
		loop = %(loop2)s
		loop2 = %(loop)s
		unknown = %(nowhere)s
		single = 5%
		open = %(d
		broken = %(d)x
	`)}.config(t, "x")
	vars := map[string]string{"given": "100% %(d)s", "d": "mine"}
	tests := []struct{ option, want, fault string }{
		{"a", "default own s 100%", ""},
		{"b", "<default s> from default S", ""},
		{"loop", "", "refers to itself"},
		{"unknown", "", `x.conf:14: option "unknown" of [S]: %(nowhere)s: there is no such option`},
		{"single", "", "a literal one is written %%"},
		{"open", "", "not closed by )s"},
		{"broken", "", "not closed by )s"},
	}
	for _, tt := range tests {
		got, _, err := c.Get("S", tt.option, nil)
		if tt.fault != "" {
			if err == nil || !strings.Contains(err.Error(), tt.fault) {
				t.Errorf("%s: error %v, want %q", tt.option, err, tt.fault)
			}
			continue
		}
		if got != tt.want || err != nil {
			t.Errorf("%s is %q %v, want %q", tt.option, got, err, tt.want)
		}
	}
	if got, _, err := c.Get("S", "var", vars); got != "100% %(d)s mine" || err != nil {
		t.Errorf("with variables: %q %v", got, err)
	}
	if _, ok, err := c.Get("S", "absent", nil); ok || err != nil {
		t.Errorf("absent: %t %v", ok, err)
	}
}

func TestInterpolationIsBounded(t *testing.T) {
	var b strings.Builder
	b.WriteString("[S]\nv0 = x\n")
	for i := 1; i < 10; i++ {
		fmt.Fprintf(&b, "v%d = %s\n", i, strings.Repeat(fmt.Sprintf("%%(v%d)s", i-1), 50))
	}
	b.WriteString("e0 =\n")
	for i := 1; i < 10; i++ {
		fmt.Fprintf(&b, "e%d = %s\n", i, strings.Repeat(fmt.Sprintf("%%(e%d)s", i-1), 50))
	}
	c := files{"x.conf": b.String()}.config(t, "x")
	for _, option := range []string{"v9", "e9"} {
		if _, _, err := c.Get("S", option, nil); err == nil || !strings.Contains(err.Error(), "more than") && !strings.Contains(err.Error(), "longer than") {
			t.Errorf("%s: %v", option, err)
		}
	}
}

func TestWith(t *testing.T) {
	c := files{"x.conf": "[sshd]\nport = ssh\nregex = %(known/failregex)s more\n"}.config(t, "x")
	d := c.With("sshd", map[string]string{"known/FAILREGEX": "^100% <HOST>", "port": "22"}, false)
	for option, want := range map[string]string{"regex": "^100% <HOST> more", "port": "ssh"} {
		if got, _, err := d.Get("sshd", option, nil); got != want || err != nil {
			t.Errorf("%s is %q %v, want %q", option, got, err, want)
		}
	}
	if got, _, _ := c.With("sshd", map[string]string{"port": "22"}, true).Get("sshd", "port", nil); got != "22" {
		t.Errorf("replaced port is %q", got)
	}
	if got, _, _ := c.With(defaultSection, map[string]string{"v": "1"}, false).Get("sshd", "v", nil); got != "1" {
		t.Errorf("default is %q", got)
	}
	if !c.With("new", map[string]string{"v": "1"}, false).Has("new") || c.Has("new") {
		t.Error("a new section is in the copy only")
	}
	if _, ok := c.Raw("sshd", "known/failregex"); ok {
		t.Error("the original was changed")
	}
}
