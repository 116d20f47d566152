package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/spf13/viper"
)

// EnvPrefix begins the name of every variable that Stockade reads.
const EnvPrefix = "STOCKADE_"

// reserved are variables of tests and hooks, which no configuration reads. A trailing underscore
// stands for every name that begins so.
var reserved = []string{"STOCKADE_REQUIRE", "STOCKADE_FAIL2BAN", "STOCKADE_TEST_", "STOCKADE_EVENT_"}

// rawDecoder lets viper find and read a file and keeps its bytes: viper's own decoding
// lower-cases keys, splits them at dots and drops empty entries.
type rawDecoder struct{ text []byte }

func (r *rawDecoder) Decoder(string) (viper.Decoder, error) { return r, nil }

func (r *rawDecoder) Decode(text []byte, _ map[string]any) error {
	r.text = slices.Clone(text)
	return nil
}

// readFile returns the bytes of a regular file of at most maxFileBytes.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("is not a regular file")
	case info.Size() > maxFileBytes:
		return nil, fmt.Errorf("has %d bytes; at most %d are read", info.Size(), maxFileBytes)
	}
	var raw rawDecoder
	v := viper.NewWithOptions(viper.WithDecoderRegistry(&raw))
	v.SetConfigFile(path)
	v.SetConfigType("yaml")
	if err := v.ReadInConfig(); err != nil {
		return nil, err
	}
	return raw.text, nil
}

// findFiles returns the files of the configuration in the order of the merge: main, when it
// exists, and conf.d beside it by name. Hidden files are left out. A main file that may exist is
// among them, so that reading it tells why it cannot be looked at.
func findFiles(main string) (files []string, err error) {
	if _, err := os.Lstat(main); !errors.Is(err, fs.ErrNotExist) {
		files = append(files, main)
	}
	dir := filepath.Join(filepath.Dir(main), "conf.d")
	parts, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return files, err
	}
	for _, part := range parts {
		if name := part.Name(); strings.HasSuffix(name, ".yaml") && !strings.HasPrefix(name, ".") {
			files = append(files, filepath.Join(dir, name))
		}
	}
	return files, nil
}

// Variable returns the name of the variable that sets the scalar at a path, such as
// STOCKADE_FIREWALL_BACKEND for firewall.backend.
func Variable(path string) string {
	return EnvPrefix + strings.ToUpper(strings.ReplaceAll(path, ".", "_"))
}

// scalarLayers resolves the scalars outside lists: variables over what the tree holds. An empty
// variable counts as not set.
type scalarLayers struct {
	viper *viper.Viper
	set   map[string]string // paths set by a variable, with its name
}

// newScalarLayers reads the variables that name a scalar. Unknown ones are reported when strict.
func newScalarLayers(o Options, problems *problems) *scalarLayers {
	l := &scalarLayers{viper.New(), map[string]string{}}
	paths := map[string]string{}
	rootShape().scalars("", func(path string, _ *shape) { paths[Variable(path)] = path })
	for _, pair := range o.Environ {
		name, text, _ := strings.Cut(pair, "=")
		path, known := paths[name]
		switch {
		case !strings.HasPrefix(name, EnvPrefix) || isReserved(name):
		case known && text != "":
			l.viper.Set(path, text)
			l.set[path] = name
		case !known && o.StrictEnv:
			problems.fault(position{file: "$" + name}, "", "unknown variable%s", suggestVariable(name, paths))
		}
	}
	return l
}

func isReserved(name string) bool {
	return slices.ContainsFunc(reserved, func(r string) bool {
		return name == r || (strings.HasSuffix(r, "_") && strings.HasPrefix(name, r))
	})
}

func suggestVariable(name string, paths map[string]string) string {
	legal := make([]string, 0, len(paths))
	for variable := range paths {
		legal = append(legal, strings.TrimPrefix(variable, EnvPrefix))
	}
	slices.Sort(legal)
	near := nearest(strings.TrimPrefix(name, EnvPrefix), legal)
	if near == "" {
		return "; each scalar outside a list has one, such as STOCKADE_FIREWALL_BACKEND"
	}
	return fmt.Sprintf("; did you mean %s%s?", EnvPrefix, near)
}

// apply lays the variables over the tree. What a variable replaces is recorded as an override.
func (l *scalarLayers) apply(tree *node, m *merger, problems *problems) {
	rootShape().scalars("", func(path string, s *shape) {
		parent, key := tree.parent(path)
		old := parent.get(key)
		if old != nil && old.kind == scalarNode {
			l.viper.SetDefault(path, old.text)
		}
		name, ok := l.set[path]
		if !ok {
			return
		}
		at := position{file: "$" + name}
		over := &node{kind: scalarNode, at: at, text: l.viper.GetString(path), plain: s.leaf != stringLeaf}
		if err := setLeaf(reflect.New(s.typ).Elem(), s, over); err != nil {
			problems.fault(at, path, "%v", err)
		}
		if old != nil {
			m.replaced(path, old, over)
		}
		parent.set(key, at, over)
	})
}

// parent returns the mapping that holds the last key of a path, which it makes where it is
// missing or of another kind.
func (n *node) parent(path string) (*node, string) {
	keys := strings.Split(path, ".")
	for _, key := range keys[:len(keys)-1] {
		next := n.get(key)
		if next == nil || next.kind != mapNode {
			next = &node{kind: mapNode, at: n.at}
			n.set(key, n.at, next)
		}
		n = next
	}
	return n, keys[len(keys)-1]
}
