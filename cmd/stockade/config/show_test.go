package config

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// shown loads what Show writes.
func shown(t testing.TB, l *Loaded) (string, *Loaded) {
	t.Helper()
	var out bytes.Buffer
	if err := l.Show(&out); err != nil {
		t.Fatal(err)
	}
	back, err := Load(write(t, map[string]string{"": out.String()}))
	if err != nil {
		t.Fatalf("%v in what Show wrote:\n%s", err, out.String())
	}
	return out.String(), back
}

func TestShow(t *testing.T) {
	o := write(t, map[string]string{
		"":              "log: {level: 'info'}\njails:\n- name: a\n  filter: {failregex: ['^<HOST> \"it''s\" \\d: x #y$']}\n  ports: [22, 443/tcp]\n  maxretry: 3\n",
		"conf.d/a.yaml": "jails: [{name: a, bantime: -1, notify: []}]\nnever_ban: ['::1']",
	})
	o.Environ = []string{"STOCKADE_FIREWALL_BACKEND=observe"}
	l := mustLoad(t, o)
	text, back := shown(t, l)
	if d := cmp.Diff(l.Config, back.Config); d != "" {
		t.Errorf("what Show wrote reads differently:\n%s", d)
	}
	for _, want := range []string{
		"state_dir: /var/lib/stockade # built-in default\n",
		"  level: info # stockade.yaml:1\n",
		"jails:\n  - name: a # stockade.yaml:3\n",
		"    filter:\n      failregex:\n        - '^<HOST> \"it''s\" \\d: x #y$' # stockade.yaml:4\n",
		"    ports:\n      - 22 # stockade.yaml:5\n      - 443/tcp # stockade.yaml:5\n",
		"    bantime: -1 # conf.d/a.yaml:1\n",
		"    notify: [] # conf.d/a.yaml:1\n",
		"never_ban:\n  - '::1' # conf.d/a.yaml:2\n",
		"  backend: observe # $STOCKADE_FIREWALL_BACKEND\n",
	} {
		if text := strings.ReplaceAll(text, filepath.Dir(o.defaultFile)+"/", ""); !strings.Contains(text, want) {
			t.Errorf("%q is not in:\n%s", want, text)
		}
	}
}

func TestShowOfTheDefaultsAndExamples(t *testing.T) {
	options := []Options{write(t, nil)}
	for _, file := range examples(t) {
		options = append(options, Options{File: file, Root: true})
	}
	for _, o := range options {
		l := mustLoad(t, o)
		if _, back := shown(t, l); !cmp.Equal(l.Config, back.Config) {
			t.Errorf("%s: %s", o.File, cmp.Diff(l.Config, back.Config))
		}
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, os.ErrClosed }

func TestShowReportsAFailedWrite(t *testing.T) {
	if err := mustLoad(t, write(t, nil)).Show(failing{}); err == nil {
		t.Error("no error")
	}
}

func TestSchema(t *testing.T) {
	text, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	var schema map[string]any
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	// The schema of a place, by the keys of the document that lead there; "[]" is an item.
	at := func(keys ...string) map[string]any {
		place := schema
		for _, key := range keys {
			if key == "[]" {
				place = place["items"].(map[string]any)
				continue
			}
			if forms, ok := place["anyOf"].([]any); ok {
				place = forms[1].(map[string]any)
			}
			place = place["properties"].(map[string]any)[key].(map[string]any)
		}
		return place
	}
	if at("jails", "[]", "findtime")["pattern"] != durationPattern || at("protect_lan")["type"] != "boolean" ||
		at("jails", "[]", "origin", "uid", "[]")["maximum"] != 4294967295.0 || at("jails", "[]", "filter", "failregex")["type"] == nil ||
		at("firewall")["additionalProperties"] != false {
		t.Errorf("schema:\n%s", text)
	}
	for path, legal := range words {
		place := at(strings.Split(strings.ReplaceAll(path, "[]", ".[]"), ".")...)
		if forms, ok := place["anyOf"].([]any); ok {
			place = forms[0].(map[string]any)
		}
		if place["enum"] == nil {
			t.Errorf("%s has no enum of %v", path, legal)
		}
	}
}

// TestWordsOfTheSchemaAreTheLegalOnes holds the schema's words to what Check takes.
func TestWordsOfTheSchemaAreTheLegalOnes(t *testing.T) {
	for path, legal := range words {
		for _, word := range append(slices.Clone(legal), "zzz") {
			key := path[strings.LastIndex(path, ".")+1:]
			parent := strings.TrimSuffix(path, "."+key)
			text := key + ": " + word
			if parent == "listeners[]" && key != "transport" {
				text += ", transport: tcp"
			}
			if nested, ok := strings.CutSuffix(parent, ".quota"); ok {
				parent, text = nested, "quota: {"+text+"}"
			}
			if list, ok := strings.CutSuffix(parent, "[]"); ok {
				text = list + ": [{" + text + "}]"
			} else {
				text = parent + ": {" + text + "}"
			}
			o := write(t, map[string]string{"": text})
			l, _ := Load(o)
			l.Check()
			told := strings.Contains(short(o, l.Err()), ": "+strings.ReplaceAll(path, "[]", "[0]")+": ")
			if told != (word == "zzz") {
				t.Errorf("%s: %s: refused is %v:\n%s", path, word, told, short(o, l.Err()))
			}
		}
	}
}
