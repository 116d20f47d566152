package config

import (
	"encoding/json"
	"path/filepath"
	"testing"
)

func TestValuesHaveTheirPlaces(t *testing.T) {
	o := write(t, map[string]string{
		"":              "jails:\n- name: a\n  filter: sshd\n  ports: [22]\n  maxretry: 3\n  enforce: false\n  notify: []\n",
		"conf.d/a.yaml": "jails: [{name: a, bantime: '60'}]",
	})
	o.Environ = []string{"STOCKADE_FIREWALL_BACKEND=observe"}
	tree, values := mustLoad(t, o).Values()
	doc, err := json.Marshal(tree.(map[string]any)["jails"])
	if err != nil {
		t.Fatal(err)
	}
	if want := `[{"bantime":"60","enforce":false,"filter":"sshd","maxretry":3,"name":"a","notify":[],"ports":[22]}]`; string(doc) != want {
		t.Errorf("jails %s, want %s", doc, want)
	}
	got := map[string]Value{}
	for _, v := range values {
		v.File = filepath.Base(v.File)
		got[v.Path] = v
	}
	for _, want := range []Value{
		{"jails[0].ports[0]", "stockade.yaml", 4, 11},
		{"jails[0].notify", "stockade.yaml", 7, 11},
		{"jails[0].bantime", "a.yaml", 1, 28},
		{"firewall.backend", "$STOCKADE_FIREWALL_BACKEND", 0, 0},
		{"state_dir", "built-in default", 0, 0},
	} {
		v := got[want.Path]
		if want.Line == 0 {
			v.Line, v.Column = 0, 0
		}
		if v != want {
			t.Errorf("%s: %+v, want %+v", want.Path, v, want)
		}
	}
}
