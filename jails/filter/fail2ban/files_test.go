package fail2ban

import (
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// files are files that exist in memory only.
type files map[string]string

func (f files) reader() Reader {
	return Reader{
		ReadFile: func(name string) ([]byte, error) {
			if text, ok := f[name]; ok {
				return []byte(text), nil
			}
			return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
		},
		Glob: func(pattern string) ([]string, error) {
			var out []string
			for name := range f {
				if ok, err := filepath.Match(pattern, name); err != nil {
					return nil, err
				} else if ok {
					out = append(out, name)
				}
			}
			return out, nil
		},
	}
}

func (f files) config(t testing.TB, path string) *Config {
	t.Helper()
	c, err := ReadConfig(path, f.reader())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// text joins lines that are indented in the test's source by two tabs.
func text(s string) string {
	return strings.ReplaceAll(strings.TrimPrefix(s, "\n\t\t"), "\n\t\t", "\n")
}
