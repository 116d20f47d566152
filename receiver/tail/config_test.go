package tail

import (
	"fmt"
	"strings"
	"testing"
)

func TestValidate(t *testing.T) {
	for _, x := range []struct {
		cfg  Config
		want string
	}{
		{Config{Name: "a", Paths: []string{"/var/log/**/*.log"}, App: "nginx", From: "start"}, ""},
		{Config{Name: "A", Paths: []string{"/x"}}, `tails[0].name: name "A" must match`},
		{Config{Name: "a"}, "tails[0]: paths is missing"},
		{Config{Name: "a", Paths: []string{"x.log"}}, `tails[0].paths[0]: "x.log" is not an absolute path`},
		{Config{Name: "a", Paths: []string{"/x", "/[x"}}, `tails[0].paths[1]: "/[x" is not an absolute path`},
		{Config{Name: "a", Paths: []string{"/x.gz"}}, `tails[0].paths[0]: "/x.gz" names compressed files`},
		{Config{Name: "a", Paths: []string{"/x"}, App: "a b"}, `tails[0].app: app "a b"`},
		{Config{Name: "a", Paths: []string{"/x"}, From: "middle"}, `tails[0].from: "middle" must be one of end, start`},
	} {
		var said []string
		Validate([]Config{x.cfg}, func(path, message string) { said = append(said, path+": "+message) })
		if have := strings.Join(said, "\n"); x.want == "" && have != "" || !strings.HasPrefix(have, x.want) || len(said) > 1 {
			t.Errorf("%+v: %q, want %q", x.cfg, have, x.want)
		}
	}
	n := 0
	Validate([]Config{{Name: "a", Paths: []string{"/x"}}, {Name: "a", Paths: []string{"/y"}}}, func(path, message string) {
		n++
		if fmt.Sprint(path, message) == "" {
			t.Error("empty")
		}
	})
	if n != 1 {
		t.Errorf("%d faults of a name used twice", n)
	}
}

func TestRotatedNames(t *testing.T) {
	for name, want := range map[string]string{
		"a.log": "", "a.log.1": "1", "a.log-20261124": "20261124", "a.log.1.gz": "", "a-20261124.log": "20261124",
		"b.log.1": "", "a.log.bak": "", "a.log.old": "old", "a.log.": "", "a.log2": "", "a.logx.1": "",
	} {
		if have := rotated("a.log", name); have != want {
			t.Errorf("%s: %q, want %q", name, have, want)
		}
	}
	all := []sibling{{mark: "2"}, {mark: "10"}, {mark: "1"}}
	oldestFirst(all)
	if all[0].mark != "10" || all[2].mark != "1" {
		t.Errorf("%+v", all)
	}
	all = []sibling{{mark: "20261124"}, {mark: "20261122"}, {mark: "20261123"}}
	oldestFirst(all)
	if all[0].mark != "20261122" || all[2].mark != "20261124" {
		t.Errorf("%+v", all)
	}
}
