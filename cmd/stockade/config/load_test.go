package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// write makes the files of a configuration in a fresh folder and returns options that load
// them. The key "" is stockade.yaml; positions in messages hold the base name only after short.
func write(t *testing.T, files map[string]string) Options {
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

func TestBuiltInDefault(t *testing.T) {
	l, err := Load(write(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", l.Config)
}
func TestFaults(t *testing.T) {
	o := write(t, map[string]string{"": `
state_dir: true
lgo: {level: x}
jails:
  - {name: a, filter: x, maxretry: 010, findtime: 10q}
  - name: b
    filter: [a]
    maxretry: abc
    name: c
    ports: [22, 443/tcp]
    origin: {uid: [-1, 99999999999]}
    foo: &a b
    enabled: *a
    <<: {a: b}
    verdict: !!str drop
    ignoreip:
`})
	_, err := Load(o)
	t.Log("\n" + short(o, err))
}
