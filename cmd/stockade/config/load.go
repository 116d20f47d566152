package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
)

// DefaultFile is read when no file is named.
const DefaultFile = "/etc/stockade/stockade.yaml"

// Options say where a configuration comes from.
type Options struct {
	// File is the main file; conf.d beside it is read too. A named file must exist. Empty: that
	// of DefaultFile, or the built-in default when there is none.
	File string
	// Environ holds NAME=value pairs as os.Environ returns them, for STOCKADE_*, XDG_RUNTIME_DIR,
	// XDG_STATE_HOME and TMPDIR.
	Environ []string
	// StrictEnv refuses unknown STOCKADE_* names: for serve, check and config.
	StrictEnv bool
	// Root chooses the system's paths; else those of the user UID, unless it is the system's file
	// that is read.
	Root bool
	UID  int
	// Journal says how the built-in default reads the local journal: JournalSocket, JournalProgram,
	// or "" for not at all.
	Journal string

	defaultFile string // what tests read instead of DefaultFile
}

// ProcessOptions returns the options of this process for a file, which may be empty.
func ProcessOptions(file string) Options {
	return Options{File: file, Environ: os.Environ(), Root: os.Geteuid() == 0, UID: os.Geteuid()}
}

// env returns the value of a variable, or "".
func (o Options) env(name string) string {
	for _, pair := range o.Environ {
		if n, value, _ := strings.Cut(pair, "="); n == name {
			return value
		}
	}
	return ""
}

// Loaded is a configuration with all that is known about it.
type Loaded struct {
	Config  *Config
	Origins *Origins
	Folders Folders  // of the built-in defaults that are used, for Create
	Files   []string // that were read, in the order of the merge; empty: the built-in default

	overrides []Override
	problems  problems
	partial   bool // a file is missing from the tree
}

// Load reads, merges and decodes a configuration. Loaded is never nil: with an error, which is
// an *[Errors], its Config has what could be decoded, so that the caller can go on to find the
// remaining faults with Check and Report and then ask Err.
func Load(o Options) (*Loaded, error) {
	l := &Loaded{Config: &Config{}}
	m := merger{}
	layers := l.readFiles(o)
	if o.File == "" && len(l.Files) > 0 {
		o.Root = true // the system's file means the system's daemon, whoever asks where it is
	}
	l.Folders = folders(o)
	tree := defaultTree(baseDefaults, o, l.Folders, &l.problems)
	if len(l.Files) == 0 && len(l.problems.list) == 0 {
		layers = append(layers, defaultTree(hostDefaults, o, l.Folders, &l.problems))
		if journal := journalDefaults[o.Journal]; journal != "" {
			layers = append(layers, defaultTree(journal, o, l.Folders, &l.problems))
		}
	}
	for _, layer := range layers {
		l.decode(&Config{}, layer)
		tree = m.merge(tree, layer, rootShape(), "")
	}
	addImpliedSources(tree)
	if len(l.Files) > 0 {
		tree.at = position{l.Files[0], 1, 1} // what is missing at the top is missing there
	}
	newScalarLayers(o, &l.problems).apply(tree, &m, &l.problems)
	l.decode(l.Config, tree)
	l.Origins = &Origins{tree}
	l.overrides = m.overrides
	l.Folders = l.Folders.used(l.Config)
	if err := l.Folders.check(o.UID); err != nil {
		l.problems.fault(position{file: defaultFile}, "", "%v", err)
	}
	return l, l.Err()
}

// decode reports the faults of a tree and fills c. A file is decoded alone, so that what another
// file overrides is told too, and then as part of the whole.
func (l *Loaded) decode(c *Config, tree *node) {
	d := decoder{&l.problems}
	d.value(reflect.ValueOf(c).Elem(), rootShape(), tree, "")
}

// readFiles parses the files. One that cannot be read is reported.
func (l *Loaded) readFiles(o Options) []*node {
	main := o.File
	if main == "" {
		main = DefaultFile
		if o.defaultFile != "" {
			main = o.defaultFile
		}
	}
	var err error
	if l.Files, err = findFiles(main); err != nil {
		l.unreadable(filepath.Join(filepath.Dir(main), "conf.d"), err)
	}
	if o.File != "" && (len(l.Files) == 0 || l.Files[0] != main) {
		l.unreadable(main, fs.ErrNotExist)
	}
	var trees []*node
	for _, file := range l.Files {
		text, err := readFile(file)
		if err != nil {
			l.unreadable(file, err)
			continue
		}
		tree, ok := parse(file, text, &l.problems)
		l.partial = l.partial || !ok
		if tree != nil {
			trees = append(trees, tree)
		}
	}
	return trees
}

// unreadable reports a file or folder that is missing from the tree.
func (l *Loaded) unreadable(path string, err error) {
	var inner *fs.PathError
	if errors.As(err, &inner) {
		err = inner.Err // its path is said already
	}
	l.problems.fault(position{file: path}, "", "cannot be read: %v", err)
	l.partial = true
}

// Overrides returns what a stronger file or a variable replaced, in the order of the merge.
func (l *Loaded) Overrides() []Override { return l.overrides }

// Report adds a fault at a path of the merged configuration, such as jails[2].filter.failregex[0].
// One at or below a value that could not be decoded is left out: its zero value is not what was
// written.
func (l *Loaded) Report(path string, severity Severity, message string) {
	n, exact := l.Origins.find(path)
	if undecoded(n, exact && !strings.HasSuffix(path, "]")) {
		return
	}
	l.problems.add(n.at, path, severity, message)
}

// undecoded reports whether a node or, when deep, one below it could not be decoded.
func undecoded(n *node, deep bool) bool {
	return n.faulty || n.kind == badNode || deep && (slices.ContainsFunc(n.items, func(item *node) bool { return undecoded(item, true) }) ||
		slices.ContainsFunc(n.entries, func(e entry) bool { return undecoded(e.value, true) }))
}

// Problems returns all faults so far, errors and warnings, sorted by place.
func (l *Loaded) Problems() []Problem { return l.problems.sorted() }

// Err returns the errors so far as an *[Errors], or nil.
func (l *Loaded) Err() error { return l.problems.err() }
